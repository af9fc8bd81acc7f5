"""The loop IR: loops, vector values, loads, stores, and register tiles that contract over k.

Index arithmetic is the same polynomials as sizes (``ir.types.Dim``), over loop variables, run-time sizes
and strides. ``str()`` of a function prints it (``loops_text``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..ir.types import Dim

Index = Dim


@dataclass(frozen=True)
class Buffer:
    """Memory that a function is handed: elements of one dtype behind one pointer."""

    name: str
    dtype: str


@dataclass(frozen=True)
class Value:
    """A named value of ``lanes`` elements; one lane is a scalar."""

    name: str
    dtype: str
    lanes: int


@dataclass(frozen=True)
class Literal:
    """A number, the same in every lane."""

    value: Any
    dtype: str
    lanes: int


Operand = Value | Literal


@dataclass(frozen=True)
class Load:
    """``value`` from ``buffer[index]``. ``valid`` lanes are in bounds (others become 0). ``stride`` is the
    distance of lanes: 1, or more for a gather; a scalar is loaded by one lane.
    """

    value: Value
    buffer: Buffer
    index: Index
    valid: int | None = None
    stride: Index = 1


@dataclass(frozen=True)
class Store:
    """``value`` to ``buffer[index]``; only ``valid`` lanes are written."""

    value: Operand
    buffer: Buffer
    index: Index
    valid: int | None = None
    stride: Index = 1


@dataclass(frozen=True)
class Let:
    """``value = op(operands)``. ``comment`` names the graph node that it computes. ``shuffle`` takes lanes from two
    vectors in the ``order`` given.
    """

    value: Value
    op: str
    operands: tuple[Operand, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class LetIndex:
    """``name = op(base, factor)`` in index arithmetic: ``parity`` (base & 1), ``floor`` (down to a multiple
    of factor), ``divide`` (without the rest), ``min``, ``max``, or ``of`` (the integer scalar ``source``, limited to
    0..factor-1).
    """

    name: str
    op: str
    base: Index
    factor: Index = 1
    source: Operand | None = None


@dataclass(frozen=True)
class Contract:
    """A register tile: ``results[r][j] = starts[r][j] + sum over k of left[r][k] * right[k][j]``, k in order.

    left: (buffer, index) for each row, k advancing by ``left_stride``. right: (buffer, index) of each column,
    k advancing by ``right_stride`` and lanes by ``lane_stride``; ``valid[j]`` lanes are in bounds.
    Of narrow numbers ``together`` lie side by side and are multiplied in one step, by which strides advance: in a
    row, and in each lane of a panel, which is filled up with zeros.

    strands: of several sums the first takes the k that are a multiple of it, beginning from the start, the second those
    behind these, from 0, and so on; they are added up at the end, in order.
    """

    results: tuple[tuple[Value, ...], ...]
    starts: tuple[tuple[Operand, ...], ...]
    left: tuple[tuple[Buffer, Index], ...]
    left_stride: Index
    depth: Index
    right: tuple[tuple[Buffer, Index], ...]
    right_stride: Index
    lane_stride: Index
    valid: tuple[int | None, ...]
    unroll: int
    comment: str = ""
    together: int = 1
    strands: int = 1


@dataclass(frozen=True)
class For:
    """``for var in range(start, stop, step)``."""

    var: str
    start: Index
    stop: Index
    step: Index
    body: tuple[Statement, ...]
    comment: str = ""


@dataclass(frozen=True)
class When:
    """The body where ``low <= index < high``."""

    index: Index
    low: Index
    high: Index
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Fold:
    """A loop that carries values: ``results = body(...)`` repeated, beginning with ``starts``."""

    results: tuple[Value, ...]
    carried: tuple[Value, ...]
    starts: tuple[Operand, ...]
    var: str
    start: Index
    stop: Index
    step: int
    body: tuple[Statement, ...]
    nexts: tuple[Operand, ...]


@dataclass(frozen=True)
class Call:
    """A call of another function of the module, with its buffers and sizes."""

    function: str
    buffers: tuple[tuple[Buffer, Index], ...]
    sizes: tuple[Index, ...]
    comment: str = ""


@dataclass(frozen=True)
class Barrier:
    """No worker goes on before all have come here: what they wrote before can be read behind it. team: where they
    signal to each other. worker: which of ``workers`` this is. one_way: the others wait for the first worker, which
    waits for nobody.
    """

    team: Buffer
    worker: Index
    workers: Index
    one_way: bool = False


@dataclass(frozen=True)
class Station:
    """What one worker at a time does for a chunk. needs: (number of another station, ahead): that one must have done
    so many chunks more than this one has; fewer where it is negative. due: what is due earlier is done first.
    """

    body: tuple[Statement, ...]
    needs: tuple[tuple[int, int], ...]
    due: int


@dataclass(frozen=True)
class Pipeline:
    """Every station for ``var`` in 0, 1, … while ``var * step < stop``, in order; stations at the same time, as workers
    take what can be done.

    states: one number for each station, 0 at the start. turn: by how much the next chunk of a station is due later.
    """

    var: str
    stop: Index
    step: Index
    stations: tuple[Station, ...]
    turn: int
    states: Buffer
    team: Buffer
    comment: str = ""


Statement = Load | Store | Let | LetIndex | Contract | For | When | Fold | Call | Barrier | Pipeline


@dataclass(frozen=True)
class Function:
    """A function: the buffers and the names of sizes that it is handed, and its statements."""

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    body: tuple[Statement, ...]
    comment: str = ""

    def __str__(self) -> str:
        from .loops_text import function_text

        return function_text(self)


@dataclass
class Block:
    """Statements in the making, with fresh names."""

    statements: list[Statement] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def fresh(self, name: str) -> str:
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{name}.{count}"

    def fresh_index(self, name: str) -> str:
        """For a loop variable or a size; index arithmetic has no dots in names."""
        return self.fresh(name).replace(".", "")

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)

    def nested(self) -> Block:
        """A block inside this one: it shares the names, not the statements."""
        return Block([], self.counts)

    def load(
        self,
        name: str,
        buffer: Buffer,
        index: Index,
        lanes: int,
        valid: int | None = None,
        stride: Index = 1,
    ) -> Value:
        value = Value(self.fresh(name), buffer.dtype, lanes)
        self.add(Load(value, buffer, index, valid if valid is None or valid < lanes else None, stride))
        return value

    def let(
        self,
        op: str,
        operands: Sequence[Operand],
        dtype: str,
        lanes: int,
        comment: str = "",
        **attributes: Any,
    ) -> Value:
        value = Value(self.fresh(op), dtype, lanes)
        self.add(Let(value, op, tuple(operands), tuple(attributes.items()), comment))
        return value
