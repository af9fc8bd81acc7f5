"""Whole numbers next to others. Through none of them a gradient passes: they are flat almost everywhere."""

from __future__ import annotations

from typing import Any

from ...ir.types import FLOATS
from ...support.api_guard import api
from ..tensor import Tensor, as_tensor, build
from .basic import cast


@api
def round(x: Any) -> Tensor:  # the field's name, as in numpy.round
    """The nearest whole number, of two the even one, elementwise; of x's dtype."""
    x = as_tensor(x)
    return build("round", x) if x.dtype in FLOATS else x


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
