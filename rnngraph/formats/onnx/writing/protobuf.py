"""Nodes, tensors and types as ONNX's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....ir.graph import Node
from ....ir.types import Size, TensorType, dim_text
from ....storage.protobuf import encode
from ....version import __version__
from ..core import messages
from .operators import ELEMENT_TYPES
from .scope import Body, Model, Operator

PRODUCER = "rnngraph"
HEAD = bytes([0x12, len(PRODUCER)]) + PRODUCER.encode()
"""Bytes with which every written file begins, after the format's version: field 2 of a model, the producer's name."""
_IR_VERSIONS = {
    13: 7,
    14: 7,
    15: 8,
    16: 8,
    17: 8,
    18: 8,
    19: 9,
    20: 9,
    21: 10,
    22: 10,
    23: 11,
    24: 12,
    25: 13,
    26: 13,
    27: 13,
}
"""Lowest version of the format for each opset (onnx/docs/Versioning.md)."""


def serialized(
    model: Model,
    operators: Sequence[Operator],
    inputs: Sequence[tuple[str, Node]],
    outputs: Sequence[tuple[str, Node]],
    about: str,
) -> bytes:
    """Return the bytes of an ONNX file.

    Args:
        model: Constant tensors and opset.
        operators: Nodes of the main graph.
        inputs: (name, node of the graph IR) of inputs.
        outputs: (name, node of the graph IR) of outputs.
        about: Documentation string of the model.
    """
    graph = messages.Graph(
        node=[_node(operator) for operator in operators],
        name="inference",
        initializer=[_tensor(array, name) for name, array in model.initializers.items()],
        input=[_value(name, node.tensor) for name, node in inputs],
        output=[_value(name, node.tensor) for name, node in outputs],
    )
    whole = messages.Model(
        ir_version=_IR_VERSIONS[model.opset],
        producer_name=PRODUCER,
        producer_version=__version__,
        doc_string=about.encode(),
        graph=graph,
        opset_import=[messages.Opset(version=model.opset)],
    )
    return encode(whole)


def _node(operator: Operator) -> messages.Node:
    return messages.Node(
        input=operator.inputs,
        output=operator.outputs,
        name=next(filter(None, operator.outputs)),
        op_type=operator.op,
        attribute=[_attribute(name, operator.attributes[name]) for name in sorted(operator.attributes)],
        doc_string=operator.about.encode(),
    )


def _attribute(name: str, value: Any) -> messages.Attribute:
    if isinstance(value, Body):
        return messages.attribute(name, _graph(value))
    return messages.attribute(name, [*value] if isinstance(value, tuple) else value)


def _graph(body: Body) -> messages.Graph:
    return messages.Graph(
        node=[_node(operator) for operator in body.operators],
        name=body.name,
        input=[_value(*item) for item in body.inputs],
        output=[_value(*item) for item in body.outputs],
    )


def _tensor(array: np.ndarray, name: str) -> messages.Tensor:
    return messages.Tensor(
        dims=np.array(array.shape, np.int64),
        data_type=ELEMENT_TYPES[array.dtype.name],
        name=name,
        raw_data=array.astype(array.dtype.newbyteorder("<"), "C").reshape(-1).view(np.uint8).data,
    )


def _value(name: str, kind: TensorType) -> messages.ValueInfo:
    dims = [
        messages.Dimension(dim_param=dim_text(dim)) if isinstance(dim, Size) else messages.Dimension(int(dim))
        for dim in kind.shape
    ]
    tensor = messages.TensorType(ELEMENT_TYPES[kind.dtype], messages.Shape(dims))
    return messages.ValueInfo(name, messages.Type(tensor))
