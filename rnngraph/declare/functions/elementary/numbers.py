"""Classification of numbers: NaN, infinities and signs, and selection by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ir.types import FLOATS
from ....support.api_guard import api
from ...tensor import Tensor, as_tensor, binary, build, constant, pair
from ..basic import abs, equal, maximum, minimum, not_equal, where

INFINITY = float("inf")


@api
def isnan(x: Any) -> Tensor:
    """Return True where x is NaN, elementwise."""
    x = as_tensor(x)
    return not_equal(x, x)


@api
def isinf(x: Any) -> Tensor:
    """Return True where x is positive or negative infinity, elementwise."""
    x = as_tensor(x)
    return equal(abs(x), INFINITY) if x.dtype in FLOATS else not_equal(x, x)


@api
def isposinf(x: Any) -> Tensor:
    """Return True where x is positive infinity, elementwise."""
    x = as_tensor(x)
    return equal(x, INFINITY) if x.dtype in FLOATS else not_equal(x, x)


@api
def isneginf(x: Any) -> Tensor:
    """Return True where x is negative infinity, elementwise."""
    x = as_tensor(x)
    return equal(x, -INFINITY) if x.dtype in FLOATS else not_equal(x, x)


@api
def isfinite(x: Any) -> Tensor:
    """Return True where x is finite, elementwise."""
    x = as_tensor(x)
    return abs(x) < INFINITY if x.dtype in FLOATS else equal(x, x)


@api
def copysign(a: Any, b: Any) -> Tensor:
    """Return the magnitude of a with the sign of b, elementwise. A b of -0 or NaN has a sign, too.

    The gradient of a is 1 or -1, and 0 where a is 0. b gets no gradient.
    """
    return binary("copysign", a, b)


@api
def signbit(x: Any) -> Tensor:
    """Return True where the sign bit is set, elementwise, also for -0 and NaN."""
    x = as_tensor(x)
    return build("copysign", constant(1, x.dtype), x) < 0 if x.dtype in FLOATS else x < 0


@api
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Replace NaN and infinities by numbers, elementwise.

    Args:
        x: Tensor.
        nan: Replacement of NaN.
        posinf: Replacement of positive infinity. None: the largest number of the dtype.
        neginf: Replacement of negative infinity. None: the lowest number of the dtype.
    """
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        return x
    limits = np.finfo(x.dtype)
    above, below = (
        float(limit if number is None else number) for number, limit in ((posinf, limits.max), (neginf, limits.min))
    )
    return where(isnan(x), nan, where(equal(x, INFINITY), above, where(equal(x, -INFINITY), below, x)))


@api
def heaviside(x: Any, middle: Any) -> Tensor:
    """Return 0 where x is negative, 1 where it is positive, and ``middle`` where it is 0, elementwise.

    NaN stays NaN.
    """
    x, middle = pair(x, middle)
    return where(equal(x, 0), middle, where(x > 0, 1, where(x < 0, 0, x)))


@api
def fmax(a: Any, b: Any) -> Tensor:
    """Return the larger operand, elementwise. NaN is ignored unless both operands are NaN."""
    a, b = pair(a, b)
    return where(isnan(b), a, where(isnan(a), b, maximum(b, a)))


@api
def fmin(a: Any, b: Any) -> Tensor:
    """Return the smaller operand, elementwise. NaN is ignored unless both operands are NaN."""
    a, b = pair(a, b)
    return where(isnan(b), a, where(isnan(a), b, minimum(b, a)))
