"""How a sum of outer products is tiled, and how many rows of k are packed at a time: decided before it is written."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.graph import Node
from ...ir.types import ITEM_BYTES, product
from ..analysis.node_kinds import pieces_of
from ..cost_model.register_tiles import TileShape, lanes_for, tile_shape
from ..cost_model.work_sharing import Partition
from ..machine.target import Target
from .region import Region

FEWEST_PACKED, MOST_PACKED = 64, 512  # rows of k in a block: each block reads and writes the result once


@dataclass(frozen=True)
class OuterSumPlan:
    """most: rows of k that are packed and added up at a time."""

    tile: TileShape
    lanes: int
    most: int


def plan_outer_sum(region: Region, node: Node, partition: Partition) -> OuterSumPlan:
    """The tiles of a sum of outer products, of which each part has some columns."""
    left, right = (pieces_of(operand, region.memory.views) for operand in node.operands)
    rows, width = (int(str(dim)) for dim in node.shape)
    lanes = lanes_for(region.target, [node], width)
    most = rows_of_a_block(region.target, rows, node.dtype)
    inner = product(left[0].shape[1:-1])
    if region.time is not None and region.is_time(node.operands[0].shape, 0) and isinstance(inner, int):
        most = max(1, min(most, region.time.longest * inner))
    parts = 1 if partition.serial else region.workers.parts
    widest = max(int(str(piece.shape[-1])) for piece in right)
    return OuterSumPlan(tile_shape(region.target, 1, -(-widest // (lanes * parts)), rows, most), lanes, most)


def rows_of_a_block(target: Target, width: int, dtype: str) -> int:
    """Rows of k that are packed at a time: the left panel fills a part of the second cache."""
    rows = target.second_cache // 2 // (max(1, width) * ITEM_BYTES[dtype])
    return max(FEWEST_PACKED, min(MOST_PACKED, rows // 16 * 16))
