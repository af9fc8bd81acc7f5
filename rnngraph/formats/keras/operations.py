"""Declares functions that are called between layers, by their names in ``keras.ops`` of Keras 3."""

from __future__ import annotations

from collections.abc import Mapping

from ...declare.functions import activations as act
from ...declare.functions import basic
from ...declare.functions.arrays.filling import ones_like, zeros_like
from ...declare.functions.basic import cast, clip, logical_not
from ...declare.functions.elementary import angles, hyperbolic, logarithms, numbers, powers, remainders
from ...declare.functions.rounding import ceil, floor
from ...declare.functions.rounding import round as rounded
from ..operators.backend import ScriptBackend
from ..operators.elementwise import sign
from ..steps import Function, Value
from . import axes, products, reductions
from .activations import LAYERS as ACTIVATIONS
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable, dtype_of
from .operands import Operation, as_floats, as_truths, operands, option, plain, promoted

# Kinds of operations --------------------------------------------------------------------------------


def _unary(function: Function) -> Operation:
    return lambda b, _, inputs: b.script.call(function, *operands(b, inputs, 1))


def _sign(sign: str) -> Operation:
    """Return the operation that applies a Python operator such as ``+`` to two promoted operands."""

    def combine(b: Declaration, _: Layer, inputs: Inputs) -> Value:
        left, right = promoted(
            b, operands(b, inputs, 2), {"/": "float32", ">=": "int32", "<=": "int32"}.get(sign, "bool")
        )
        return b.script.operation(sign, left, right)

    return combine


def _binary(function: Function) -> Operation:
    return lambda b, _, inputs: b.script.call(function, *promoted(b, operands(b, inputs, 2)))


def _of_truths(function: Function, count: int) -> Operation:
    """Return the operation that calls a function of bools. Its ``count`` operands are converted to bool."""
    return lambda b, _, inputs: b.script.call(
        function, *(as_truths(b, x) if isinstance(x, Value) else x for x in operands(b, inputs, count))
    )


def _of_floats(function: Function) -> Operation:
    """Return the operation that calls a function of floats. Its operand is converted to a float dtype."""
    return lambda b, _, inputs: b.script.call(function, as_floats(b, *operands(b, inputs, 1)))


def _comparison(function: Function) -> Operation:
    """Return the operation that calls a comparison of two operands. Bools are compared as ints."""
    return lambda b, _, inputs: b.script.call(function, *promoted(b, operands(b, inputs, 2), "int32"))


