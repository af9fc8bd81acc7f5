"""Kernels and copies of one step of a scan, in order, with the barriers between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, zip_longest
from typing import NamedTuple

from ....ir.graph import Node
from ....support.records import dataclass
from ...cost_model.work_sharing import Partition
from ...loop_ir.builder import Block
from ...loop_ir.nodes import Barrier
from ...loop_ir.workers import TEAM, WORKER, WORKERS
from ..analyse.scan_sharing import ScanSharing, waits_between
from .ticks import SampledStep


class StepPart(NamedTuple):
    """Kernel or copy: the values it ``computes``, and its ``number`` among the profile slots of a step."""

    computes: Sequence[Node]
    number: int
    partition: Partition
    emit: Callable[[], None]


@dataclass(frozen=True)
class StepWaits:
    """Writer of the parts of a step. ``waiting`` is the profile slot of barriers."""

    sharing: ScanSharing
    waiting: int

    def add(self, block: Block, ticks: SampledStep | None = None) -> None:
        """Add a barrier, if the step needs any."""
        if self.sharing.workers.parts > 1 and not self.sharing.estimate.by_rows:
            block.add(Barrier(TEAM, WORKER, WORKERS))
            if ticks is not None:
                ticks.count(self.waiting)

    def step(
        self, block: Block, parts: Sequence[StepPart], overwritten: Node | None, ticks: SampledStep | None
    ) -> None:
        """Write all parts of a step.

        Args:
            overwritten: Value that overwrites the condition of the step, if any. A worker may compute it only after all
                others have read the condition.
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
