"""Plan of a kernel's matrix products: register tiles, and blocks of zeros to skip."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import replace

from ...ir.graph import Node, topological
from ...ir.node import is_batched_product
from ...ir.ops import MATRIX_PRODUCTS
from ...ir.types import ITEM_BYTES, NARROW, Dim, Shape, Size
from ...support.records import dataclass
from ..analysis.kernel_fusion import Kernel
from ..analysis.node_kinds import source_of, starts_of
from ..buffers.packing import DOT_WIDTH, MAX_DOT_WIDTH
from ..cost_model.register_tiles import (
    OPEN_DEPTH,
    OPEN_ROWS,
    ProductShape,
    TileShape,
    accumulators,
    cycles_of_row,
    for_signed_bytes,
    tile_shape,
    transposing_tile,
)
from ..cost_model.work_sharing import Partition
from ..machine.target import Target
from .region import Region

WORTH_WIDENING = 3
"""Minimum number of row tiles for which converting narrow weights once pays."""
WORTH_TRANSPOSING, WORTH_PACKING = 2, 8
"""Number of row tiles for which packing a right operand pays: more than 2 if lanes are strided, else at least 8."""
WORTH_MERGING = 1.5
"""Minimum estimated speedup for tiles over rows of several steps.

Below it, the code of additional tile heights costs more than it saves.
"""


@dataclass(frozen=True)
class Contraction:
    """Matrix products of the same rows and depth, which one loop over k computes.

    Attributes:
        lefts: Left operands: one value, or the several narrow parts of one value.
        products: For each left operand, its products.
        accumulators: Partial sums of each result.
        dot_width: Narrow weights of consecutive k that one step multiplies, or two steps if they have 4 bits; 1 if the
            activations are floats.
        lane_width: Weights of consecutive k in a lane of a panel.
        packed: True if right operands that the call computes or receives are packed before tiles read them.
        widened: True if columns of narrow weights are converted to floats before tiles read them.
    """

    lefts: tuple[Node, ...]
    products: tuple[tuple[Node, ...], ...]
    accumulators: int
    dot_width: int
    lane_width: int
    packed: bool = False
    widened: bool = False

    @property
    def steps_per_lane(self) -> int:
        """Steps of k that multiply the weights in a lane of a panel."""
        return self.lane_width // min(self.dot_width, MAX_DOT_WIDTH)

    @property
    def in_scratch(self) -> bool:
        """True if tiles read right operands from scratch memory."""
        return self.packed or self.widened


@dataclass(frozen=True)
class ProductPlan:
    """Register tiles of the products of a kernel.

    Attributes:
        contractions: Contractions, ordered so that each can continue the sums of earlier contractions.
        tile: Shape of the tiles.
        group: Vectors of units in a group of packed weights.
        row_axis: Axis along which tiles run; None if there is one row.
        masked: True if some memory has no padding after the last unit, so that lanes beyond it must be masked.
        by_matrix: True if each left matrix is multiplied by a different right matrix, as in a batched product.
        overlaps: True if tiles of several heights, of which the last may overlap, cover a symbolic number of rows.
        outside: Axes whose loops contain the loop over groups of units.
        merges: True if tiles run over the rows of all steps of a chunk, step by step.
    """

    contractions: tuple[Contraction, ...]
    tile: TileShape
    group: int
    row_axis: int | None
    masked: bool
    by_matrix: bool = False
    overlaps: bool = False
    outside: tuple[int, ...] = ()
    merges: bool = False

    @property
    def widens(self) -> bool:
        """True if weights of some product are converted before tiles read them."""
        return any(item.widened for item in self.contractions)

    def without_widening(self) -> ProductPlan:
        """Return this plan with tiles that convert narrow weights themselves, which is faster for few rows."""
        return replace(self, contractions=tuple(replace(item, widened=False) for item in self.contractions))

    @property
    def parts(self) -> int:
        """Number of narrow parts into which left operands are split."""
        return max(len(item.lefts) for item in self.contractions)

    @property
    def products(self) -> list[Node]:
        """All products, by contraction and left operand."""
        return [node for item in self.contractions for products in item.products for node in products]


def plan_products(
    region: Region, kernel: Kernel, lanes: int, partition: Partition, has_ended_rows: bool = False
) -> ProductPlan:
    """Return the register tiles of a kernel's matrix products, their grouping, and how operands are read.

    ``has_ended_rows`` is True if some steps or rows are not computed, because they have ended.
    """
    products = [node for node in kernel.members if node.op in MATRIX_PRODUCTS]
    shape, axis = kernel.shape, _row_axis(region, kernel, products)
    contractions = _contractions(region, kernel, products)
    rows = region.extent(shape, axis) if axis is not None else 1
    columns = shape[-1] if isinstance(shape[-1], int) else OPEN_ROWS
    blocks = -(-columns // lanes)
    if partition.axis == len(shape) - 1:
        blocks = -(-blocks // region.workers.parts)
    if partition.axis is not None and partition.axis == axis and isinstance(rows, int):
        rows = -(-rows // region.workers.parts)
    lane_width = max(item.lane_width for item in contractions)
    split = max(_sums_per_result(region.target, node) for node in products)
    target, rights = region.target, [region.memory.views[node.operands[1]] for node in products]
    if any(node.operands[0].dtype == "int8" and not node.get("zero") for node in products):
        target = for_signed_bytes(target)
    product = ProductShape(
        _gates(contractions, products),
        blocks,
        rows,
        _steps_of_k(contractions, lane_width),
        parts=max(len(item.lefts) for item in contractions),
        accumulators=split,
        together=max(item.steps_per_lane if item.dot_width == 1 else 1 for item in contractions),
        groups=region.memory.panels.groups(rights),
        streamed_rows=region.memory.panels.streamed_rows(rights, lane_width),
    )
    tile, by_matrix = tile_shape(target, product), any(map(is_batched_product, products))
    is_whole = partition.axis is None and not has_ended_rows and not by_matrix
    merges = is_whole and _merges_steps(region, kernel, axis, product)
    tile = tile_shape(target, replace(product, rows=OPEN_ROWS)) if merges else tile
    if by_matrix and isinstance(rows, int) and rows:
        # if one tile has all rows, each matrix is read once and need not stay in cache
        whole = tile_shape(target, replace(product, depth=0))
        tile = whole if whole.rows >= rows else tile
        transposing = transposing_tile(region.target, rows, split)
        if lanes > 1 and transposing is not None and [_is_transposed(region, item) for item in contractions] == [True]:
            masked = _masked(region, kernel, lanes, contractions)
            others = _outer_axes(shape, axis)
            return ProductPlan(contractions, transposing, transposing.blocks, axis, masked, by_matrix, outside=others)
    if not by_matrix:  # the rows of all axes read the same matrix
        every = [region.extent(shape, number) for number in range(len(shape) - 1) if number != axis]
        rows = math.prod([rows, *every])
    contractions = tuple(
        replace(
            item,
            packed=_packs(region, item.products[0][0], lanes, rows, tile),
            widened=_widens(region, kernel, item.products[0][0], lanes, rows, tile),
        )
        for item in contractions
    )
    group = region.memory.panels.group(tile.blocks)
    masked = _masked(region, kernel, lanes, contractions)
    overlaps = merges or (axis is not None and not by_matrix and _is_open_beside_known(region, kernel, axis))
    outside = _outer_axes(shape, axis) if by_matrix else ()
    if not by_matrix and not any(item.in_scratch for item in contractions):
        outside = _outside(region, kernel, products, axis, tile.blocks * lanes)
    return ProductPlan(contractions, tile, group, axis, masked, by_matrix, overlaps, outside, merges)


def _steps_of_k(contractions: Sequence[Contraction], lane_width: int) -> int:
    """Return the total lanes over k of the contractions of fixed depth; a typical number if all depths are symbolic."""
    depths = [dim for item in contractions if isinstance(dim := item.lefts[0].shape[-1], int)]
    return -(-(sum(depths) or OPEN_DEPTH) // lane_width)


def _merges_steps(region: Region, kernel: Kernel, axis: int | None, product: ProductShape) -> bool:
    """True if tiles over the rows of all steps are faster than tiles over the rows of one step.

    Reading weights bounds the speed of tiles of few rows, if a group of weights exceeds L1.
    """
    if len(kernel.shape) != 3 or axis != 1 or not region.is_time(kernel.shape, 0) or not isinstance(product.rows, int):
        return False
    target = region.target
    if target.fits_first_cache(product.depth * product.gates * target.vector_bits // 8):
        return False
    return cycles_of_row(target, replace(product, rows=OPEN_ROWS)) * WORTH_MERGING < cycles_of_row(target, product)


def _outer_axes(shape: Shape, axis: int | None) -> tuple[int, ...]:
    """Return the axes other than ``axis`` (of the tiles' rows) and the last one (units)."""
    return tuple(other for other in range(len(shape) - 1) if other != axis)


def _outside(
    region: Region, kernel: Kernel, products: Sequence[Node], axis: int | None, columns: int
) -> tuple[int, ...]:
    """Return the axes whose loops contain the loop over groups of units.

    If L1 holds all weights, these are all axes but rows and units. The result is the first axis alone under two
    conditions. L2 holds the rows of one of its positions, but not of all. Reading all weights for each position moves
    fewer bytes than reading all rows for each group. Otherwise, and in loops over time, the result is empty.
    """
    if region.time is not None or len(kernel.shape) < 3:
        return ()
    weights, others = _bytes({node.operands[1] for node in products}), _outer_axes(kernel.shape, axis)
    if weights <= region.target.first_cache // 2:
        return others
    rows = _bytes({source_of(node.operands[0]) for node in products})
    count, width = kernel.shape[0], kernel.shape[-1]
    if not isinstance(count, int) or not isinstance(width, int) or 0 not in others:
        return ()
    fits = rows // max(count, 1) <= region.target.second_cache // 2 < rows
    return (0,) if fits and weights * count < rows * -(-width // columns) else ()


def _bytes(nodes: Set[Node]) -> int:
    """Return the bytes of values, with ``OPEN_ROWS`` for symbolic sizes."""
    return sum(node.tensor.bytes_at(OPEN_ROWS) for node in nodes)


def _is_open_beside_known(region: Region, kernel: Kernel, axis: int) -> bool:
    """True if an axis of rows has a symbolic size, and another has a fixed size above 1. False in loops over time."""
    extents = [region.extent(kernel.shape, number) for number in range(len(kernel.shape) - 1)]
    return not isinstance(extents[axis], int) and region.time is None and bool(_axes_of_several_rows(extents))


def _packs(region: Region, product: Node, lanes: int, rows: Dim, tile: TileShape) -> bool:
    """True if it pays that each call packs a right operand before tiles read it.

    Packing pays for strided lanes, and for a matrix beyond L1 that several tiles of rows read.
    """
    right = region.memory.views[product.operands[1]]
    if lanes == 1 or region.memory.panels.packs(right) or not isinstance(right.shape[-2], int):
        return False
    tiles = rows / tile.rows if isinstance(rows, int) else math.inf
    distance, between_lanes = right.strides[-2:]
    if between_lanes != 1:
        return tiles > WORTH_TRANSPOSING or is_batched_product(product)
    pitch = distance if isinstance(distance, int) else right.shape[-1]
    extent = right.shape[-2] * (pitch if isinstance(pitch, int) else OPEN_ROWS) * ITEM_BYTES[product.dtype]
    return tiles >= WORTH_PACKING and not region.target.fits_first_cache(extent)


def _widens(region: Region, kernel: Kernel, product: Node, lanes: int, rows: Dim, tile: TileShape) -> bool:
    """True if narrow weights are converted to floats once, before several tiles of rows read them, not by each tile.

    If the number of time steps is symbolic, the result is True, and each call decides by the number of rows. For other
    symbolic numbers of rows, it is False.
    """
    right = product.operands[1]
    if lanes == 1 or right.dtype not in NARROW or lane_width_of(region.target, product) > 1:
        return False
    if not region.memory.panels.packs(region.memory.views[right]):
        return False
    if isinstance(rows, int):
        return rows >= WORTH_WIDENING * tile.rows
    shape = kernel.shape
    return any(isinstance(shape[axis], Size) and region.is_time(shape, axis) for axis in range(len(shape) - 1))


def _is_transposed(region: Region, contraction: Contraction) -> bool:
    """True if the right operand is a batch of matrices in which k is contiguous."""
    (product, *others), *more = contraction.products
    distance, between_lanes = region.memory.views[product.operands[1]].strides[-2:]
    return is_batched_product(product) and not others and not more and distance == 1 and between_lanes != 1


def dot_width_of(product: Node) -> int:
    """Return how many values of consecutive k are in a lane of weights: several only if both operands are narrow."""
    if product.op == "block_matmul":
        return 32 // int(product["bits"])
    return DOT_WIDTH[product.operands[1].dtype] if product.operands[0].dtype in NARROW else 1


def lane_width_of(target: Target, product: Node) -> int:
    """Return how many weights of consecutive k are in a lane of a panel.

    Weights of bfloat16 for float32 activations are in pairs where vectors of integers take no time of multiply-adds:
    one shift or mask widens each of them.
    """
    is_pair = [item.dtype for item in product.operands[:2]] == ["float32", "bfloat16"] and "bfloat16" in target.dots
    return DOT_WIDTH["bfloat16"] if is_pair else dot_width_of(product)


def _accumulators(target: Target, product: Node) -> int:
    """Return the number of partial sums for each result of a product."""
    if dot_width_of(product) > 1:
        return 1
    depth, width = product.operands[1].shape[-2:]
    return accumulators(target, depth, width)


def _sums_per_result(target: Target, product: Node) -> int:
    """Return the number of registers that each vector of results needs for its sums."""
    return 2 if product.op == "block_matmul" else _accumulators(target, product)


def _gates(contractions: Sequence[Contraction], products: Sequence[Node]) -> int:
    """Return the number of sums for each unit and row that are in registers at the same time.

    Products that continue the sum of another product do not count. Of products of narrow operands, only those of the
    largest contraction count.
    """
    first = [item.products[0] for item in contractions]
    narrow = max((len(nodes) for nodes in first if dot_width_of(nodes[0]) > 1), default=0)
    starts = {node.operands[2] for node in products if len(node.operands) == 3}
    wide = sum(node not in starts and dot_width_of(node) == 1 for node in products)
    return max(1, narrow, wide)


def _row_axis(region: Region, kernel: Kernel, products: Sequence[Node]) -> int | None:
    """Return the axis of a kernel's shape along which register tiles take rows; None if there is a single row.

    In a loop over time, the axis is the last one of a fixed size above 1, or else the last symbolic axis. Outside of
    loops, it is the later one of these two: its rows are adjacent, and tiles skip the padding of other axes. For
    batched products, it is the row axis of the matrices.
    """
    if any(map(is_batched_product, products)):
        last = len(kernel.shape) - 2
        return None if kernel.shape[last] == 1 else last
    extents = [region.extent(kernel.shape, axis) for axis in range(len(kernel.shape) - 1)]
    several = _axes_of_several_rows(extents)
    open_axes = [axis for axis, extent in enumerate(extents) if isinstance(extent, Size)]
    if region.time is None and several and open_axes:
        return max(several[-1], open_axes[-1])
    return several[-1] if several else open_axes[-1] if open_axes else None


def _axes_of_several_rows(extents: Sequence[Dim]) -> list[int]:
    """Return the axes of a fixed size above 1."""
    return [axis for axis, extent in enumerate(extents) if isinstance(extent, int) and extent > 1]


def _contractions(region: Region, kernel: Kernel, products: Sequence[Node]) -> tuple[Contraction, ...]:
    """Return groups of products that one loop over k computes, ordered so that sums are started before continued."""
    views, in_phase, members = region.memory.views, set(products), set(kernel.members)
    outside = {item for node in members for item in node.operands if item not in members}
    after: dict[Node, int] = dict.fromkeys(outside, 0)  # number of chained products that a value sums
    for node in topological(products, known=outside):
        summed = starts_of(node) if node in in_phase else node.operands
        after[node] = (node in in_phase) + max(map(after.__getitem__, summed), default=0)
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in sorted(products, key=after.__getitem__):
        left, right = (views[item] for item in node.operands[:2])
        form = None if region.memory.panels.packs(right) else right.strides
        stored = node.operands[1].dtype, node.get("bits"), node.get("zero")
        key = (after[node], left, node.operands[0].shape[-1], stored, form)
        groups.setdefault(key, []).append(node)
    _join_alike(region, kernel, groups)
    merged: dict[object, list[list[Node]]] = {}
    for (number, *rest), nodes in groups.items():
        rights = tuple(views[node.operands[1]] for node in nodes)
        narrow = dot_width_of(nodes[0]) > 1 and nodes[0].op == "matmul"  # lefts may be narrow parts of one value
        merged.setdefault((number, rights) if narrow else (number, *rest), []).append(nodes)
    contractions = []
    for items in merged.values():
        first, lefts = items[0][0], tuple(nodes[0].operands[0] for nodes in items)
        split = _accumulators(region.target, first)
        widths = dot_width_of(first), lane_width_of(region.target, first)
        contractions.append(Contraction(lefts, tuple(map(tuple, items)), split, *widths))
    return tuple(contractions)


def _join_alike(region: Region, kernel: Kernel, groups: dict[tuple[object, ...], list[Node]]) -> None:
    """Merge groups of independent products of one left operand if one reused panel has all their weights."""
    views, panels, members = region.memory.views, region.memory.panels, set(kernel.members)
    started = {start for nodes in groups.values() for node in nodes for start in _members(starts_of(node), members)}
    for key, nodes in [*groups.items()]:
        for other in [*groups]:
            later = other[0] != key[0] and [*groups].index(other) > [*groups].index(key) and other[1:] == key[1:]
            if later and not started & {*nodes}:
                rights = [views[node.operands[1]] for node in (*groups[other], *nodes)]
                if panels.reuses_one_layout(rights):
                    groups[other] += groups.pop(key)
                    break


def _members(nodes: Sequence[Node], members: Set[Node]) -> set[Node]:
    """Return those of ``members``, the ops of a kernel, on which ``nodes`` depend, including ``nodes`` in it."""
    sources: set[Node] = set()
    pending = [node for node in nodes if node in members]
    while pending:
        node = pending.pop()
        if node not in sources:
            sources.add(node)
            pending += [item for item in node.operands if item in members]
    return sources


def _masked(region: Region, kernel: Kernel, lanes: int, contractions: Sequence[Contraction]) -> bool:
    """True if lanes after the last unit must be masked, because some row in memory has no padding there."""
    memory, width = region.memory, kernel.shape[-1]
    if not isinstance(width, int):
        return True
    if width % lanes == 0:
        return False
    if any(item.packed for item in contractions):
        return True
    padded = -(-width // lanes) * lanes
    touched = [view for node in kernel.members for view in memory.stores.get(node, ())]
    members = set(kernel.members)
    for node in kernel.members:
        # by position, because one value may be both the left operand and the start
        for position, operand in enumerate(node.operands):
            view = memory.views.get(operand)
            if operand in members:
                continue
            if view is None:
                return True  # computed on the fly, from memory that may have no padding
            if view.shape[-1:] != (width,) or (node.op in MATRIX_PRODUCTS and position == 0):
                continue
            if not (node.op in MATRIX_PRODUCTS and position == 1 and memory.panels.packs(view)):
                touched.append(view)
    return any(view.room is None or view.room < padded for view in touched)
