"""Protobuf messages of TensorFlow's graphs and SavedModels, reduced to the fields that are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...storage.protobuf import Kind, Message, array, integer, message, messages, raw, raws, real, text, texts
from ..tensorflow.messages import TensorProto, TensorShape


@dataclass(eq=False)
class ListValue(Message):
    """``AttrValue.ListValue``: the strings or ints of an attribute that is a list."""

    s: list[bytes] = raws(2)
    i: np.ndarray = array(3, Kind.INTEGER)


@dataclass(eq=False)
class AttrValue(Message):
    """``AttrValue``: one field is set, the one of the attribute's type."""

    list: ListValue | None = message(1, lambda: ListValue)
    s: bytes | None = raw(2, optional=True)
    i: int | None = integer(3, optional=True)
    f: float | None = real(4, optional=True)
    b: int | None = integer(5, optional=True)
    type: int | None = integer(6, optional=True)
    shape: TensorShape | None = message(7, lambda: TensorShape)
    tensor: TensorProto | None = message(8, lambda: TensorProto)


@dataclass(eq=False)
class AttrEntry(Message):
    """Entry of ``NodeDef.attr``."""

    key: str = text(1)
    value: AttrValue | None = message(2, lambda: AttrValue)


@dataclass(eq=False)
class NodeDef(Message):
    """``NodeDef``: a node of a graph.

    Attributes:
        input: ``name``, ``name:1``, or ``^name`` for a control dependency.
    """

    name: str = text(1)
    op: str = text(2)
    input: list[str] = texts(3)
    attr: list[AttrEntry] = messages(5, lambda: AttrEntry)


@dataclass(eq=False)
class GraphDef(Message):
    """``GraphDef``: the nodes of a graph."""

    node: list[NodeDef] = messages(1, lambda: NodeDef)


@dataclass(eq=False)
class TensorInfo(Message):
    """``TensorInfo``: a tensor of a signature."""

    name: str = text(1)


@dataclass(eq=False)
class TensorInfoEntry(Message):
    """Entry of ``SignatureDef.inputs`` and ``outputs``."""

    key: str = text(1)
    value: TensorInfo | None = message(2, lambda: TensorInfo)


@dataclass(eq=False)
class SignatureDef(Message):
    """``SignatureDef``: a graph's tensors that callers feed and fetch, by name."""

    inputs: list[TensorInfoEntry] = messages(1, lambda: TensorInfoEntry)
    outputs: list[TensorInfoEntry] = messages(2, lambda: TensorInfoEntry)


@dataclass(eq=False)
class SignatureEntry(Message):
    """Entry of ``MetaGraphDef.signature_def``."""

    key: str = text(1)
    value: SignatureDef | None = message(2, lambda: SignatureDef)


@dataclass(eq=False)
class MetaInfo(Message):
    """``MetaGraphDef.MetaInfoDef``: tags of a graph, such as ``serve``."""

    tags: list[str] = texts(4)


@dataclass(eq=False)
class MetaGraph(Message):
    """``MetaGraphDef``: a graph with its tags and signatures."""

    meta_info_def: MetaInfo | None = message(1, lambda: MetaInfo)
    graph_def: GraphDef | None = message(2, lambda: GraphDef)
    signature_def: list[SignatureEntry] = messages(5, lambda: SignatureEntry)


@dataclass(eq=False)
class SavedModel(Message):
    """``SavedModel``: the graphs that a folder contains."""

    meta_graphs: list[MetaGraph] = messages(2, lambda: MetaGraph)
