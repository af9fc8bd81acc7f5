"""Parses untrusted model files into graphs of nodes, with limits on nesting, nodes and arrays."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ....storage.protobuf import DecodeError, decode
from ....storage.read_file import open_file
from ....support.allocation import reserve
from ....support.errors import FileError, shown
from ...reading import MAX_BYTES, bytes_of_file
from . import messages
from .inlining import MAX_NODES, Inlined, inline_functions

WHAT = "an ONNX file"
"""Kind of file, for errors."""
MAX_DEPTH = 40
"""Maximum nesting depth of graphs, because readers recurse into nested graphs."""
MAIN_DOMAINS = ("", "ai.onnx")
"""Names of the domain of ONNX's standard operators."""

Array = messages.Tensor | messages.SparseTensor
Attribute: TypeAlias = "float | int | str | list[Any] | Array | Graph"
"""Value of an attribute. A list has numbers or strings."""


@dataclass(frozen=True)
class Kind:
    """Dtype and shape of a value.

    Attributes:
        dtype: Name of the dtype, such as ``float32``; None for values that are no tensors, and for unsupported dtypes.
        shape: Size of each axis: an int, a name, or None if unknown. The whole shape is None if the rank is unknown.
    """

    dtype: str | None
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, eq=False)
class Node:
    """Node of a graph.

    Attributes:
        inputs: Names of values; ``""`` for an absent input.
        opsets: Operator-set version of each domain, for a node from a function; None if the file's versions apply.
    """

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute | None]
    opsets: Mapping[str, int] | None = None

    def __str__(self) -> str:
        op = self.op if self.domain in MAIN_DOMAINS else f"{self.domain}.{self.op}"
        what = f"node {shown(self.name)}" if self.name else f"the node of {shown(next(filter(None, self.outputs), ''))}"
        return f"{what} ({_plain(op)})"


def _plain(text: str) -> str:
    """Return a short printable name as it is, any other quoted and cut, for errors."""
    return text if text.isprintable() and len(text) < 80 else shown(text)


@dataclass(eq=False)
class Graph:
    """Graph of nodes.

    Attributes:
        inputs: Types of the inputs by name, without inputs that have a default in ``arrays``.
    """

    nodes: list[Node] = field(default_factory=list)
    inputs: dict[str, Kind] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    makers: dict[str, Node] = field(default_factory=dict)
    """Node that computes a value, by the value's name."""


@dataclass(eq=False)
class Model:
    """Parsed ONNX file.

    Attributes:
        name: The file's name in errors.
        opsets: Operator-set version of each domain.
        about: Docstring of the generated script.
    """

    name: str
    graph: Graph
    opsets: Mapping[str, int]
    arrays: ArrayReader
    about: str = "A net that rnngraph read from an ONNX file."


def model_of(source: Any) -> Model:
    """Parse a model, given as a path, bytes or an ``onnx.ModelProto``. Raises ``FileError`` if it is damaged."""
    folder = None
    if hasattr(source, "SerializeToString") and hasattr(source, "graph"):
        name, data = "this model", _serialized(source)
    else:
        name, data = bytes_of_file(source, WHAT)
        if not isinstance(source, bytes | bytearray | memoryview):
            folder = Path(os.fsdecode(source)).parent
    try:
        proto = decode(messages.Model, data)
    except DecodeError as error:
        raise FileError(f"{name} is damaged or no {WHAT[3:]}: {error}; export it again") from None
    if proto.graph is None:
        raise FileError(f"{name} is no {WHAT[3:]}: it has no graph; export it again")
    inline_functions(name, proto)
    graph = graph_of(name, proto.graph)
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    if "ai.onnx" in opsets:
        opsets.setdefault("", opsets["ai.onnx"])
    return Model(name, graph, opsets, ArrayReader(name, folder))


def _serialized(source: Any) -> bytes:
    """Return the bytes of an ``onnx.ModelProto``."""
    try:
        data: bytes = source.SerializeToString()
    except Exception as error:  # each implementation of protobuf raises its own exceptions
        raise FileError(
            f"can't serialize this model: {shown(str(error))}; save it with external data, and give the path"
        ) from None
    return data


