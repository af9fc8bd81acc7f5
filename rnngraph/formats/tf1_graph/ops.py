"""Translates ops to one ONNX node with another name, or to several ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ir.types import FLOATS
from ..operators.errors import UnreadableError
from .randomness import Drawn, without_draws
from .source import Node
from .translation import DOMAIN, Translation, translates

SAME: Mapping[str, str] = {
    "Add": "Add",
    "AddV2": "Add",
    "Sub": "Sub",
    "Mul": "Mul",
    "RealDiv": "Div",
    "Div": "Div",
    "Pow": "Pow",
    "Neg": "Neg",
    "Abs": "Abs",
    "Exp": "Exp",
    "Log": "Log",
    "Sqrt": "Sqrt",
    "Sin": "Sin",
    "Cos": "Cos",
    "Tan": "Tan",
    "Asin": "Asin",
    "Acos": "Acos",
    "Atan": "Atan",
    "Sinh": "Sinh",
    "Cosh": "Cosh",
    "Asinh": "Asinh",
    "Acosh": "Acosh",
    "Atanh": "Atanh",
    "Erf": "Erf",
    "Tanh": "Tanh",
    "Sigmoid": "Sigmoid",
    "Relu": "Relu",
    "Softplus": "Softplus",
    "Softsign": "Softsign",
    "Floor": "Floor",
    "Ceil": "Ceil",
    "Round": "Round",
    "Rint": "Round",
    "Reciprocal": "Reciprocal",
    "Inv": "Reciprocal",
    "IsNan": "IsNaN",
    "Less": "Less",
    "LessEqual": "LessOrEqual",
    "Greater": "Greater",
    "GreaterEqual": "GreaterOrEqual",
    "Equal": "Equal",
    "LogicalAnd": "And",
    "LogicalOr": "Or",
    "LogicalNot": "Not",
    "SelectV2": "Where",
    "AddN": "Sum",
    "BiasAddV1": "Add",
}
"""{TensorFlow op: equivalent ONNX op with the same inputs}."""
OWN = (
    "DivNoNan",
    "FloorDiv",
    "FloorMod",
    "Expm1",
    "Log1p",
    "SquaredDifference",
    "Select",
    "Rsqrt",
    "Square",
    "IsFinite",
    "IsInf",
    "Relu6",
    "Sign",
)
"""Ops that are written under their TensorFlow names in the domain ``DOMAIN``, which ``operators`` reads."""


@translates(*SAME)
def _same(t: Translation, node: Node) -> str | list[str | None]:
    op = SAME[node.op]
    if any(ref in t.drawn for ref in node.inputs):
        return _of_draws(t, node, op)
    inputs = [t.input(node, place) for place in range(len(node.inputs))]
    if op in ("Add", "Mul") and any(name in t.zeros for name in inputs):
        return _of_zeros(t, node, op, inputs)
    return t.emit(op, inputs, [node.name])


def _of_draws(t: Translation, node: Node, op: str) -> str | list[str | None]:
    """Translate a node with random operands to a constant, to random numbers, or to zeros.

    Raises ``UnreadableError`` for other results.
    """
    operands = [t.drawn.get(ref) or t.name(ref) for ref in node.inputs]
    arrays = [t.arrays.get(item) if isinstance(item, str) else None for item in operands]
    result = without_draws(op, operands, arrays)
    if isinstance(result, Drawn):
        t.drawn[node.name, 0] = result
        return []
    if isinstance(result, tuple):
        drawn, other = result
        zeros = t.emit("Expand", [t.constant(0, drawn.dtype), t.int64(drawn.shape)])
        t.zeros.add(zeros)
        return _of_zeros(t, node, "Mul", [zeros, t.input(node, other)])
    return t.constant(result, node.dtype("T") if op == "Floor" else None)


def _of_zeros(t: Translation, node: Node, op: str, inputs: list[str]) -> str:
    """Translate a sum or product of which one operand is zeros, from random numbers times 0."""
    zeros, other = inputs if inputs[0] in t.zeros else inputs[::-1]
    number = t.arrays.get(other)
    if number is not None and number.ndim == 0 and (op == "Mul" or number == 0):
        return zeros
    if op == "Add":
        return t.emit("AddZeros", [other, zeros], [node.name], DOMAIN)
    return t.emit(op, inputs, [node.name])


@translates("Maximum", "Minimum")
def _extreme(t: Translation, node: Node) -> str:
    if node.op == "Minimum" and (bound := _longest_row(t, node)) is not None:
        return bound
    inputs = [t.input(node, 0), t.input(node, 1)]
    if node.dtype("T") in FLOATS:
        return t.emit(node.op, inputs, [node.name], DOMAIN)
    return t.emit(node.op[:3], inputs, [node.name])


def _longest_row(t: Translation, node: Node) -> str | None:
    """Simplify ``tf.nn.dynamic_rnn``'s loop bound min(steps, max(1, longest row)) to steps.

    Rows that have ended copy their states and output zeros, so steps after the end of the longest row change nothing.
    Without lengths, the longest row has all steps.

    Returns:
        Name of the number of steps; None if the node is not such a bound.
    """
    for steps, other in (node.inputs, node.inputs[::-1]):
        bound = t.source.nodes[t.resolved(other)[0]]
        if bound.op == "Maximum" and node.dtype("T") in ("int32", "int64"):
            ops = [t.source.nodes[t.resolved(ref)[0]] for ref in bound.inputs]
            one = [t.arrays.get(t.names.get((item.name, 0), "")) for item in ops]
            is_one = any(number is not None and number.size == 1 and number == 1 for number in one)
            same = any(t.names.get((item.name, 0)) == t.name(steps) for item in ops)
            if is_one and (same or any(item.op == "Max" for item in ops)):
                return t.name(steps)
    return None


@translates(*OWN)
def _own(t: Translation, node: Node) -> str:
    inputs = [t.input(node, place) for place in range(len(node.inputs))]
    return t.emit(node.op, inputs, [node.name], DOMAIN)


@translates("ReverseSequence")
def _reverse_sequence(t: Translation, node: Node) -> str:
    inputs = [t.input(node, 0), t.int64(t.input(node, 1))]
    return t.emit(
        "ReverseSequence", inputs, [node.name], time_axis=node.whole("seq_dim"), batch_axis=node.whole("batch_dim")
    )


@translates("NotEqual")
def _not_equal(t: Translation, node: Node) -> str:
    return t.emit("Not", [t.emit("Equal", [t.input(node, 0), t.input(node, 1)])], [node.name])


@translates("Elu", "Selu")
def _elu(t: Translation, node: Node) -> str:
    return t.emit(node.op, [t.input(node, 0)], [node.name])


@translates("LeakyRelu")
def _leaky_relu(t: Translation, node: Node) -> str:
    return t.emit("LeakyRelu", [t.input(node, 0)], [node.name], alpha=node.number("alpha", 0.2))


@translates("Softmax", "LogSoftmax")
def _softmax(t: Translation, node: Node) -> str:
    return t.emit(node.op, [t.input(node, 0)], [node.name], axis=-1)


# Constants and inputs -------------------------------------------------------------------------------------


@translates("Const")
def _constant(t: Translation, node: Node) -> str:
    return t.keep(t.constant_of(node), node.name)


@translates("PlaceholderWithDefault")
def _default(t: Translation, node: Node) -> str:
    return t.input(node, 0)


@translates("Placeholder", "PlaceholderV2")
def _placeholder(t: Translation, node: Node) -> str:
    return node.name


@translates("VariableV2", "Variable", "VarHandleOp", "VarIsInitializedOp")
def _variable(t: Translation, node: Node) -> str:
    name = node.text("shared_name") or node.name
    array = t.source.variables.get(name, t.source.variables.get(node.name))
    if array is None:
        raise UnreadableError("it is a variable without a value; freeze the graph, or give the SavedModel's folder")
    return t.keep(array, node.name)


@translates("RandomUniform", "RandomStandardNormal", "TruncatedNormal")
def _draws(t: Translation, node: Node) -> list[str | None]:
    low, high = (0.0, 1.0) if node.op == "RandomUniform" else (-math.inf, math.inf)
    t.drawn[node.name, 0] = Drawn(t.input(node, 0), node.dtype("dtype") or "float32", low, high)
    return []


@translates("NoOp", "Assert")
def _nothing(t: Translation, node: Node) -> list[str | None]:
    return []


@translates("Cast")
def _cast(t: Translation, node: Node) -> str:
    dtype = node.dtype("DstT")
    if dtype is None:
        raise UnreadableError(
            f"it casts to {node.type_text('DstT')} of TensorFlow, which is not supported; cast to a float, int or bool"
        )
    x = t.input(node, 0)
    return x if node.dtype("SrcT") == dtype else t.cast(x, dtype)


@translates("Fill")
def _fill(t: Translation, node: Node) -> str:
    return t.emit("Expand", [t.input(node, 1), t.int64(t.input(node, 0))], [node.name])


@translates("BroadcastTo")
def _broadcast(t: Translation, node: Node) -> str:
    return t.emit("Expand", [t.input(node, 0), t.int64(t.input(node, 1))], [node.name])


@translates("ZerosLike", "OnesLike")
def _like(t: Translation, node: Node) -> str:
    number = t.constant(int(node.op == "OnesLike"), node.dtype("T") or "float32")
    return t.emit("Expand", [number, t.emit("Shape", [t.input(node, 0)])], [node.name])


@translates("Range")
def _range(t: Translation, node: Node) -> str:
    result = t.emit("Range", [t.input(node, place) for place in range(3)])
    return result if result in t.arrays else t.cast(result, node.dtype("Tidx") or "int32")


@translates("Shape")
def _shape(t: Translation, node: Node) -> str:
    result = t.emit("Shape", [t.input(node, 0)])
    return result if node.dtype("out_type") == "int64" else t.cast(result, "int32")


@translates("Size", "Rank")
def _size(t: Translation, node: Node) -> str:
    shape = t.emit("Shape", [t.input(node, 0)])
    if node.op == "Size":
        size = t.emit("Size", [t.input(node, 0)])
        return size if node.dtype("out_type") == "int64" else t.cast(size, "int32")
    return t.cast(t.emit("Gather", [t.emit("Shape", [shape]), t.constant(0, "int64")], axis=0), "int32")


# Products ------------------------------------------------------------------------------------------------


@translates("MatMul")
def _matmul(t: Translation, node: Node) -> str:
    items = [
        t.emit("Transpose", [t.input(node, place)], perm=[1, 0]) if node.flag(key) else t.input(node, place)
        for place, key in enumerate(("transpose_a", "transpose_b"))
    ]
    return t.emit("MatMul", items, [node.name])


@translates("BatchMatMul", "BatchMatMulV2")
def _batch_matmul(t: Translation, node: Node) -> str:
    inputs = [t.input(node, 0), t.input(node, 1)]
    return t.emit("BatchMatMul", inputs, [node.name], DOMAIN, a=int(node.flag("adj_x")), b=int(node.flag("adj_y")))


@translates("BiasAdd")
def _bias_add(t: Translation, node: Node) -> str:
    if node.text("data_format", "NHWC") != "NHWC":
        raise UnreadableError('its channels must be the last axis; declare it with data_format="NHWC"')
    return t.emit("Add", [t.input(node, 0), t.input(node, 1)], [node.name])


# Reductions ----------------------------------------------------------------------------------------------

_REDUCTIONS = {
    "Sum": "ReduceSum",
    "Mean": "ReduceMean",
    "Max": "ReduceMax",
    "Min": "ReduceMin",
    "Prod": "ReduceProd",
    "All": "ReduceMin",
    "Any": "ReduceMax",
}


@translates(*_REDUCTIONS)
def _reduced(t: Translation, node: Node) -> str:
    axes = t.ints(node, 1, "its axes")
    x, keeps = t.input(node, 0), int(node.flag("keep_dims"))
    if not axes and t.known(node, 1, "its axes").ndim:
        return x
    if node.op == "Sum":
        return t.emit("ReduceSum", [x, t.constant(axes, "int64")], [node.name], keepdims=keeps)
    return t.emit(_REDUCTIONS[node.op], [x], [node.name], axes=axes, keepdims=keeps)


@translates("ArgMax", "ArgMin")
def _arg(t: Translation, node: Node) -> str:
    (axis,) = t.ints(node, 1, "its axis")
    result = t.emit(node.op, [t.input(node, 0)], axis=axis, keepdims=0)
    return t.cast(result, "int32") if node.dtype("output_type") == "int32" else result


@translates("Cumsum")
def _cumsum(t: Translation, node: Node) -> str:
    flags: dict[str, Any] = {key: int(node.flag(key)) for key in ("exclusive", "reverse")}
    return t.emit("CumSum", [t.input(node, 0), t.input(node, 1)], [node.name], **flags)


@translates("MatrixBandPart")
def _band(t: Translation, node: Node) -> str:
    x, (lower,), (upper,) = t.input(node, 0), t.ints(node, 1, "its band"), t.ints(node, 2, "its band")
    x = x if lower < 0 else t.emit("Trilu", [x, t.constant(-lower, "int64")], upper=1)
    return x if upper < 0 else t.emit("Trilu", [x, t.constant(upper, "int64")], upper=0)


@translates("TopKV2")
def _top_k(t: Translation, node: Node) -> list[str]:
    names = [node.name, f"{node.name}:1"]
    count = t.constant([int(t.known(node, 1, "its count"))], "int64")
    t.emit("TopK", [t.input(node, 0), count], names, axis=-1)
    return [names[0], t.cast(names[1], "int32")]


# Convolutions and pools ------------------------------------------------------------------------------------


def _channels_first(t: Translation, node: Node, number: int = 0) -> str:
    """Transpose a 4-D input to ONNX's layout [batch, channels, height, width], and return the name of the result."""
    if node.text("data_format", "NHWC") != "NHWC":
        raise UnreadableError('its channels are not the last axis; declare it with data_format="NHWC"')
    return t.emit("Transpose", [t.input(node, number)], perm=[0, 3, 1, 2])


