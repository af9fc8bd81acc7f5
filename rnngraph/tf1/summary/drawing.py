"""A graph as TensorBoard draws it (``GraphDef``), and numbers as pictures (PNG)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...ir.graph import Node, topological
from ...ir.node import Namer
from ...ir.types import TensorType
from ..core.graph import Graph
from ..core.operations import Operation
from ..core.variable import Variable
from .messages import Message, Shape, Size, message, messages, raws, text

_NAMES = {"input": "Placeholder", "parameter": "VariableV2", "constant": "Const", "matmul": "MatMul", "driver": "While"}


class ListValue(Message):
    """``AttrValue.ListValue``."""

    FIELDS = {"shape": messages(7, Shape)}  # noqa: RUF012


class AttrValue(Message):
    """An attribute: a list of shapes."""

    FIELDS = {"list": message(1, ListValue)}  # noqa: RUF012


class Attr(Message):
    """An attribute and its name."""

    FIELDS = {"key": text(1), "value": message(2, AttrValue)}  # noqa: RUF012


class NodeDef(Message):
    """A node."""

    FIELDS = {"name": text(1), "op": text(2), "input": raws(3), "attr": messages(5, Attr)}  # noqa: RUF012


class GraphDef(Message):
    """A graph."""

    FIELDS = {"node": messages(1, NodeDef)}  # noqa: RUF012


def graph_def(graph: Graph) -> bytes:
    """What a graph declares, node by node, as TensorBoard reads it. Names are the program's where it gave some."""
    given, roots = _named(graph)
    order = [node for node in topological(roots) if node.op != "get"]
    names: dict[Node, str] = {}
    namer = Namer({*given.values()})
    made = GraphDef()
    for node in order:
        names[node] = given.get(node) or namer(_usual(node))
        inputs = [names[_source(item)] for item in node.operands]
        attributes = [Attr(key="_output_shapes", value=AttrValue(list=ListValue(shape=_shapes(node))))]
        made.node.add(name=names[node], op=_op(node), input=inputs, attr=attributes)
    for name, item in graph.named.items():
        if isinstance(item, Operation):
            inputs = [names[_source(tensor.node)] for tensor in item.needs() if _source(tensor.node) in names]
            made.node.add(name=name, op=item.type, input=inputs)
    return made.SerializeToString()


def _named(graph: Graph) -> tuple[dict[Node, str], list[Node]]:
    """Names of nodes, and nodes that all others are reached from."""
    variables: dict[Any, str] = {item.spec: item.full for item in graph.all_variables() if isinstance(item, Variable)}
    tensors: list[Tensor] = [*graph.owners, *(item for item in graph.named.values() if isinstance(item, Tensor))]
    tensors += [tensor for item in graph.named.values() if isinstance(item, Operation) for tensor in item.needs()]
    roots = [tensor.node for tensor in tensors if not any(item.get("body") for item in topological([tensor.node]))]
    given = {_source(item.node): name for name, item in graph.named.items() if isinstance(item, Tensor)}
    for node in topological(roots):
        if node.op == "parameter":
            given[node] = variables.get(node["slot"], str(node["label"]))
    return given, roots


def _source(node: Node) -> Node:
    """What gives a value: of a driver's results the driver."""
    return node.operands[0] if node.op == "get" else node


def _usual(node: Node) -> str:
    return str(node.get("label") or node.name or node.op)


def _op(node: Node) -> str:
    return _NAMES.get(node.op) or node.op.title().replace("_", "")


def _shapes(node: Node) -> list[Shape]:
    kinds: Iterable[Any] = [node.type] if isinstance(node.type, TensorType) else node.type.items
    return [Shape(dim=[Size(size=dim if isinstance(dim, int) else -1) for dim in kind.shape]) for kind in kinds]


def png(pixels: np.ndarray) -> bytes:
    """A picture [height, width, 1, 3 or 4] of bytes as a PNG file (ISO/IEC 15948)."""
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], 1)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