class _Graphs:
    """Converts protobuf messages to ``Graph``, and limits their nodes. ``name`` is the file's name in errors."""

    def __init__(self, name: str) -> None:
        self._name, self._nodes = name, 0

    def graph(self, proto: messages.Graph, depth: int) -> Graph:
        if depth > MAX_DEPTH:
            raise FileError(f"{self._name} has graphs nested more than {MAX_DEPTH} deep, the maximum")
        self._nodes += len(proto.node)
        if self._nodes > MAX_NODES:
            raise FileError(f"{self._name} has more than {MAX_NODES:,} nodes, the maximum")
        parsed = Graph(outputs=[item.name for item in proto.output])
        parsed.arrays |= {item.name: item for item in proto.initializer}
        parsed.arrays |= {item.name: item for item in proto.sparse_initializer}
        parsed.inputs = {item.name: _value_type(item.type) for item in proto.input if item.name not in parsed.arrays}
        for item in proto.node:
            attributes = {entry.name: self._attribute(entry, depth) for entry in item.attribute}
            opsets = item.opsets if isinstance(item, Inlined) else None
            inputs, outputs = tuple(item.input), tuple(item.output)
            node = Node(item.op_type, item.domain, item.name, inputs, outputs, attributes, opsets)
            parsed.nodes.append(node)
            for output in filter(None, node.outputs):
                if output in parsed.makers or output in parsed.inputs or output in parsed.arrays:
                    raise FileError(f"{self._name} is damaged: it defines {shown(output)} twice; export it again")
                parsed.makers[output] = node
        return parsed

    def _attribute(self, entry: messages.Attribute, depth: int) -> Attribute | None:
        """Return an attribute's value; None for types of attributes that no reader reads."""
        match entry.type:
            case messages.FLOAT:
                return entry.f or 0.0
            case messages.INT:
                return entry.i or 0
            case messages.STRING:
                return (entry.s or b"").decode("utf-8", "replace")
            case messages.TENSOR:
                return entry.t or messages.Tensor()
            case messages.GRAPH:
                return self.graph(entry.g or messages.Graph(), depth + 1)
            case messages.FLOATS:
                return [*entry.floats.tolist()]
            case messages.INTS:
                return [*entry.ints.tolist()]
            case messages.STRINGS:
                return [text.decode("utf-8", "replace") for text in entry.strings]
        return None


def _value_type(proto: messages.Type | None) -> Kind:
    """Return the dtype and shape that a message states."""
    tensor = proto.tensor_type if proto else None
    if tensor is None:
        return Kind(None, None)
    dtype = dtype_name(tensor.elem_type)
    if tensor.shape is None:
        return Kind(dtype, None)
    shape: list[int | str | None] = []
    for dim in tensor.shape.dim:
        if dim.dim_value is not None and dim.dim_value > 0:
            shape.append(dim.dim_value)
        else:  # exporters write 0 or -1 for unknown sizes
            shape.append(dim.dim_param or None)
    return Kind(dtype, tuple(shape))


def graph_of(name: str, proto: messages.Graph) -> Graph:
    """Convert a protobuf message to a ``Graph``. ``name`` is the file's name in errors."""
    return _Graphs(name).graph(proto, 0)


def number_of_dtype(dtype: str) -> int:
    """Return ONNX's number of an element type; 0 for a dtype that is not supported."""
    return next((number for number, name in _DTYPES.items() if name == dtype), 0)


def dtype_name(number: int) -> str | None:
    """Return the dtype's name for ONNX's number of an element type; None for strings and other unsupported types."""
    return _DTYPES.get(number)


_DTYPES: Mapping[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}


