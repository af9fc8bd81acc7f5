"""Writer of planned kernels, whole or in slices for workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ...ir.graph import Node
from ...ir.node import is_tile_product
from ...ir.ops import MATRIX_PRODUCTS
from ...support.errors import Where
from ..buffers.views import View
from ..cost_model.work_sharing import Partition
from ..loop_ir.builder import Block
from ..loop_ir.nodes import When
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice, each_slice, single
from .matmul import Tiles
from .outer_products import outer_sum
from .pointwise import concat, copy, elementwise, write
from .product_plan import WORTH_WIDENING, ProductPlan
from .reductions import reduce
from .region import Region


def emit_kernel(region: Region, block: Block, plan: KernelPlan) -> None:
    """Write a planned kernel's loop nest to ``block``: a slice for each worker, or all for the first worker.

    Nothing is written if the kernel's values have no elements.
    """
    axis, parts = plan.partition.axis, region.workers.parts
    if 0 in (plan.kernel.shape if plan.kernel.kind.startswith("fused") else plan.kernel.first.shape):
        return
    with block.at(origin_of(plan.kernel.members)):
        if axis is None:
            single(parts, block, lambda inner: _emit(region, inner, plan, None))
        else:
            each_slice(parts, block, axis, lambda inner, share: _emit(region, inner, plan, share))


def origin_of(nodes: Sequence[Node]) -> Where | None:
    """Return the source line for a kernel that computes ``nodes``.

    If there is a product, the line is the product's, because products take longest. Otherwise, it is the first line of
    the nodes or their operands; None if none has a line.
    """
    products = [node for node in nodes if node.op in (*MATRIX_PRODUCTS, "outer_sum")]
    every = (*products, *nodes, *(item for node in nodes for item in node.operands))
    return next((node.where for node in every if node.where is not None), None)


def _tiles(region: Region, block: Block, plan: KernelPlan, products: ProductPlan, share: WorkerSlice | None) -> None:
    """Write the loop nest of a kernel with matrix products, as register tiles, for all of it or a worker's share.

    Converting narrow weights before tiles read them pays only for many rows. If the number of rows is symbolic, two
    versions are written, and each call runs one of them.
    """
    shape = plan.kernel.shape
    rows = math.prod(region.extent(shape, axis) for axis in range(len(shape) - 1))
    if not products.widens or isinstance(rows, int):
        Tiles(region, block, plan, share).emit()
        return
    limit, few, many = WORTH_WIDENING * products.tile.rows, block.nested(), block.nested()
    Tiles(region, few, replace(plan, products=products.without_widening()), share).emit()
    Tiles(region, many, plan, share).emit()
    block.add(When(rows, 0, limit, tuple(few.statements)))
    block.add(When(rows, limit, rows + 1, tuple(many.statements)))


def _emit(region: Region, block: Block, plan: KernelPlan, share: WorkerSlice | None) -> None:
    """Write the loop nest of a planned kernel of any kind, or of the worker's slice ``share`` of it."""
    kernel = plan.kernel
    match kernel.kind:
        case "fused" if plan.sparse is not None:
            from .sparse_products import sparse_product  # imported late, because few nets have sparse weights

            sparse_product(region, block, plan, plan.sparse, share)
        case "fused" if is_tile_product(kernel.first):
            from .matrix_unit import TileKernel  # imported late, because few processors have one

            TileKernel(region, block, plan, share).emit()
        case "fused" if plan.products is not None:
            _tiles(region, block, plan, plan.products, share)
        case "fused":
            members = set(kernel.members)
            elementwise(region, block, kernel.shape, plan.lanes, kernel.members, members.__contains__, share)
        case "fused_reduce":
            from .fused_reductions import fused_reductions  # imported late, as few nets normalize or attend

            fused_reductions(region, block, kernel, share)
        case "reduce":
            reduce(region, block, kernel.first, share)
        case "outer_sum":
            outer_sum(region, block, plan)
        case "scatter_add":
            from .accumulation import scatter_add  # imported late, because few nets look up rows

            scatter_add(region, block, kernel.first)
        case "overlap_add":
            from .accumulation import overlap_add  # imported late, because few nets have windows

            overlap_add(region, block, kernel.first, share)
        case "concat":
            concat(region, block, kernel.first, share)
        case "copy":
            copy(region, block, kernel.first, share)
        case _:
            raise AssertionError(kernel.kind)


def copy_partition(region: Region, node: Node) -> Partition:
    """Return the division between workers of a copy of a value, from memory or computed on the fly."""
    return region.sharing.copy(node, node in region.memory.views)


def copy_to(region: Region, block: Block, node: Node, views: Sequence[View], partition: Partition) -> None:
    """Write loops that copy a value, from memory or computed on the fly, to all of ``views``."""
    axis, parts = partition.axis, region.workers.parts
    with block.at(origin_of([node])):
        if axis is None:
            single(parts, block, lambda inner: write(region, inner, node, views, None))
        else:
            each_slice(parts, block, axis, lambda inner, share: write(region, inner, node, views, share))
