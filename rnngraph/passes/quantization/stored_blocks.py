"""Weights that a declaration computes from stored integers and scales, as ``rg.dequantize`` does.

``blocks_of`` recognises them by their nodes, so that a product in blocks takes the integers and scales as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...ir.graph import Node
from ...support.records import dataclass

BLOCK = 32
"""Numbers that share a scale."""
_SAME_ORDER = ("reshape", "cast")
"""Ops that keep the order of elements; between integers and floats they keep the values of bytes, too."""


@dataclass(frozen=True)
class StoredBlocks:
    """Weight [depth, columns] as stored integers times a scale for each block of 32 rows.

    Attributes:
        numbers: The integers, as a float Tensor or an int8 one, in the order of the weight.
        offset: What the numbers exceed the integers by.
        scales: Scales [blocks, columns], or in that order.
        bits: Bits that an integer needs.
    """

    numbers: Node
    offset: int
    scales: Node
    bits: int


def blocks_of(weight: Node) -> StoredBlocks | None:
    """Return the stored integers and scales of a matrix; None if it is not computed from any."""
    depth, columns = weight.shape
    if weight.op != "reshape" or not isinstance(depth, int) or depth % BLOCK or weight.operands[0].op != "mul":
        return None
    blocks = depth // BLOCK
    for parts, scales in _both_orders(weight.operands[0]):
        if parts.shape == (blocks, BLOCK, columns) and scales.shape == (blocks, 1, columns):
            stored = _bytes(parts, scales) or _halves_of_bytes(parts, scales)
            if stored is not None:
                return stored
    return None


def _bytes(parts: Node, scales: Node) -> StoredBlocks | None:
    """Return blocks of int8 numbers."""
    numbers = _source(parts, "int8")
    return None if numbers is None else StoredBlocks(numbers, 0, scales, 8)


def _halves_of_bytes(parts: Node, scales: Node) -> StoredBlocks | None:
    """Return blocks of numbers of four bits, two in a byte, of which each is stored plus 8."""
    whole = _minus(parts, 8.0)
    if whole is None or whole.op != "concat" or whole["axis"] != 1 or len(whole.operands) != 2:
        return None
    lower, upper = whole.operands
    if upper.op != "round" or lower.op != "sub":
        return None
    stored, sixteen = lower.operands
    shifted = _times(upper.operands[0], 0.0625)
    if shifted is None or _minus(shifted, 7.5) is not stored or _times(sixteen, 16.0) is not upper:
        return None
    return None if _source(stored, "uint8") is None else StoredBlocks(whole, 8, scales, 4)


def _source(node: Node, dtype: str) -> Node | None:
    """Return the node of this dtype whose elements ``node`` has, in their order; None if there is none."""
    while node.dtype != dtype and node.op in _SAME_ORDER:
        node = node.operands[0]
    return node if node.dtype == dtype else None


def _minus(node: Node, number: float) -> Node | None:
    """Return x if ``node`` is x - number."""
    if node.op == "sub" and _is(node.operands[1], number):
        return node.operands[0]
    return next((x for x, other in _both_orders(node) if _is(other, -number)), None) if node.op == "add" else None


def _times(node: Node, number: float) -> Node | None:
    """Return x if ``node`` is x times number."""
    return next((x for x, other in _both_orders(node) if _is(other, number)), None) if node.op == "mul" else None


def _both_orders(node: Node) -> Iterator[tuple[Node, Node]]:
    first, second = node.operands
    yield first, second
    yield second, first


def _is(node: Node, number: float) -> bool:
    """True for a constant of one number."""
    return node.op == "constant" and np.size(node["value"]) == 1 and float(node["value"]) == number
