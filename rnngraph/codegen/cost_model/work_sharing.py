"""Work sharing: choice of the axis along which workers split a kernel, and estimate of the gain.

The estimates are coarse: products have the cost of their register tiles, and other ops a cost per vector.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.graph import Node
from ...ir.node import DRAW, is_batched_product, is_tile_product
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.types import ITEM_BYTES, Dim, Shape, evaluate, product, symbols_of
from ...support.records import dataclass
from ..analysis.kernel_fusion import Kernel
from ..analysis.row_independence import Rowwise
from ..machine.target import Target
from .chunk_length import TimeChunk
from .register_tiles import OPEN_DEPTH, OPEN_ROWS, PER_CYCLE, ProductShape, cheapest, lanes_for

BARRIER_CYCLES = 500.0
"""Cycles of a barrier on cores that share a cache: about 0.15 microseconds.

On cores without a common cache, a barrier takes several times as long. There, measured times decide between one and
several workers.
"""
NEARER = 0.8
"""Maximum ratio of the cost of an axis to that of an earlier axis of ``_axes``, if the later axis is to be chosen.

Other kernels are usually split along the earlier axis. Splitting a kernel along another axis makes workers read values
from other cores' caches.
"""
SUM_BYTES = 12.0
"""Bytes per cycle at which a chunk of time loads and stores sums, which may be in another core's cache."""
LONG_OPS = 12.0
"""Cycles per vector of an elementary function. Random ops take five times as long, and other ops one cycle."""


@dataclass(frozen=True)
class Workers:
    """Number and kind of workers for which kernels are written.

    Attributes:
        parts: Number of parts into which a kernel is split, and maximum number of workers.
        rowwise: Test for kernels with independent rows, which are split by rows without barriers; None for no such
            split.
    """

    parts: int = 1
    rowwise: Rowwise | None = None


ONE_WORKER = Workers()


@dataclass(frozen=True)
class Partition:
    """Division of a kernel between workers, with its estimated cost.

    Attributes:
        axis: Axis of the kernel's shape; None if one worker computes everything.
        cycles: Cycles until all parts are done.
        serial_cycles: Cycles of one worker.
        by_rows: True if the kernel is split by rows, and each row depends on the same row of its operands alone. Then
            workers need not wait for each other.
        barriers: Number of barriers included in ``cycles``.
    """

    axis: int | None
    cycles: float
    serial_cycles: float
    by_rows: bool = False
    barriers: float = 0.0

    @property
    def serial(self) -> bool:
        """True if one worker computes everything."""
        return self.axis is None

    def per_step(self, steps: int) -> Partition:
        """Return this partition with costs per time step, if there are ``steps`` steps between two barriers."""
        waits = self.axis is not None and not self.by_rows
        cycles = self.cycles + BARRIER_CYCLES * waits
        return Partition(self.axis, cycles / steps, self.serial_cycles / steps, self.by_rows, waits / steps)


SERIAL = Partition(None, 0.0, 0.0)
"""Partition for a single worker, without an estimate."""


@dataclass(frozen=True)
class Work:
    """Estimated cycles of an entry on one worker (``serial``) and on all workers (``shared``), as formulas of sizes."""

    serial: Dim = 0
    shared: Dim = 0

    def with_kernel(self, partition: Partition, times: Dim = 1) -> Work:
        """Return this work plus that of a kernel that runs ``times`` times, barriers included."""
        serial, shared = round(partition.serial_cycles), round(partition.cycles)
        return Work(self.serial + times * serial, self.shared + times * shared)

    def pays(self) -> bool:
        """True if several workers are clearly faster than one, for sequences of typical length."""
        serial, shared = (
            evaluate(dim, dict.fromkeys(symbols_of(dim), OPEN_ROWS)) for dim in (self.serial, self.shared)
        )
        return shared < 0.9 * serial


