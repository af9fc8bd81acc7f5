"""Plan of a kernel: one frozen record of all decisions about its code, before the code is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...ir.graph import Node
from ...ir.node import is_tile_product
from ...ir.ops import MATRIX_PRODUCTS
from ...ir.types import ITEM_BYTES, TensorType, product
from ...support.records import dataclass
from ..analysis.kernel_fusion import Kernel
from ..analysis.node_kinds import is_sparse, pieces_of
from ..buffers.memory import Memory
from ..buffers.sparse_packing import SparseLayout
from ..cost_model.register_tiles import ProductShape, TileShape, balanced, lanes_for, sum_block, tile_shape
from ..cost_model.work_sharing import Partition
from ..loop_ir.nodes import Buffer
from ..machine.target import Target
from .active_rows import ActiveRows, ActiveSteps
from .product_plan import ProductPlan, plan_products
from .region import Region

MIN_PACKED, MAX_PACKED = 64, 512
"""Limits of the steps of k in a packed block. For each block, the result is loaded and stored once."""

MAX_LANES = 8
"""Maximum columns of a sparse block. Pruned nets often have blocks of 8 units, and a wider vector would merge two."""
TILE_STEP, BLOCK, BLOCK_ROW = 4, 5, 2
"""Relative costs of integer products, including loads and stores of sums.

They are the costs of one vector of weights in a dense tile, of a sparse block, and of each product of that block.
"""


@dataclass(frozen=True)
class OuterSumPlan:
    """Tiling of a sum of outer products.

    Attributes:
        tile: Shape of the tiles of a packed left operand.
        piece_tiles: For each piece of the left operand, the shape of the tiles that read the piece in place.
        lanes: Lanes of a vector.
        max_depth: Maximum steps of k in a packed block.
    """

    tile: TileShape
    piece_tiles: tuple[TileShape, ...]
    lanes: int
    max_depth: int


@dataclass(frozen=True)
class KernelPlan:
    """A kernel and all decisions about its code.

    Attributes:
        partition: Division between workers.
        lanes: Lanes of a vector.
        products: Register tiles of the kernel's products; None without products, or if a matrix unit computes them.
        outer_sum: Register tiles of a sum of outer products; None for other kernels.
        sparse: Layout of the blocks of a product that skips zeros; None for other products. If there are few zeros,
            ``products`` is used.
        active: Steps and rows that are computed; None if no mask excludes any.
        reads: Buffers that the kernel reads.
        writes: Buffers that the kernel writes.
    """

    kernel: Kernel
    partition: Partition
    lanes: int
    products: ProductPlan | None = None
    outer_sum: OuterSumPlan | None = None
    sparse: SparseLayout | None = None
    active: ActiveSteps | None = None
    reads: tuple[Buffer, ...] = ()
    writes: tuple[Buffer, ...] = ()

    def part_of(self, region: Region) -> Region:
        """Return the region restricted to the steps and rows that the kernel computes."""
        if self.active is None:
            return region
        table = self.active.table
        return region.within(self.active.size, ActiveRows(table) if table.by_rows else None)


def plan_kernel(region: Region, kernel: Kernel, partition: Partition, active: ActiveSteps | None = None) -> KernelPlan:
    """Return all decisions about a kernel's code: vector width, tiles, division between workers, memory."""
    memory = region.memory
    operands = [*_operands(kernel.members, memory)]
    # Workers that share rows may split a 1-D value between any two elements, so elements are computed one by one.
    lanes = 1 if partition.by_rows and len(kernel.shape) == 1 else _lanes(region, kernel, operands)
    products, outer_sum, sparse = None, None, None
    if any(node.op in MATRIX_PRODUCTS and not is_tile_product(node) for node in kernel.members):
        products = plan_products(region, kernel, lanes, partition, has_ended_rows=active is not None)
        sparse = _sparse_layout(region, kernel, products, lanes, partition) if is_sparse(kernel.first) else None
    elif kernel.kind == "outer_sum":
        outer_sum = plan_outer_sum(region, kernel.first, partition)
    writes = [view.buffer for node in kernel.members for view in memory.stores.get(node, ())]
    reads = [memory.views[node].buffer for node in operands if node in memory.views]
    return KernelPlan(
        kernel,
        partition,
        lanes,
        products,
        outer_sum,
        sparse,
        active,
        tuple(dict.fromkeys(reads)),
        tuple(dict.fromkeys(writes)),
    )


