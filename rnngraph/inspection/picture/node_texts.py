"""Texts of nodes in pictures: types, layers, names of parameters."""

from __future__ import annotations

from ...ir.node import Node
from ...ir.types import SHORT_NAMES, Dim, TensorType, TupleType, dim_text


def type_text(kind: TensorType | TupleType) -> str:
    """Return a type as text: its dtype, omitted if it is float32, and its shape, as in ``[B, 28]``."""
    if isinstance(kind, TupleType):
        return ", ".join(map(type_text, kind.items))
    dtype = "" if kind.dtype == "float32" else SHORT_NAMES[kind.dtype]
    return f"{dtype}[{', '.join(map(dim_text, kind.shape))}]"


def steps_text(size: Dim) -> str:
    """Return the range of indices of an axis as text, such as ``0 … T−1``."""
    return f"0 … {size - 1}" if isinstance(size, int) else f"0 … {dim_text(size)}−1"


def count_text(node: Node) -> str:
    """Return the text of the size, such as ``B · T``, that a node computes; "" if it computes no size."""
    if node.op == "dimension":
        return dim_text(node["size"])
    summed = node.operands[0] if node.op == "reduce_sum" else None
    if summed is None or summed.op != "broadcast" or summed.operands[0].get("value") != 1:
        return ""
    return " · ".join(dim_text(summed.shape[axis]) for axis in node["axes"])


def adds_or_drops_ones(node: Node) -> bool:
    """True if a reshape only adds or drops axes of length 1."""
    kept = [[dim for dim in one.shape if dim != 1] for one in (node, node.operands[0])]
    return kept[0] == kept[1]


def dropped_axes(node: Node) -> list[int]:
    """Return the axes that a reshape of a slice indexes with an int, as in ``x[:, -1]``; [] for other nodes."""
    if node.op != "reshape" or node.operands[0].op != "slice":
        return []
    part = node.operands[0]
    whole = part.operands[0]
    single = [axis for axis, dim in enumerate(part.shape) if dim == 1 and whole.shape[axis] != 1]
    kept = [dim for axis, dim in enumerate(part.shape) if axis not in single]
    return single if kept == [*node.shape] else []


def index_at(part: Node, axis: int) -> str:
    """Return the index at which a slice selects one entry of an axis, as text: −1 for the last entry."""
    start, stop, size = part["start"][axis], part["stop"][axis], part.operands[0].shape[axis]
    return "−1" if stop == size and start != 0 else dim_text(start)


def step_index(node: Node) -> int | None:
    """Return 0 or -1 if ``node`` selects the first or last entry of a symbolic axis; None for other nodes."""
    axes = dropped_axes(node)
    if len(axes) != 1 or isinstance(node.operands[0].operands[0].shape[axes[0]], int):
        return None
    return {"0": 0, "−1": -1}.get(index_at(node.operands[0], axes[0]))


def layer_of(node: Node) -> str:
    """Return the name of the layer that a node belongs to; "" for none."""
    return node.where.layer if node.where else ""


def short_name(parameter: Node) -> str:
    """Return a parameter's name within its layer."""
    return str(parameter["label"]).rpartition("/")[2]
