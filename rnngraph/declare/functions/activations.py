"""Activation functions, and the table of names by which cells and layers select one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...support.api_guard import api, taking
from ...support.arguments import check_not_negative, flag, number
from ...support.errors import ArgumentError, DtypeError, shown
from ..tensor import Tensor, as_tensor
from .basic import (
    abs,
    clip,
    cos,
    equal,
    erf,
    exp,
    expm1,
    identity,
    log,
    log1p,
    maximum,
    minimum,
    reduce_max,
    reduce_sum,
    sigmoid,
    sin,
    tanh,
    where,
)


@api
def relu(x: Any) -> Tensor:
    """Return max(0, x), elementwise. The gradient at 0 is 0."""
    return maximum(0, as_tensor(x), ties="first")


@api
def relu6(x: Any) -> Tensor:
    """Return min(max(x, 0), 6), elementwise. The gradient at 0 and 6 is 0."""
    return minimum(6, relu(x), ties="first")


@api
def softmax(x: Any, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along ``axis``. The maximum is subtracted from x first, so that nothing overflows."""
    x = as_tensor(x)
    raised = exp(x - reduce_max(x, axis, keepdims=True))
    return raised / reduce_sum(raised, axis, keepdims=True)


@api
def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return log(softmax(x)) along ``axis``, more accurate than the logarithm of a softmax."""
    x = as_tensor(x)
    shifted = x - reduce_max(x, axis, keepdims=True)
    return shifted - log(reduce_sum(exp(shifted), axis, keepdims=True))


@api
def leaky_relu(x: Any, alpha: Any = 0.2) -> Tensor:
    """Return x where x is positive, and alpha * x elsewhere.

    Args:
        x: float Tensor.
        alpha: Slope for negative x: a number, or a Tensor that broadcasts with x, such as a parameter (PReLU, He et al.
            2015).
    """
    x = as_tensor(x)
    return where(x > 0, x, x * alpha)


@api
def threshold(x: Any, threshold: float, value: float = 0.0) -> Tensor:
    """Return x where x is above ``threshold``, and ``value`` elsewhere. NaN stays NaN."""
    x = as_tensor(x)
    return where(x <= threshold, value, x)


@api
def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return x where |x| is above ``threshold``, and 0 elsewhere. NaN stays NaN."""
    x = as_tensor(x)
    number(threshold, "threshold")
    return where(abs(x) <= threshold, 0, x)


@api
def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return sign(x) * max(|x| - threshold, 0), elementwise. NaN stays NaN. The threshold is 0 or more."""
    x = as_tensor(x)
    check_not_negative("threshold", threshold)
    return where(x > threshold, x - threshold, where(x < -threshold, x + threshold, where(equal(x, x), 0, x)))


@api
def tanh_shrink(x: Any) -> Tensor:
    """Return x - tanh(x), elementwise."""
    x = as_tensor(x)
    return x - tanh(x)


@api
def hard_tanh(x: Any) -> Tensor:
    """Return x clamped to [-1, 1]. The gradient at both limits is 0."""
    return minimum(1, maximum(-1, as_tensor(x), ties="first"), ties="first")


@api
def hard_sigmoid(x: Any, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Return clip(alpha * x + beta, 0, 1), the hard sigmoid of Keras 2, Theano and ONNX.

    For Keras 3 see ``hard_sigmoid_keras3``.
    """
    return clip(as_tensor(x) * alpha + beta, 0, 1)


@api
def hard_sigmoid_keras3(x: Any) -> Tensor:
    """Return clip(x / 6 + 0.5, 0, 1), the hard sigmoid of Keras 3, JAX and torch (``Hardsigmoid``).

    The gradient at -3 and 3 is 0.
    """
    return minimum(maximum(as_tensor(x) * (1 / 6) + 0.5, 0), 1)


@api
def hard_swish(x: Any) -> Tensor:
    """Return x * hard_sigmoid_keras3(x), also called hard SiLU (Howard et al. 2019)."""
    x = as_tensor(x)
    return x * hard_sigmoid_keras3(x)


@api
def softsign(x: Any) -> Tensor:
    """Return x / (1 + |x|), elementwise."""
    x = as_tensor(x)
    return x / (abs(x) + 1)


@api
def softplus(x: Any) -> Tensor:
    """Return log(1 + exp(x)), elementwise, without overflow."""
    # At 0, maximum and minimum pass the gradient to their second operand: this order gives the slope 0.5.
    x = as_tensor(x)
    return maximum(0, x) + log1p(exp(minimum(x, -x)))


