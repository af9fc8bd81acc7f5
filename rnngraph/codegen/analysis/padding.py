"""Padding with zeros: the range along an axis outside of which a value is zero."""

from __future__ import annotations

from ...ir.graph import Node
from ...ir.node import is_scalar_broadcast
from ...ir.sizes.polynomial import ceil_divide

Range = tuple[int, int]
"""First index, and the index after the last one."""


def nonzero_range(node: Node, axis: int) -> Range | None:
    """Return a range along an axis outside of which a value is zero; None if no range is known.

    Convolutions pad by a concatenation with zeros, so the function looks through slices and transposes of
    concatenations.
    """
    extent = node.shape[axis]
    if not isinstance(extent, int):
        return None
    match node.op:
        case "slice":
            inner, start, step = nonzero_range(node.operands[0], axis), node["start"][axis], node["step"][axis]
            if inner is None or not isinstance(start, int):
                return None
            low, high = (min(max(int(str(ceil_divide(at - start, step))), 0), extent) for at in inner)
            return low, max(low, high)
        case "transpose":
            return nonzero_range(node.operands[0], node["order"][axis])
        case "concat":
            return _of_concat(node, axis)
    return None


def _of_concat(node: Node, axis: int) -> Range | None:
    """Return the range of indices along ``axis`` outside of which a concatenation is zero; None if unknown.

    If all operands are zeros, it is (0, 0) along the concatenated axis, and None (unknown) along other axes.
    """
    if axis != node["axis"]:
        ranges = [nonzero_range(piece, axis) for piece in node.operands if not _is_zero(piece)]
        known = [each for each in ranges if each is not None]
        if not known or len(known) < len(ranges):
            return None
        return min(low for low, _ in known), max(high for _, high in known)
    bounds, end = list[Range](), 0
    for piece in node.operands:
        width = piece.shape[axis]
        if not isinstance(width, int):
            return None
        if not _is_zero(piece):
            bounds.append((end, end + width))
        end += width
    return (bounds[0][0], bounds[-1][1]) if bounds else (0, 0)


def _is_zero(node: Node) -> bool:
    """True for a broadcast constant 0."""
    if not is_scalar_broadcast(node):
        return False
    filling = node.operands[0]
    return filling.op == "constant" and bool(filling["value"] == 0)
