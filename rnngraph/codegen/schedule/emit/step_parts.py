"""Kernels and copies of one step of a scan, in order, and the barriers between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, zip_longest

from ....ir.graph import Node
from ....support.records import NamedTuple, dataclass
from ...cost_model.work_sharing import Partition
from ...loop_ir.builder import Block
from ...loop_ir.nodes import Barrier
from ...loop_ir.worker_names import TEAM, WORKER, WORKERS
from ..analyse.scan_sharing import ScanSharing, waits_between
from .ticks import SampledStep


class StepPart(NamedTuple):
    """Kernel or copy in a step.

    Attributes:
        computes: Values that a kernel computes; none for a copy.
        number: Index among the profile slots of a step.
        partition: Division between workers.
        emit: Function that writes the statements.
    """

    computes: Sequence[Node]
    number: int
    partition: Partition
    emit: Callable[[], None]


@dataclass(frozen=True)
class StepWaits:
    """Writer of the parts of a step, with barriers between them.

    Attributes:
        sharing: Division of the scan between workers.
        waiting: Index of the barriers among the profile slots of a step.
    """

    sharing: ScanSharing
    waiting: int

    def add(self, block: Block, ticks: SampledStep | None = None) -> None:
        """Add a barrier, unless one worker runs the step, or each worker computes its own rows."""
        if self.sharing.workers.parts > 1 and not self.sharing.estimate.by_rows:
            block.add(Barrier(TEAM, WORKER, WORKERS))
            if ticks is not None:
                ticks.count(self.waiting)

    def step(
        self, block: Block, parts: Sequence[StepPart], overwritten: Node | None, ticks: SampledStep | None
    ) -> None:
        """Write the kernels and copies of a scan's step in order, with barriers and timers between them.

        Args:
            block: Block to which the statements are added.
            parts: Parts of the step, in order.
            overwritten: Value that overwrites the condition of the step, if any. A worker may compute it only after
                all others have read the condition.
            ticks: Timers of the step, if the entry is profiled.
        """
        if overwritten is not None:
            place = next(number for number, part in enumerate(parts) if overwritten in part.computes)
            if not any(waits_between(one.partition, other.partition) for one, other in pairwise(parts[: place + 1])):
                self.add(block, ticks)
        for part, following in zip_longest(parts, parts[1:]):
            part.emit()
            if ticks is not None:
                ticks.count(part.number)
            if waits_between(part.partition, None if following is None else following.partition):
                self.add(block, ticks)
