"""Constants in the shape of a tensor."""

from __future__ import annotations

from typing import Any

from ....support.api_guard import api
from ...public_types import check_dtype
from ...tensor import Tensor, as_tensor
from ..basic import filled_like


@api
def full_like(x: Any, value: float, dtype: Any = None) -> Tensor:
    """Return ``value`` repeated to the shape of x, in x's dtype or ``dtype``, as ``numpy.full_like`` does."""
    return filled_like(as_tensor(x), value, None if dtype is None else check_dtype(dtype))


@api
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Return zeros in the shape of x, in x's dtype or ``dtype``, as ``numpy.zeros_like`` does."""
    return full_like(x, 0, dtype)


@api
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Return ones in the shape of x, in x's dtype or ``dtype``, as ``numpy.ones_like`` does."""
    return full_like(x, 1, dtype)
