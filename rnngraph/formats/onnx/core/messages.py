"""Protobuf messages of ONNX (onnx/onnx.proto), reduced to the fields that are read or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....storage.protobuf import (
    Kind,
    Message,
    array,
    integer,
    message,
    messages,
    raw,
    raws,
    real,
    text,
    texts,
    view,
)

FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS = range(1, 9)
"""Kinds of attributes, numbered as in ``AttributeProto.AttributeType``."""


@dataclass(eq=False)
class Entry(Message):
    """``StringStringEntryProto``."""

    key: str = text(1)
    value: str = text(2)


@dataclass(eq=False)
class Opset(Message):
    """``OperatorSetIdProto``."""

    domain: str = text(1)
    version: int = integer(2)


@dataclass(eq=False)
class Dimension(Message):
    """``TensorShapeProto.Dimension``: a size or its name."""

    dim_value: int | None = integer(1, optional=True)
    dim_param: str = text(2)


@dataclass(eq=False)
class Shape(Message):
    """``TensorShapeProto``."""

    dim: list[Dimension] = messages(1, lambda: Dimension)


@dataclass(eq=False)
class TensorType(Message):
    """``TypeProto.Tensor``."""

    elem_type: int = integer(1)
    shape: Shape | None = message(2, lambda: Shape)


@dataclass(eq=False)
class Type(Message):
    """``TypeProto``. Only types of tensors are read."""

    tensor_type: TensorType | None = message(1, lambda: TensorType)


@dataclass(eq=False)
class ValueInfo(Message):
    """``ValueInfoProto``: a value's name and type."""

    name: str = text(1)
    type: Type | None = message(2, lambda: Type)


@dataclass(eq=False)
class Tensor(Message):
    """``TensorProto``. Numbers are in ``raw_data``, in a typed list, or in another file if ``data_location`` is 1."""

    dims: np.ndarray = array(1, Kind.INTEGER, is_packed=False)
    data_type: int = integer(2)
    float_data: np.ndarray = array(4, Kind.FLOAT)
    int32_data: np.ndarray = array(5, Kind.INTEGER)
    int64_data: np.ndarray = array(7, Kind.INTEGER)
    name: str = text(8)
    raw_data: memoryview | None = view(9)
    double_data: np.ndarray = array(10, Kind.DOUBLE)
    uint64_data: np.ndarray = array(11, Kind.UNSIGNED)
    external_data: list[Entry] = messages(13, lambda: Entry)
    data_location: int = integer(14)


@dataclass(eq=False)
class SparseTensor(Message):
    """``SparseTensorProto``. Only its name is read."""

    values: Tensor | None = message(1, lambda: Tensor)

    @property
    def name(self) -> str:
        """Name of the array."""
        return self.values.name if self.values else ""


@dataclass(eq=False)
class Attribute(Message):
    """``AttributeProto``. In a function, ``ref_attr_name`` names the attribute of the call that provides the value."""

    name: str = text(1)
    f: float | None = real(2, optional=True)
    i: int | None = integer(3, optional=True)
    s: bytes | None = raw(4, optional=True)
    t: Tensor | None = message(5, lambda: Tensor)
    g: Graph | None = message(6, lambda: Graph)
    floats: np.ndarray = array(7, Kind.FLOAT, is_packed=False)
    ints: np.ndarray = array(8, Kind.INTEGER, is_packed=False)
    strings: list[bytes] = raws(9)
    graphs: list[Graph] = messages(11, lambda: Graph)
    type: int = integer(20)
    ref_attr_name: str = text(21)
    sparse_tensor: SparseTensor | None = message(22, lambda: SparseTensor)


@dataclass(eq=False)
class Node(Message):
    """``NodeProto``."""

    input: list[str] = texts(1)
    output: list[str] = texts(2)
    name: str = text(3)
    op_type: str = text(4)
    attribute: list[Attribute] = messages(5, lambda: Attribute)
    doc_string: bytes = raw(6)
    domain: str = text(7)
    overload: str = text(8)


@dataclass(eq=False)
class Graph(Message):
    """``GraphProto``."""

    node: list[Node] = messages(1, lambda: Node)
    name: str = text(2)
    initializer: list[Tensor] = messages(5, lambda: Tensor)
    input: list[ValueInfo] = messages(11, lambda: ValueInfo)
    output: list[ValueInfo] = messages(12, lambda: ValueInfo)
    sparse_initializer: list[SparseTensor] = messages(15, lambda: SparseTensor)


@dataclass(eq=False)
class Function(Message):
    """``FunctionProto``: an op defined by nodes. ``attribute_proto`` has the attributes with defaults."""

    name: str = text(1)
    input: list[str] = texts(4)
    output: list[str] = texts(5)
    attribute: list[str] = texts(6)
    node: list[Node] = messages(7, lambda: Node)
    opset_import: list[Opset] = messages(9, lambda: Opset)
    domain: str = text(10)
    attribute_proto: list[Attribute] = messages(11, lambda: Attribute)
    overload: str = text(13)


@dataclass(eq=False)
class Model(Message):
    """``ModelProto``."""

    ir_version: int = integer(1)
    producer_name: str = text(2)
    producer_version: str = text(3)
    doc_string: bytes = raw(6)
    graph: Graph | None = message(7, lambda: Graph)
    opset_import: list[Opset] = messages(8, lambda: Opset)
    functions: list[Function] = messages(25, lambda: Function)


def attribute(name: str, value: float | int | str | list[Any] | Tensor | Graph) -> Attribute:
    """Return the message of an attribute with a value. A list is ``STRINGS``, ``FLOATS``, or else ``INTS``."""
    match value:
        case Tensor():
            return Attribute(name, t=value, type=TENSOR)
        case Graph():
            return Attribute(name, g=value, type=GRAPH)
        case str():
            return Attribute(name, s=value.encode(), type=STRING)
        case float():
            return Attribute(name, f=value, type=FLOAT)
        case int():
            return Attribute(name, i=value, type=INT)
    items = [*value]
    if items and all(isinstance(item, str) for item in items):
        return Attribute(name, strings=[item.encode() for item in items], type=STRINGS)
    if any(isinstance(item, float) for item in items):
        return Attribute(name, floats=np.array(items, np.float32), type=FLOATS)
    return Attribute(name, ints=np.array(items, np.int64), type=INTS)
