"""Division of a scan between workers.

There are three divisions:

- One worker runs all steps.
- Several workers share each step, with barriers between its kernels.
- Each worker runs all steps of some rows or blocks.
"""

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
        estimate: Estimated cost of a step.
        workers: Workers between which the kernels of a step are split.
        partitions: Partitions of these kernels.
        shared_axis: Index of the divided axis whose blocks are split between workers, if any. A worker runs all steps
            of a block.
    """

    estimate: Partition
    workers: Workers
    partitions: tuple[Partition, ...]
    shared_axis: int | None = None

    def as_serial(self) -> ScanSharing:
        """Return the division in which one worker runs all steps."""
        serial = self.estimate.serial_cycles
        return ScanSharing(Partition(None, serial, serial), ONE_WORKER, (SERIAL,) * len(self.partitions))


def waits_between(one: Partition, other: Partition | None) -> bool:
    """True if a step needs a barrier between two consecutive parts, which workers divide as ``one`` and ``other``.

    The parts need no barrier if both are split by rows, or both run on one worker. After the last part, ``other`` is
    None, and the result is True.
    """
    if other is None:
        return True
    return not ((one.by_rows and other.by_rows) or (one.serial and other.serial))


def share_scan(target: Target, workers: Workers, node: Node, kernels: Sequence[Kernel]) -> ScanSharing:
    """Return the division between workers of the kernels of a scan's step; one worker if division does not pay.

    If all kernels compute row by row, they are always divided, without barriers. Otherwise division must save more than
    a tenth of the time, barriers included. A barrier follows the last kernel, and separates consecutive kernels unless
    both compute row by row or both run on one worker.
    """
    rowwise, parts = workers.rowwise, workers.parts
    inside = None if rowwise is None else rowwise.inside(node, kernels)
    by_rows = inside is not None
    if rowwise is not None and inside is None:
        inside = rowwise.among_others(node, kernels)
    scan_workers = Workers(parts, inside)
    sharing = WorkSharing(target, scan_workers, in_scan=True)
    partitions = tuple(sharing.partition(kernel) for kernel in kernels)
    serial = sum(item.serial_cycles for item in partitions)
    if by_rows:
        cycles = sum(item.cycles for item in partitions)
        return ScanSharing(Partition(0, cycles, serial, True), scan_workers, partitions)
    waits = sum(map(waits_between, partitions, (*partitions[1:], None)))
    shared = sum(item.cycles for item in partitions) + waits * BARRIER_CYCLES
    split = ScanSharing(Partition(0, shared, serial, barriers=waits), scan_workers, partitions)
    return split if parts > 1 and shared < 0.9 * serial else split.as_serial()


def share_blocks(target: Target, parts: int, blocks: ScanBlocks, kernels: Sequence[Kernel]) -> ScanSharing:
    """Return the division of a scan's blocks between workers, along the axis with the most blocks.

    If that axis has fewer blocks than workers, one worker runs all blocks.
    """
    sharing = WorkSharing(target, ONE_WORKER, in_scan=True)
    counts = [_count(axis.size, size) for axis, size in zip(blocks.axes, blocks.sizes, strict=True)]
    cycles = sum(sharing.cycles(kernel) for kernel in kernels) * prod(counts)
    axis = max(range(len(counts)), key=counts.__getitem__)
    if parts == 1 or counts[axis] < parts:
        return ScanSharing(Partition(None, cycles, cycles), ONE_WORKER, (SERIAL,) * len(kernels))
    part = cycles * -(-counts[axis] // parts) / counts[axis]
    return ScanSharing(Partition(0, part, cycles), ONE_WORKER, (SERIAL,) * len(kernels), axis)


def _count(size: Dim, width: int) -> int:
    """Return the number of blocks along an axis; a typical number if the size is symbolic."""
    return -(-size // width) if isinstance(size, int) else OPEN_ROWS
