"""What is decided of a scan before it is written: where its states lie, and who computes a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...ir.graph import Node
from ...ir.scan import ScanParts
from ..analysis.kernel_fusion import FusedKernels, Kernel
from ..buffers.allocation import Allocation
from ..buffers.buffer_reuse import may_overwrite
from ..buffers.carried_state import DOUBLE_BUFFERED, FULL_HISTORY, IN_PLACE, State
from ..buffers.views import View
from ..cost_model.work_sharing import BARRIER_CYCLES, ONE_WORKER, SERIAL, Partition, Workers, WorkSharing
from ..kernels.active_rows import ActiveSteps
from ..kernels.kernel_plan import KernelPlan
from ..kernels.region import Region


@dataclass(frozen=True)
class ScanSharing:
    """Who computes a scan. estimate: of a step. workers: for whom its kernels are cut, each as its partition says."""

    estimate: Partition
    workers: Workers
    partitions: tuple[Partition, ...]

    def made_serial(self) -> ScanSharing:
        """The sharing where one worker runs every step."""
        serial = self.estimate.serial_cycles
        return ScanSharing(Partition(None, serial, serial), ONE_WORKER, (SERIAL,) * len(self.partitions))


@dataclass(frozen=True)
class ScanPlan:
    """How a scan is computed.

    states: where carried values lie. active: the steps and rows that are computed, where a mask leaves out others.
    kernels: of a step.
    """

    node: Node
    states: tuple[State, ...]
    sharing: ScanSharing
    active: ActiveSteps | None
    kernels: tuple[KernelPlan, ...]


def waits_between(one: Partition, other: Partition | None) -> bool:
    """Whether workers wait between parts of a step that follow each other. other: None behind the last one."""
    alike = other is not None and ((one.by_rows and other.by_rows) or (one.serial and other.serial))
    return not alike


def share_scan(parts: int, region: Region, node: Node, kernels: Sequence[Kernel]) -> ScanSharing:
    """Estimates a step. Its kernels are cut between workers unless waiting would cost more. Where all of them compute
    row by row nobody waits for anybody; else workers wait before and behind those that don't.
    """
    rowwise = region.workers.rowwise
    inside = None if rowwise is None else rowwise.inside(node, kernels)
    by_rows = inside is not None
    if rowwise is not None and inside is None:
        inside = rowwise.among_others(node, kernels)
    workers = Workers(parts, inside)
    sharing = WorkSharing(region.target, workers, in_scan=True)
    partitions = tuple(sharing.partition(kernel) for kernel in kernels)
    serial = sum(item.serial_cycles for item in partitions)
    if by_rows:
        return ScanSharing(Partition(0, sum(item.cycles for item in partitions), serial, True), workers, partitions)
    waits = sum(map(waits_between, partitions, (*partitions[1:], None)))
    shared = sum(item.cycles for item in partitions) + waits * BARRIER_CYCLES
    whole = ScanSharing(Partition(0, shared, serial, barriers=waits), workers, partitions)
    return whole if parts > 1 and shared < 0.9 * serial else whole.made_serial()


def carried_states(
    allocation: Allocation, histories: Mapping[tuple[Node, int], View], node: Node, fused: FusedKernels
) -> tuple[State, ...]:
    """Where carried values lie: in a history that is kept, in place where a step may overwrite them, else in two places
    in turn. fused: the kernels of a step.
    """
    carries, users, found = ScanParts.of(node).carries, node["body"].users(), list[State]()
    outputs = [value for _, value in node["body"].outputs]
    for index, (formal, _, _, following) in enumerate(carries):
        view, kind = histories.get((node, index)), FULL_HISTORY
        if view is None:
            once = [carry.next for carry in carries].count(following) == 1
            in_place = once and may_overwrite(fused, outputs, users[formal], formal, following)
            kind = IN_PLACE if in_place else DOUBLE_BUFFERED
            view = allocation.temporary(formal, formal.shape if in_place else (2, *formal.shape))
        found.append(State(view, kind, node["length"], node["reverse"]))
    return tuple(found)