@api
def log_sigmoid(x: Any) -> Tensor:
    """Return log(sigmoid(x)), elementwise, without overflow."""
    x = as_tensor(x)
    return minimum(0, x) - log1p(exp(minimum(-x, x)))  # operands in the order that gives the slope 0.5 at 0


@api
def mish(x: Any) -> Tensor:
    """Return x * tanh(softplus(x)) (Misra 2019)."""
    x = as_tensor(x)
    return x * tanh(softplus(x))


@api
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where x is positive, and alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    x = as_tensor(x)
    is_low = x <= 0
    negative = expm1(where(is_low, x, 0))
    is_plain = not isinstance(alpha, Tensor) and alpha == 1.0
    return where(is_low, negative if is_plain else negative * alpha, x)


@api
def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where x is positive, and alpha * (exp(x / alpha) - 1) elsewhere (Barron 2017). ``alpha`` is not 0."""
    x = as_tensor(x)
    if not number(alpha, "alpha"):
        raise ArgumentError("alpha=0 of celu divides by 0; use rg.relu, its limit")
    is_low = x <= 0
    return where(is_low, expm1(where(is_low, x, 0) / alpha) * alpha, x)


@api
def selu(x: Any, alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805) -> Tensor:
    """Return the self-normalising ELU, scale * elu(x, alpha) (Klambauer et al. 2017)."""
    return elu(x, alpha) * scale


@api
def gelu(x: Any, approximate: bool = False) -> Tensor:
    """Return x * Phi(x), where Phi is the normal distribution function (Hendrycks & Gimpel 2016).

    Args:
        x: float Tensor.
        approximate: Use the tanh approximation.
    """
    x = as_tensor(x)
    if flag(approximate, "approximate"):
        return x * 0.5 * (tanh((x + x**3 * 0.044715) * math.sqrt(2 / math.pi)) + 1)
    return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1)


@api
def swish(x: Any, beta: float = 1.0) -> Tensor:
    """Return x * sigmoid(beta * x); with beta 1 it is also called SiLU."""
    x = as_tensor(x)
    return x * sigmoid(x if not isinstance(beta, Tensor) and beta == 1.0 else x * beta)


@api
def masked_softmax(x: Any, mask: Any = None, axis: int = -1) -> Tensor:
    """Return the softmax along ``axis`` over the entries whose mask is True, and 0 for all other entries.

    Where no entry is True, all are 0.

    Args:
        x: float Tensor.
        mask: bool Tensor that broadcasts with x. None: True except where x is -inf.
        axis: Axis of the softmax.

    Raises:
        DtypeError: The mask is not bool.
    """
    x = as_tensor(x)
    if mask is not None:
        mask = as_tensor(mask)
        if mask.dtype != "bool":
            raise DtypeError(f"masked_softmax needs a bool mask, not {mask!r}; compare first, as in mask > 0")
        x = where(mask, x, -math.inf)
    is_empty = equal(reduce_max(x, axis, keepdims=True), -math.inf)
    return where(is_empty, 0, softmax(where(is_empty, 0, x), axis))


ACTIVATIONS: dict[str, Callable[[Any], Tensor]] = {
    "tanh": tanh,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "sigmoid": sigmoid,
    "identity": identity,
    "linear": identity,
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_keras3": hard_sigmoid_keras3,
    "softsign": softsign,
    "softplus": softplus,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "swish": swish,
    "silu": swish,
    "hard_swish": hard_swish,
    "hard_tanh": hard_tanh,
    "log_sigmoid": log_sigmoid,
    "mish": mish,
    "celu": celu,
    "hard_shrink": hard_shrink,
    "soft_shrink": soft_shrink,
    "tanh_shrink": tanh_shrink,
    "exp": exp,
    "sin": sin,
    "cos": cos,
    "softmax": softmax,
    "log_softmax": log_softmax,
}


def activation_function(activation: str | Callable[[Any], Tensor] | None) -> Callable[[Any], Tensor]:
    """Return the activation function for a name or a function; for None, the identity."""
    if activation is None:
        return identity
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ArgumentError(f"unknown activation {activation!r}; use one of {', '.join(ACTIVATIONS)} or a function")
        return ACTIVATIONS[activation]
    if callable(activation):
        function: Callable[[Any], Tensor] = taking(activation, "an activation", "x")
        return function
    units = "; give units only, because the width of the input is inferred" if isinstance(activation, int) else ""
    raise DtypeError(f"an activation must be a name or a function, not {shown(activation)}{units}")
