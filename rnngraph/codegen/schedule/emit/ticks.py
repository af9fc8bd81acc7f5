"""Timers of a profiled entry.

Each kernel, copy and barrier has a slot with the time that workers spend in it. A worker's time is divided without
gaps: each tick adds the time since the worker's previous tick to the slot of the part that ran in between.

Ticks between the kernels of each step of a scan would slow down the scan. Therefore only every ``SAMPLED``th step is
measured, with its own clock. The measured steps determine how the scan's time is divided between its kernels.
"""

from __future__ import annotations

from dataclasses import field

from ....ir.graph import Node
from ....ir.types import Dim, size
from ....support.records import dataclass
from ...buffers.memory import Memory
from ...kernels.active_rows import ActiveSteps
from ...kernels.kernel_plan import KernelPlan
from ...loop_ir.builder import Block
from ...loop_ir.nodes import Buffer, Index, LetIndex, Tick, When
from ...loop_ir.worker_names import WORKER

COUNTERS = Buffer("counters", "int64")
"""Memory of the slots of all workers."""
LINE = 8
"""Elements of a worker's slot, of which two are used: cycles, and number of ticks.

A slot is a whole cache line, to avoid false sharing.
"""
SAMPLED = 16

WORK, COPY, TABLE, PACK, WAIT, REST = "kernel", "copy", "table", "packing", "wait", "rest"


@dataclass(frozen=True, eq=False)
class Timed:
    """Part of an entry whose time is measured.

    Attributes:
        kind: ``kernel``, ``copy`` of a value to another location, ``table`` of active rows, ``packing`` of parameters,
            ``wait`` for other workers, or ``rest``.
        nodes: Nodes that the part computes.
        text: Description.
        plan: Plan of the kernel, if the part is a kernel.
        memory: Memory of its values.
        scan: Scan in whose steps the part runs, if any.
        active: Steps and rows that the part computes, if a mask excludes others.
        whole: Slot with the time of the whole scan, if the part is measured only in sampled steps; else None.
        owner: Node for which the part copies a value or writes a table, if any.
        chunked: True if the part runs once for each chunk of time.
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
    """Slots of an entry for at most ``parts`` workers, and the statements that measure time.

    Slot 0 holds the workers' clocks. The slot ``rest`` holds the time between all other parts.
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
        """Add a slot, in which the time of the part ``timed`` is counted, and return its index."""
        self.timed.append(timed)
        return len(self.timed) - 1

    def of(self, timed: Timed) -> int:
        """Return the index of the slot in which the time of a part is counted. Equal parts share a slot.

        Parts are equal if they have equal kind, nodes, text and scan.
        """
        key = timed.kind, timed.nodes, timed.text, timed.scan
        if key not in self._known:
            self._known[key] = self.add(timed)
        return self._known[key]

    def begin(self, sample: bool = False) -> Tick:
        """Return a tick that starts a worker's clock; with ``sample``, its separate clock of sampled steps."""
        return Tick(COUNTERS, self._clock(sample))

    def count(self, slot: Index, sample: bool = False) -> Tick:
        """Return a tick that adds the time since the clock's last tick to a slot. ``sample`` is as for ``begin``."""
        return Tick(COUNTERS, self._clock(sample), self.place(slot, WORKER))

    def place(self, slot: Index, worker: Dim) -> Dim:
        """Return the first element of a worker's slot."""
        return (slot * self.parts + worker) * LINE

    def _clock(self, sample: bool) -> Dim:
        """Return the element with the time of a worker's last tick. ``sample`` is as for ``begin``."""
        return self.place(0, WORKER) + int(sample)


class StepTicks:
    """Timers of one step of a scan.

    Several scans may share a function. The function adds ``base``, a size that the entry passes, to indices of slots.
    """

    def __init__(self, ticks: Ticks, whole: int, parts: list[Timed]) -> None:
        self.ticks, self.whole = ticks, whole
        self.first, self.base = len(ticks.timed), f"slot{whole}"
        for timed in parts:
            ticks.add(timed)

    def let(self) -> LetIndex:
        """Return the statement of the entry that sets ``base``."""
        return LetIndex(self.base, "max", self.first, 0)

    def step(self, block: Block, number: Index) -> SampledStep:
        """Write the start of the timers of one step; ``number`` is its index in the chunk."""
        even = block.let_index("sampled", "floor", number, SAMPLED)
        step = SampledStep(self, block, number - even)
        step.add(self.ticks.begin(True))
        return step


@dataclass(frozen=True)
class SampledStep:
    """Timers of one step, which is sampled if ``offset`` is 0."""

    of: StepTicks
    block: Block
    offset: Index

    def add(self, tick: Tick) -> None:
        """Write a tick that runs only if the step is sampled."""
        if self.offset == 0:
            self.block.add(tick)
        else:
            self.block.add(When(self.offset, 0, 1, (tick,)))

    def count(self, part: int) -> None:
        """Write a tick, which adds the time since the last tick to the slot of a part of the step."""
        self.add(self.of.ticks.count(size(self.of.base) + part, True))
