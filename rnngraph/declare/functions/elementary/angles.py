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
"""Taylor's coefficients of sinc, of x², x⁴ and on."""


@api
def tan(x: Any) -> Tensor:
    """Tangent of radians, elementwise; to 8 units in the last place where sin and cos hold their bound."""
    x = as_tensor(x)
    return sin(x) / cos(x)


@api
def asin(x: Any) -> Tensor:
    """Arc sine, in radians, elementwise, of numbers from -1 to 1, else NaN; to 5 units in the last place."""
    x = as_tensor(x)
    return atan(x / (sqrt(1.0 - x) * sqrt(1.0 + x) + 1.0)) * 2.0


@api
def acos(x: Any) -> Tensor:
    """Arc cosine, in radians, elementwise, of numbers from -1 to 1, else NaN; to 5 units in the last place."""
    x = as_tensor(x)
    magnitude = where(x < 0, -x, x)
    angle = atan(sqrt(1.0 - magnitude) / sqrt(1.0 + magnitude)) * 2.0
    return where(x < 0, math.pi - angle, angle)


@api
def atan2(y: Any, x: Any) -> Tensor:
    """The angle of the point (x, y), in radians from -pi to pi, elementwise; to 4 units in the last place.

    As ``numpy.atan2`` at zeros of either sign and at infinities. At (0, 0) the gradient is finite.
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
    """sin(pi x) / (pi x), elementwise, and 1 at 0; of other whole numbers exactly 0, of infinities NaN.

    Up to 0.5 it is Taylor's polynomial, whose derivative does not cancel.
    """
    x = as_tensor(x)
    is_small = abs(x) < 0.5
    small, other = where(is_small, x, 0.0), where(is_small, 1.0, x)
    near = round(other)
    is_odd = equal(abs(near - round(near * 0.5) * 2.0), 1)
    sine = sin((other - near) * math.pi)
    return where(is_small, _sinc_near_0(small), where(is_odd, -sine, sine) / (other * math.pi))


def _sinc_near_0(x: Tensor) -> Tensor:
    """sinc(x) of |x| up to 0.5."""
    square = x * x
    last, *others = reversed(_SINC[x.dtype])
    value: Any = last
    for coefficient in others:
        value = square * value + coefficient
    return square * value + 1.0


@api
def deg2rad(x: Any) -> Tensor:
    """Degrees as radians, elementwise."""
    return as_tensor(x) * (math.pi / 180)


@api
def rad2deg(x: Any) -> Tensor:
    """Radians as degrees, elementwise."""
    return as_tensor(x) * (180 / math.pi)