@dataclass(frozen=True)
class WorkSharing:
    """Choice of how workers split the kernels of a region.

    Attributes:
        target: The processor.
        workers: Number and kind of workers.
        time: Chunk of time in which the region runs; None outside of loops over time.
        in_scan: True for the kernels of a scan's step. There, sums of outer products are not split, because there is no
            barrier after a step has cleared them.
    """

    target: Target
    workers: Workers
    time: TimeChunk | None = None
    in_scan: bool = False

    def copy(self, node: Node, is_in_memory: bool) -> Partition:
        """Return the division between workers of a copy of a value, which is in memory or computed on the fly."""
        rowwise = self.workers.rowwise
        return self._partition(
            Kernel("fused", node.shape, (node,)), rowwise is not None and rowwise.copies(node, is_in_memory)
        )

    def partition(self, kernel: Kernel) -> Partition:
        """Return the fastest division of a kernel between workers: one worker if splitting saves less than a barrier.

        Kernels with independent rows are always split by rows, without waiting. For a single worker, the result is
        ``SERIAL``, without an estimate.
        """
        rowwise = self.workers.rowwise
        return self._partition(kernel, rowwise is not None and rowwise.kernel(kernel))

    def _partition(self, kernel: Kernel, by_rows: bool) -> Partition:
        """Return the division of a kernel between workers: by rows if ``by_rows``, else the fastest, or one worker."""
        parts = self.workers.parts
        if parts == 1:
            return SERIAL
        if kernel.kind == "outer_sum":
            return self._columns(kernel.first)
        shape = _shape(kernel)
        extents = [self._extent(shape, axis) for axis in range(len(shape))]
        serial = self._cycles(kernel, shape, extents)
        if by_rows:
            part, row_axis = [*extents], max(0, len(shape) - 2)
            part[row_axis] = -(-extents[row_axis] // parts)
            return Partition(row_axis, self._cycles(kernel, shape, part), serial, True)
        best, axis = serial, None
        for candidate in _axes(kernel, shape) if serial > 2 * BARRIER_CYCLES else ():
            if candidate == len(shape) - 1 and not isinstance(shape[-1], int):
                continue
            grain = self._lanes(kernel, shape) if candidate == len(shape) - 1 else 1
            if extents[candidate] // grain < parts:
                continue
            part = [*extents]
            part[candidate] = -(-extents[candidate] // (grain * parts)) * grain
            cycles = self._cycles(kernel, shape, part)
            if cycles < (0.95 if axis is None else NEARER) * best:
                best, axis = cycles, candidate
        if axis is not None and serial - best < BARRIER_CYCLES:
            axis, best = None, serial
        return Partition(axis, best, serial)

    def tile_steps(self, kernel: Kernel) -> int:
        """Return the number of time steps that one register tile of a kernel covers."""
        products = [node for node in kernel.members if node.op in MATRIX_PRODUCTS]
        shape = kernel.shape
        if not products or self.time is None or not self.time.is_axis(shape, 0):
            return 1
        if any(self._extent(shape, axis) > 1 for axis in range(1, len(shape) - 1)):
            return 1
        blocks = -(-self._extent(shape, len(shape) - 1) // self._lanes(kernel, shape))
        product = ProductShape(_gates(products), blocks, OPEN_ROWS, max(map(_depth, products)))
        return cheapest(self.target, product)[0].rows

    def _columns(self, node: Node) -> Partition:
        """Return the division of a sum of outer products by columns between workers; one worker if that is cheaper."""
        left, (rows, width) = node.operands[0], node.shape
        depth = 1
        for axis in range(left.tensor.rank - 1):
            depth *= self._extent(left.shape, axis)
        vectors = -(-int(str(width)) // lanes_for(self.target, [node], width))
        serial = depth * int(str(rows)) * vectors / PER_CYCLE
        parts = self.workers.parts
        if vectors < parts or serial < 4 * BARRIER_CYCLES or self.in_scan:
            return Partition(None, serial, serial)
        return Partition(1, serial * -(-vectors // parts) / vectors, serial)

    def cycles(self, kernel: Kernel) -> float:
        """Return the cycles of a kernel on a single worker."""
        shape = _shape(kernel)
        return self._cycles(kernel, shape, [self._extent(shape, axis) for axis in range(len(shape))])

    def _extent(self, shape: Shape, axis: int) -> int:
        """Return the size of an axis, with assumed values of symbolic sizes."""
        dim = shape[axis]
        if self.time is not None and self.time.is_axis(shape, axis):
            return self.time.estimated_steps
        return dim if isinstance(dim, int) else OPEN_ROWS

    def _lanes(self, kernel: Kernel, shape: Shape) -> int:
        """Return the number of lanes of a kernel's vectors."""
        return lanes_for(self.target, kernel.members, shape[-1] if shape else 1)

    def _cycles(self, kernel: Kernel, shape: Shape, extents: Sequence[int]) -> float:
        """Return the estimated cycles of a part of a kernel. ``extents`` are the part's sizes along ``shape``."""
        if 0 in extents:
            return 0.0
        lanes = self._lanes(kernel, shape)
        blocks = -(-extents[-1] // lanes) if extents else 1
        rows = 1
        for extent in extents[:-1]:
            rows *= extent
        products = [node for node in kernel.members if node.op in MATRIX_PRODUCTS]
        total = rows * blocks * sum(_vector_cycles(node) for node in kernel.members if node.op not in MATRIX_PRODUCTS)
        if products:
            gates, depths = _gates(products), [_depth(node) for node in products]
            inner = extents[-2] if len(extents) > 1 else 1
            if inner == 1 and len(extents) > 2 and not any(map(is_batched_product, products)):
                inner = rows
            _, cycles = cheapest(self.target, ProductShape(gates, blocks, max(1, inner), max(depths)))
            total += cycles * sum(depths) / gates * (rows // max(1, inner))
        return float(total)


def per_chunk_overhead(kernel: Kernel) -> float:
    """Return the cycles in which each chunk of time loads and stores a sum of outer products; 0 for other kernels."""
    if kernel.kind != "outer_sum":
        return 0.0
    node = kernel.first
    return 2 * evaluate(product(node.shape), {}) * ITEM_BYTES[node.dtype] / SUM_BYTES


def _shape(kernel: Kernel) -> Shape:
    """Return the shape over which a kernel's loops iterate: the operand's for reductions, else the result's."""
    return (
        kernel.first.operands[0].shape
        if kernel.kind in ("reduce", "overlap_add")
        else kernel.shape or kernel.first.shape
    )


def _axes(kernel: Kernel, shape: Shape) -> Sequence[int]:
    """Return the axes along which a kernel can be split, in order of preference: rows, then units, then time steps.

    Steps come last, because scans are split by rows or units. Between kernels that are split along the same axis, a
    worker reads values that it wrote itself.
    """
    last = len(shape) - 1
    if kernel.kind in ("reduce", "fused_reduce"):
        axes = {axis for node in kernel.members for axis in node.get("axes", ())}
        kept_axes = [axis for axis in range(last) if axis not in axes]
        return [*reversed(kept_axes), *([last] if last not in axes else [])]
    if kernel.kind == "overlap_add":  # the axes before the axis along which windows overlap
        return range(kernel.first["axis"])[::-1]
    if kernel.kind != "fused":
        return ()
    if any(map(is_tile_product, kernel.members)):
        return range(last - 1)
    if any(map(is_batched_product, kernel.members)):  # by matrices first, because each part packs the matrices it reads
        return range(last + 1)
    outer = [*range(last - 1, -1, -1), last] if last > 0 else [*range(last, -1, -1)]
    return [*(axis for axis in outer if axis), *(axis for axis in outer if not axis)]


def _gates(products: Sequence[Node]) -> int:
    """Return the number of sums per unit. A product that is added to another product shares its sum."""
    starts = {node.operands[2] for node in products if len(node.operands) == 3}
    return max(1, sum(node not in starts for node in products))


def _depth(node: Node) -> int:
    """Return the number of steps of k of a product, with ``OPEN_DEPTH`` for a symbolic number."""
    depth = node.operands[0].shape[-1]
    return depth if isinstance(depth, int) else OPEN_DEPTH


def _vector_cycles(node: Node) -> float:
    """Return the cycles of an op for one vector."""
    row = OPS[node.op]
    return 5 * LONG_OPS if row.cost == DRAW else LONG_OPS if row.is_long else 1.0
