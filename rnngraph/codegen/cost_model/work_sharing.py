"""Work sharing: along which axis a kernel is cut between workers, if that gains more than waiting costs.

The estimates are coarse: products by the model of tiles, other ops by vectors. They decide who computes what, and
never change what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.graph import Node
from ...ir.node import DRAW
from ...ir.ops import OPS
from ...ir.types import ITEM_BYTES, Dim, Shape, evaluate, product, symbols_of
from ..analysis.kernel_fusion import Kernel
from ..analysis.node_kinds import is_batched_product
from ..analysis.row_independence import Rowwise
from ..machine.target import Target
from .chunk_length import TimeChunk
from .register_tiles import OPEN_DEPTH, OPEN_ROWS, PER_CYCLE, cheapest, lanes_for

BARRIER_CYCLES = 500.0
"""What it takes until all workers have come to a barrier and have seen what the others wrote, on cores that share a
cache: some 0.15 microseconds. Where they don't, it is several times that, and calls turn out to be faster with one.
"""
NEARER = 0.8
"""Another axis must be cheaper by so much, as what another worker wrote is far away."""
SUM_BYTES = 12.0
"""Bytes a cycle of sums over time, which are added to chunk by chunk, and which another worker may have added to."""
LONG_OPS = 12.0
"""Cycles a vector of an op that is a polynomial; the others take one, and a random op takes five times as long."""


@dataclass(frozen=True)
class Workers:
    """For whom kernels are written: into how many ``parts`` they are cut, one or more for each worker.

    rowwise: tells which kernels compute row by row, where those are cut by rows; None where none is.
    """

    parts: int = 1
    rowwise: Rowwise | None = None


ONE_WORKER = Workers()


@dataclass(frozen=True)
class Partition:
    """How a kernel is cut between workers, and what that is estimated to take.

    axis: of the kernel's shape, or None where one worker computes it all. cycles: until all have done their part;
    serial_cycles: what one worker takes. by_rows: whether each worker reads only what it wrote itself, or what all may
    read. barriers: how many are part of ``cycles``.
    """

    axis: int | None
    cycles: float
    serial_cycles: float
    by_rows: bool = False
    barriers: float = 0.0

    @property
    def serial(self) -> bool:
        """Whether one worker computes it all."""
        return self.axis is None

    def per_step(self, steps: int) -> Partition:
        """The estimate per time step; ``steps`` share the barrier behind the kernel."""
        waits = self.axis is not None and not self.by_rows
        cycles = self.cycles + BARRIER_CYCLES * waits
        return Partition(self.axis, cycles / steps, self.serial_cycles / steps, self.by_rows, waits / steps)


SERIAL = Partition(None, 0.0, 0.0)
"""Where there is one worker: nothing is estimated, as nothing is decided by it."""


@dataclass(frozen=True)
class Work:
    """Cycles that an entry takes: with one worker, and with all of them. Formulas in the run-time sizes."""

    serial: Dim = 0
    shared: Dim = 0

    def with_kernel(self, partition: Partition, times: Dim = 1) -> Work:
        """The work with that of a kernel, as estimated, barriers included, ``times`` times."""
        serial, shared = round(partition.serial_cycles), round(partition.cycles)
        return Work(self.serial + times * serial, self.shared + times * shared)

    def pays(self) -> bool:
        """Whether several workers are clearly faster than one, at lengths of some tens."""
        serial, shared = (
            evaluate(dim, dict.fromkeys(symbols_of(dim), OPEN_ROWS)) for dim in (self.serial, self.shared)
        )
        return shared < 0.9 * serial


@dataclass(frozen=True)
class WorkSharing:
    """Cuts kernels of a region between its workers.

    time: the chunk that the region runs in, if it does. in_scan: whether kernels are those of a scan's step, each of
    which is one function's part: a sum of outer products, which is cleared before it is added to, is not cut there.
    """

    target: Target
    workers: Workers
    time: TimeChunk | None = None
    in_scan: bool = False

    def copy(self, node: Node, is_in_memory: bool) -> Partition:
        """How a copy of a value is cut, which lies in memory or is computed as it is written."""
        rowwise = self.workers.rowwise
        return self._partition(
            Kernel("fused", node.shape, (node,)), rowwise is not None and rowwise.copies(node, is_in_memory)
        )

    def partition(self, kernel: Kernel) -> Partition:
        """The best way to cut a kernel, if there is one. What is computed row by row is cut by rows wherever the region
        is, as no worker then waits for another.
        """
        rowwise = self.workers.rowwise
        return self._partition(kernel, rowwise is not None and rowwise.kernel(kernel))

    def _partition(self, kernel: Kernel, by_rows: bool) -> Partition:
        parts = self.workers.parts
        if parts == 1:
            return SERIAL
        if kernel.kind == "outer_sum":
            return self._columns(kernel.first)
        shape = _shape(kernel)
        extents = [self._extent(shape, axis) for axis in range(len(shape))]
        serial = self._cycles(kernel, shape, extents)
        if by_rows:
            part, of_rows = [*extents], max(0, len(shape) - 2)
            part[of_rows] = -(-extents[of_rows] // parts)
            return Partition(of_rows, self._cycles(kernel, shape, part), serial, True)
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
        """Steps of time that a tile of the kernel's products covers."""
        products = [node for node in kernel.members if node.op == "matmul"]
        shape = kernel.shape
        if not products or self.time is None or not self.time.is_axis(shape, 0):
            return 1
        if any(self._extent(shape, axis) > 1 for axis in range(1, len(shape) - 1)):
            return 1
        blocks = -(-self._extent(shape, len(shape) - 1) // self._lanes(kernel, shape))
        return cheapest(self.target, _gates(products), blocks, OPEN_ROWS, max(map(_depth, products)))[0].rows

    def _columns(self, node: Node) -> Partition:
        """The partition of a sum of outer products, whose columns are shared."""
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
        """What a kernel takes one worker."""
        shape = _shape(kernel)
        return self._cycles(kernel, shape, [self._extent(shape, axis) for axis in range(len(shape))])

    def _extent(self, shape: Shape, axis: int) -> int:
        dim = shape[axis]
        if self.time is not None and self.time.is_axis(shape, axis):
            return self.time.estimated_steps
        return dim if isinstance(dim, int) else OPEN_ROWS

    def _lanes(self, kernel: Kernel, shape: Shape) -> int:
        return lanes_for(self.target, kernel.members, shape[-1] if shape else 1)

    def _cycles(self, kernel: Kernel, shape: Shape, extents: Sequence[int]) -> float:
        if 0 in extents:
            return 0.0
        lanes = self._lanes(kernel, shape)
        blocks = -(-extents[-1] // lanes) if extents else 1
        rows = 1
        for extent in extents[:-1]:
            rows *= extent
        products = [node for node in kernel.members if node.op == "matmul"]
        total = rows * blocks * sum(_vector_cycles(node) for node in kernel.members if node.op != "matmul")
        if products:
            gates, depths = _gates(products), [_depth(node) for node in products]
            inner = extents[-2] if len(extents) > 1 else 1
            if inner == 1 and len(extents) > 2 and not any(map(is_batched_product, products)):
                inner = rows
            _, cycles = cheapest(self.target, gates, blocks, max(1, inner), max(depths))
            total += cycles * sum(depths) / gates * (rows // max(1, inner))
        return float(total)


def per_chunk_overhead(kernel: Kernel) -> float:
    """Cycles that each chunk of time takes to read a sum of outer products and to write it again."""
    if kernel.kind != "outer_sum":
        return 0.0
    node = kernel.first
    return 2 * evaluate(product(node.shape), {}) * ITEM_BYTES[node.dtype] / SUM_BYTES


def _shape(kernel: Kernel) -> Shape:
    return (
        kernel.first.operands[0].shape
        if kernel.kind in ("reduce", "overlap_add")
        else kernel.shape or kernel.first.shape
    )


def _axes(kernel: Kernel, shape: Shape) -> Sequence[int]:
    """Axes along which the elements do not depend on each other. Rows come first, then units, then steps of time: what
    a worker wrote is nearest to itself, and scans are cut by rows or units.
    """
    last = len(shape) - 1
    if kernel.kind in ("reduce", "fused_reduce"):
        axes = {axis for node in kernel.members for axis in node.get("axes", ())}
        kept = [axis for axis in range(last) if axis not in axes]
        return [*reversed(kept), *([last] if last not in axes else [])]
    if kernel.kind == "overlap_add":  # what lies ahead of the axis of windows
        return range(kernel.first["axis"])[::-1]
    if kernel.kind != "fused":
        return ()
    if any(map(is_batched_product, kernel.members)):  # matrices come first: each part packs those that it reads
        return range(last + 1)
    outer = [*range(last - 1, -1, -1), last] if last > 0 else [*range(last, -1, -1)]
    return [*(axis for axis in outer if axis), *(axis for axis in outer if not axis)]


def _gates(products: Sequence[Node]) -> int:
    starts = {node.operands[2] for node in products if len(node.operands) == 3}
    return max(1, sum(node not in starts for node in products))


def _depth(node: Node) -> int:
    depth = node.operands[0].shape[-1]
    return depth if isinstance(depth, int) else OPEN_DEPTH


def _vector_cycles(node: Node) -> float:
    row = OPS[node.op]
    return 5 * LONG_OPS if row.cost == DRAW else LONG_OPS if row.is_long else 1.0
