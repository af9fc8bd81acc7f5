"""Binary elementwise functions with TensorFlow's own value at NaN, or its own gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.elementary.powers import power as exact_power
from ...declare.tensor import Tensor, as_tensor, pair
from ...formats.operators import elementwise
from ...formats.operators.backend import TensorBackend
from ...ir.types import FLOATS

_TENSORS = TensorBackend()


def maximum(x: Any, y: Any) -> Tensor:
    """Return the elementwise maximum. The value and gradient are those of x where both are equal or y is NaN."""
    return elementwise.maximum(_TENSORS, *_operands(x, y))


def minimum(x: Any, y: Any) -> Tensor:
    """Return the elementwise minimum. The value and gradient are those of x where both are equal or y is NaN."""
    return elementwise.minimum(_TENSORS, *_operands(x, y))


def clip_by_value(x: Any, low: Any, high: Any) -> Tensor:
    """Return x clamped to [low, high]. The lower limit wins if it is the larger one."""
    return elementwise.clip_by_value(_TENSORS, as_tensor(x), low, high)


def floor_divide(x: Any, y: Any) -> Tensor:
    """Return x // y. The quotient of floats is rounded before it is rounded down."""
    return elementwise.floor_divide(_TENSORS, *pair(x, y))


def div_no_nan(x: Any, y: Any) -> Tensor:
    """Return x / y, and 0 where y is 0."""
    return elementwise.div_no_nan(_TENSORS, *pair(x, y))


def _operands(x: Any, y: Any) -> tuple[Tensor, Any]:
    """Return both operands as Tensors. A number y is not converted if x is a Tensor."""
    is_number = isinstance(x, Tensor) and isinstance(y, int | float | np.number)
    return (x, y) if is_number else pair(x, y)


def power(base: Any, exponent: Any) -> Tensor:
    """Return base ** exponent, elementwise. The exponent has a gradient only where the base is above 0."""
    if isinstance(exponent, Tensor) and exponent.dtype in FLOATS and not (isinstance(base, int | float) and base > 0):
        base, exponent = pair(base, exponent)
        exponent = functions.where(base > 0, exponent, functions.stop_gradient(exponent))
    return exact_power(base, exponent)
