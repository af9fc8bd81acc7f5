"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

from ....support.api_guard import api
from ...tensor import Tensor, as_tensor, floats
from ..basic import abs, equal, exp, expm1, log, log1p, maximum, minimum, sign, sqrt, where

_MAX_EXPONENT = {"float32": 80.0, "float64": 700.0}
"""Bound below which exp(x) is finite, by dtype."""
_SQUARED = {"float32": 2.0**14, "float64": 2.0**28}
"""Bound above which x * x + 1 rounds to x * x, by dtype. The square of the bound itself is finite."""


@api
def sinh(x: Any) -> Tensor:
    """Return the hyperbolic sine, elementwise, accurate near 0. The error is at most 4 ulp."""
    x = floats(x, "sinh")
    near = _near(x)
    return where(_is_near(x), (expm1(near) - expm1(-near)) * 0.5, _half_exp(x) - _half_exp(-x))


@api
def cosh(x: Any) -> Tensor:
    """Return the hyperbolic cosine, elementwise. The errors of the value and the gradient are at most 4 ulp."""
    # With p = exp(|x|) - 1, cosh(x) = 1 + p² / (2 + 2p), whose derivative is accurate near 0.
    x = floats(x, "cosh")
    grown = expm1(abs(_near(x)))
    return where(_is_near(x), grown * (grown / (grown * 2.0 + 2.0)) + 1.0, _half_exp(abs(x)))


def _is_near(x: Tensor) -> Tensor:
    """Return True where neither exp(x) nor exp(-x) overflows."""
    return abs(x) < _MAX_EXPONENT[x.dtype]


def _near(x: Tensor) -> Tensor:
    """Clamp x to the range of ``_is_near``, so that a branch of ``where`` is finite also where it is not selected."""
    limit = _MAX_EXPONENT[x.dtype]
    return minimum(limit, maximum(-limit, x))


def _half_exp(x: Tensor) -> Tensor:
    """Return exp(x) / 2, without the overflow of exp(x)."""
    root = exp(x * 0.5)
    return (root * 0.5) * root


@api
def asinh(x: Any) -> Tensor:
    """Return the inverse hyperbolic sine, elementwise, accurate near 0. The error is at most 4 ulp."""
    x = floats(x, "asinh")
    magnitude = abs(x)
    is_large = magnitude > _SQUARED[x.dtype]
    near = where(is_large, 1.0, magnitude)
    small = log1p(near + near * near / (sqrt(near * near + 1.0) + 1.0))
    result = where(is_large, log(where(is_large, magnitude, 1.0)) + math.log(2), small)
    return where(equal(x, 0), x, result * sign(x))  # keeps the sign of zero, with a gradient of 1


@api
def acosh(x: Any) -> Tensor:
    """Return the inverse hyperbolic cosine, elementwise; NaN below 1. The error is at most 4 ulp."""
    x = floats(x, "acosh")
    is_large = x > _SQUARED[x.dtype]
    beyond = where(is_large, 1.0, x - 1.0)
    small = log1p(beyond + sqrt(beyond) * sqrt(beyond + 2.0))
    return where(is_large, log(where(is_large, x, 1.0)) + math.log(2), small)


@api
def atanh(x: Any) -> Tensor:
    """Return the inverse hyperbolic tangent, elementwise; NaN outside [-1, 1]. The error is at most 4 ulp."""
    x = as_tensor(x)
    return (log1p(x) - log1p(-x)) * 0.5
