"""Files and folders that hold a graph of TensorFlow 1.x, taken apart. Nothing of them is trusted."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...storage.protobuf import DecodeError, Message, decode
from ...support.errors import FileError, shown
from ..reading import MOST_BYTES, bytes_of_file
from ..tensorflow.variables import read_tf1_variables
from . import messages

WHAT = "a graph of TensorFlow 1.x"
DTYPES: Mapping[int, str] = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 17: "uint16",
    19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
"""NumPy's names of ``DataType``. Reference types are these and 100."""
MAX_NODES = 1_000_000
SERVING = "serving_default"
M = TypeVar("M", bound=Message)
Ref = tuple[str, int]
"""An output of a node: its name, and which output."""


@dataclass(eq=False)
class Node:
    """A node. inputs: values alone; controls: nodes that run before it."""

    name: str
    op: str
    inputs: list[Ref]
    controls: list[str]
    attributes: Mapping[str, messages.AttrValue]

    def __str__(self) -> str:
        return f"node {shown(self.name)} ({self.op if self.op.isprintable() else shown(self.op)})"

    def dtype(self, key: str) -> str | None:
        """NumPy's name of an attribute that is a type, None where there is none."""
        found = self.attributes.get(key)
        return None if found is None or found.type is None else DTYPES.get(found.type % 100)

    def whole(self, key: str, default: int = 0) -> int:
        found = self.attributes.get(key)
        return default if found is None or found.i is None else found.i

    def number(self, key: str, default: float) -> float:
        found = self.attributes.get(key)
        return default if found is None or found.f is None else found.f

    def flag(self, key: str, default: bool = False) -> bool:
        found = self.attributes.get(key)
        return default if found is None or found.b is None else bool(found.b)

    def text(self, key: str, default: str = "") -> str:
        found = self.attributes.get(key)
        return default if found is None or found.s is None else found.s.decode("utf-8", "replace")

    def ints(self, key: str) -> list[int]:
        found = self.attributes.get(key)
        return [] if found is None or found.list is None else found.list.i.tolist()


@dataclass(eq=False)
class Source:
    """A graph. variables: arrays by name. inputs, outputs: tensors by their names in the signature, if there is one."""

    name: str
    nodes: dict[str, Node]
    variables: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def source_of(source: str | os.PathLike[str] | bytes) -> Source:
    """Open a frozen graph, a ``.meta`` file beside its checkpoint, or a SavedModel. Raises ``FileError``."""
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
    try:
        return decode(kind, data, errors="replace")
    except DecodeError as error:
        raise FileError(f"{name} is damaged or no {WHAT[2:]}: {error}") from None


def _saved_model(folder: Path) -> Source:
    name, data = bytes_of_file(folder / "saved_model.pb", WHAT)
    graphs = _decoded(messages.SavedModel, name, data).meta_graphs
    served = [meta for meta in graphs if meta.meta_info_def and "serve" in meta.meta_info_def.tags] or graphs
    if not served:
        raise FileError(f"{name} is no SavedModel: it holds no graph")
    return _of_meta(name, served[0], folder / "variables" / "variables")


def _of_meta(name: str, meta: messages.MetaGraph, checkpoint: Path) -> Source:
    if meta.graph_def is None:
        raise FileError(f"{name} holds no graph")
    found = Source(name, _nodes(name, meta.graph_def))
    if checkpoint.with_name(checkpoint.name + ".index").is_file():
        found.variables = read_tf1_variables(checkpoint)
    signatures = {entry.key: entry.value for entry in meta.signature_def if entry.value is not None}
    own = {key: item for key, item in signatures.items() if not key.startswith("__")}
    chosen = own.get(SERVING) or next(iter(own.values()), None)
    if chosen is not None:
        found.inputs, found.outputs = (
            {entry.key: entry.value.name for entry in entries if entry.value}
            for entries in (chosen.inputs, chosen.outputs)
        )
    return found


def _nodes(name: str, graph: messages.GraphDef) -> dict[str, Node]:
    if not graph.node:
        raise FileError(f"{name} is no {WHAT[2:]}: it holds no node")
    if len(graph.node) > MAX_NODES:
        raise FileError(f"{name} has more than {MAX_NODES:,} nodes")
    found: dict[str, Node] = {}
    for item in graph.node:
        if item.name in found:
            raise FileError(f"{name} is damaged: node {shown(item.name)} stands in it twice")
        values = [ref_of(text) for text in item.input if not text.startswith("^")]
        controls = [text[1:] for text in item.input if text.startswith("^")]
        attributes = {entry.key: entry.value for entry in item.attr if entry.value is not None}
        found[item.name] = Node(item.name, item.op, values, controls, attributes)
    return found


def ref_of(text: str) -> Ref:
    """Return the output of a node that a text such as ``while/Exit_1:0`` names."""
    name, colon, place = text.rpartition(":")
    return (name, int(place)) if colon and place.isdigit() and len(place) < 6 else (text, 0)


def array_of(name: str, node: Node) -> np.ndarray:
    """Return the array of a constant. Raises ``FileError``."""
    value = node.attributes.get("value")
    proto = value.tensor if value else None
    dtype = DTYPES.get(proto.dtype) if proto else None
    if proto is None or dtype is None:
        raise FileError(f"{name}: {node} holds no array of numbers")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim) if proto.tensor_shape else ()
    count = math.prod(shape)
    if any(size < 0 for size in shape) or count > MOST_BYTES or len(shape) > 32:
        raise FileError(f"{name} is damaged: {node} has shape {shown(list(shape))}")
    if proto.tensor_content is not None and len(proto.tensor_content):
        stored = np.dtype(dtype).newbyteorder("<")
        if len(proto.tensor_content) != count * stored.itemsize:
            raise FileError(f"{name} is damaged: {node} holds {len(proto.tensor_content)} bytes for {list(shape)}")
        return _held(np.frombuffer(proto.tensor_content, stored).reshape(shape))
    listed: Any = {
        "float32": proto.float_val, "float64": proto.double_val, "int64": proto.int64_val, "bool": proto.bool_val,
        "float16": proto.half_val,
    }.get(dtype, proto.int_val)  # fmt: skip
    numbers = listed.astype(np.uint16).view(np.float16) if dtype == "float16" else listed.astype(dtype)
    if numbers.size > count:
        raise FileError(f"{name} is damaged: {node} holds {numbers.size} numbers for {list(shape)}")
    whole = np.zeros(count, dtype)
    whole[: numbers.size] = numbers
    whole[numbers.size :] = numbers[-1] if numbers.size else 0
    return _held(whole.reshape(shape))


def _held(array: np.ndarray) -> np.ndarray:
    """In native byte order; float16 as float32, as all is computed here."""
    return array.astype(np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("="))
