"""Builder of a block of statements, to which kernels and entries append."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from ...ir.types import Dim, size
from ...support.errors import Where
from ...support.records import dataclass
from .nodes import Buffer, For, Index, Let, LetIndex, Load, Operand, Statement, Valid, Value


@dataclass
class Block:
    """Builder of statements, with counters for fresh names. ``origin`` is the current source line."""

    statements: list[Statement] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    origin: Where | None = None

    def fresh(self, name: str) -> str:
        """Return a fresh name for a value."""
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{name}.{count}"

    def fresh_index(self, name: str) -> str:
        """Return a fresh name for a loop variable or a size. Index arithmetic does not allow dots in names."""
        return self.fresh(name).replace(".", "")

    def add(self, statement: Statement) -> None:
        """Append a statement, with the current origin unless it has one."""
        is_known = statement.origin is not None or self.origin is None
        self.statements.append(statement if is_known else statement.changed(origin=self.origin))

    def nested(self) -> Block:
        """Return a builder of an inner block, whose fresh names differ from those of this block."""
        return Block([], self.counts, self.origin)

    @contextmanager
    def at(self, origin: Where | None) -> Iterator[None]:
        """Within this context, new statements have an origin; None keeps the origin from outside the context."""
        outer = self.origin
        self.origin = origin or outer
        yield
        self.origin = outer

    def load(
        self,
        name: str,
        buffer: Buffer,
        index: Index,
        lanes: int,
        valid: Valid = None,
        stride: Index = 1,
    ) -> Value:
        """Add a load of ``lanes`` elements, ``stride`` apart. Lanes from ``valid`` on become 0. Return the value."""
        value = Value(self.fresh(name), buffer.dtype, lanes)
        limit = None if isinstance(valid, int) and valid >= lanes else valid
        self.statements.append(Load(value, buffer, index, limit, stride, origin=self.origin))
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
        """Add the computation of a value by an op. Return the value."""
        value = Value(self.fresh(op), dtype, lanes)
        let = Let(value, op, tuple(operands), tuple(attributes.items()), comment, origin=self.origin)
        self.statements.append(let)
        return value

    def let_index(self, name: str, op: str, base: Index, factor: Index) -> Index:
        """Add ``name = op(base, factor)`` in index arithmetic, under a fresh name. Return the name as an index."""
        fresh = self.fresh_index(name)
        self.add(LetIndex(fresh, op, base, factor))
        return size(fresh)

    def read_index(self, name: str, buffer: Buffer, place: Index) -> Index:
        """Add a size with the value of ``buffer[place]``, an integer of packed weights. Return its name as an index."""
        fresh = self.fresh_index(name)
        self.add(LetIndex(fresh, "read", 0, 1, self.load(name, buffer, place, 1)))
        return size(fresh)

    def bounded_index(self, name: str, below: Dim, value: Operand) -> Index:
        """Add a size: an integer value, clamped to the range from 0 to ``below - 1``. Return its name as an index."""
        fresh = self.fresh_index(name)
        self.add(LetIndex(fresh, "of", 0, below, value))
        return size(fresh)


def loop(
    block: Block,
    name: str,
    stop: Index,
    body: Callable[[Block, Index], None],
    start: Index = 0,
    step: int = 1,
    comment: str = "",
) -> None:
    """Write a ``for`` loop from ``start`` to ``stop``, whose statements ``body`` writes for the loop's variable.

    If the loop runs once, only its body is written. If it never runs, nothing is written.
    """
    trips = stop - start
    if isinstance(trips, int) and trips <= 0:
        return
    if isinstance(trips, int) and trips <= step:
        body(block, start)
        return
    variable, inner = block.fresh_index(name), block.nested()
    body(inner, size(variable))
    block.add(For(variable, start, stop, step, tuple(inner.statements), comment))
