"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

from ....support.api_guard import api
from ...tensor import Tensor, as_tensor, floats
from ..basic import abs, clip, equal, exp, expm1, log, log1p, sign, sqrt, where

_MAX_EXPONENT = {"float32": 80.0, "float64": 700.0}
"""exp of it is finite."""
_SQUARED = {"float32": 2.0**14, "float64": 2.0**28}
"""From here on x * x + 1 is x * x, and its square is finite."""


@api
def sinh(x: Any) -> Tensor:
    """Hyperbolic sine, elementwise; accurate near 0, to 4 units in the last place."""
    x = floats(x, "sinh")
    near = _near(x)
    return where(_is_near(x), (expm1(near) - expm1(-near)) * 0.5, _half_exp(x) - _half_exp(-x))


@api
def cosh(x: Any) -> Tensor:
    """Hyperbolic cosine, elementwise; to 4 units in the last place, and so is its gradient.

    With p = exp(|x|) - 1 it is 1 + p² / (2 + 2p), whose derivative is accurate near 0.
    """
    x = floats(x, "cosh")
    grown = expm1(abs(_near(x)))
    return where(_is_near(x), grown * (grown / (grown * 2.0 + 2.0)) + 1.0, _half_exp(abs(x)))


def _is_near(x: Tensor) -> Tensor:
    """True where exp(x) neither overflows nor vanishes."""
    return abs(x) < _MAX_EXPONENT[x.dtype]


def _near(x: Tensor) -> Tensor:
    """x, limited to where ``_is_near`` holds, so that what is not chosen has a finite gradient."""
    return clip(x, -_MAX_EXPONENT[x.dtype], _MAX_EXPONENT[x.dtype])


def _half_exp(x: Tensor) -> Tensor:
    """exp(x) / 2, where exp(x) may overflow."""
    root = exp(x * 0.5)
    return (root * 0.5) * root


@api
def asinh(x: Any) -> Tensor:
    """Inverse hyperbolic sine, elementwise; accurate near 0, to 4 units in the last place."""
    x = floats(x, "asinh")
    magnitude = abs(x)
    is_large = magnitude > _SQUARED[x.dtype]
    near = where(is_large, 1.0, magnitude)
    small = log1p(near + near * near / (sqrt(near * near + 1.0) + 1.0))
    result = where(is_large, log(where(is_large, magnitude, 1.0)) + math.log(2), small)
    return where(equal(x, 0), x, result * sign(x))  # where the gradient is 1


@api
def acosh(x: Any) -> Tensor:
    """Inverse hyperbolic cosine, elementwise, of numbers from 1 on, else NaN; to 4 units in the last place."""
    x = floats(x, "acosh")
    is_large = x > _SQUARED[x.dtype]
    beyond = where(is_large, 1.0, x - 1.0)
    small = log1p(beyond + sqrt(beyond) * sqrt(beyond + 2.0))
    return where(is_large, log(where(is_large, x, 1.0)) + math.log(2), small)


@api
def atanh(x: Any) -> Tensor:
    """Inverse hyperbolic tangent, elementwise, of numbers from -1 to 1, else NaN; to 4 units in the last place."""
    x = as_tensor(x)
    return (log1p(x) - log1p(-x)) * 0.5
