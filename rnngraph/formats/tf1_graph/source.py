"""Parses untrusted files and folders that contain a graph of TensorFlow 1.x."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...storage.protobuf import DecodeError, Message, decode
from ...support.errors import FileError, shown
from ..reading import MAX_BYTES, bytes_of_file
from ..tensorflow import tensors
from ..tensorflow.tensors import array_of_tensor
from ..tensorflow.variables import read_tf1_variables
from . import messages

WHAT = "a graph of TensorFlow 1.x"
DTYPES: Mapping[int, str] = {
    number: np.dtype(kind).name
    for number, kind in tensors.DTYPES.items()
    if np.dtype(kind).kind != "c" and number != tensors.BFLOAT16
}
"""NumPy dtypes by TensorFlow's ``DataType``. Reference types have numbers that are higher by 100."""
MAX_NODES = 1_000_000
SERVING = "serving_default"
M = TypeVar("M", bound=Message)
Ref = tuple[str, int]
"""Output of a node: (name of the node, index of the output)."""


@dataclass(eq=False)
class Node:
    """Node of a graph.

    Attributes:
        inputs: Outputs of other nodes that the node reads, in order.
        controls: Names of nodes on which the node depends without reading a value (control dependencies).
    """

    name: str
    op: str
    inputs: list[Ref]
    controls: list[str]
    attributes: Mapping[str, messages.AttrValue]

    def __str__(self) -> str:
        return f"node {shown(self.name)} ({self.op if self.op.isprintable() else shown(self.op)})"

    def dtype(self, key: str) -> str | None:
        """Return the NumPy dtype that a type attribute names; None if the attribute is missing, or not numeric."""
        attribute = self.attributes.get(key)
        return None if attribute is None or attribute.type is None else DTYPES.get(attribute.type % 100)

    def type_text(self, key: str) -> str:
        """Return text for errors about a type attribute, such as ``DataType 7``; ``no type`` if it is missing."""
        attribute = self.attributes.get(key)
        return "no type" if attribute is None or attribute.type is None else f"DataType {attribute.type}"

    def whole(self, key: str, default: int = 0) -> int:
        attribute = self.attributes.get(key)
        return default if attribute is None or attribute.i is None else attribute.i

    def number(self, key: str, default: float) -> float:
        attribute = self.attributes.get(key)
        return default if attribute is None or attribute.f is None else attribute.f

    def flag(self, key: str, default: bool = False) -> bool:
        attribute = self.attributes.get(key)
        return default if attribute is None or attribute.b is None else bool(attribute.b)

    def text(self, key: str, default: str = "") -> str:
        attribute = self.attributes.get(key)
        return default if attribute is None or attribute.s is None else attribute.s.decode("utf-8", "replace")

    def ints(self, key: str) -> list[int]:
        attribute = self.attributes.get(key)
        return [] if attribute is None or attribute.list is None else attribute.list.i.tolist()


