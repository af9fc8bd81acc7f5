"""Truth values together: whether all of them hold, or any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import DtypeError
from ...public import api
from ..tensor import Tensor, as_tensor
from .basic import Axis, cast, reduce_max, reduce_min


@api
def reduce_any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any of a bool tensor hold over ``axis``, with ``keepdims`` as for ``reduce_sum``; of none False."""
    return _together(x, axis, keepdims, reduce_max, "reduce_any")


@api
def reduce_all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all of a bool tensor hold over ``axis``, with ``keepdims`` as for ``reduce_sum``; of none True."""
    return _together(x, axis, keepdims, reduce_min, "reduce_all")


def _together(x: Any, axis: Axis, keepdims: bool, extreme: Callable[..., Tensor], name: str) -> Tensor:
    """The largest or the smallest of truth values as 0 and 1."""
    if isinstance(x, bool):
        raise DtypeError(
            f"{name} of {x}: == and != compare Tensors as objects; write rg.{name}(rg.not_equal(x, 0), axis)"
        )
    x = as_tensor(x)
    if x.dtype != "bool":
        raise DtypeError(f"{name} needs truth values, not {x!r}; compare first, as in rg.not_equal(x, 0)")
    return extreme(cast(x, "int32"), axis, keepdims) > 0
