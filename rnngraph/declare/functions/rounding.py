"""Whole numbers next to others. Through none of them a gradient passes: they are flat almost everywhere."""

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
    """The nearest whole number, of two the even one, elementwise; of x's dtype.

    decimals: so many digits behind the point stay, as for ``numpy.round``; below 0 they count in front of it.
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
    """The largest whole number that is not above x, elementwise; of x's dtype."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        return x
    nearest = build("round", x)
    return nearest - cast(nearest > x, x.dtype)


@api
def ceil(x: Any) -> Tensor:
    """The smallest whole number that is not below x, elementwise; of x's dtype."""
    return -floor(-as_tensor(x))
