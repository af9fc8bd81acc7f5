"""Elementwise functions with TensorFlow's own value at NaN, its own sign of zero, or its own gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...declare.functions import activations
from ...declare.functions import basic as functions
from ...declare.functions.elementary.powers import power as exact_power
from ...declare.functions.rounding import round as nearest
from ...declare.tensor import Tensor, as_tensor, constant, pair
from ...formats.operators import elementwise
from ...formats.operators.backend import TensorBackend
from ...ir.types import FLOATS

_TENSORS = TensorBackend()
SCALE = 1.0507009873554805
"""Factor of ``tf.nn.selu``."""


def maximum(x: Any, y: Any) -> Tensor:
    """Return the elementwise maximum. The gradient goes to x where x >= y, otherwise to y, also at NaN."""
    x, y = _operands(x, y)
    value = elementwise.maximum(_TENSORS, x, y)
    return _with_gradient(value, lambda: functions.where(x >= y, x, y))


def minimum(x: Any, y: Any) -> Tensor:
    """Return the elementwise minimum. The gradient goes to x where x <= y, otherwise to y, also at NaN."""
    x, y = _operands(x, y)
    value = elementwise.minimum(_TENSORS, x, y)
    return _with_gradient(value, lambda: functions.where(x <= y, x, y))


def clip_by_value(x: Any, low: Any, high: Any) -> Tensor:
    """Return x clamped to [low, high]. The lower limit wins if it is the larger one. NaN gets no gradient."""
    return maximum(minimum(as_tensor(x), high), low)


def _with_gradient(value: Tensor, source: Callable[[], Tensor]) -> Tensor:
    """Return ``value``, whose gradient is that of ``source()``; ints unchanged."""
    return functions.straight_through(source(), value) if value.dtype in FLOATS else value


def sign(x: Any) -> Tensor:
    """Return the sign: -1, 0 or 1, and 0 for NaN. The gradient is a Tensor of zeros, not None, as in TensorFlow."""
    x = as_tensor(x)
    return _with_gradient(elementwise.sign(_TENSORS, x), lambda: functions.where(constant(False), x, 0.0))


def round(x: Any) -> Tensor:
    """Round to the nearest integer, ties to even. The result is -0 only for -0, as in TensorFlow."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        return x
    return functions.where(functions.equal(x, 0), functions.stop_gradient(x), nearest(x) + 0.0)


def relu(x: Any) -> Tensor:
    """Return max(0, x), with a gradient of 0 at NaN."""
    x = as_tensor(x)
    return _with_gradient(activations.relu(x), lambda: functions.where(x > 0, x, 0))


def relu6(x: Any) -> Tensor:
    """Return min(max(0, x), 6), with a gradient of 0 at NaN."""
    x = as_tensor(x)
    inside = functions.logical_and(x > 0, x < 6)
    return _with_gradient(activations.relu6(x), lambda: functions.where(inside, x, 0))


def selu(x: Any) -> Tensor:
    """Return the self-normalising ELU. The gradient at 0 is the gradient for positive x."""
    x = as_tensor(x)
    value = activations.selu(x)
    return _with_gradient(value, lambda: functions.where(x < 0, value, x * SCALE))


def squared_difference(x: Any, y: Any) -> Tensor:
    """Return (x - y) squared."""
    return elementwise.squared_difference(_TENSORS, as_tensor(x), y)


def quotient(x: Any, y: Any) -> Tensor:
    """Return x / y. Ints are divided in float64, as in Python."""
    x, y = pair(x, y)
    if x.dtype not in FLOATS:
        x, y = functions.cast(x, "float64"), functions.cast(y, "float64")
    return Tensor.__truediv__(x, y)  # not the operator, which is this function for Tensors of tf


def floor_divide(x: Any, y: Any) -> Tensor:
    """Return x // y, rounded towards minus infinity. For floats, this is the floor of the rounded quotient x / y."""
    return elementwise.floor_divide(_TENSORS, *pair(x, y))


def div_no_nan(x: Any, y: Any) -> Tensor:
    """Return x / y, and 0 where y is 0."""
    return elementwise.div_no_nan(_TENSORS, *pair(x, y))


def _operands(x: Any, y: Any) -> tuple[Tensor, Any]:
    """Return both operands as Tensors. If x is a Tensor and y a number, return both unchanged."""
    is_number = isinstance(x, Tensor) and isinstance(y, int | float | np.number)
    return (x, y) if is_number else pair(x, y)


def power(base: Any, exponent: Any) -> Tensor:
    """Return base ** exponent, elementwise. The exponent has a gradient only where the base is above 0."""
    if isinstance(exponent, Tensor) and exponent.dtype in FLOATS and not (isinstance(base, int | float) and base > 0):
        base, exponent = pair(base, exponent)
        exponent = functions.where(base > 0, exponent, functions.stop_gradient(exponent))
    return exact_power(base, exponent)
