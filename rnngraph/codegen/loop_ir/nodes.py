"""The loop IR: loops, vector values, loads, stores, and register tiles that contract over k.

Index arithmetic is the same polynomials as sizes (``ir.types.Dim``), over loop variables, run-time sizes
and strides. ``printer`` gives the text of a function.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from ...ir.types import Dim, Size
from ...support.errors import Where

Index = Dim
Place = tuple["Buffer", Index]  # an element of a buffer
Factors = tuple[tuple[Place, ...], tuple[Place, ...]]
"""The left operand of each row of a register tile, and the right one of each column."""
Valid = Index | None
"""How many lanes of a vector are in bounds, from the first one on; None: all."""


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
class Body:
    """Statements inside a statement, and the name of a size that it gives them, or none."""

    statements: tuple[Statement, ...]
    var: str = ""


@dataclass(frozen=True)
class Renaming:
    """What takes the place of a statement's buffers, of its index arithmetic, and of the statements inside it."""

    buffer: Callable[[Buffer], Buffer]
    index: Callable[[Index], Index]
    body: Callable[[Sequence[Statement]], tuple[Statement, ...]]

    def place(self, place: Place) -> Place:
        return self.buffer(place[0]), self.index(place[1])

    def valid(self, valid: Valid) -> Valid:
        return None if valid is None else self.index(valid)


class Uses(NamedTuple):
    """What a statement uses itself: index arithmetic, buffers that it reads, and those that it writes. bodies: the
    statements inside it. prefetches: buffers of which only the place matters. Buffers that a function is handed count
    as read and as written.
    """

    indices: Sequence[Index] = ()
    reads: Sequence[Buffer] = ()
    writes: Sequence[Buffer] = ()
    bodies: Sequence[Body] = ()
    prefetches: Sequence[Buffer] = ()


def _sizes_in(*valid: Valid) -> Iterator[Index]:
    """Those that are known at run time only."""
    return (item for item in valid if isinstance(item, Size))


@dataclass(frozen=True)
class BaseStatement:
    """What every walk asks of a statement. No ``ABC``, as its ``isinstance`` is slow; a class must answer all the same.

    origin: the line of the script, the layer and the phase that it computes for; what it does follows from none of it.
    repeats: whether what is inside may run several times.
    """

    repeats: ClassVar[bool] = False
    origin: Where | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __init_subclass__(cls) -> None:
        if cls.uses is BaseStatement.uses or cls.renamed is BaseStatement.renamed:
            raise TypeError(f"{cls.__name__} doesn't say what it uses, or how it is renamed")

    @abstractmethod
    def uses(self) -> Uses:
        """All that it uses itself."""

    @abstractmethod
    def renamed(self, by: Renaming) -> Statement:
        """The statement over other buffers and sizes."""


@dataclass(frozen=True)
class Load(BaseStatement):
    """``value`` from ``buffer[index]``. ``valid`` lanes are in bounds (others become 0), a number or a size that is
    known at run time; None: all are. ``stride`` is the distance of lanes: 1, or more for a gather; a scalar is loaded
    by one lane.
    """

    value: Value
    buffer: Buffer
    index: Index
    valid: Valid = None
    stride: Index = 1

    def uses(self) -> Uses:
        return Uses((self.index, self.stride, *_sizes_in(self.valid)), reads=(self.buffer,))

    def renamed(self, by: Renaming) -> Load:
        place, stride = (by.buffer(self.buffer), by.index(self.index)), by.index(self.stride)
        return Load(self.value, *place, by.valid(self.valid), stride, origin=self.origin)


@dataclass(frozen=True)
class Store(BaseStatement):
    """``value`` to ``buffer[index]``; only ``valid`` lanes are written."""

    value: Operand
    buffer: Buffer
    index: Index
    valid: Valid = None
    stride: Index = 1

    def uses(self) -> Uses:
        return Uses((self.index, self.stride, *_sizes_in(self.valid)), writes=(self.buffer,))

    def renamed(self, by: Renaming) -> Store:
        place, stride = (by.buffer(self.buffer), by.index(self.index)), by.index(self.stride)
        return Store(self.value, *place, by.valid(self.valid), stride, origin=self.origin)


@dataclass(frozen=True)
class Prefetch(BaseStatement):
    """Asks for the line of a cache that ``buffer[index]`` lies in, which is used soon. It may lie anywhere."""

    buffer: Buffer
    index: Index

    def uses(self) -> Uses:
        return Uses((self.index,), prefetches=(self.buffer,))

    def renamed(self, by: Renaming) -> Prefetch:
        return Prefetch(by.buffer(self.buffer), by.index(self.index), origin=self.origin)


