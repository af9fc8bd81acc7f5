"""Division of a scan's step between workers: one worker, several with barriers, or each with its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ....ir.graph import Node
from ....ir.types import Dim
from ....support.records import dataclass
from ...analysis.kernel_fusion import Kernel
from ...cost_model.register_tiles import OPEN_ROWS
from ...cost_model.work_sharing import BARRIER_CYCLES, ONE_WORKER, SERIAL, Partition, Workers, WorkSharing
from ...machine.target import Target
from .scan_blocks import ScanBlocks


@dataclass(frozen=True)
class ScanSharing:
    """Division of a scan between workers.

    Attributes:
        estimate: Estimate of a step.
        workers: Workers between which its kernels are split, each by its partition.
        shared_axis: Axis of its blocks that is split between workers, each of which runs all steps of its own blocks.
    """

    estimate: Partition
    workers: Workers
    partitions: tuple[Partition, ...]
    shared_axis: int | None = None

    def made_serial(self) -> ScanSharing:
        """Return the division in which one worker runs every step."""
        serial = self.estimate.serial_cycles
        return ScanSharing(Partition(None, serial, serial), ONE_WORKER, (SERIAL,) * len(self.partitions))


def waits_between(one: Partition, other: Partition | None) -> bool:
    """True if a barrier separates consecutive parts of a step. ``other`` is None after the last one."""
    alike = other is not None and ((one.by_rows and other.by_rows) or (one.serial and other.serial))
    return not alike


def share_scan(target: Target, workers: Workers, node: Node, kernels: Sequence[Kernel]) -> ScanSharing:
    """Split a step's kernels between workers, unless barriers would cost more.

    If all kernels compute row by row, nobody waits. Otherwise workers wait before and after each other kernel.
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
    """Split a scan by the axis with the most blocks, if each worker then has at least one block."""
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
