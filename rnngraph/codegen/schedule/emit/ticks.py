"""What an entry that is profiled counts: a slot for each kernel, copy and wait, with the time that workers spend in it.

A worker's time is cut into pieces without gaps: each tick adds all that has passed since the worker's last one to the
slot of what ran in between. Kernels of a scan's step would be slowed down by that; there every ``SAMPLED``th step is
looked at, with a clock of its own, and tells how the scan's time is divided.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ....ir.graph import Node
from ....ir.types import Dim, size
from ...buffers.memory import Memory
from ...kernels.active_rows import ActiveSteps
from ...kernels.kernel_plan import KernelPlan
from ...loop_ir.builder import Block
from ...loop_ir.nodes import Buffer, Index, LetIndex, Tick, When
from ...loop_ir.workers import WORKER

COUNTERS = Buffer("counters", "int64")
"""The memory of all slots of all workers."""
LINE = 8
"""Elements of a slot of one worker, so that no two workers write to one line of a cache: cycles, and how often."""
SAMPLED = 16

WORK, COPY, TABLE, PACK, WAIT, REST = "kernel", "copy", "table", "packing", "wait", "rest"


@dataclass(frozen=True, eq=False)
class Timed:
    """What a slot counts.

    kind: a ``kernel``, a ``copy`` of a value to where it is needed, a ``table`` of rows that end, the ``packing`` of
    parameters, a ``wait`` for other workers, or the ``rest``. nodes: that it computes. text: in a few words, where
    there are none. plan: of a kernel; memory: where its values lie. scan: in whose steps it runs. whole: of a sample
    the slot of the scan that is divided. owner: the node that a copy belongs to. chunked: whether it runs once for
    each chunk of time.
    """

    kind: str
    nodes: tuple[Node, ...] = ()
    text: str = ""
    plan: KernelPlan | None = None
    memory: Memory | None = field(default=None, repr=False)
    scan: Node | None = None
    active: ActiveSteps | None = None
    whole: int | None = None
    owner: Node | None = None
    chunked: bool = False


class Ticks:
    """The slots of one entry, for ``parts`` workers at most, and statements that count.

    Slot 0 holds the workers' clocks; ``rest`` is what lies between all else.
    """

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.timed: list[Timed] = [Timed(REST, text="clocks")]
        self.rest = self.add(Timed(REST, text="between kernels"))
        self.wait = self.add(Timed(WAIT, text="waits for other workers"))
        self._known: dict[tuple[object, ...], int] = {}

    @property
    def elements(self) -> int:
        """Elements of the counters' memory."""
        return len(self.timed) * self.parts * LINE

    def add(self, timed: Timed) -> int:
        """A new slot."""
        self.timed.append(timed)
        return len(self.timed) - 1

    def of(self, timed: Timed) -> int:
        """The slot of all that does the same."""
        key = timed.kind, timed.nodes, timed.text, timed.scan
        if key not in self._known:
            self._known[key] = self.add(timed)
        return self._known[key]

    def begin(self, sample: bool = False) -> Tick:
        """Sets the worker's clock."""
        return Tick(COUNTERS, self._clock(sample))

    def count(self, slot: Index, sample: bool = False) -> Tick:
        """Counts what has passed in a slot."""
        return Tick(COUNTERS, self._clock(sample), self.place(slot, WORKER))

    def place(self, slot: Index, worker: Dim) -> Dim:
        """The first element of a worker's slot."""
        return (slot * self.parts + worker) * LINE

    def _clock(self, sample: bool) -> Dim:
        return self.place(0, WORKER) + sample


class StepTicks:
    """Slots of what one step of a scan does, which functions that do the same for other scans count elsewhere: ``base``
    is a size that the entry hands over.
    """

    def __init__(self, ticks: Ticks, whole: int, parts: list[Timed]) -> None:
        self.ticks, self.whole = ticks, whole
        self.first, self.base = len(ticks.timed), f"slot{whole}"
        for timed in parts:
            ticks.add(timed)

    def let(self) -> LetIndex:
        """Gives the base its value, in the entry."""
        return LetIndex(self.base, "max", self.first, 0)

    def step(self, block: Block, number: Index) -> SampledStep:
        """The ticks of one step. number: of the step in its chunk."""
        even = block.let_index("sampled", "floor", number, SAMPLED)
        step = SampledStep(self, block, number - even)
        step.add(self.ticks.begin(True))
        return step


@dataclass(frozen=True)
class SampledStep:
    """One step. offset: 0 in those that are looked at."""

    of: StepTicks
    block: Block
    offset: Index

    def add(self, tick: Tick) -> None:
        if self.offset == 0:
            self.block.add(tick)
        else:
            self.block.add(When(self.offset, 0, 1, (tick,)))

    def count(self, part: int) -> None:
        """Counts what has run since the last one."""
        self.add(self.of.ticks.count(size(self.of.base) + part, True))
