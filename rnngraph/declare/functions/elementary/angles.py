"""Trigonometric functions beyond sine, cosine and arc tangent."""

from __future__ import annotations

import math
from typing import Any

from ....support.api_guard import api
from ...tensor import Tensor, as_tensor, pair
from ..basic import abs, atan, cos, equal, logical_and, sin, sqrt, where
from ..rounding import round
from .numbers import INFINITY, copysign, signbit

_SINC = {
    dtype: tuple((-1) ** k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(1, terms))
    for dtype, terms in (("float32", 8), ("float64", 12))
}
"""Taylor coefficients of sinc for x², x⁴, …"""


@api
def tan(x: Any) -> Tensor:
    """Return the tangent of angles in radians, elementwise.

    The error is at most 8 ulp where the error bounds of sin and cos hold.
    """
    x = as_tensor(x)
    return sin(x) / cos(x)


@api
def asin(x: Any) -> Tensor:
    """Return the arc sine in radians, elementwise; NaN outside [-1, 1]. The error is at most 5 ulp."""
    x = as_tensor(x)
    return atan(x / (sqrt(1.0 - x) * sqrt(1.0 + x) + 1.0)) * 2.0


@api
def acos(x: Any) -> Tensor:
    """Return the arc cosine in radians, elementwise; NaN outside [-1, 1]. The error is at most 5 ulp."""
    x = as_tensor(x)
    magnitude = where(x < 0, -x, x)
    angle = atan(sqrt(1.0 - magnitude) / sqrt(1.0 + magnitude)) * 2.0
    return where(x < 0, math.pi - angle, angle)


@api
def atan2(y: Any, x: Any) -> Tensor:
    """Return the angle of the point (x, y) in radians, from -pi to pi, elementwise. The error is at most 4 ulp.

    Signed zeros and infinities give the values of ``numpy.atan2``. The gradient at (0, 0) is finite.
    """
    y, x = pair(y, x)
    is_steep = abs(y) > abs(x)
    is_origin = logical_and(equal(y, 0), equal(x, 0))
    is_far = logical_and(equal(abs(y), INFINITY), equal(abs(x), INFINITY))
    top, bottom = where(is_steep, x, y), where(is_steep, y, x)
    top, bottom = (where(is_far, copysign(1, item), item) for item in (top, bottom))
    angle = atan(top / where(is_origin, 1.0, bottom))
    flat = where(signbit(x), angle + copysign(math.pi, y), angle)
    return where(is_steep, copysign(math.pi / 2, y) - angle, flat)


@api
def sinc(x: Any) -> Tensor:
    """Return sin(pi x) / (pi x), elementwise; 1 for 0, exactly 0 for other integers, and NaN for infinities."""
    x = as_tensor(x)
    is_small = abs(x) < 0.5
    inner, outer = where(is_small, x, 0.0), where(is_small, 1.0, x)
    nearest = round(outer)
    is_odd = equal(abs(nearest - round(nearest * 0.5) * 2.0), 1)
    sine = sin((outer - nearest) * math.pi)
    return where(is_small, _sinc_near_0(inner), where(is_odd, -sine, sine) / (outer * math.pi))


def _sinc_near_0(x: Tensor) -> Tensor:
    """Evaluate sinc for |x| < 0.5 by its Taylor polynomial, so that its derivative has no cancellation."""
    square = x * x
    last, *others = reversed(_SINC[x.dtype])
    value: Any = last
    for coefficient in others:
        value = square * value + coefficient
    return square * value + 1.0


@api
def deg2rad(x: Any) -> Tensor:
    """Convert degrees to radians, elementwise."""
    return as_tensor(x) * (math.pi / 180)


@api
def rad2deg(x: Any) -> Tensor:
    """Convert radians to degrees, elementwise."""
    return as_tensor(x) * (180 / math.pi)
