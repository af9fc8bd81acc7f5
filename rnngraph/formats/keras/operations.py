"""Functions among layers, by the names that ``keras.ops`` of Keras 3 has for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...declare.functions import activations as act
from ...declare.functions import basic
from ...declare.functions.basic import cast, clip, logical_not
from ...declare.functions.rounding import ceil, floor
from ...declare.functions.rounding import round as rounded
from ...declare.functions.truths import reduce_all, reduce_any
from ..steps import Value
from . import axes, products
from .activations import LAYERS as ACTIVATIONS
from .activations import WRITTEN_OUT
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable, dtype_of
from .operands import Operation, alike, axis_of, one_axis, operands, option, plain

# Kinds of operations --------------------------------------------------------------------------------


def _unary(function: Callable[..., Any]) -> Operation:
    return lambda b, _, inputs: b.script.call(function, *operands(b, inputs, 1))


def _sign(sign: str) -> Operation:
    def combine(b: Declaration, _: Layer, inputs: Inputs) -> Value:
        left, right = alike(b, operands(b, inputs, 2), "float32" if sign == "/" else "bool")
        return b.script.operation(sign, left, right)

    return combine


def _binary(function: Callable[..., Any]) -> Operation:
    return lambda b, _, inputs: b.script.call(function, *alike(b, operands(b, inputs, 2)))


def _reduction(function: Callable[..., Any]) -> Operation:
    def reduce(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = operands(b, inputs, 1)
        return b.script.call(function, x, **_over(layer, inputs))

    return reduce


def _over(layer: Layer, inputs: Inputs) -> dict[str, Any]:
    """Along which axes a reduction goes, and whether they stay."""
    if any(option(layer, inputs, key, 9) is not None for key in ("dtype", "initial", "where")):
        raise Unreadable("it has a dtype or a beginning of its own")
    keeps = {"keepdims": True} if option(layer, inputs, "keepdims", 2, False) else {}
    return {"axis": axis_of(option(layer, inputs, "axis", 1)), **keeps}


def _with_axis(function: Callable[..., Any], usual: Any) -> Operation:
    def along(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        axis = axis_of(option(layer, inputs, "axis", 1, usual))
        return b.script.call(function, *operands(b, inputs, 1), *([] if axis is None else [axis]))

    return along


def _argmax(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    options = {"keepdims": True} if option(layer, inputs, "keepdims", 2, False) else {}
    axis = one_axis(option(layer, inputs, "axis", 1))
    return b.script.call(cast, b.script.call(basic.argmax, *operands(b, inputs, 1), axis, **options), "int32")


def _spread(is_root: bool) -> Operation:
    """The mean square of what is left where the mean is taken away, or its root."""

    def spread(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = operands(b, inputs, 1)
        axis = axis_of(option(layer, inputs, "axis", 1))
        options = {"keepdims": True} if option(layer, inputs, "keepdims", 2, False) else {}
        mean = b.script.call(basic.reduce_mean, x, axis=axis, keepdims=True)
        squares = b.script.call(basic.square, b.script.operation("-", x, mean))
        found = b.script.call(basic.reduce_mean, squares, axis=axis, **options)
        return b.script.call(basic.sqrt, found) if is_root else found

    return spread


def _inverse(is_root: bool) -> Operation:
    def invert(b: Declaration, _: Layer, inputs: Inputs) -> Value:
        (x,) = operands(b, inputs, 1)
        return b.script.operation("/", 1.0, b.script.call(basic.sqrt, x) if is_root else x)

    return invert


def _cast(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    kind = dtype_of(option(layer, inputs, "dtype", 1))
    if not kind:
        raise Unreadable("its dtype is not known")
    return b.script.call(cast, *operands(b, inputs, 1), kind)


def _clip(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    bounds = [option(layer, inputs, key, place) for place, key in enumerate(("x_min", "x_max"), 1)]
    return b.script.call(clip, *operands(b, inputs, 1), *(plain(b, bound) for bound in bounds))


def _where(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    condition, one, other = operands(b, inputs, 3)
    if not isinstance(condition, Value):
        raise Unreadable("its condition is no tensor")
    if condition.tensor.dtype != "bool":
        condition = b.script.call(basic.not_equal, condition, 0)
    return b.script.call(basic.where, condition, *alike(b, [one, other]))


def _filled(value: float) -> Operation:
    """Zeros or ones in the shape of a tensor."""

    def fill(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = operands(b, inputs, 1)
        kind = dtype_of(option(layer, inputs, "dtype", 1)) or x.tensor.dtype
        never = b.script.call(basic.less, x, float("-inf") if x.tensor.dtype.startswith("float") else -(2**31))
        if kind == "bool":
            return b.script.call(logical_not, never) if value else never
        return b.script.call(cast, b.script.call(basic.where, never, x, value), kind)

    return fill


def _with_number(function: Callable[..., Any], key: str, usual: float) -> Operation:
    """An activation with a number."""
    return lambda b, layer, inputs: b.script.call(
        function, *operands(b, inputs, 1), float(option(layer, inputs, key, 1, usual))
    )


def _gelu(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """With the error function, or what is near to it by tanh."""
    (x,) = operands(b, inputs, 1)
    if not option(layer, inputs, "approximate", 1, True):
        return b.script.call(act.gelu, x)
    of = b.script.operation
    cubic = of("*", of("*", b.script.call(basic.square, x), x), 0.044715)
    near = b.script.call(basic.tanh, of("*", of("+", x, cubic), math.sqrt(2 / math.pi)))
    return of("*", of("*", x, 0.5), of("+", near, 1.0))


# Along axes -----------------------------------------------------------------------------------------


def _log_sum(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """log(sum(exp(x))), less the largest in between."""
    (x,) = operands(b, inputs, 1)
    over = _over(layer, inputs)
    largest = b.script.call(basic.reduce_max, x, axis=over["axis"], keepdims=True)
    powers = b.script.call(basic.exp, b.script.operation("-", x, largest))
    total = b.script.call(basic.log, b.script.call(basic.reduce_sum, powers, **over))
    return b.script.operation("+", total, b.script.call(basic.reduce_max, x, **over))


def _norm(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Of vectors: by squares, absolute values, or the largest."""
    (x,) = operands(b, inputs, 1)
    order = option(layer, inputs, "ord", 9)
    over = {"axis": axis_of(option(layer, inputs, "axis", 9)), "keepdims": bool(option(layer, inputs, "keepdims", 9))}
    over = {key: given for key, given in over.items() if given is not False}
    of_vectors = isinstance(over["axis"], int) or (over["axis"] is not None and len(over["axis"]) == 1)
    if order in (None, "euclidean", "fro") or (order == 2 and of_vectors):
        squares = b.script.call(basic.reduce_sum, b.script.call(basic.square, x), **over)
        return b.script.call(basic.sqrt, squares)
    if order == 1 and of_vectors:
        return b.script.call(basic.reduce_sum, b.script.call(basic.abs, x), **over)
    raise Unreadable(f"its ord is {order!r}")