def _cast(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    kind = dtype_of(option(layer, inputs, "dtype", 1))
    if not kind:
        raise Unreadable(f"its dtype {option(layer, inputs, 'dtype', 1)!r} is not supported")
    return b.script.call(cast, *operands(b, inputs, 1), kind)


def _converted(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    if option(layer, inputs, "dtype", 1) is None:
        return operands(b, inputs, 1)[0]
    return _cast(b, layer, inputs)


def _clip(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    bounds = [option(layer, inputs, key, place) for place, key in enumerate(("x_min", "x_max"), 1)]
    return b.script.call(clip, *operands(b, inputs, 1), *(plain(b, bound) for bound in bounds))


def _where(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    condition, one, other = operands(b, inputs, 3)
    if not isinstance(condition, Value):
        raise Unreadable("its condition must be a tensor")
    return b.script.call(basic.where, as_truths(b, condition), *promoted(b, [one, other]))


def _fill_operation(function: Function) -> Operation:
    """Return the operation for ``zeros_like`` or ``ones_like``."""

    def fill(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        kind = dtype_of(option(layer, inputs, "dtype", 1))
        return b.script.call(function, *operands(b, inputs, 1), **({"dtype": kind} if kind else {}))

    return fill


def _with_number(function: Function, key: str, usual: float) -> Operation:
    """Return the operation for an activation with a numeric option ``key``, whose default is ``usual``."""
    return lambda b, layer, inputs: b.script.call(
        function, *operands(b, inputs, 1), float(option(layer, inputs, key, 1, usual))
    )


def _gelu(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare GELU by its tanh approximation or, with ``approximate=False``, by erf."""
    options = {"approximate": True} if option(layer, inputs, "approximate", 1, True) else {}
    return b.script.call(act.gelu, *operands(b, inputs, 1), **options)


def _without_nan(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    keys = {"nan": 0.0, "posinf": None, "neginf": None}
    options = {key: option(layer, inputs, key, place, usual) for place, (key, usual) in enumerate(keys.items(), 1)}
    replacements = {key: float(number) for key, number in options.items() if number is not None}
    return b.script.call(numbers.nan_to_num, *operands(b, inputs, 1), **replacements)


def _threshold(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    bound, value = (option(layer, inputs, key, place) for place, key in enumerate(("threshold", "default_value"), 1))
    return b.script.call(
        act.threshold, *operands(b, inputs, 1), *(float(plain(b, number)) for number in (bound, value))
    )


def _sign_of(b: Declaration, _: Layer, inputs: Inputs) -> Value:
    return sign(ScriptBackend(b.script), *operands(b, inputs, 1))


def _round(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    decimals = option(layer, inputs, "decimals", 1, 0)
    if type(decimals) is not int:
        raise Unreadable(f"decimals must be a whole number, not {decimals!r}")
    return b.script.call(rounded, *operands(b, inputs, 1), *([decimals] if decimals else []))


_BINARY: Mapping[str, Function] = {
    "Maximum": basic.maximum,
    "Minimum": basic.minimum,
    "Arctan2": angles.atan2,
    "Hypot": powers.hypot,
    "Logaddexp": logarithms.logaddexp,
    "Logaddexp2": logarithms.logaddexp2,
    "Mod": remainders.remainder,
    "FloorDivide": remainders.floor_divide,
}
OPERATIONS: Mapping[str, Operation] = {
    **axes.OPERATIONS,
    **products.OPERATIONS,
    **reductions.OPERATIONS,
    **{
        name: _unary(function)
        for name, function in {
            "Absolute": basic.abs,
            "Abs": basic.abs,
            "Exp": basic.exp,
            "Expm1": basic.expm1,
            "Log": basic.log,
            "Log1p": basic.log1p,
            "Sqrt": basic.sqrt,
            "Square": basic.square,
            "Sin": basic.sin,
            "Cos": basic.cos,
            "Arctan": basic.atan,
            "Erf": basic.erf,
            "Tanh": basic.tanh,
            "Sigmoid": basic.sigmoid,
            "Relu": act.relu,
            "Relu6": act.relu6,
            "Softplus": act.softplus,
            "Softsign": act.softsign,
            "Silu": act.swish,
            "Selu": act.selu,
            "StopGradient": basic.stop_gradient,
            "Log2": logarithms.log2,
            "Log10": logarithms.log10,
            "Rsqrt": powers.rsqrt,
            "Reciprocal": powers.reciprocal,
            "Exp2": powers.exp2,
            "Trunc": remainders.trunc,
            "Tan": angles.tan,
            "Arcsin": angles.asin,
            "Arccos": angles.acos,
            "Deg2rad": angles.deg2rad,
            "Sinc": angles.sinc,
            "Sinh": hyperbolic.sinh,
            "Cosh": hyperbolic.cosh,
            "Arcsinh": hyperbolic.asinh,
            "Arccosh": hyperbolic.acosh,
            "Arctanh": hyperbolic.atanh,
            "Isnan": numbers.isnan,
            "Isinf": numbers.isinf,
            "Isposinf": numbers.isposinf,
            "Isneginf": numbers.isneginf,
            "Isfinite": numbers.isfinite,
            "Signbit": numbers.signbit,
            "LogSigmoid": act.log_sigmoid,
            "HardTanh": act.hard_tanh,
            "HardSilu": act.hard_swish,
            "TanhShrink": act.tanh_shrink,
            "Mish": act.mish,
            "HardSigmoid": act.hard_sigmoid_keras3,
        }.items()
    },
    **{
        name: _sign(sign)
        for name, sign in {
            "Add": "+",
            "Subtract": "-",
            "Multiply": "*",
            "Divide": "/",
            "TrueDivide": "/",
            "Power": "**",
            "Matmul": "@",
            "GreaterEqual": ">=",
            "LessEqual": "<=",
        }.items()
    },
    **{name: _binary(function) for name, function in _BINARY.items()},
    **{
        name: _comparison(function)
        for name, function in {
            "Equal": basic.equal,
            "NotEqual": basic.not_equal,
            "Greater": basic.greater,
            "Less": basic.less,
        }.items()
    },
    "LogicalNot": _of_truths(logical_not, 1),
    "LogicalAnd": _of_truths(basic.logical_and, 2),
    "LogicalOr": _of_truths(basic.logical_or, 2),
    "LogicalXor": _of_truths(basic.logical_xor, 2),
    "Floor": _of_floats(floor),
    "Ceil": _of_floats(ceil),
    "Cast": _cast,
    "Clip": _clip,
    "Where": _where,
    "Round": _round,
    "ZerosLike": _fill_operation(zeros_like),
    "OnesLike": _fill_operation(ones_like),
    "LeakyRelu": _with_number(act.leaky_relu, "negative_slope", 0.2),
    "Elu": _with_number(act.elu, "alpha", 1.0),
    "Celu": _with_number(act.celu, "alpha", 1.0),
    "HardShrink": _with_number(act.hard_shrink, "threshold", 0.5),
    "SoftShrink": _with_number(act.soft_shrink, "threshold", 0.5),
    "Threshold": _threshold,
    "Gelu": _gelu,
    "NanToNum": _without_nan,
    "Sign": _sign_of,
    "Negative": lambda b, _, inputs: b.script.negative(operands(b, inputs, 1)[0]),
    "ConvertToTensor": _converted,
    **dict.fromkeys(("Identity", "Copy"), lambda b, _, inputs: operands(b, inputs, 1)[0]),
}


def declared(operation: Operation) -> Handler:
    """Return the layer handler for an operation: it wraps the operation's results in ``Signal``."""

    def declare(b: Declaration, layer: Layer, inputs: Inputs) -> Signal | list[Signal]:
        results = operation(b, layer, inputs)
        return [Signal(one) for one in results] if isinstance(results, list) else Signal(results)

    return declare


LAYERS: Mapping[str, Handler] = {
    **{f"ops.{kind}": declared(operation) for kind, operation in OPERATIONS.items()},
    "ops.ReLU": ACTIVATIONS["ReLU"],
}
