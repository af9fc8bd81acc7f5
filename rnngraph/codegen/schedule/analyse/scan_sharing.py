"""Who computes the kernels of a scan's step: one worker, several that wait for each other, or each its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ....ir.graph import Node
from ....ir.types import Dim
from ...analysis.kernel_fusion import Kernel
from ...cost_model.register_tiles import OPEN_ROWS
from ...cost_model.work_sharing import BARRIER_CYCLES, ONE_WORKER, SERIAL, Partition, Workers, WorkSharing
from ...machine.target import Target
from .scan_blocks import ScanBlocks


@dataclass(frozen=True)
class ScanSharing:
    """Who computes a scan. estimate: of a step. workers: for whom its kernels are cut, each as its partition says.

    shared_axis: the axis of its blocks that is cut between workers, each of whom runs all steps of its own.
    """

    estimate: Partition
    workers: Workers
    partitions: tuple[Partition, ...]
    shared_axis: int | None = None

    def made_serial(self) -> ScanSharing:
        """The sharing where one worker runs every step."""
        serial = self.estimate.serial_cycles
        return ScanSharing(Partition(None, serial, serial), ONE_WORKER, (SERIAL,) * len(self.partitions))


def waits_between(one: Partition, other: Partition | None) -> bool:
    """Whether workers wait between parts of a step that follow each other. other: None behind the last one."""
    alike = other is not None and ((one.by_rows and other.by_rows) or (one.serial and other.serial))
    return not alike


def share_scan(target: Target, workers: Workers, node: Node, kernels: Sequence[Kernel]) -> ScanSharing:
    """Estimates a step. Its kernels are cut between workers unless waiting would cost more. Where all of them compute
    row by row nobody waits for anybody; else workers wait before and behind those that don't.
    """
    rowwise, parts = workers.rowwise, workers.parts
    inside = None if rowwise is None else rowwise.inside(node, kernels)
    by_rows = inside is not None
    if rowwise is not None and inside is None:
        inside = rowwise.among_others(node, kernels)
    own = Workers(parts, inside)
    sharing = WorkSharing(target, own, in_scan=True)
    partitions = tuple(sharing.partition(kernel) for kernel in kernels)
    serial = sum(item.serial_cycles for item in partitions)
    if by_rows:
        return ScanSharing(Partition(0, sum(item.cycles for item in partitions), serial, True), own, partitions)
    waits = sum(map(waits_between, partitions, (*partitions[1:], None)))
    shared = sum(item.cycles for item in partitions) + waits * BARRIER_CYCLES
    whole = ScanSharing(Partition(0, shared, serial, barriers=waits), own, partitions)
    return whole if parts > 1 and shared < 0.9 * serial else whole.made_serial()


def share_blocks(target: Target, parts: int, blocks: ScanBlocks, kernels: Sequence[Kernel]) -> ScanSharing:
    """Estimates a step of a scan in blocks. The axis of most blocks is cut, if each worker then has one at least."""
    sharing = WorkSharing(target, ONE_WORKER, in_scan=True)
    counts = [_count(axis.size, size) for axis, size in zip(blocks.axes, blocks.sizes, strict=True)]
    cycles = sum(sharing.cycles(kernel) for kernel in kernels) * prod(counts)
    axis = max(range(len(counts)), key=counts.__getitem__)
    if parts == 1 or counts[axis] < parts:
        return ScanSharing(Partition(None, cycles, cycles), ONE_WORKER, (SERIAL,) * len(kernels))
    part = cycles * -(-counts[axis] // parts) / counts[axis]
    return ScanSharing(Partition(0, part, cycles), ONE_WORKER, (SERIAL,) * len(kernels), axis)


def _count(size: Dim, width: int) -> int:
    return -(-size // width) if isinstance(size, int) else OPEN_ROWS
