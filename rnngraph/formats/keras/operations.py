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
from ..steps import Value
from . import axes, products, reductions
from .activations import LAYERS as ACTIVATIONS
from .activations import WRITTEN_OUT
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable, dtype_of
from .operands import Operation, alike, operands, option, plain

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
    **axes.OPERATIONS, **products.OPERATIONS, **reductions.OPERATIONS,
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