def _lanes(region: Region, kernel: Kernel, operands: Sequence[Node]) -> int:
    """Return the number of lanes per vector; 1 if the kernel looks up scalars in a table.

    Those of ``operands`` that are recomputed inline count, too, such as the random numbers of a bool mask.
    """
    if any(node.op == "gather" and node.operands[0].tensor.rank == 1 for node in kernel.members):
        return 1
    values = [node for node in operands if node not in region.memory.views and isinstance(node.type, TensorType)]
    inline = [node for node in values if node.shape == kernel.shape]
    return lanes_for(region.target, [*kernel.members, *inline], kernel.shape[-1] if kernel.shape else 1)


def values_read(members: Sequence[Node], memory: Memory) -> list[Node]:
    """Return the values in memory that ``members`` read, directly or through values that are recomputed inline."""
    return [node for node in _operands(members, memory) if node in memory.views]


def _operands(members: Sequence[Node], memory: Memory) -> Iterator[Node]:
    """Yield the operands of ``members``, and of those operands that are recomputed inline, each once."""
    visited = set(members)
    pending = [item for node in members for item in node.operands]
    for node in pending:  # the loop appends to the list
        if node in visited:
            continue
        visited.add(node)
        yield node
        if node not in memory.views:
            pending += node.operands


def plan_outer_sum(region: Region, node: Node, partition: Partition) -> OuterSumPlan:
    """Return the register tiles, lanes and block size for a sum of outer products, divided by ``partition``."""
    left, right = (pieces_of(operand, region.memory.views) for operand in node.operands)
    rows, width = (int(str(dim)) for dim in node.shape)
    lanes = lanes_for(region.target, [node], width)
    block_rows = rows_of_a_block(region.target, rows, node.dtype)
    inner = product(left[0].shape[1:-1])
    if region.time is not None and region.is_time(node.operands[0].shape, 0) and isinstance(inner, int):
        block_rows = max(1, min(block_rows, region.time.longest * inner))
    parts = 1 if partition.serial else region.workers.parts
    widest = max(int(str(piece.shape[-1])) for piece in right)
    shape = ProductShape(1, -(-widest // (lanes * parts)), rows, block_rows)
    tile = tile_shape(region.target, shape)
    piece_tiles = []
    for piece in left:
        height = int(str(piece.shape[-1]))
        is_even = len(balanced(height, tile.rows)) == 1  # tiles of two heights would have separate code
        piece_tiles.append(tile if is_even else tile_shape(region.target, replace(shape, rows=height)))
    return OuterSumPlan(tile, tuple(piece_tiles), lanes, block_rows)


def rows_of_a_block(target: Target, width: int, dtype: str) -> int:
    """Return the steps of k in a packed block with which the left panel fits in half of L2.

    The number is rounded down to a multiple of 16, and clamped to ``MIN_PACKED``..``MAX_PACKED``.
    """
    rows = target.second_cache // 2 // (max(1, width) * ITEM_BYTES[dtype])
    return max(MIN_PACKED, min(MAX_PACKED, rows // 16 * 16))


def _sparse_layout(
    region: Region, kernel: Kernel, products: ProductPlan, lanes: int, partition: Partition
) -> SparseLayout | None:
    """Return the layout of a product's weights as nonzero blocks; None if the weights are not packed before calls.

    Args:
        region: Context of the kernel.
        kernel: Kernel of the product.
        products: Plan of the dense tiles, whose order of summation the blocks keep.
        lanes: Lanes of the vectors by which workers split columns.
        partition: Division between workers.
    """
    node, (contraction,) = kernel.first, products.contractions
    view = region.memory.views[node.operands[1]]
    if not region.memory.panels.packs(view):
        return None
    depth, width = (int(str(dim)) for dim in view.shape)
    parts = region.workers.parts if partition.axis == len(kernel.shape) - 1 else 1
    vectors = width // lanes
    bounds = (*(vectors * part // parts * lanes for part in range(parts)), width)
    own = min(MAX_LANES, region.target.lanes(max(4, ITEM_BYTES[node.dtype])))
    limit = None
    if node.dtype == "int32":
        limit = 100 * TILE_STEP * own // region.target.lanes(4) // (BLOCK + BLOCK_ROW * len(kernel.members))
    sums = sum_block(depth, node.dtype)
    return SparseLayout(depth, width, own, contraction.dot_width, contraction.accumulators, sums, limit, bounds)
