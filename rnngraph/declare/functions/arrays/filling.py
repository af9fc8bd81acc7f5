"""Numbers in the shape of a tensor, whatever its entries are."""

from __future__ import annotations

from typing import Any

from ....support.api_guard import api
from ...public_types import check_dtype
from ...tensor import Tensor, as_tensor
from ..basic import filled_like


@api
def full_like(x: Any, value: float, dtype: Any = None) -> Tensor:
    """``value`` in the shape of x, as ``numpy.full_like``, of x's dtype or of ``dtype``."""
    return filled_like(as_tensor(x), value, None if dtype is None else check_dtype(dtype))


@api
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """0 in the shape of x, as ``numpy.zeros_like``, of x's dtype or of ``dtype``."""
    return full_like(x, 0, dtype)


@api
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """1 in the shape of x, as ``numpy.ones_like``, of x's dtype or of ``dtype``."""
    return full_like(x, 1, dtype)
