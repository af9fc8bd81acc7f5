"""What pictures write of nodes: types, layers, names of parameters."""

from __future__ import annotations

from ...ir.node import Node
from ...ir.types import SHORT_NAMES, TensorType, TupleType, dim_text


def type_text(kind: TensorType | TupleType) -> str:
    """A type as pictures have it: float32 goes without saying."""
    if isinstance(kind, TupleType):
        return ", ".join(map(type_text, kind.items))
    dtype = "" if kind.dtype == "float32" else SHORT_NAMES[kind.dtype]
    return f"{dtype}[{', '.join(map(dim_text, kind.shape))}]"


def layer_of(node: Node) -> str:
    """The layer that a node belongs to; "" where there is none."""
    return node.where.layer if node.where else ""


def short_name(parameter: Node) -> str:
    """A parameter's name within its layer."""
    return str(parameter["label"]).rpartition("/")[2]