@dataclass(frozen=True)
class Let(BaseStatement):
    """``value = op(operands)``. ``comment`` names the graph node that it computes. ``shuffle`` takes lanes from two
    vectors in the ``order`` given.
    """

    value: Value
    op: str
    operands: tuple[Operand, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    comment: str = ""

    def uses(self) -> Uses:
        return Uses([value for key, value in self.attributes if key == "index"])

    def renamed(self, by: Renaming) -> Let:
        attributes = tuple([(key, by.index(value) if key == "index" else value) for key, value in self.attributes])
        return Let(self.value, self.op, self.operands, attributes, self.comment, origin=self.origin)


@dataclass(frozen=True)
class LetIndex(BaseStatement):
    """``name = op(base, factor)`` in index arithmetic: ``parity`` (base & 1), ``floor`` (down to a multiple
    of factor), ``divide`` (without the rest), ``min``, ``max``, ``of`` (the integer scalar ``source``, limited to
    0..factor-1), or ``read`` (the integer scalar ``source`` as it is, of memory that nobody but packing writes).
    """

    name: str
    op: str
    base: Index
    factor: Index = 1
    source: Operand | None = None

    def uses(self) -> Uses:
        return Uses((self.base, self.factor))

    def renamed(self, by: Renaming) -> LetIndex:
        base, factor = by.index(self.base), by.index(self.factor)
        return LetIndex(self.name, self.op, base, factor, self.source, origin=self.origin)


@dataclass(frozen=True)
class Contract(BaseStatement):
    """A register tile: ``results[r][j] = starts[r][j] + sum over k of left[r][k] * right[k][j]``, k in order.

    left: (buffer, index) for each row, k advancing by ``left_stride``. right: (buffer, index) of each column,
    k advancing by ``right_stride`` and lanes by ``lane_stride``; ``valid[j]`` lanes are in bounds.
    Of narrow numbers ``dot_width`` lie side by side and are multiplied in one step, by which strides advance: in a
    row, and in each lane of a panel, which is filled up with zeros.

    accumulators: of several sums the first takes the k that are a multiple of it, beginning from the start, the second
    those behind these, from 0, and so on; they are added up at the end, in order. block: where there are more k, the
    sums of so many are added up first, of which only the first begins from the start; a rounding error then grows with
    a block's length and with the number of blocks. 0: one sum over all.

    behind: left and right operands of further products, whose strides, depth and lanes are the same: each begins from
    the sums of the one before.

    spread: whether left operands, whose k lie side by side, are loaded as one vector and spread from a register, where
    loads are what a short tile waits for.

    ahead: how far behind the first column's place the weights lie that tiles read next: a turn over k asks for a line
    of them, so that they come into the second cache meanwhile. None: they are there.

    columns: the origin of each column, where products of several lines are one tile.
    """

    results: tuple[tuple[Value, ...], ...]
    starts: tuple[tuple[Operand, ...], ...]
    left: tuple[tuple[Buffer, Index], ...]
    left_stride: Index
    depth: Index
    right: tuple[tuple[Buffer, Index], ...]
    right_stride: Index
    lane_stride: Index
    valid: tuple[Valid, ...]
    unroll: int
    comment: str = ""
    dot_width: int = 1
    accumulators: int = 1
    block: int = 0
    behind: tuple[Factors, ...] = ()
    spread: bool = False
    ahead: Index | None = None
    columns: tuple[Where | None, ...] = field(default=(), kw_only=True, compare=False, repr=False)

    @property
    def factors(self) -> tuple[Factors, ...]:
        """Left and right operands of all products, in order."""
        return ((self.left, self.right), *self.behind)

    def then(self, other: Contract) -> Contract | None:
        """This and another tile, which goes on with its sums, as one; None where they are not alike."""
        joined = replace(self, results=other.results, behind=(*self.behind, *other.factors))
        left, right = other.left, other.right
        same = replace(joined, left=left, right=right, starts=other.starts, behind=(), comment=other.comment)
        goes_on = other.starts == self.results and same == other
        return joined if goes_on and (self.origin, self.columns) == (other.origin, other.columns) else None

    def uses(self) -> Uses:
        places = [place for left, right in self.factors for place in (*left, *right)]
        steps = (self.left_stride, self.depth, self.right_stride, self.lane_stride, *_sizes_in(*self.valid, self.ahead))
        return Uses([*(index for _, index in places), *steps], reads=[buffer for buffer, _ in places])

    def renamed(self, by: Renaming) -> Contract:
        return replace(
            self,
            left=tuple(map(by.place, self.left)),
            right=tuple(map(by.place, self.right)),
            left_stride=by.index(self.left_stride),
            right_stride=by.index(self.right_stride),
            lane_stride=by.index(self.lane_stride),
            depth=by.index(self.depth),
            valid=tuple(map(by.valid, self.valid)),
            ahead=None if self.ahead is None else by.index(self.ahead),
            behind=tuple((tuple(map(by.place, left)), tuple(map(by.place, right))) for left, right in self.behind),
        )


@dataclass(frozen=True)
class For(BaseStatement):
    """``for var in range(start, stop, step)``."""

    var: str
    start: Index
    stop: Index
    step: Index
    body: tuple[Statement, ...]
    comment: str = ""

    repeats: ClassVar[bool] = True

    def uses(self) -> Uses:
        return Uses((self.start, self.stop, self.step), bodies=(Body(self.body, self.var),))

    def renamed(self, by: Renaming) -> For:
        limits = by.index(self.start), by.index(self.stop), by.index(self.step)
        return For(self.var, *limits, by.body(self.body), self.comment, origin=self.origin)


@dataclass(frozen=True)
class When(BaseStatement):
    """The body where ``low <= index < high``."""

    index: Index
    low: Index
    high: Index
    body: tuple[Statement, ...]

    def uses(self) -> Uses:
        return Uses((self.index, self.low, self.high), bodies=(Body(self.body),))

    def renamed(self, by: Renaming) -> When:
        limits = by.index(self.index), by.index(self.low), by.index(self.high)
        return When(*limits, by.body(self.body), origin=self.origin)


@dataclass(frozen=True)
class Fold(BaseStatement):
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

    repeats: ClassVar[bool] = True

    def uses(self) -> Uses:
        return Uses((self.start, self.stop, self.step), bodies=(Body(self.body, self.var),))

    def renamed(self, by: Renaming) -> Fold:
        return replace(self, start=by.index(self.start), stop=by.index(self.stop), body=by.body(self.body))


@dataclass(frozen=True)
class Call(BaseStatement):
    """A call of another function of the module, with its buffers and sizes."""

    function: str
    buffers: tuple[tuple[Buffer, Index], ...]
    sizes: tuple[Index, ...]
    comment: str = ""

    def uses(self) -> Uses:
        buffers = [buffer for buffer, _ in self.buffers]
        return Uses([*(index for _, index in self.buffers), *self.sizes], buffers, buffers)

    def renamed(self, by: Renaming) -> Call:
        places, sizes = tuple(map(by.place, self.buffers)), tuple(map(by.index, self.sizes))
        return Call(self.function, places, sizes, self.comment, origin=self.origin)


@dataclass(frozen=True)
class Barrier(BaseStatement):
    """No worker goes on before all have come here: what they wrote before can be read behind it. team: where they
    signal to each other. worker: which of ``workers`` this is. one_way: the others wait for the first worker, which
    waits for nobody.
    """

    team: Buffer
    worker: Index
    workers: Index
    one_way: bool = False

    def uses(self) -> Uses:
        return Uses((self.worker, self.workers), (self.team,), (self.team,))

    def renamed(self, by: Renaming) -> Barrier:
        worker, workers = by.index(self.worker), by.index(self.workers)
        return Barrier(by.buffer(self.team), worker, workers, self.one_way, origin=self.origin)


@dataclass(frozen=True)
class PipelineStage:
    """One stage of a pipeline, which one worker at a time runs for a chunk.

    needs: (number of another stage, ahead): that one must have done so many chunks more than this one has; fewer where
    it is negative. due: of the tasks that can run, the one that is due first is taken.
    """

    body: tuple[Statement, ...]
    needs: tuple[tuple[int, int], ...]
    due: int


@dataclass(frozen=True)
class Pipeline(BaseStatement):
    """Every stage for ``var`` in 0, 1, … while ``var * step < stop``, in order; stages at the same time, as workers
    take what can be done.

    states: one number for each stage, 0 at the start. interval: by how much the next chunk of a stage is due later.
    """

    var: str
    stop: Index
    step: Index
    stages: tuple[PipelineStage, ...]
    interval: int
    states: Buffer
    team: Buffer
    comment: str = ""

    repeats: ClassVar[bool] = True

    def uses(self) -> Uses:
        bodies = [Body(stage.body, self.var) for stage in self.stages]
        return Uses((self.stop, self.step), (self.states, self.team), (self.states, self.team), bodies)

    def renamed(self, by: Renaming) -> Pipeline:
        stages = tuple(replace(stage, body=by.body(stage.body)) for stage in self.stages)
        states, team, step = by.buffer(self.states), by.buffer(self.team), by.index(self.step)
        return replace(self, stop=by.index(self.stop), step=step, stages=stages, states=states, team=team)


@dataclass(frozen=True)
class Tick(BaseStatement):
    """Reads the processor's counter: what has passed since the reading at ``clock`` is added to ``counters[slot]``, and
    1 to the element behind it; ``slot`` is None where nothing is counted. Each worker has elements of its own.
    """

    counters: Buffer
    clock: Index
    slot: Index | None = None

    def uses(self) -> Uses:
        return Uses([self.clock, self.slot or 0], (self.counters,), (self.counters,))

    def renamed(self, by: Renaming) -> Tick:
        slot = None if self.slot is None else by.index(self.slot)
        return Tick(by.buffer(self.counters), by.index(self.clock), slot, origin=self.origin)


Statement = Load | Store | Prefetch | Let | LetIndex | Contract | For | When | Fold | Call | Barrier | Pipeline | Tick
