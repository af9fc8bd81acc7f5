"""Powers, roots and hypotenuses."""

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
"""Maximum exponent that is computed by products. Above it, their rounding errors exceed the error of the op."""


@api
def power(x: Any, exponent: Any) -> Tensor:
    """Return x to the power of ``exponent``, elementwise, with the values of ``numpy.power``.

    Also written ``x ** exponent``.

    Integers wrap. At a base of 0, the gradient of the base is 0 for exponents above 1, and infinite for exponents
    between 0 and 1. The gradient of the exponent at a base of 0 is 0 for exponents of 0 or more.

    Args:
        x: Number or Tensor.
        exponent: Number or Tensor. The numbers 1 to 8, -1 and 0.5 are computed by products, a reciprocal and a square
            root. With an integer x, results for negative exponents in a Tensor are truncated towards 0.

    Raises:
        DtypeError: x is an integer, and the exponent a negative number.
    """
    if isinstance(exponent, int | float | np.integer | np.floating) and not isinstance(x, int | float):
        x = as_tensor(x)
        if exponent == 0.5 and x.dtype not in INTEGERS:
            return build("sqrt", x)
        if exponent < 0 and x.dtype in INTEGERS:
            raise DtypeError(f"integers to the power {exponent} are not integers; convert the base with rg.cast")
        if exponent == -1:
            return divided(1, x)
        if 0 < exponent <= MAX_FACTORS and exponent == int(exponent):
            return _integer_power(x, int(exponent))
    return binary("power", x, exponent)


def _integer_power(x: Tensor, count: int) -> Tensor:
    """Return x to the power of ``count``, at least 1, by repeated squaring."""
    if count == 1:
        return x
    half = _integer_power(x, count // 2)
    square = half * half
    return square * x if count % 2 else square


UFUNCS["power"] = power


@api
def exp2(x: Any) -> Tensor:
    """Return 2 to the power of x, elementwise; exact for integers."""
    x = as_tensor(x)
    return build("power", constant(2, x.dtype), x)


@api
def reciprocal(x: Any) -> Tensor:
    """Return 1 / x, elementwise. For an integer x the result is truncated towards 0, and 0 where x is 0."""
    x = as_tensor(x)
    return build("div", constant(1, x.dtype), x)


@api
def rsqrt(x: Any) -> Tensor:
    """Return 1 / sqrt(x), elementwise."""
    x = as_tensor(x)
    return 1.0 / sqrt(x)


@api
def hypot(a: Any, b: Any) -> Tensor:
    """Return sqrt(a * a + b * b), elementwise, without overflow or underflow of the squares.

    The error is at most 3 ulp. The result is infinite where an operand is, even if the other is NaN. The gradient at
    (0, 0) is 0.
    """
    a, b = pair(a, b)
    first, second = abs(a), abs(b)
    # operands swapped, so that each of two equal operands is selected once
    larger, smaller = maximum(first, second), minimum(second, first)
    is_zero = equal(larger, 0)
    ratio = smaller / where(is_zero, 1, larger)
    length = larger * sqrt(ratio * ratio + 1)
    is_infinite = logical_or(equal(first, INFINITY), equal(second, INFINITY))
    return where(is_infinite, INFINITY, length)
