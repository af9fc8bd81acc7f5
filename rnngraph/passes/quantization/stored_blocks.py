"""Weights that a declaration computes from stored integers and scales, as ``rg.dequantize`` does.

``blocks_of`` recognises such weights by their nodes. Products in blocks then use the stored integers and scales,
instead of quantizing the weights again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...ir.graph import Node
from ...ir.types import KEEP_NARROW
from ...support.records import dataclass

BLOCK = 32
"""Number of rows of a column that share a scale."""


@dataclass(frozen=True)
class StoredBlocks:
    """Weight [depth, columns] as stored integers times a scale for each block of 32 rows.

    Attributes:
        numbers: Stored integers, offset included, as a float or int8 node in the axis order of the weight.
        offset: Number by which each stored integer exceeds the integer that the scale multiplies.
        scales: Scales [blocks, columns], in the axis order of the weight.
        bits: Bits of an integer.
    """

    numbers: Node
    offset: int
    scales: Node
    bits: int


def blocks_of(weight: Node) -> StoredBlocks | None:
    """Return the stored integers and scales of a matrix; None if it is not computed from stored blocks."""
    depth, columns = weight.shape
    if weight.op != "reshape" or not isinstance(depth, int) or depth % BLOCK or weight.operands[0].op != "mul":
        return None
    blocks = depth // BLOCK
    for parts, scales in _both_orders(weight.operands[0]):
        if (parts.shape, scales.shape) == ((blocks, BLOCK, columns), (blocks, 1, columns)):
            stored = _bytes(parts, scales)
        elif (parts.shape, scales.shape) == ((blocks, 2, BLOCK // 2, columns), (blocks, 1, 1, columns)):
            stored = _halves_of_bytes(parts, scales)
        else:
            continue
        if stored is not None:
            return stored
    return None


def _bytes(parts: Node, scales: Node) -> StoredBlocks | None:
    """Return the blocks of a file's int8 numbers, which ``parts`` casts and reshapes; None for other nodes."""
    numbers = _source(parts, "int8", ("reshape",))
    return None if numbers is None else StoredBlocks(numbers, 0, scales, 8)


def _halves_of_bytes(parts: Node, scales: Node) -> StoredBlocks | None:
    """Return the blocks whose 4-bit integers ``parts`` unpacks; None for other nodes.

    A file's byte stores two integers, each plus 8: the one of the block's first half in the lower bits.
    """
    whole = _minus(parts, 8.0)
    if whole is None or whole.op != "select":
        return None
    is_second, upper, lower = whole.operands
    if upper.op != "round" or lower.op != "sub" or not _is_second_half(is_second):
        return None
    stored, sixteen = lower.operands
    shifted = _times(upper.operands[0], 0.0625)
    if shifted is None or _minus(shifted, 7.5) is not stored or _times(sixteen, 16.0) is not upper:
        return None
    return None if _source(stored, "uint8", KEEP_NARROW) is None else StoredBlocks(whole, 8, scales, 4)


def _is_second_half(node: Node) -> bool:
    """True for a constant mask [2, 1, 1] that selects the second half."""
    return node.op == "constant" and node.shape == (2, 1, 1) and node["value"].ravel().tolist() == [False, True]


def _source(node: Node, dtype: str, moves: Sequence[str]) -> Node | None:
    """Return the node of dtype ``dtype`` from which ``node`` is computed by casts and ``moves`` alone, or None."""
    source = None
    while node.dtype == dtype or node.op in ("cast", *moves):
        if node.dtype == dtype:
            source = node
            if node.op not in moves:
                break
        node = node.operands[0]
    return source


def _minus(node: Node, number: float) -> Node | None:
    """Return x if ``node`` is x - number, else None."""
    if node.op == "sub" and _is(node.operands[1], number):
        return node.operands[0]
    return next((x for x, other in _both_orders(node) if _is(other, -number)), None) if node.op == "add" else None


def _times(node: Node, number: float) -> Node | None:
    """Return x if ``node`` is x times number, else None."""
    return next((x for x, other in _both_orders(node) if _is(other, number)), None) if node.op == "mul" else None


def _both_orders(node: Node) -> Iterator[tuple[Node, Node]]:
    """Yield the two operands of an op in both orders."""
    first, second = node.operands
    yield first, second
    yield second, first


def _is(node: Node, number: float) -> bool:
    """True for a constant scalar equal to ``number``."""
    return node.op == "constant" and np.size(node["value"]) == 1 and float(node["value"]) == number
