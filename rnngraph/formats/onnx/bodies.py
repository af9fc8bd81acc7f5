"""Expands operators without a reader by the function bodies of ONNX's standard.

``function_bodies.json`` has the bodies that are the same for all nodes. The package onnx, if installed, builds bodies
that depend on a node's attributes and types.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...storage.protobuf import decode, encode
from .core import messages
from .core.inlining import inline_functions
from .core.known import Deferred, Operand, shape_of
from .core.model import MAIN_DOMAINS, Graph, Node, graph_of, number_of_dtype

FILE = Path(__file__).with_name("function_bodies.json")
DOMAIN = "rnngraph.body"
"""Domain of the calls by which function bodies are expanded. No file has this domain."""


def body_of(node: Node, inputs: Sequence[Operand | Deferred | None], opset: int) -> Graph | None:
    """Return a node's function body as a graph from the node's inputs to its outputs, under their names.

    None if ONNX defines no body, or if the package onnx must build it and is missing or too old.
    """
    if node.domain not in MAIN_DOMAINS:
        return None
    call = messages.Node(
        input=[*node.inputs],
        output=[*node.outputs],
        op_type=node.op,
        attribute=[
            messages.attribute(name, value)
            for name, value in node.attributes.items()
            if value is not None and not isinstance(value, Graph | messages.SparseTensor)
        ],
    )
    function = _recorded_body(node.op, opset) or _built(call, inputs, opset)
    if function is None:
        return None
    function.domain = call.domain = DOMAIN
    graph = messages.Graph(
        node=[call],
        input=[messages.ValueInfo(name) for name in node.inputs if name],
        output=[messages.ValueInfo(name) for name in node.outputs if name],
    )
    inline_functions(f"the body of {node.op}", messages.Model(graph=graph, functions=[function]))
    return graph_of(f"the body of {node.op}", graph)


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    table: Mapping[str, Mapping[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))
    return table


def _recorded_body(op: str, opset: int) -> messages.Function | None:
    """Return an op's newest body up to ``opset`` in ``function_bodies.json``; None if the file has none."""
    versions = [int(version) for version in _table().get(op, {}) if int(version) <= opset]
    return decode(messages.Function, base64.b64decode(_table()[op][str(max(versions))])) if versions else None


def _built(call: messages.Node, inputs: Sequence[Operand | Deferred | None], opset: int) -> messages.Function | None:
    """Return a node's body that the package onnx builds; None if the package is missing, or has no body for the op."""
    try:
        from onnx import defs
    except ImportError:
        return None
    try:
        schema: Any = defs.get_schema(call.op_type, opset, "")
        versions = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
        if not versions:
            return None
        types = [encode(_type(item)) for item in inputs]
        data: bytes = schema.get_context_dependent_function_with_opset_version(max(versions), encode(call), types)
    except Exception:  # raised by the package's C++ library: unknown operators, invalid attributes
        return None
    return decode(messages.Function, data) if data else None


def _type(operand: Any) -> messages.Type:
    """Return an input's type as a message. Symbolic sizes become unknown sizes; an absent input has an empty type."""
    if operand is None or (not hasattr(operand, "dtype") and not hasattr(operand, "tensor")):
        return messages.Type()
    dtype = operand.tensor.dtype if hasattr(operand, "tensor") else str(np.dtype(operand.dtype))
    dims = [messages.Dimension(dim if isinstance(dim, int) else None) for dim in shape_of(operand)]
    return messages.Type(messages.TensorType(number_of_dtype(dtype), messages.Shape(dims)))
