"""Lanes of several vectors in another order, as packing stores them."""

from __future__ import annotations

from ..loop_ir.builder import Block
from ..loop_ir.nodes import Operand


def side_by_side(block: Block, rows: list[Operand]) -> Operand:
    """The first lanes of all rows, then the second ones, and so on; as many rows as a power of two."""
    while len(rows) > 1:
        half = len(rows) // 2
        wide = 2 * rows[0].lanes
        order = tuple(lane // 2 + lane % 2 * rows[0].lanes for lane in range(wide))
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [block.let("shuffle", pair, pair[0].dtype, wide, order=order) for pair in pairs]
    return rows[0]
