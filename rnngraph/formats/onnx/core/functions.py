"""Functions that ONNX names and rnngraph doesn't. A script holds the text of those that it calls: public names only."""

from __future__ import annotations

from typing import Any

from ....declare.functions.activations import hard_sigmoid_keras3, softplus
from ....declare.functions.basic import (
    abs,
    atan,
    cast,
    clip,
    cos,
    equal,
    exp,
    log,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    sigmoid,
    sign,
    sin,
    sqrt,
    tanh,
    where,
)
from ....declare.functions.rounding import ceil, floor
from ....declare.tensor import Tensor


def affine(x: Any, alpha: float, beta: float) -> Tensor:
    """alpha x + beta."""
    return x * alpha + beta


def scaled_tanh(x: Any, alpha: float, beta: float) -> Tensor:
    """alpha tanh(beta x)."""
    return tanh(x * beta) * alpha


def hard_sigmoid_of(x: Any, alpha: float, beta: float) -> Tensor:
    """clip(alpha x + beta, 0, 1)."""
    return clip(x * alpha + beta, 0, 1)


def hard_swish(x: Any) -> Tensor:
    """x clip(x / 6 + 0.5, 0, 1)."""
    return x * hard_sigmoid_keras3(x)


def swish_of(x: Any, alpha: float) -> Tensor:
    """x sigmoid(alpha x)."""
    return x * sigmoid(x * alpha)


def thresholded_relu(x: Any, alpha: float) -> Tensor:
    """x where it is above alpha, 0 elsewhere."""
    return where(x > alpha, x, 0)


def celu(x: Any, alpha: float) -> Tensor:
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)."""
    return maximum(x, 0) + (exp(minimum(x, 0) / alpha) - 1) * alpha


def selu_of(x: Any, alpha: float, gamma: float) -> Tensor:
    """gamma times x where it is positive, times alpha (exp(x) - 1) elsewhere."""
    return where(x > 0, x, (exp(minimum(x, 0)) - 1) * alpha) * gamma


def shrink(x: Any, bias: float, lambd: float) -> Tensor:
    """x moved by bias towards 0 where it is further from 0 than lambd, 0 elsewhere."""
    return where(x < -lambd, x + bias, where(x > lambd, x - bias, 0))


def mish(x: Any) -> Tensor:
    """x tanh(log(1 + exp(x)))."""
    return x * tanh(softplus(x))


def tanh_gelu(x: Any) -> Tensor:
    """The approximation of gelu by a tanh."""
    return x * 0.5 * (tanh((x + x * x * x * 0.044715) * 0.7978845608028654) + 1)


def power(x: Any, exponent: Any) -> Tensor:
    """x to the exponent, which is a Tensor, for x from 0 on."""
    return exp(log(x) * exponent)


def whole_quotient(a: Any, b: Any) -> Tensor:
    """a / b of whole numbers up to 2**53, cut off towards 0."""
    return cast(cast(a, "float64") / cast(b, "float64"), a.dtype)


def remainder_of(a: Any, b: Any) -> Tensor:
    """What is left of a / b, with the sign of a."""
    if a.dtype not in ("float32", "float64"):
        return a - whole_quotient(a, b) * b
    return where(equal(abs(b), float("inf")), a, a - truncated(a / b) * b)


def modulo(a: Any, b: Any) -> Tensor:
    """What is left of a / b, with the sign of b."""
    rest = remainder_of(a, b)
    return where(logical_and(logical_not(equal(rest, 0)), logical_xor(rest < 0, b < 0)), rest + b, rest)


def arc_sine(x: Any) -> Tensor:
    """atan(x / sqrt(1 - x x))."""
    return atan(x / sqrt((1 - x) * (1 + x)))


def arc_cosine(x: Any) -> Tensor:
    """A right angle less the arc sine."""
    return 1.5707963267948966 - arc_sine(x)


def inverse_hyperbolic_sine(x: Any) -> Tensor:
    """log(|x| + sqrt(x x + 1)), with the sign of x, in float64."""
    size = abs(cast(x, "float64"))
    return cast(log(size + sqrt(size * size + 1)), x.dtype) * sign(x)


def inverse_hyperbolic_cosine(x: Any) -> Tensor:
    """log(x + sqrt(x x - 1)), for x from 1 on, in float64."""
    wide = cast(x, "float64")
    return cast(log(wide + sqrt((wide - 1) * (wide + 1))), x.dtype)


def inverse_hyperbolic_tangent(x: Any) -> Tensor:
    """log((1 + x) / (1 - x)) / 2, in float64."""
    wide = cast(x, "float64")
    return cast(log((1 + wide) / (1 - wide)) * 0.5, x.dtype)


def reciprocal(x: Any) -> Tensor:
    """1 / x."""
    return 1 / x


def tangent(x: Any) -> Tensor:
    """sin(x) / cos(x)."""
    return sin(x) / cos(x)


def hyperbolic_sine(x: Any) -> Tensor:
    """(exp(x) - exp(-x)) / 2."""
    return (exp(x) - exp(-x)) * 0.5


def hyperbolic_cosine(x: Any) -> Tensor:
    """(exp(x) + exp(-x)) / 2."""
    return (exp(x) + exp(-x)) * 0.5


def logical_xor(a: Any, b: Any) -> Tensor:
    """Whether one holds and the other doesn't."""
    return logical_and(logical_or(a, b), logical_not(logical_and(a, b)))


def truncated(x: Any) -> Tensor:
    """x cut off towards 0."""
    return where(x < 0, ceil(x), floor(x))


def ones_like(x: Any) -> Tensor:
    """1 in the shape of x, whatever x is."""
    is_negative = cast(x, "float32") < 0
    return cast(logical_or(is_negative, logical_not(is_negative)), "float32")
