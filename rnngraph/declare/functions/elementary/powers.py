"""Powers, roots and lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ir.types import INTEGERS
from ....support.api_guard import api
from ....support.errors import DtypeError
from ...tensor import UFUNCS, Tensor, as_tensor, binary, build, constant, divided, pair
from ..basic import abs, equal, logical_or, maximum, minimum, sqrt, where
from .numbers import INFINITY

MAX_FACTORS = 8
"""Largest exponent whose power is a product. The rounding of each product adds up: of more, the op is more accurate."""


@api
def power(x: Any, exponent: Any) -> Tensor:
    """x to the exponent, elementwise, for all numbers as ``numpy.power``; also ``x ** exponent``.

    Exponents 1 to 8, -1 and 0.5 that are Python numbers are products, the reciprocal and the square root. Integers
    wrap; they take no exponent below 0 that is a number, and of one in a Tensor the quotient is cut off.

    Gradients are finite at 0: for a whole exponent above 1 the base receives 0, for one above 0 the exponent does.
    """
    if isinstance(exponent, int | float | np.integer | np.floating) and not isinstance(x, int | float):
        x = as_tensor(x)
        if exponent == 0.5 and x.dtype not in INTEGERS:
            return build("sqrt", x)
        if exponent < 0 and x.dtype in INTEGERS:
            raise DtypeError(f"integers have no power of {exponent}; convert with rg.cast")
        if exponent == -1:
            return divided(1, x)
        if 0 < exponent <= MAX_FACTORS and exponent == int(exponent):
            return _integer_power(x, int(exponent))
    return binary("power", x, exponent)


def _integer_power(x: Tensor, count: int) -> Tensor:
    if count == 1:
        return x
    half = _integer_power(x, count // 2)
    square = half * half
    return square * x if count % 2 else square


UFUNCS["power"] = power


@api
def exp2(x: Any) -> Tensor:
    """2 to the x, elementwise; exact for whole numbers."""
    x = as_tensor(x)
    return build("power", constant(2, x.dtype), x)


@api
def reciprocal(x: Any) -> Tensor:
    """1 / x, elementwise; of integers cut off towards 0, and 0 where x is 0."""
    x = as_tensor(x)
    return build("div", constant(1, x.dtype), x)


@api
def rsqrt(x: Any) -> Tensor:
    """1 / sqrt(x), elementwise."""
    x = as_tensor(x)
    return 1.0 / sqrt(x)


@api
def hypot(a: Any, b: Any) -> Tensor:
    """sqrt(a * a + b * b), elementwise, where the squares may overflow or vanish; to 3 units in the last place.

    Infinite where either is, even beside NaN. At (0, 0) the gradient is 0.
    """
    a, b = pair(a, b)
    first, second = abs(a), abs(b)
    larger, smaller = maximum(first, second), minimum(second, first)  # of two equal ones each is one of them
    is_zero = equal(larger, 0)
    ratio = smaller / where(is_zero, 1, larger)
    length = larger * sqrt(ratio * ratio + 1)
    is_infinite = logical_or(equal(first, INFINITY), equal(second, INFINITY))
    return where(is_infinite, INFINITY, length)
