"""Rounding to integers. No gradient passes, because these functions are piecewise constant."""

from __future__ import annotations

from typing import Any

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import DtypeError
from ..tensor import Tensor, as_tensor, build
from .basic import cast


@api
def round(x: Any, decimals: int = 0) -> Tensor:  # the field's name, as in numpy.round
    """Round to the nearest integer, elementwise, in x's dtype. Halves go to the even one.

    Args:
        x: Tensor.
        decimals: Digits after the decimal point to keep; negative values round before it, as in ``numpy.round``.

    Raises:
        DtypeError: x is an integer, and ``decimals`` is negative.
    """
    x, digits = as_tensor(x), whole_number(decimals, "decimals")
    if x.dtype not in FLOATS:
        if digits < 0:
            raise DtypeError(f"round with decimals={digits} needs floats, not {x!r}; convert with rg.cast")
        return x
    if not digits:
        return build("round", x)
    power = 10.0 ** (digits if digits > 0 else -digits)
    return build("round", x * power) / power if digits > 0 else build("round", x / power) * power


@api
def floor(x: Any) -> Tensor:
    """Return the largest integer that is not above x, elementwise, in x's dtype."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        return x
    nearest = build("round", x)
    return nearest - cast(nearest > x, x.dtype)


@api
def ceil(x: Any) -> Tensor:
    """Return the smallest integer that is not below x, elementwise, in x's dtype."""
    return -floor(-as_tensor(x))
