"""Binary elementwise functions with TensorFlow's own value at NaN, or its own gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.elementary.powers import power as exact_power
from ...declare.tensor import Tensor, pair
from ...ir.types import FLOATS


def maximum(x: Any, y: Any) -> Tensor:
    """Return the elementwise maximum. The value and gradient are those of x where both are equal or y is NaN."""
    return _extreme(functions.maximum, functions.less, x, y)


def minimum(x: Any, y: Any) -> Tensor:
    """Return the elementwise minimum. The value and gradient are those of x where both are equal or y is NaN."""
    return _extreme(functions.minimum, functions.greater, x, y)


def _extreme(function: Callable[[Any, Any], Tensor], is_behind: Callable[[Any, Any], Tensor], x: Any, y: Any) -> Tensor:
    """Return function(x, y), but x where y is NaN. is_behind: True where y is the result."""
    is_number = isinstance(y, int | float | np.number) and not np.isnan(y)
    x, y = pair(x, y)
    if is_number or x.dtype not in FLOATS:
        return function(y, x)  # of equal operands, the second one receives the gradient
    return functions.where(is_behind(x, y), y, x)


def power(base: Any, exponent: Any) -> Tensor:
    """Return base ** exponent, elementwise. The exponent has a gradient only where the base is above 0."""
    if isinstance(exponent, Tensor) and exponent.dtype in FLOATS and not (isinstance(base, int | float) and base > 0):
        base, exponent = pair(base, exponent)
        exponent = functions.where(base > 0, exponent, functions.stop_gradient(exponent))
    return exact_power(base, exponent)
