"""Slices moved in front of ops that reorder the sliced value, such as a reshape."""

from __future__ import annotations

from typing import NamedTuple

from ...ir.build import sliced
from ...ir.graph import Node, make
from ...ir.ops import OPS
from ...ir.sizes.polynomial import product, quotient
from ...ir.types import Dim


class Entries(NamedTuple):
    """Entries ``first`` to ``last - 1`` along an axis."""

    axis: int
    first: Dim
    last: Dim


def entries_read(node: Node) -> Entries | None:
    """Return the entries that a slice reads; None for other nodes, steps other than 1, and slices of several axes."""
    if node.op != "slice" or any(step != 1 for step in node["step"]):
        return None
    whole = node.operands[0].shape
    axes = [axis for axis, dim in enumerate(node.shape) if dim != whole[axis]]
    return Entries(axes[0], node["start"][axes[0]], node["stop"][axes[0]]) if len(axes) == 1 else None


def before_reshape(reshape: Node, part: Entries) -> Entries | None:
    """Return the entries of a reshape's operand that become ``part`` of the result; None if they are no range."""
    source, (axis, first, last) = reshape.operands[0], part
    rows, size = product(reshape.shape[:axis]), product(reshape.shape[axis + 1 :])
    for place, dim in enumerate(source.shape):
        inner = product(source.shape[place + 1 :])
        if product(source.shape[:place]) == rows and dim * inner == reshape.shape[axis] * size and dim != 1:
            start, stop = quotient(first * size, inner), quotient(last * size, inner)
            return None if start is None or stop is None else Entries(place, start, stop)
    return None


def slice_before_reshape(node: Node, reshape: Node) -> Node | None:
    """Rewrite a slice of a reshape as the reshape of a slice; None if ``before_reshape`` finds no entries."""
    part = entries_read(node)
    inner = before_reshape(reshape, part) if part else None
    if inner is None:
        return None
    return make("reshape", sliced(reshape.operands[0], *inner), where=node.where, name=node.name, shape=node.shape)


def operand_of_concat(node: Node, part: Entries) -> Node | None:
    """Return ``part`` of a concatenation to which reshapes, transposes and unary ops are applied.

    None if the part is not one of the concatenated values.
    """
    axis = part.axis
    offset: Dim = 0
    if node.op == "concat" and node["axis"] == axis:
        for piece in node.operands:
            if (offset, offset + piece.shape[axis]) == (part.first, part.last):
                return piece
            offset = offset + piece.shape[axis]
        return None
    changes: dict[str, object] = {}
    inner: Entries | None = part
    if node.op == "reshape":
        inner = before_reshape(node, part)
        changes["shape"] = (*node.shape[:axis], part.last - part.first, *node.shape[axis + 1 :])
    elif node.op == "transpose":
        inner = part._replace(axis=node["order"][axis])
    elif OPS[node.op].kind != "elementwise" or OPS[node.op].random or len(node.operands) != 1:
        return None
    source = None if inner is None else operand_of_concat(node.operands[0], inner)
    return source and make(node.op, source, where=node.where, name=node.name, **{**dict(node.attributes), **changes})
