"""Elementwise functions whose definition in other frameworks differs from NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.functions import basic
from ...declare.functions.elementary import remainders
from ...declare.functions.rounding import floor
from ...ir.types import FLOATS
from ..steps import Function
from .backend import Backend, Item


def sign(b: Backend[Item], x: Item) -> Item:
    """Return the sign of each element. Unlike ``numpy.sign``, the sign of NaN is 0."""
    sides = [b.call(basic.cast, b.call(function, x, 0), b.dtype(x)) for function in (basic.greater, basic.less)]
    return b.operation("-", *sides)


def squared_difference(b: Backend[Item], x: Item, y: Any) -> Item:
    """Return (x - y) squared."""
    return b.call(basic.square, b.operation("-", x, y))


# TensorFlow's functions ----------------------------------------------------------------------------------


def maximum(b: Backend[Item], x: Item, y: Any) -> Item:
    """Return TensorFlow's maximum. Where the operands are equal or y is NaN, the result and the gradient are x's.

    Args:
        y: A value of x's dtype, or a number.
    """
    return _extreme(b, basic.maximum, basic.less, x, y)


def minimum(b: Backend[Item], x: Item, y: Any) -> Item:
    """Return TensorFlow's minimum. Where the operands are equal or y is NaN, the result and the gradient are x's.

    Args:
        y: A value of x's dtype, or a number.
    """
    return _extreme(b, basic.minimum, basic.greater, x, y)


def _extreme(b: Backend[Item], function: Function, is_exceeded: Function, x: Item, y: Any) -> Item:
    """Return the maximum or minimum of x and y, or x where y is NaN.

    Args:
        b: The backend.
        function: ``maximum`` or ``minimum``.
        is_exceeded: Comparison of x and y that is True where y is the result.
        x: The value.
        y: The other operand.
    """
    is_number = isinstance(y, int | float | np.number) and not np.isnan(y)
    if is_number or b.dtype(x) not in FLOATS:
        return b.call(function, y, x)  # At ties, ``function`` passes the gradient to its second operand, here x.
    return b.call(basic.where, b.call(is_exceeded, x, y), y, x)


def clip_by_value(b: Backend[Item], x: Item, low: Any, high: Any) -> Item:
    """Return x clamped to [low, high], as TensorFlow does: if ``low`` exceeds ``high``, the result is ``low``.

    Values equal to a limit have a gradient of 1. The limits are values or numbers.
    """
    if isinstance(low, int | float) and isinstance(high, int | float) and low <= high:
        return b.call(basic.clip, x, low, high)
    return maximum(b, minimum(b, x, high), low)


def div_no_nan(b: Backend[Item], x: Item, y: Item) -> Item:
    """Return x / y, and 0 where y is 0. The gradient is 0 there."""
    is_zero = b.call(basic.equal, y, 0)
    return b.call(basic.where, is_zero, 0.0, b.operation("/", x, b.call(basic.where, is_zero, 1.0, y)))


def floor_divide(b: Backend[Item], x: Item, y: Item) -> Item:
    """Return x // y as TensorFlow does: for floats, the floor of the rounded quotient. NumPy's floor is exact."""
    if b.dtype(x) in FLOATS:
        return b.call(floor, b.operation("/", x, y))
    return b.call(remainders.floor_divide, x, y)
