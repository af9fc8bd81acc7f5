"""Texts of nodes in pictures: types, layers, names of parameters."""

from __future__ import annotations

from ...ir.node import Node
from ...ir.types import SHORT_NAMES, TensorType, TupleType, dim_text


def type_text(kind: TensorType | TupleType) -> str:
    """Return a type's text in pictures, without float32."""
    if isinstance(kind, TupleType):
        return ", ".join(map(type_text, kind.items))
    dtype = "" if kind.dtype == "float32" else SHORT_NAMES[kind.dtype]
    return f"{dtype}[{', '.join(map(dim_text, kind.shape))}]"


def layer_of(node: Node) -> str:
    """Return the layer of a node; "" for none."""
    return node.where.layer if node.where else ""


def short_name(parameter: Node) -> str:
    """Return a parameter's name within its layer."""
    return str(parameter["label"]).rpartition("/")[2]
