"""Nodes, tensors and types as onnx's messages. The one file here that needs onnx, once a file is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ....ir.graph import Node
from ....ir.types import Size, TensorType, dim_text
from ....support.errors import MissingExtraError
from ....version import __version__
from .operators import ELEMENT_TYPES
from .scope import Body, Model, Operator

PRODUCER = "rnngraph"
HEAD = bytes([0x12, len(PRODUCER)]) + PRODUCER.encode()
"""What is near the beginning of every file: field 2 of a model, the producer's name."""


def serialized(
    model: Model, operators: Sequence[Operator], inputs: Sequence[tuple[str, Node]],
    outputs: Sequence[tuple[str, Node]], about: str,
) -> bytes:  # fmt: skip
    """The bytes of a file. Raises ``MissingExtraError`` without onnx."""
    try:
        from onnx import helper, numpy_helper
    except ImportError:
        raise MissingExtraError("write_onnx needs onnx; pip install onnx") from None

    tensors = [numpy_helper.from_array(array, name) for name, array in model.initializers.items()]
    graph = helper.make_graph(
        [_node(helper, operator) for operator in operators],
        "inference",
        [_value(helper, name, node.tensor) for name, node in inputs],
        [_value(helper, name, node.tensor) for name, node in outputs],
        tensors,
    )
    opset = [helper.make_opsetid("", model.opset)]
    made = helper.make_model(
        graph, opset_imports=opset, ir_version=helper.find_min_ir_version_for(opset),
        producer_name=PRODUCER, producer_version=__version__,
    )  # fmt: skip
    if about:
        made.doc_string = about
    data: bytes = made.SerializeToString()
    return data


def _node(helper: Any, operator: Operator) -> Any:
    attributes = {
        key: _graph(helper, value) if isinstance(value, Body) else value for key, value in operator.attributes.items()
    }
    name = next(filter(None, operator.outputs))
    return helper.make_node(
        operator.op, operator.inputs, operator.outputs, name=name, doc_string=operator.about or None, **attributes
    )


def _graph(helper: Any, body: Body) -> Any:
    values = ([_value(helper, *item) for item in items] for items in (body.inputs, body.outputs))
    return helper.make_graph([_node(helper, operator) for operator in body.operators], body.name, *values)


def _value(helper: Any, name: str, kind: TensorType) -> Any:
    dims: Iterable[int | str] = [dim_text(dim) if isinstance(dim, Size) else dim for dim in kind.shape]
    return helper.make_tensor_value_info(name, ELEMENT_TYPES[kind.dtype], list(dims))
