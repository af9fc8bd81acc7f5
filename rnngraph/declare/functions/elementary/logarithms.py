"""Logarithms to other bases, logarithms of sums, and products with a logarithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....support.api_guard import api
from ....support.arguments import is_number
from ....support.errors import ArgumentError, shown
from ...tensor import Tensor, as_tensor, pair
from ..basic import abs, equal, exp, log, log1p, logical_and, logical_or, maximum, minimum, stop_gradient, where
from ..rounding import round
from .numbers import INFINITY
from .powers import exp2


@api
def log2(x: Any) -> Tensor:
    """Return the logarithm to base 2, elementwise.

    The result is exact for powers of 2; otherwise the error is at most 3 ulp.
    """
    return _log_to(x, 2)


@api
def log10(x: Any) -> Tensor:
    """Return the logarithm to base 10, elementwise.

    The result is an integer for powers of 10; otherwise the error is at most 3 ulp.
    """
    return _log_to(x, 10)


def _log_to(x: Any, base: int) -> Tensor:
    """Return log(x) / log(base). A quotient within one ulp of an integer is rounded to the integer."""
    x = as_tensor(x)
    quotient = log(x) * (1 / math.log(base))
    whole = round(quotient)
    unit = float(np.finfo(x.dtype).eps)
    is_next = abs(quotient - whole) <= abs(whole) * unit
    return quotient + stop_gradient(where(is_next, whole - quotient, 0.0))


@api
def logaddexp(a: Any, b: Any) -> Tensor:
    """Return log(exp(a) + exp(b)), elementwise, without overflow."""
    a, b = pair(a, b)
    return maximum(a, b) + log1p(exp(_gap(a, b)))


@api
def logaddexp2(a: Any, b: Any) -> Tensor:
    """Return log2(2 ** a + 2 ** b), elementwise, without overflow."""
    a, b = pair(a, b)
    return maximum(a, b) + log1p(exp2(_gap(a, b))) * (1 / math.log(2))


def _gap(a: Tensor, b: Tensor) -> Tensor:
    """Return -|a - b|, elementwise, and 0 where a and b are the same infinity.

    Where a equals b, its gradients are 1 for a and -1 for b, while ``maximum(a, b)`` passes its gradient to b. So in
    ``maximum(a, b) + f(_gap(a, b))``, a and b each get half if the slope of f at 0 is 1/2.
    """
    is_same = logical_and(equal(a, b), equal(abs(a), INFINITY))
    gap = where(is_same, 0.0, a) - where(is_same, 0.0, b)
    return minimum(-gap, gap)


@api
def xlogy(x: Any, y: Any) -> Tensor:
    """Return x * log(y), elementwise, and 0 where x is 0 and y is not NaN."""
    x, y = pair(x, y)
    is_undefined = logical_and(equal(x, 0), logical_or(y <= 0, equal(y, INFINITY)))
    return where(is_undefined, 0.0, x * log(where(is_undefined, 1.0, y)))


@api
def entr(x: Any) -> Tensor:
    """Return -x * log(x), elementwise, the terms of an entropy; 0 for 0, and -inf for negative x."""
    x = as_tensor(x)
    inside = where(x <= 0, 1.0, x)
    return where(x < 0, -INFINITY, where(x <= 0, 0.0, -x * log(inside)))


@api
def logit(x: Any, epsilon: float | None = None) -> Tensor:
    """Return log(x / (1 - x)), elementwise, accurate near 0.5; NaN outside [0, 1].

    Args:
        x: float Tensor.
        epsilon: Clamp x to [epsilon, 1 - epsilon] first. None: do not clamp.

    Raises:
        ArgumentError: ``epsilon`` is not from 0 to 0.5.
    """
    x = as_tensor(x)
    if epsilon is not None:
        if not is_number(epsilon) or not 0 <= epsilon <= 0.5:
            raise ArgumentError(f"epsilon={shown(epsilon)} must be a number from 0 to 0.5, or None")
        x = minimum(1 - epsilon, maximum(epsilon, x))  # clip's gradient would be 0 where x is NaN
    is_middle = abs(x - 0.5) < 0.25
    middle = where(is_middle, x, 0.5)
    return where(is_middle, log1p((middle * 2.0 - 1.0) / (1.0 - middle)), log(x) - log1p(-x))