def _normalize(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """x over its length."""
    (x,) = operands(b, inputs, 1)
    if option(layer, inputs, "order", 2, 2) != 2:
        raise Unreadable("its order is not 2")
    least = option(layer, inputs, "epsilon", 3)
    least = 1e-7 if least is None else plain(b, least)
    axis = axis_of(option(layer, inputs, "axis", 1, -1))
    total = b.script.call(basic.reduce_sum, b.script.call(basic.square, x), axis=axis, keepdims=True)
    return b.script.operation("/", x, b.script.call(basic.maximum, b.script.call(basic.sqrt, total), least))


def _average(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    if inputs.keyword("weights", 1) is not None:
        raise Unreadable("it has weights")
    return b.script.call(basic.reduce_mean, x, axis=axis_of(option(layer, inputs, "axis", 2)))


def _scaled(function: Callable[..., Any], scale: float) -> Operation:
    def scaled(b: Declaration, _: Layer, inputs: Inputs) -> Value:
        return b.script.operation("*", b.script.call(function, *operands(b, inputs, 1)), scale)

    return scaled


def _round(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    if option(layer, inputs, "decimals", 1, 0):
        raise Unreadable("it rounds to decimals")
    return b.script.call(rounded, *operands(b, inputs, 1))


def _written_out(name: str) -> Operation:
    return lambda b, _, inputs: WRITTEN_OUT[name](b, *operands(b, inputs, 1))


OPERATIONS: Mapping[str, Operation] = {
    **axes.OPERATIONS, **products.OPERATIONS,
    **{name: _unary(function) for name, function in {
        "Absolute": basic.abs, "Abs": basic.abs, "Exp": basic.exp, "Expm1": basic.expm1, "Log": basic.log,
        "Log1p": basic.log1p, "Sqrt": basic.sqrt, "Square": basic.square, "Sin": basic.sin, "Cos": basic.cos,
        "Arctan": basic.atan, "Sign": basic.sign, "Erf": basic.erf, "Tanh": basic.tanh, "Sigmoid": basic.sigmoid,
        "Relu": act.relu, "Relu6": act.relu6, "Softplus": act.softplus, "Softsign": act.softsign, "Silu": act.swish,
        "Selu": act.selu, "LogicalNot": logical_not, "StopGradient": basic.stop_gradient, "Floor": floor, "Ceil": ceil,
    }.items()},
    **{name: _sign(sign) for name, sign in {
        "Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/", "TrueDivide": "/", "Power": "**", "Matmul": "@",
        "GreaterEqual": ">=", "LessEqual": "<=",
    }.items()},
    **{name: _binary(function) for name, function in {
        "Maximum": basic.maximum, "Minimum": basic.minimum, "Equal": basic.equal, "NotEqual": basic.not_equal,
        "Greater": basic.greater, "Less": basic.less, "LogicalAnd": basic.logical_and, "LogicalOr": basic.logical_or,
    }.items()},
    **{name: _reduction(function) for name, function in {
        "Mean": basic.reduce_mean, "Sum": basic.reduce_sum, "Max": basic.reduce_max, "Min": basic.reduce_min,
        "Any": reduce_any, "All": reduce_all,
    }.items()},
    "Amax": _reduction(basic.reduce_max), "Amin": _reduction(basic.reduce_min), "Var": _spread(False),
    "Std": _spread(True), "Logsumexp": _log_sum, "Norm": _norm, "Normalize": _normalize, "Average": _average,
    "Softmax": _with_axis(basic.softmax, -1), "LogSoftmax": _with_axis(basic.log_softmax, -1), "Argmax": _argmax,
    "Cast": _cast, "Clip": _clip, "Where": _where, "ZerosLike": _filled(0), "OnesLike": _filled(1), "Round": _round,
    "Log2": _scaled(basic.log, 1 / math.log(2)), "Log10": _scaled(basic.log, 1 / math.log(10)),
    "Rsqrt": _inverse(True), "Reciprocal": _inverse(False),
    "LeakyRelu": _with_number(act.leaky_relu, "negative_slope", 0.2), "Elu": _with_number(act.elu, "alpha", 1.0),
    "Gelu": _gelu, "LogSigmoid": _written_out("log_sigmoid"), "HardTanh": _written_out("hard_tanh"),
    "HardSilu": _written_out("hard_silu"), "TanhShrink": _written_out("tanh_shrink"), "Mish": _written_out("mish"),
    "HardSigmoid": _unary(act.hard_sigmoid_keras3),
    "Negative": lambda b, _, inputs: b.script.negative(operands(b, inputs, 1)[0]),
    **dict.fromkeys(("Identity", "ConvertToTensor", "Copy"), lambda b, _, inputs: operands(b, inputs, 1)[0]),
}  # fmt: skip


def declared(operation: Operation) -> Handler:
    """What declares an operation as a layer."""

    def declare(b: Declaration, layer: Layer, inputs: Inputs) -> Signal | list[Signal]:
        found = operation(b, layer, inputs)
        return [Signal(one) for one in found] if isinstance(found, list) else Signal(found)

    return declare


LAYERS: Mapping[str, Handler] = {
    **{f"ops.{kind}": declared(operation) for kind, operation in OPERATIONS.items()},
    "ops.ReLU": ACTIVATIONS["ReLU"],
}  # fmt: skip
