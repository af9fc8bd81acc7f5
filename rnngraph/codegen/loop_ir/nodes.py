"""Statements of the loop IR: loops, vector values, loads and stores.

Index expressions are polynomials (``ir.types.Dim``) in loop variables, run-time sizes and strides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from ...support.records import dataclass
from .base import BaseStatement as BaseStatement
from .base import Body as Body
from .base import Renaming as Renaming
from .base import Uses as Uses
from .base import sizes_in
from .products import Contract as Contract
from .products import TileProduct as TileProduct
from .values import BlockScales as BlockScales
from .values import Buffer as Buffer
from .values import Condition as Condition
from .values import Destination as Destination
from .values import Factors as Factors
from .values import Index as Index
from .values import Literal as Literal
from .values import Operand as Operand
from .values import Place as Place
from .values import Valid as Valid
from .values import Value as Value


@dataclass(frozen=True)
class Load(BaseStatement):
    """Load ``value`` from ``buffer[index]``. Lanes from ``valid`` on become 0.

    Attributes:
        valid: Number of lanes to load, which may be symbolic; None for all.
        stride: Elements between lanes.
    """

    value: Value
    buffer: Buffer
    index: Index
    valid: Valid = None
    stride: Index = 1

    def uses(self) -> Uses:
        return Uses([(self.buffer, self.index)], sizes_in(self.stride, self.valid), reads=(self.buffer,))

    def renamed(self, by: Renaming) -> Load:
        place, stride = by.place((self.buffer, self.index)), by.index(self.stride)
        return Load(self.value, *place, by.valid(self.valid), stride, origin=self.origin)


@dataclass(frozen=True)
class Store(BaseStatement):
    """Store ``value`` to ``buffer[index]``. Only the first ``valid`` lanes are written; all if it is None."""

    value: Operand
    buffer: Buffer
    index: Index
    valid: Valid = None
    stride: Index = 1

    def uses(self) -> Uses:
        return Uses([(self.buffer, self.index)], sizes_in(self.stride, self.valid), writes=(self.buffer,))

    def renamed(self, by: Renaming) -> Store:
        place, stride = by.place((self.buffer, self.index)), by.index(self.stride)
        return Store(self.value, *place, by.valid(self.valid), stride, origin=self.origin)


@dataclass(frozen=True)
class Prefetch(BaseStatement):
    """Prefetch the cache line of ``buffer[index]``. The address may be invalid."""

    buffer: Buffer
    index: Index

    def uses(self) -> Uses:
        return Uses([(self.buffer, self.index)], prefetches=(self.buffer,))

    def renamed(self, by: Renaming) -> Prefetch:
        return Prefetch(*by.place((self.buffer, self.index)), origin=self.origin)


@dataclass(frozen=True)
class Let(BaseStatement):
    """Computation of a value: ``value = op(operands)``.

    ``comment`` is the name of the graph's node. The op ``shuffle`` concatenates two vectors, and takes the lanes whose
    indices are its attribute ``order``.
    """

    value: Value
    op: str
    operands: tuple[Operand, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    comment: str = ""

    def uses(self) -> Uses:
        return Uses(indices=[value for key, value in self.attributes if key == "index"])

    def renamed(self, by: Renaming) -> Let:
        if not self.uses().indices:
            return self
        attributes = tuple([(key, by.index(value) if key == "index" else value) for key, value in self.attributes])
        return self.changed(attributes=attributes)


@dataclass(frozen=True)
class LetIndex(BaseStatement):
    """Computation of a size: ``name = op(base, factor)``.

    The ops are:

    - ``parity``: ``base & 1``.
    - ``floor``: ``base``, rounded towards 0 to a multiple of ``factor``, a positive int.
    - ``divide``: ``base / factor``, rounded towards 0, for a positive int ``factor``.
    - ``min``, ``max``: minimum or maximum of ``base`` and ``factor``.
    - ``of``: the integer scalar ``source``, clamped to the range from 0 to ``factor - 1``.
    - ``read``: the integer scalar ``source``, unchanged. It comes from packed weights.
    """

    name: str
    op: str
    base: Index
    factor: Index = 1
    source: Operand | None = None

    def uses(self) -> Uses:
        return Uses(indices=(self.base, self.factor))

    def renamed(self, by: Renaming) -> LetIndex:
        base, factor = by.index(self.base), by.index(self.factor)
        return LetIndex(self.name, self.op, base, factor, self.source, origin=self.origin)


@dataclass(frozen=True)
class For(BaseStatement):
    """Loop: ``for var in range(start, stop, step)``."""

    var: str
    start: Index
    stop: Index
    step: Index
    body: tuple[Statement, ...]
    comment: str = ""

    encloses: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    def uses(self) -> Uses:
        return Uses(indices=(self.start, self.stop, self.step), bodies=(Body(self.body, self.var),))

    def renamed(self, by: Renaming) -> For:
        limits = by.index(self.start), by.index(self.stop), by.index(self.step)
        return For(self.var, *limits, by.body(self.body), self.comment, origin=self.origin)


@dataclass(frozen=True)
class When(BaseStatement):
    """Conditional: run the body if ``low <= index < high``."""

    index: Index
    low: Index
    high: Index
    body: tuple[Statement, ...]

    encloses: ClassVar[bool] = True

    def uses(self) -> Uses:
        return Uses(indices=(self.index, self.low, self.high), bodies=(Body(self.body),))

    def renamed(self, by: Renaming) -> When:
        limits = by.index(self.index), by.index(self.low), by.index(self.high)
        return When(*limits, by.body(self.body), origin=self.origin)


@dataclass(frozen=True)
class Fold(BaseStatement):
    """Loop with carried values. Before the first iteration, ``carried`` are ``starts``; after each one, ``nexts``.

    ``results`` are the values after the last iteration.
    """

    results: tuple[Value, ...]
    carried: tuple[Value, ...]
    starts: tuple[Operand, ...]
    var: str
    start: Index
    stop: Index
    step: int
    body: tuple[Statement, ...]
    nexts: tuple[Operand, ...]

    encloses: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    def uses(self) -> Uses:
        return Uses(indices=(self.start, self.stop, self.step), bodies=(Body(self.body, self.var),))

    def renamed(self, by: Renaming) -> Fold:
        return self.changed(start=by.index(self.start), stop=by.index(self.stop), body=by.body(self.body))


@dataclass(frozen=True)
class Call(BaseStatement):
    """Call of another function of the module, with buffers and sizes as arguments."""

    function: str
    buffers: tuple[tuple[Buffer, Index], ...]
    sizes: tuple[Index, ...]
    comment: str = ""

    def uses(self) -> Uses:
        buffers = [buffer for buffer, _ in self.buffers]
        return Uses(self.buffers, self.sizes, buffers, buffers)

    def renamed(self, by: Renaming) -> Call:
        places, sizes = tuple(map(by.place, self.buffers)), tuple(map(by.index, self.sizes))
        return Call(self.function, places, sizes, self.comment, origin=self.origin)


@dataclass(frozen=True)
class Barrier(BaseStatement):
    """Barrier: ``worker`` waits until all ``workers`` have arrived, and sees their earlier writes.

    Workers signal through the memory ``team``. With ``one_way``, the first worker does not wait, and the others wait
    for the first worker only.
    """

    team: Buffer
    worker: Index
    workers: Index
    one_way: bool = False

    def uses(self) -> Uses:
        return Uses([(self.team, 0)], (self.worker, self.workers), (self.team,), (self.team,))

    def renamed(self, by: Renaming) -> Barrier:
        worker, workers = by.index(self.worker), by.index(self.workers)
        return Barrier(by.buffer(self.team), worker, workers, self.one_way, origin=self.origin)


@dataclass(frozen=True)
class PipelineStage:
    """Stage of a pipeline. One worker at a time runs the stage for a chunk.

    Attributes:
        needs: Dependencies as pairs (index of another stage, lead). Chunk c can run once the other stage has completed
            its first c + lead chunks. The lead may be negative.
        due: Due time of the stage's first chunk. Of the stages that can run, a worker claims the one due first.
    """

    body: tuple[Statement, ...]
    needs: tuple[tuple[int, int], ...]
    due: int


@dataclass(frozen=True)
class Pipeline(BaseStatement):
    """Software pipeline: every stage runs in order for ``var`` = 0, 1, … while ``var * step < stop``.

    Workers claim stages concurrently.

    Attributes:
        interval: Time between the due times of a stage's consecutive chunks.
        states: Memory with one integer for each stage, initially 0.
    """

    var: str
    stop: Index
    step: Index
    stages: tuple[PipelineStage, ...]
    interval: int
    states: Buffer
    team: Buffer
    comment: str = ""

    encloses: ClassVar[bool] = True
    repeats: ClassVar[bool] = True

    def uses(self) -> Uses:
        bodies = [Body(stage.body, self.var) for stage in self.stages]
        buffers = self.states, self.team
        return Uses([(buffer, 0) for buffer in buffers], (self.stop, self.step), buffers, buffers, bodies)

    def renamed(self, by: Renaming) -> Pipeline:
        stages = tuple(replace(stage, body=by.body(stage.body)) for stage in self.stages)
        states, team, step = by.buffer(self.states), by.buffer(self.team), by.index(self.step)
        return self.changed(stop=by.index(self.stop), step=step, stages=stages, states=states, team=team)


@dataclass(frozen=True)
class Tick(BaseStatement):
    """Timer: add the time since the last reading of ``clock`` to ``counters[slot]``, and 1 to the next element.

    If ``slot`` is None, the clock is only read. Each worker has a separate clock and counters.
    """

    counters: Buffer
    clock: Index
    slot: Index | None = None

    def uses(self) -> Uses:
        places = [(self.counters, self.clock), (self.counters, self.slot or 0)]
        return Uses(places, (), (self.counters,), (self.counters,))

    def renamed(self, by: Renaming) -> Tick:
        counters, clock = by.place((self.counters, self.clock))
        slot = None if self.slot is None else by.place((self.counters, self.slot))[1]
        return Tick(counters, clock, slot, origin=self.origin)


Statement = (
    Load
    | Store
    | Prefetch
    | Let
    | LetIndex
    | Contract
    | TileProduct
    | For
    | When
    | Fold
    | Call
    | Barrier
    | Pipeline
    | Tick
)
