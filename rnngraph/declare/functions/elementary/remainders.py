"""Integer quotients and remainders."""

from __future__ import annotations

from typing import Any

from ....ir.types import FLOATS, INTEGERS
from ....support.api_guard import api
from ...tensor import UFUNCS, Tensor, as_tensor, binary, build, like, pair
from ..rounding import floor


@api
def remainder(a: Any, b: Any) -> Tensor:
    """Return the remainder of a / b, exactly, with the sign of b, elementwise. Also written ``a % b``.

    Values are those of ``numpy.remainder``: NaN for a float divided by 0, and 0 for an integer divided by 0. The
    gradient of a is 1, and that of b is -floor(a / b).
    """
    a, b = pair(a, b)
    rest = build("fmod", a, b)
    rest = build("select", _is_opposite(rest, b), rest + b, rest)
    if a.dtype in INTEGERS:
        return rest
    # Give zeros the sign of b by sums, through which the gradient passes.
    return build("select", b < 0, -(0.0 - rest), rest + 0.0)


@api
def floor_divide(a: Any, b: Any) -> Tensor:
    """Return floor(a / b), exactly, elementwise. Also written ``a // b``. No gradient passes.

    Values are those of ``numpy.floor_divide``: NaN for an infinite a, an infinity for a float divided by 0, and 0 for
    an integer divided by 0.
    """
    a, b = pair(a, b)
    rest = build("fmod", a, b)
    is_opposite = _is_opposite(rest, b)
    if a.dtype in INTEGERS:
        return build("div", a, b) - build("cast", is_opposite, dtype=a.dtype)
    quotient = (a - rest) / b - build("cast", is_opposite, dtype=a.dtype)
    nearest = build("round", quotient)
    is_half = build("equal", nearest - quotient, like(0.5, quotient))  # halves are rounded down, as in NumPy
    quotient = nearest - build("cast", is_half, dtype=a.dtype)
    plain = build("stop_gradient", a / b)
    is_zero = build("equal", quotient, like(0, quotient))
    quotient = build("select", is_zero, build("copysign", like(0, plain), plain), quotient)
    return build("select", build("equal", b, like(0, b)), plain, quotient)


def _is_opposite(rest: Tensor, divisor: Tensor) -> Tensor:
    """Return True where a remainder is nonzero and its sign is not that of the divisor."""
    return build("or", build("and", rest < 0, divisor > 0), build("and", rest > 0, divisor < 0))


UFUNCS.update(remainder=remainder, floor_divide=floor_divide)


@api
def fmod(a: Any, b: Any) -> Tensor:
    """Return the remainder of a / b, exactly, with the sign of a, elementwise, as ``numpy.fmod``, C and ONNX define it.

    The result is NaN for a float divided by 0 and for an infinite a, and 0 for an integer divided by 0. The gradient of
    a is 1, and that of b is -trunc(a / b).
    """
    return binary("fmod", a, b)


@api
def trunc(x: Any) -> Tensor:
    """Round x towards 0, elementwise, in x's dtype. No gradient passes."""
    x = as_tensor(x)
    return build("copysign", floor(build("abs", x)), x) if x.dtype in FLOATS else x


@api
def trunc_divide(a: Any, b: Any) -> Tensor:
    """Return a / b rounded towards 0, elementwise, as ONNX and C divide integers; 0 for an integer divided by 0.

    Results for integers are exact. The result for floats is ``trunc(a / b)`` of the rounded quotient a / b.
    """
    a, b = pair(a, b)
    return trunc(build("div", a, b))