@dataclass(eq=False)
class Source:
    """Graph with its variables and signature.

    Attributes:
        variables: The variables' arrays, by name.
        inputs: Names of tensors, by their names in the signature; empty without a signature.
        outputs: Names of tensors, by their names in the signature; empty without a signature.
    """

    name: str
    nodes: dict[str, Node]
    variables: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def source_of(source: str | os.PathLike[str] | bytes) -> Source:
    """Open a frozen graph, a SavedModel, or a ``.meta`` file next to its checkpoint. Raises ``FileError``."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.is_dir():
            return _saved_model(path)
        if path.suffix == ".meta":
            name, data = bytes_of_file(path, WHAT)
            return _of_meta(name, _decoded(messages.MetaGraph, name, data), path.with_suffix(""))
        if path.name == "saved_model.pb":
            return _saved_model(path.parent)
    name, data = bytes_of_file(source, WHAT)
    return Source(name, _nodes(name, _decoded(messages.GraphDef, name, data)))


def _decoded(kind: type[M], name: str, data: bytes) -> M:
    """Decode a protobuf message. Raises ``FileError`` if it is damaged."""
    try:
        return decode(kind, data, errors="replace")
    except DecodeError as error:
        raise FileError(f"{name} is damaged or no {WHAT[2:]}: {error}; save it again") from None


def _saved_model(folder: Path) -> Source:
    """Open the folder of a SavedModel: the graph with the tag ``serve``, or else the first one."""
    name, data = bytes_of_file(folder / "saved_model.pb", WHAT)
    graphs = _decoded(messages.SavedModel, name, data).meta_graphs
    served = [meta for meta in graphs if meta.meta_info_def and "serve" in meta.meta_info_def.tags] or graphs
    if not served:
        raise FileError(f"{name} is no SavedModel: it contains no graph; save it again")
    return _of_meta(name, served[0], folder / "variables" / "variables")


def _of_meta(name: str, meta: messages.MetaGraph, checkpoint: Path) -> Source:
    """Return the graph of a MetaGraph, with its checkpoint's variables and its serving or else first signature."""
    if meta.graph_def is None:
        raise FileError(f"{name} contains no graph; save it again")
    source = Source(name, _nodes(name, meta.graph_def))
    if checkpoint.with_name(checkpoint.name + ".index").is_file():
        source.variables = read_tf1_variables(checkpoint)
    signatures = {entry.key: entry.value for entry in meta.signature_def if entry.value is not None}
    own = {key: item for key, item in signatures.items() if not key.startswith("__")}
    chosen = own.get(SERVING) or next(iter(own.values()), None)
    if chosen is not None:
        source.inputs, source.outputs = (
            {entry.key: entry.value.name for entry in entries if entry.value}
            for entries in (chosen.inputs, chosen.outputs)
        )
    return source


def _nodes(name: str, graph: messages.GraphDef) -> dict[str, Node]:
    """Return the nodes of a graph by name. Raises ``FileError`` if the graph is empty, too large or damaged."""
    if not graph.node:
        raise FileError(f"{name} is no {WHAT[2:]}: it contains no node; save it again")
    if len(graph.node) > MAX_NODES:
        raise FileError(f"{name} has more than {MAX_NODES:,} nodes, the maximum")
    nodes: dict[str, Node] = {}
    for item in graph.node:
        if item.name in nodes:
            raise FileError(f"{name} is damaged: it has two nodes named {shown(item.name)}; save it again")
        values = [ref_of(text) for text in item.input if not text.startswith("^")]
        controls = [text[1:] for text in item.input if text.startswith("^")]
        attributes = {entry.key: entry.value for entry in item.attr if entry.value is not None}
        nodes[item.name] = Node(item.name, item.op, values, controls, attributes)
    return nodes


def ref_of(text: str) -> Ref:
    """Parse the name of an output: ``while/Exit:1`` → ``("while/Exit", 1)``. Without an index it is output 0."""
    name, colon, place = text.rpartition(":")
    return (name, int(place)) if colon and place.isdigit() and len(place) < 6 else (text, 0)


def array_of(name: str, node: Node) -> np.ndarray:
    """Return the array of a Const node, float16 as float32. Raises ``FileError`` if it is damaged, or not numeric."""
    value = node.attributes.get("value")
    proto = value.tensor if value else None
    if proto is None or proto.dtype not in DTYPES:
        raise FileError(f"{name}: {node} contains no array of numbers; save it again")
    shape = proto.tensor_shape.sizes if proto.tensor_shape else ()
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_BYTES or len(shape) > 32:
        raise FileError(f"{name} is damaged: {node} has the impossible shape {shown(list(shape))}; save it again")
    try:
        array = array_of_tensor(proto, proto.dtype, shape, str(node), default=0)
    except ValueError as error:
        raise FileError(f"{name} is damaged: {error}; save it again") from None
    return array.astype(np.float32) if array.dtype == np.float16 else array  # The net computes in float32.