class ArrayReader:
    """Reads the arrays of a model, from its file and from further files in the file's folder.

    Args:
        name: The file's name in errors.
        folder: The file's folder; None for a model that was read from bytes.
    """

    def __init__(self, name: str, folder: Path | None) -> None:
        self._name, self._folder = name, folder
        self._decoded: dict[Array, np.ndarray] = {}
        """Decoded arrays by message, because a model may be read several times."""

    def array(self, proto: Array) -> np.ndarray:
        """Return a message's array, read-only; always the same object. float16 and bfloat16 become float32.

        Raises:
            FileError: The array is damaged, sparse, or of an unsupported dtype.
        """
        if proto not in self._decoded:
            array = self._array(proto)
            array.flags.writeable = False
            self._decoded[proto] = array
        return self._decoded[proto]

    def _damaged(self, what: str) -> FileError:
        return FileError(f"{self._name} is damaged: {what}; export it again")

    def _array(self, proto: Array) -> np.ndarray:
        """Decode a message's array, without a cache."""
        what = shown(proto.name or "an array")
        if isinstance(proto, messages.SparseTensor):
            raise FileError(f"{self._name}: {what} is sparse, which is not supported; store it as a dense array")
        dtype = dtype_name(proto.data_type)
        if dtype is None:
            raise FileError(
                f"{self._name}: {what} has element type {proto.data_type}, which can't be read; store numbers or bools"
            )
        shape = tuple(proto.dims.tolist())
        if any(size < 0 for size in shape) or math.prod(shape) > MAX_BYTES or len(shape) > 32:
            raise self._damaged(f"{what} has the impossible shape {shown(list(shape))}")
        stored = np.dtype("uint16" if dtype == "bfloat16" else dtype).newbyteorder("<")
        if proto.data_location == 1:  # in another file of the folder
            flat = np.frombuffer(self._external_bytes(proto, what), stored)
        elif proto.raw_data is not None:
            if len(proto.raw_data) != math.prod(shape) * stored.itemsize:
                raise self._damaged(f"{what} has {len(proto.raw_data)} bytes, which do not fit its shape {list(shape)}")
            flat = np.frombuffer(proto.raw_data, stored)
        else:
            flat = self._numbers(proto, dtype)
        if flat.size != math.prod(shape):
            raise self._damaged(f"{what} has {flat.size} numbers, which do not fit its shape {list(shape)}")
        if dtype == "bfloat16":
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return flat.astype(np.float32 if dtype == "float16" else flat.dtype.newbyteorder("=")).reshape(shape)

    def _numbers(self, proto: messages.Tensor, dtype: str) -> np.ndarray:
        """Return the numbers in the typed list of a message without ``raw_data``, bfloat16 as its bits in uint16."""
        field_name = {
            "float32": "float_data",
            "float64": "double_data",
            "int64": "int64_data",
            "uint32": "uint64_data",
            "uint64": "uint64_data",
        }.get(dtype, "int32_data")
        numbers: np.ndarray = getattr(proto, field_name)
        if not numbers.size:
            return np.zeros(0, np.uint16 if dtype == "bfloat16" else dtype)
        if dtype in ("float16", "bfloat16"):
            bits = numbers.astype(np.uint16)
            return bits if dtype == "bfloat16" else bits.view(np.float16)
        return numbers.astype(dtype)

    def _external_bytes(self, proto: messages.Tensor, what: str) -> bytes:
        """Read a tensor's bytes from another file in the model's folder."""
        entries = {entry.key: entry.value for entry in proto.external_data}
        location = entries.get("location", "")
        if self._folder is None:
            raise FileError(
                f"{self._name}: {what} is stored in file {shown(location)}; give the model's path, not its bytes"
            )
        try:
            offset = int(entries.get("offset") or 0)
            folder = self._folder.resolve()
            path = (folder / location).resolve()
            if not location or not path.is_relative_to(folder):
                raise FileError(
                    f"{self._name}: {what} is stored in {shown(location)}, outside of the model's folder; move the "
                    "file into the folder"
                )
            with open_file(path, f"the file with {what}") as file:
                whole = os.fstat(file.fileno()).st_size
                length = int(entries.get("length") or whole - offset)
                if offset < 0 or length < 0 or offset + length > whole or length > MAX_BYTES:
                    raise FileError(
                        f"{self._name} is damaged: {what} is {length} bytes from byte {offset} of {shown(location)}, "
                        f"which has {whole}; copy the whole file"
                    )
                reserve(length, f"what {path} holds")
                file.seek(offset)
                return file.read(length)
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(
                f"{self._name}: can't read {what} from {shown(location)}: {error}; put the file beside the model"
            ) from None


def subgraphs(node: Node) -> Iterator[Graph]:
    """Yield the graphs among a node's attributes."""
    return (value for value in node.attributes.values() if isinstance(value, Graph))