def _window(node: Node) -> dict[str, Any]:
    """Return a convolution's or pool's padding and strides as ONNX attributes."""
    padding = node.text("padding")
    if padding not in ("SAME", "VALID"):
        raise UnreadableError(f"its padding {padding!r} is not supported; use SAME or VALID")
    return {"auto_pad": "SAME_UPPER" if padding == "SAME" else "VALID", "strides": node.ints("strides")[1:3]}


@translates("Conv2D", "DepthwiseConv2dNative")
def _convolution(t: Translation, node: Node) -> str:
    kernel = t.known(node, 1, "its kernel")
    options = _window(node) | {"dilations": (node.ints("dilations") or [1] * 4)[1:3]}
    if node.op == "Conv2D":
        weight = kernel.transpose(3, 2, 0, 1)
    else:
        high, wide, channels, each = kernel.shape
        weight = kernel.transpose(2, 3, 0, 1).reshape(channels * each, 1, high, wide)
        options["group"] = channels
    result = t.emit("Conv", [_channels_first(t, node), t.constant(weight)], **options)
    return t.emit("Transpose", [result], [node.name], perm=[0, 2, 3, 1])


@translates("MaxPool", "AvgPool")
def _pool(t: Translation, node: Node) -> str:
    op = "MaxPool" if node.op == "MaxPool" else "AveragePool"
    result = t.emit(op, [_channels_first(t, node)], **_window(node), kernel_shape=node.ints("ksize")[1:3])
    return t.emit("Transpose", [result], [node.name], perm=[0, 2, 3, 1])


@translates("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def _batch_norm(t: Translation, node: Node) -> str:
    """Translate fused batch normalization. The mean is subtracted before scaling, as in TensorFlow's kernel."""
    if node.flag("is_training", True):
        raise UnreadableError("normalizing by the batch's statistics is not supported; export the graph for inference")
    if node.text("data_format", "NHWC") != "NHWC":
        raise UnreadableError('its channels are not the last axis; declare it with data_format="NHWC"')
    gamma, beta, variance = (t.input(node, place) for place in (1, 2, 4))
    no_mean = t.constant(np.zeros_like(t.known(node, 3, "its mean")))
    centred = t.emit("Transpose", [t.emit("Sub", [t.input(node, 0), t.input(node, 3)])], perm=[0, 3, 1, 2])
    inputs = [centred, gamma, beta, no_mean, variance]
    normalized = t.emit("BatchNormalization", inputs, epsilon=node.number("epsilon", 1e-4))
    return t.emit("Transpose", [normalized], [node.name], perm=[0, 2, 3, 1])
