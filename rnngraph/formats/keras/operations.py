"""Functions among layers: ``keras.ops`` of Keras 3, and TensorFlow's in nets of Keras 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ...declare.functions import activations as act
from ...declare.functions import basic
from ...declare.functions.basic import (
    cast,
    clip,
    concat,
    expand_dims,
    logical_not,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
)
from ...declare.functions.sequences import cumsum
from ...declare.functions.truths import reduce_all, reduce_any
from ...declare.tensor import constant
from ..steps import Value
from .configuration import Layer
from .declaration import Declaration, Handler, Inputs, Signal, Unreadable, dtype_of

Operation = Callable[[Declaration, Layer, Inputs], Value | list[Value]]


def _plain(b: Declaration, item: Any) -> Any:
    """An operand: a tensor, a number, or an array of numbers as a constant."""
    if isinstance(item, Signal):
        return item.value
    if isinstance(item, list):
        return b.script.call(constant, item)
    if isinstance(item, bool | int | float):
        return item
    raise Unreadable(f"an operand is {type(item).__name__}")


def _operands(b: Declaration, inputs: Inputs, count: int) -> list[Any]:
    """So many operands, of which one at least is a tensor."""
    if len(inputs.arguments) < count or not any(isinstance(item, Signal) for item in inputs.arguments[:count]):
        raise Unreadable(f"it is called on {len(inputs.arguments)} operands")
    return [_plain(b, item) for item in inputs.arguments[:count]]


def _option(layer: Layer, inputs: Inputs, key: str, place: int, default: Any = None) -> Any:
    """What the operation was made with, or is called with."""
    if key in layer.config and not layer.kind.endswith("OpLambda"):
        return layer.config.get(key)
    return inputs.keyword(key, place, default)


def _axis(value: Any) -> Any:
    """An option that is an axis, several or None."""
    if isinstance(value, list | tuple):
        value = tuple(value)
        if all(isinstance(item, int) for item in value):
            return value
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Unreadable(f"its axis is {value!r}")


def _one_axis(value: Any) -> int:
    axis = _axis(value)
    if isinstance(axis, tuple) and len(axis) == 1:
        axis = axis[0]
    if not isinstance(axis, int):
        raise Unreadable(f"its axis is {value!r}")
    return axis


# Kinds of operations --------------------------------------------------------------------------------


def _unary(function: Callable[..., Any]) -> Operation:
    return lambda b, _, inputs: b.script.call(function, *_operands(b, inputs, 1))


def _sign(sign: str) -> Operation:
    def combine(b: Declaration, _: Layer, inputs: Inputs) -> Value:
        left, right = _operands(b, inputs, 2)
        return b.script.operation(sign, left, right)

    return combine


def _binary(function: Callable[..., Any]) -> Operation:
    return lambda b, _, inputs: b.script.call(function, *_operands(b, inputs, 2))


def _not(function: Callable[..., Any]) -> Operation:
    """Where the opposite does not hold."""
    return lambda b, _, inputs: b.script.call(logical_not, b.script.call(function, *_operands(b, inputs, 2)))


def _reduction(function: Callable[..., Any]) -> Operation:
    def reduce(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = _operands(b, inputs, 1)
        options: dict[str, Any] = {"axis": _axis(_option(layer, inputs, "axis", 1))}
        options |= {"keepdims": True} if _option(layer, inputs, "keepdims", 2, False) else {}
        return b.script.call(function, x, **options)

    return reduce


def _many(function: Callable[..., Any]) -> Operation:
    """Of a list of tensors along an axis, the first if none is given."""

    def join(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        given = inputs.arguments[0] if inputs.arguments else None
        if not isinstance(given, list | tuple) or not given:
            raise Unreadable("it is called on no list of tensors")
        items = [_plain(b, item) for item in given]
        return b.script.call(function, items, _one_axis(_option(layer, inputs, "axis", 1, 0)))

    return join


def _with_axis(function: Callable[..., Any], usual: Any) -> Operation:
    def along(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        axis = _axis(_option(layer, inputs, "axis", 1, usual))
        return b.script.call(function, *_operands(b, inputs, 1), *([] if axis is None else [axis]))

    return along


def _reshape(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    target = _option(layer, inputs, "newshape", 1)
    if not isinstance(target, list | tuple) or not all(size is None or isinstance(size, int) for size in target):
        raise Unreadable(f"its shape is {target!r}")
    return b.script.call(reshape, *_operands(b, inputs, 1), tuple(target))


def _transpose(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    axes = _axis(_option(layer, inputs, "axes", 1))
    return b.script.call(transpose, *_operands(b, inputs, 1), *([] if axes is None else [axes]))


def _two_axes(layer: Layer, inputs: Inputs, rank: int, keys: tuple[str, str]) -> tuple[int, int]:
    one, other = (_one_axis(_option(layer, inputs, key, place)) for place, key in enumerate(keys, 1))
    if not (-rank <= one < rank and -rank <= other < rank):
        raise Unreadable(f"its axes are {one} and {other}")
    return one % rank, other % rank


def _swap(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = _operands(b, inputs, 1)
    order = list(range(x.tensor.rank))
    one, other = _two_axes(layer, inputs, x.tensor.rank, ("axis1", "axis2"))
    order[one], order[other] = other, one
    return b.script.call(transpose, x, tuple(order))


def _move(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = _operands(b, inputs, 1)
    one, other = _two_axes(layer, inputs, x.tensor.rank, ("source", "destination"))
    order = [axis for axis in range(x.tensor.rank) if axis != one]
    order.insert(other, one)
    return b.script.call(transpose, x, tuple(order))


def _flip(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = _operands(b, inputs, 1)
    rank, axis = x.tensor.rank, _axis(_option(layer, inputs, "axis", 1))
    axes = range(rank) if axis is None else (axis,) if isinstance(axis, int) else axis
    if not all(-rank <= one < rank for one in axes):
        raise Unreadable(f"its axis is {axis}")
    turned = {one % rank for one in axes}
    return b.script.item(x, *(slice(None, None, -1 if one in turned else None) for one in range(max(turned) + 1)))


def _cumsum(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    if _option(layer, inputs, "dtype", 2) is not None:
        raise Unreadable("it has a dtype of its own")
    return b.script.call(cumsum, *_operands(b, inputs, 1), _one_axis(_option(layer, inputs, "axis", 1)))


def _argmax(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    options = {"keepdims": True} if _option(layer, inputs, "keepdims", 2, False) else {}
    axis = _one_axis(_option(layer, inputs, "axis", 1))
    return b.script.call(cast, b.script.call(basic.argmax, *_operands(b, inputs, 1), axis, **options), "int32")


def _spread(is_root: bool) -> Operation:
    """The mean square of what is left where the mean is taken away, or its root."""

    def spread(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = _operands(b, inputs, 1)
        axis = _axis(_option(layer, inputs, "axis", 1))
        options = {"keepdims": True} if _option(layer, inputs, "keepdims", 2, False) else {}
        mean = b.script.call(basic.reduce_mean, x, axis=axis, keepdims=True)
        squares = b.script.call(basic.square, b.script.operation("-", x, mean))
        found = b.script.call(basic.reduce_mean, squares, axis=axis, **options)
        return b.script.call(basic.sqrt, found) if is_root else found

    return spread


def _inverse(is_root: bool) -> Operation:
    def invert(b: Declaration, _: Layer, inputs: Inputs) -> Value:
        (x,) = _operands(b, inputs, 1)
        return b.script.operation("/", 1.0, b.script.call(basic.sqrt, x) if is_root else x)

    return invert


def _cast(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    kind = dtype_of(_option(layer, inputs, "dtype", 1))
    if not kind:
        raise Unreadable("its dtype is not known")
    return b.script.call(cast, *_operands(b, inputs, 1), kind)


def _clip(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    bounds = [_option(layer, inputs, key, place) for place, key in enumerate(("x_min", "x_max"), 1)]
    return b.script.call(clip, *_operands(b, inputs, 1), *(_plain(b, bound) for bound in bounds))


def _where(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    condition, one, other = _operands(b, inputs, 3)
    if not isinstance(condition, Value):
        raise Unreadable("its condition is no tensor")
    return b.script.call(basic.where, condition, one, other)


def _filled(value: float) -> Operation:
    """Zeros or ones in the shape of a tensor."""

    def fill(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = _operands(b, inputs, 1)
        kind = dtype_of(_option(layer, inputs, "dtype", 1)) or x.tensor.dtype
        never = b.script.call(basic.less, x, float("-inf") if x.tensor.dtype.startswith("float") else -(2**31))
        if kind == "bool":
            return b.script.call(logical_not, never) if value else never
        return b.script.call(cast, b.script.call(basic.where, never, x, value), kind)

    return fill


def _split(b: Declaration, layer: Layer, inputs: Inputs) -> list[Value]:
    """Parts of one axis: so many equal ones, or of Keras by where they begin, of TensorFlow by their sizes."""
    (x,) = _operands(b, inputs, 1)
    axis = _one_axis(_option(layer, inputs, "axis", 2, 0))
    given = _option(layer, inputs, "indices_or_sections", 1, inputs.keywords.get("num_or_size_splits"))
    if not -x.tensor.rank <= axis < x.tensor.rank:
        raise Unreadable(f"its axis is {axis}")
    size = x.tensor.type.shape[axis]
    if not isinstance(size, int):
        raise Unreadable("it splits an axis of open size")
    if isinstance(given, list | tuple) and given and all(type(entry) is int for entry in given):
        bounds = [0, *given, size]
        widths = [stop - start for start, stop in pairwise(bounds)] if "indices_or_sections" in layer.config else given
    elif type(given) is int and 0 < given <= size and size % given == 0:
        widths = [size // given] * given
    else:
        raise Unreadable(f"its parts are {given!r}")
    if min(widths) < 1 or sum(widths) != size:
        raise Unreadable(f"its parts are {given!r}, of an axis of {size}")
    return list(b.script.call(split, x, list(widths), axis)) if len(widths) > 1 else [x]


def _with_number(function: Callable[..., Any], key: str, usual: float) -> Operation:
    """An activation with a number."""
    return lambda b, layer, inputs: b.script.call(
        function, *_operands(b, inputs, 1), float(_option(layer, inputs, key, 1, usual))
    )


def _gelu(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    if _option(layer, inputs, "approximate", 1, True):
        raise Unreadable("it is approximate")
    return b.script.call(act.gelu, *_operands(b, inputs, 1))


def _item(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    (x,) = _operands(b, inputs, 1)
    given = inputs.keyword("slice_spec", 1)
    index = [_index(item) for item in (given if isinstance(given, list | tuple) else [given])]
    return b.script.item(x, *index) if index else x


def _index(item: Any) -> Any:
    if isinstance(item, Mapping) and item.get("class_name") == "__ellipsis__":
        return ...
    if isinstance(item, Mapping) and {"start", "stop", "step"} <= item.keys():
        item = slice(item["start"], item["stop"], item["step"])
    if isinstance(item, slice):
        parts = (item.start, item.stop, item.step)
        if all(part is None or (isinstance(part, int) and not isinstance(part, bool)) for part in parts):
            return item
    elif item is None or item is ... or (isinstance(item, int) and not isinstance(item, bool)):
        return item
    raise Unreadable("it picks by something else than numbers and slices")


_OPERATIONS: Mapping[str, Operation] = {
    **{name: _unary(function) for name, function in {
        "Absolute": basic.abs, "Abs": basic.abs, "Exp": basic.exp, "Expm1": basic.expm1, "Log": basic.log,
        "Log1p": basic.log1p, "Sqrt": basic.sqrt, "Square": basic.square, "Sin": basic.sin, "Cos": basic.cos,
        "Arctan": basic.atan, "Sign": basic.sign, "Erf": basic.erf, "Tanh": basic.tanh, "Sigmoid": basic.sigmoid,
        "Relu": act.relu, "Relu6": act.relu6, "Softplus": act.softplus, "Softsign": act.softsign, "Silu": act.swish,
        "Selu": act.selu, "LogicalNot": logical_not, "StopGradient": basic.stop_gradient,
    }.items()},
    **{name: _sign(sign) for name, sign in {
        "Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/", "TrueDivide": "/", "Power": "**", "Matmul": "@",
    }.items()},
    **{name: _binary(function) for name, function in {
        "Maximum": basic.maximum, "Minimum": basic.minimum, "Equal": basic.equal, "NotEqual": basic.not_equal,
        "Greater": basic.greater, "Less": basic.less, "LogicalAnd": basic.logical_and, "LogicalOr": basic.logical_or,
    }.items()},
    "GreaterEqual": _not(basic.less), "LessEqual": _not(basic.greater),
    **{name: _reduction(function) for name, function in {
        "Mean": basic.reduce_mean, "Sum": basic.reduce_sum, "Max": basic.reduce_max, "Min": basic.reduce_min,
        "Any": reduce_any, "All": reduce_all,
    }.items()},
    "Concatenate": _many(concat), "Stack": _many(stack), "ExpandDims": _with_axis(expand_dims, 0),
    "Squeeze": _with_axis(squeeze, None), "Softmax": _with_axis(basic.softmax, -1),
    "LogSoftmax": _with_axis(basic.log_softmax, -1), "Reshape": _reshape, "Transpose": _transpose, "Swapaxes": _swap,
    "SwapAxes": _swap, "Cast": _cast, "Clip": _clip, "Where": _where, "ZerosLike": _filled(0), "OnesLike": _filled(1),
    "Moveaxis": _move, "Flip": _flip, "Cumsum": _cumsum, "Argmax": _argmax, "Var": _spread(False), "Std": _spread(True),
    "Rsqrt": _inverse(True), "Reciprocal": _inverse(False),
    "Split": _split, "LeakyRelu": _with_number(act.leaky_relu, "negative_slope", 0.2),
    "Elu": _with_number(act.elu, "alpha", 1.0), "Gelu": _gelu,
    "HardSigmoid": lambda b, _, inputs: b.script.call(act.hard_sigmoid_keras3, *_operands(b, inputs, 1)),
    "Negative": lambda b, _, inputs: b.script.operation("*", _operands(b, inputs, 1)[0], -1), "GetItem": _item,
    **dict.fromkeys(("Identity", "ConvertToTensor"), lambda b, _, inputs: _operands(b, inputs, 1)[0]),
}  # fmt: skip


# TensorFlow's --------------------------------------------------------------------------------------


_PLACES = ("x", "input_tensor", "input", "a", "features", "logits", "values", "value", "tensor", "t", "condition")
"""What TensorFlow calls the first operand."""
_RENAMED = {"shape": "newshape", "perm": "axes", "clip_value_min": "x_min", "clip_value_max": "x_max"}
_FUNCTIONS: Mapping[str, str] = {
    "__operators__.add": "Add", "__operators__.getitem": "GetItem", "__operators__.eq": "Equal",
    "__operators__.ne": "NotEqual", "concat": "Concatenate", "stack": "Stack", "expand_dims": "ExpandDims",
    "squeeze": "Squeeze", "reshape": "Reshape", "transpose": "Transpose", "cast": "Cast", "where": "Where",
    "clip_by_value": "Clip", "identity": "Identity", "linalg.matmul": "Matmul", "zeros_like": "ZerosLike",
    "ones_like": "OnesLike", "split": "Split", "stop_gradient": "StopGradient",
    **{f"nn.{name}": kind for name, kind in {
        "relu": "Relu", "relu6": "Relu6", "softmax": "Softmax", "log_softmax": "LogSoftmax", "silu": "Silu",
        "selu": "Selu", "softsign": "Softsign", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus",
    }.items()},
    **{f"math.{name}": kind for name, kind in {
        "add": "Add", "subtract": "Subtract", "multiply": "Multiply", "divide": "Divide", "truediv": "TrueDivide",
        "pow": "Power", "maximum": "Maximum", "minimum": "Minimum", "equal": "Equal", "not_equal": "NotEqual",
        "greater": "Greater", "less": "Less", "greater_equal": "GreaterEqual", "less_equal": "LessEqual",
        "logical_and": "LogicalAnd", "logical_or": "LogicalOr", "logical_not": "LogicalNot", "abs": "Absolute",
        "negative": "Negative", "exp": "Exp", "expm1": "Expm1", "log": "Log", "log1p": "Log1p", "sqrt": "Sqrt",
        "square": "Square", "sin": "Sin", "cos": "Cos", "atan": "Arctan", "sign": "Sign", "erf": "Erf",
        "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "reduce_mean": "Mean", "reduce_sum": "Sum",
        "reduce_max": "Max", "reduce_min": "Min", "reduce_any": "Any", "reduce_all": "All",
    }.items()},
}  # fmt: skip
"""TensorFlow's functions, and Keras 3's operations that are the same."""


def problem_of(layer: Layer) -> str | None:
    """What can't be read of a function of TensorFlow's."""
    name = layer.config.get("function", None)
    if layer.kind in _LAYERS and (not isinstance(name, str) or name not in _FUNCTIONS):
        return f"function {name!r}"
    return None


def _of_tensorflow(b: Declaration, layer: Layer, inputs: Inputs) -> Signal | list[Signal]:
    kind = _FUNCTIONS[layer.config.text("function")]
    given = dict(inputs.keywords)
    given.pop("name", None)
    arguments = list(inputs.arguments)
    if not arguments:
        arguments += [given.pop(key) for key in _PLACES if key in given][:1]
    arguments += [given.pop(key) for key in ("y", "b") if key in given]
    if kind == "Where" and "x" in given:
        arguments.insert(1, given.pop("x"))
    if any(given.get(key) for key in given if key.startswith(("transpose_", "adjoint_"))):
        raise Unreadable("it transposes")
    keywords = {_RENAMED.get(key, key): item for key, item in given.items()}
    return _signals(_OPERATIONS[kind](b, layer, Inputs(tuple(arguments), keywords)))


def _declared(operation: Operation) -> Handler:
    return lambda b, layer, inputs: _signals(operation(b, layer, inputs))


def _signals(found: Value | list[Value]) -> Signal | list[Signal]:
    return [Signal(one) for one in found] if isinstance(found, list) else Signal(found)


_LAYERS: Mapping[str, Handler] = {"TFOpLambda": _of_tensorflow, "SlicingOpLambda": _of_tensorflow}
LAYERS: Mapping[str, Handler] = {
    **_LAYERS, **{f"ops.{kind}": _declared(operation) for kind, operation in _OPERATIONS.items()},
}  # fmt: skip
