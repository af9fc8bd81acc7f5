"""Quotients that are whole numbers, and what divisions leave."""

from __future__ import annotations

from typing import Any

from ....ir.types import FLOATS, INTEGERS
from ....support.api_guard import api
from ...tensor import UFUNCS, Tensor, as_tensor, binary, build, like, pair
from ..rounding import floor


@api
def remainder(a: Any, b: Any) -> Tensor:
    """What is left of a / b, exactly, with the sign of b, elementwise; also ``a % b``. As ``numpy.remainder``.

    Of a float divided by 0 it is NaN, of an integer 0. The gradient of a is 1, that of b is -floor(a / b).
    """
    a, b = pair(a, b)
    rest = build("fmod", a, b)
    rest = build("select", _is_opposite(rest, b), rest + b, rest)
    if a.dtype in INTEGERS:
        return rest
    # Zeros get the sign of b, by sums through which the gradient passes.
    return build("select", b < 0, -(0.0 - rest), rest + 0.0)


@api
def floor_divide(a: Any, b: Any) -> Tensor:
    """The largest whole number that is not above a / b, exactly, elementwise; also ``a // b``.

    As ``numpy.floor_divide``: an infinite a gives NaN, a float divided by 0 is infinite, and an integer 0. No gradient
    passes.
    """
    a, b = pair(a, b)
    rest = build("fmod", a, b)
    is_opposite = _is_opposite(rest, b)
    if a.dtype in INTEGERS:
        return build("div", a, b) - build("cast", is_opposite, dtype=a.dtype)
    quotient = (a - rest) / b - build("cast", is_opposite, dtype=a.dtype)
    nearest = build("round", quotient)
    is_half = build("equal", nearest - quotient, like(0.5, quotient))  # a half is rounded down, as NumPy does
    quotient = nearest - build("cast", is_half, dtype=a.dtype)
    plain = build("stop_gradient", a / b)
    is_zero = build("equal", quotient, like(0, quotient))
    quotient = build("select", is_zero, build("copysign", like(0, plain), plain), quotient)
    return build("select", build("equal", b, like(0, b)), plain, quotient)


def _is_opposite(rest: Tensor, divisor: Tensor) -> Tensor:
    """True where both have a sign, and not the same one."""
    return build("or", build("and", rest < 0, divisor > 0), build("and", rest > 0, divisor < 0))


UFUNCS.update(remainder=remainder, floor_divide=floor_divide)


@api
def fmod(a: Any, b: Any) -> Tensor:
    """What is left of a / b, exactly, with the sign of a, elementwise. As ``numpy.fmod``, C and ONNX have it.

    Of a float divided by 0 and of an infinite a it is NaN, of an integer divided by 0 it is 0. The gradient of a is 1,
    that of b is -trunc(a / b).
    """
    return binary("fmod", a, b)


@api
def trunc(x: Any) -> Tensor:
    """x without its fraction: the whole number next to it towards 0, elementwise; of x's dtype. No gradient passes."""
    x = as_tensor(x)
    return build("copysign", floor(build("abs", x)), x) if x.dtype in FLOATS else x


@api
def trunc_divide(a: Any, b: Any) -> Tensor:
    """a / b, cut off towards 0, elementwise; of integers exactly, and 0 where b is 0. As ONNX and C divide integers.

    Of floats it is ``trunc(a / b)``, whose quotient is rounded before.
    """
    a, b = pair(a, b)
    return trunc(build("div", a, b))
