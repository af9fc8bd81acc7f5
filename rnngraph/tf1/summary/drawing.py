"""Graphs as ``GraphDef`` messages for TensorBoard, and arrays as PNG pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ...declare.tensor import Tensor
from ...ir.graph import Node, topological
from ...ir.node import Namer
from ...ir.types import TensorType
from ...storage.protobuf import Field
from ..core.graph import Graph
from ..core.operations import Operation
from ..core.variable import Variable
from .messages import Message, Shape, Size, message, messages, raws, text

_NAMES = {"input": "Placeholder", "parameter": "VariableV2", "constant": "Const", "matmul": "MatMul", "driver": "While"}


class ListValue(Message):
    """``AttrValue.ListValue``."""

    FIELDS: ClassVar[dict[str, Field]] = {"shape": messages(7, Shape)}


class AttrValue(Message):
    """``AttrValue`` that is a list of shapes."""

    FIELDS: ClassVar[dict[str, Field]] = {"list": message(1, ListValue)}


class Attr(Message):
    """Entry of ``NodeDef.attr``: name and value of an attribute."""

    FIELDS: ClassVar[dict[str, Field]] = {"key": text(1), "value": message(2, AttrValue)}


class NodeDef(Message):
    """``NodeDef``: node of a graph."""

    FIELDS: ClassVar[dict[str, Field]] = {"name": text(1), "op": text(2), "input": raws(3), "attr": messages(5, Attr)}


class GraphDef(Message):
    """``GraphDef``: graph as TensorBoard reads it."""

    FIELDS: ClassVar[dict[str, Field]] = {"node": messages(1, NodeDef)}


def graph_def(graph: Graph) -> bytes:
    """Return a ``GraphDef`` of a graph's nodes for TensorBoard. Nodes have the program's names, if any."""
    labels, roots = _named(graph)
    order = [node for node in topological(roots) if node.op != "get"]
    names: dict[Node, str] = {}
    namer = Namer({*labels.values()})
    definition = GraphDef()
    for node in order:
        names[node] = labels.get(node) or namer(_default_name(node))
        inputs = [names[_source(item)] for item in node.operands]
        attributes = [Attr(key="_output_shapes", value=AttrValue(list=ListValue(shape=_shapes(node))))]
        definition.node.add(name=names[node], op=_op(node), input=inputs, attr=attributes)
    for name, item in graph.named.items():
        if isinstance(item, Operation):
            inputs = [names[_source(tensor.node)] for tensor in item.needs() if _source(tensor.node) in names]
            definition.node.add(name=name, op=item.type, input=inputs)
    return definition.SerializeToString()


def _named(graph: Graph) -> tuple[dict[Node, str], list[Node]]:
    """Return (names of nodes, roots). Roots and their dependencies are the nodes to draw."""
    variables: dict[Any, str] = {item.spec: item.full for item in graph.all_variables() if isinstance(item, Variable)}
    tensors: list[Tensor] = [*graph.owners, *(item for item in graph.named.values() if isinstance(item, Tensor))]
    tensors += [tensor for item in graph.named.values() if isinstance(item, Operation) for tensor in item.needs()]
    roots = [tensor.node for tensor in tensors if not any(item.get("body") for item in topological([tensor.node]))]
    names = {_source(item.node): name for name, item in graph.named.items() if isinstance(item, Tensor)}
    for node in topological(roots):
        if node.op == "parameter":
            names[node] = variables.get(node["slot"], str(node["label"]))
    return names, roots


def _source(node: Node) -> Node:
    """Return the driver of a node that selects a driver's result; return other nodes unchanged."""
    return node.operands[0] if node.op == "get" else node


def _default_name(node: Node) -> str:
    """Return a name, which may not be unique, for a node that the program did not name."""
    return str(node.get("label") or node.name or node.op)


def _op(node: Node) -> str:
    """Return the type of operation that TensorBoard shows for a node."""
    return _NAMES.get(node.op) or node.op.title().replace("_", "")


def _shapes(node: Node) -> list[Shape]:
    """Return the shape of each output of a node."""
    kinds: Iterable[Any] = [node.type] if isinstance(node.type, TensorType) else node.type.items
    return [Shape(dim=[Size(size=dim if isinstance(dim, int) else -1) for dim in kind.shape]) for kind in kinds]


def png(pixels: np.ndarray) -> bytes:
    """Return the PNG file (ISO/IEC 15948) of pixels uint8 [height, width, channels]: 1, 3 or 4 channels."""
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], 1)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
