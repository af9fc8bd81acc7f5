"""How a product leaves out blocks of zeros of its weights: decided once, before anything is written."""

from __future__ import annotations

from ...ir.types import ITEM_BYTES
from ..analysis.kernel_fusion import Kernel
from ..buffers.sparse_packing import SparseLayout
from ..cost_model.register_tiles import sum_block
from ..cost_model.work_sharing import Partition
from .product_plan import ProductPlan
from .region import Region

MOST_LANES = 8
"""Columns of a block: sparse nets come in blocks of so many units, of which a wider vector would join two."""
TILE_STEP, BLOCK, BLOCK_ROW = 4, 5, 2
"""What integers take, in one unit: tiles for a vector of weights, and a block, beside what each row adds, whose sums
are loaded and stored.
"""


def plan_sparse(
    region: Region, kernel: Kernel, products: ProductPlan, lanes: int, partition: Partition
) -> SparseLayout | None:  # fmt: skip
    """How blocks of the product's weights are cut; None where they are not packed ahead. Every sum is added up in the
    order in which tiles add it. lanes: of the vectors by which workers share columns.
    """
    node, (contraction,) = kernel.first, products.contractions
    view = region.memory.views[node.operands[1]]
    if not region.memory.panels.packs(view):
        return None
    depth, width = (int(str(dim)) for dim in view.shape)
    parts = region.workers.parts if partition.axis == len(kernel.shape) - 1 else 1
    vectors = width // lanes
    bounds = (*(vectors * part // parts * lanes for part in range(parts)), width)
    own = min(MOST_LANES, region.target.lanes(max(4, ITEM_BYTES[node.dtype])))
    limit = None
    if node.dtype == "int32":
        limit = 100 * TILE_STEP * own // region.target.lanes(4) // (BLOCK + BLOCK_ROW * len(kernel.members))
    sums = sum_block(depth, node.dtype)
    return SparseLayout(depth, width, own, contraction.dot_width, contraction.accumulators, sums, limit, bounds)
