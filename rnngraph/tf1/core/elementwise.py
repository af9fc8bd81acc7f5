"""Functions of pairs of numbers whose value at NaN, or whose gradient, is TensorFlow's own."""

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
    """The smaller, elementwise. Where y is NaN or both are equal it is x, with the gradient."""
    return _extreme(functions.minimum, functions.greater, x, y)


def _extreme(function: Callable[[Any, Any], Tensor], is_behind: Callable[[Any, Any], Tensor], x: Any, y: Any) -> Tensor:
    """function(x, y), and x where y is NaN. is_behind: true where y is the result."""
    is_number = isinstance(y, int | float | np.number) and not np.isnan(y)
    x, y = pair(x, y)
    if is_number or x.dtype not in FLOATS:
        return function(y, x)  # of equal operands the second one has the gradient
    return functions.where(is_behind(x, y), y, x)


def power(base: Any, exponent: Any) -> Tensor:
    """base to the exponent, elementwise. No gradient passes to the exponent where the base is not above 0."""
    if isinstance(exponent, Tensor) and exponent.dtype in FLOATS and not (isinstance(base, int | float) and base > 0):
        base, exponent = pair(base, exponent)
        exponent = functions.where(base > 0, exponent, functions.stop_gradient(exponent))
    return exact_power(base, exponent)
