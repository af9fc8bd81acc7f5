"""How the work of a kernel is shared between workers: along which axis, if that gains more than waiting costs.

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
from ..analysis.kernel_fusion import Step
from ..kernels.loop_nests import Region, lanes_for
from ..kernels.matmul import OPEN_DEPTH
from .chunk_length import LONGEST_CHUNK
from .register_tiles import OPEN_ROWS, PER_CYCLE, cheapest

BARRIER_CYCLES = 500.0
"""What it takes until all workers have come to a barrier and have seen what the others wrote, on cores that share a
cache: some 0.15 microseconds. Where they don't, it is several times that, and calls turn out to be faster alone.
"""
NEARER = 0.8
"""Another axis must be cheaper by so much, as what another worker wrote is far away."""
SUM_BYTES = 12.0
"""A cycle, of sums over time that are added to chunk by chunk, and that another worker may have added to before."""
LONG_OPS = 12.0
"""Cycles a vector of an op that is a polynomial; the others take one, and a random op takes five times as long."""


@dataclass(frozen=True)
class Cut:
    """axis: of the kernel's shape, or None where one worker does it alone. cycles: until all have done their part;
    whole: what one alone takes. by_rows: whether each worker reads only what it wrote itself, or what all may read.
    barriers: how many ``cycles`` has in it.
    """

    axis: int | None
    cycles: float
    whole: float
    by_rows: bool = False
    barriers: float = 0.0

    def of_one(self, turns: int) -> Cut:
        """For one of so many turns, with the barrier behind all."""
        waits = self.axis is not None and not self.by_rows
        cycles = self.cycles + BARRIER_CYCLES * waits
        return Cut(self.axis, cycles / turns, self.whole / turns, self.by_rows, waits / turns)


UNSHARED = Cut(None, 0.0, 0.0)
"""Where there is one worker: nothing is estimated, as nothing is decided by it."""


@dataclass
class Work:
    """Cycles that an entry of several workers takes: alone, and with all of them. Formulas in the run-time sizes."""

    alone: Dim = 0
    shared: Dim = 0

    def add(self, cut: Cut, times: Dim = 1) -> None:
        """What ``cut`` estimates, barriers included, so many times."""
        self.alone = self.alone + times * round(cut.whole)
        self.shared = self.shared + times * round(cut.cycles)

    def pays(self) -> bool:
        """Whether several workers are clearly faster than one, at lengths of some tens."""
        alone, shared = (evaluate(dim, dict.fromkeys(symbols_of(dim), OPEN_ROWS)) for dim in (self.alone, self.shared))
        return shared < 0.9 * alone


def sum_cut(region: Region, node: Node) -> Cut:
    """Of a sum of outer products, whose columns are shared."""
    left, (rows, width) = node.operands[0], node.shape
    depth = 1
    for axis in range(left.tensor.rank - 1):
        depth *= _extent(region, left.shape, axis)
    lanes = lanes_for(region.target, [node], width)
    vectors = -(-int(str(width)) // lanes)
    whole = depth * int(str(rows)) * vectors / PER_CYCLE
    if region.parts == 1 or vectors < region.parts or whole < 4 * BARRIER_CYCLES:
        return Cut(None, whole, whole)
    return Cut(1, whole * -(-vectors // region.parts) / vectors, whole)


def cut_of(region: Region, step: Step) -> Cut:
    """The best way to share a step, if there is one. Steps that are computed row by row are cut by rows wherever the
    region is, as no worker then waits for another.
    """
    if region.parts == 1:
        return UNSHARED
    if step.kind == "outer_sum":
        return sum_cut(region, step.members[0])
    shape = _shape(step)
    extents = [_extent(region, shape, axis) for axis in range(len(shape))]
    whole = _cycles(region, step, shape, extents)
    best, axis = whole, None
    if region.rowwise is not None and region.rowwise.step(step):
        part = [*extents]
        part[-2] = -(-extents[-2] // region.parts)
        return Cut(len(shape) - 2, _cycles(region, step, shape, part), whole, True)
    if whole > 2 * BARRIER_CYCLES:
        for candidate in _axes(step, shape):
            if candidate == len(shape) - 1 and not isinstance(shape[-1], int):
                continue
            grain = _lanes(region, step, shape) if candidate == len(shape) - 1 else 1
            turns = extents[candidate] // grain
            if turns < region.parts:
                continue
            part = [*extents]
            part[candidate] = -(-extents[candidate] // (grain * region.parts)) * grain
            cycles = _cycles(region, step, shape, part)
            if cycles < (0.95 if axis is None else NEARER) * best:
                best, axis = cycles, candidate
    if axis is not None and whole - best < BARRIER_CYCLES:
        axis, best = None, whole
    return Cut(axis, best, whole)


def _shape(step: Step) -> Shape:
    return step.members[0].operands[0].shape if step.kind == "reduce" else step.shape or step.members[0].shape


def _axes(step: Step, shape: Shape) -> Sequence[int]:
    """Axes along which the elements do not depend on each other. Rows come first, then units, then steps of time: what
    a worker wrote is nearest to itself, and scans are cut by rows or units.
    """
    last = len(shape) - 1
    if step.kind == "reduce":
        axes = step.members[0]["axes"]
        kept = [axis for axis in range(last) if axis not in axes]
        return [*reversed(kept), *([last] if last not in axes else [])]
    if step.kind != "phase":
        return ()
    outer = [*range(last - 1, -1, -1), last] if last > 0 else [*range(last, -1, -1)]
    return [*(axis for axis in outer if axis), *(axis for axis in outer if not axis)]


def turns_of(region: Region) -> int:
    """Steps of time that estimates are made for, where the region runs in chunks of time."""
    return OPEN_ROWS if region.longest >= LONGEST_CHUNK else region.longest


def _extent(region: Region, shape: Shape, axis: int) -> int:
    dim = shape[axis]
    if region.is_time(shape, axis):
        return turns_of(region)
    return dim if isinstance(dim, int) else OPEN_ROWS


def _lanes(region: Region, step: Step, shape: Shape) -> int:
    return lanes_for(region.target, step.members, shape[-1] if shape else 1)


def _cycles(region: Region, step: Step, shape: Shape, extents: Sequence[int]) -> float:
    lanes = _lanes(region, step, shape)
    blocks = -(-extents[-1] // lanes) if extents else 1
    rows = 1
    for extent in extents[:-1]:
        rows *= extent
    products = [node for node in step.members if node.op == "matmul"]
    total = rows * blocks * sum(_vector_cycles(node) for node in step.members if node.op != "matmul")
    if products:
        gates, depths = _gates(products), [_depth(node) for node in products]
        inner = extents[-2] if len(extents) > 1 else 1
        if inner == 1 and len(extents) > 2:
            inner = rows
        _, cycles = cheapest(region.target, gates, blocks, max(1, inner), max(depths))
        total += cycles * sum(depths) / gates * (rows // max(1, inner))
    return float(total)


def anew(step: Step) -> float:
    """Cycles that each chunk of time takes to read a sum of outer products and to write it again."""
    if step.kind != "outer_sum":
        return 0.0
    node = step.members[0]
    return 2 * evaluate(product(node.shape), {}) * ITEM_BYTES[node.dtype] / SUM_BYTES


def steps_at_once(region: Region, step: Step) -> int:
    """Steps of time that a tile of the step's products covers, where several workers may share them."""
    if region.parts == 1:
        return 1
    products = [node for node in step.members if node.op == "matmul"]
    shape = step.shape
    outer = [_extent(region, shape, axis) for axis in range(len(shape) - 1)]
    if not products or not region.is_time(shape, 0) or any(extent > 1 for extent in outer[1:]):
        return 1
    blocks = -(-_extent(region, shape, len(shape) - 1) // _lanes(region, step, shape))
    return cheapest(region.target, _gates(products), blocks, OPEN_ROWS, max(map(_depth, products)))[0].rows


def _gates(products: Sequence[Node]) -> int:
    starts = {node.operands[2] for node in products if len(node.operands) == 3}
    return max(1, sum(node not in starts for node in products))


def _depth(node: Node) -> int:
    depth = node.operands[0].shape[-1]
    return depth if isinstance(depth, int) else OPEN_DEPTH


def _vector_cycles(node: Node) -> float:
    row = OPS[node.op]
    return 5 * LONG_OPS if row.cost == DRAW else LONG_OPS if row.is_long else 1.0
