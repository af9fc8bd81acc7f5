"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...support.api_guard import api
from ...support.arguments import entries
from ...support.errors import ArgumentError, NotOfferedError, ShapeError, shown
from ..tensor import Tensor, as_tensor, floats
from .basic import (
    Axis,
    abs,
    cast,
    equal,
    logical_and,
    not_equal,
    one_axis,
    reduce_max,
    reduce_min,
    reduce_sum,
    square,
    stop_gradient,
    where,
)
from .statistics import root


@api
def norm(x: Any, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return a norm of vectors or matrices, as ``numpy.linalg.norm`` does.

    Args:
        x: float Tensor.
        ord: None: the root of the sum of squares. Otherwise as for ``vector_norm`` with one axis, and as for
            ``matrix_norm`` with two.
        axis: One axis, a pair of axes, or None for all. With ``ord=None``, any number of axes.
        keepdims: Keep the axes with a length of 1.

    Raises:
        ArgumentError: ``ord`` does not fit the number of axes.
    """
    x = as_tensor(x)
    if ord is None:
        return vector_norm(x, 2, axis, keepdims)
    axes = (
        tuple(range(x.rank))
        if axis is None
        else (axis,)
        if isinstance(axis, int | np.integer)
        else entries(axis, "axis")
    )
    if len(axes) == 1 and not isinstance(ord, str):
        return vector_norm(x, ord, axes, keepdims)
    if len(axes) != 2:
        count = "one axis" if len(axes) == 1 else f"{len(axes)} axes"
        raise ArgumentError(
            f"norm: ord={shown(ord)} is not defined for {count} of {x!r}; give ord=None, a number for one axis, or "
            "1, -1, inf, -inf or 'fro' for two"
        )
    return matrix_norm(x, ord, axes, keepdims)


@api
def matrix_norm(x: Any, ord: float | str = "fro", axis: Sequence[int] = (-2, -1), keepdims: bool = False) -> Tensor:
    """Return a norm of matrices.

    Args:
        x: float Tensor of rank 2 or more.
        ord: "fro": the root of the sum of squares. 1: the largest sum of absolute values in a column. inf: the largest
            one in a row. -1 and -inf: the smallest ones.
        axis: Axes of rows and columns.
        keepdims: Keep the axes with a length of 1.

    Raises:
        ShapeError: ``axis`` is not two axes.
        NotOfferedError: ``ord`` is a norm of singular values (2, -2, "nuc").
        ArgumentError: ``ord`` is unknown.
    """
    x = floats(x, "matrix_norm")
    places = [one_axis(x.rank, place) for place in entries(axis, "axis")]
    if len(set(places)) != 2 or len(places) != 2:
        raise ShapeError(f"matrix_norm needs two different axes, not {shown(axis)}")
    if ord == "fro":
        return vector_norm(x, 2, tuple(places), keepdims)
    if ord in ("nuc", 2, -2):
        raise NotOfferedError(
            f"ord={shown(ord)} of matrices needs singular values, which are not offered; use 'fro', 1, -1, inf or -inf"
        )
    if isinstance(ord, bool) or not isinstance(ord, int | float | np.number) or math.fabs(ord) not in (1, math.inf):
        raise ArgumentError(f"ord={shown(ord)} is no norm of matrices; use 'fro', 1, -1, inf or -inf")
    rows, columns = places
    summed, compared = (rows, columns) if math.fabs(ord) == 1 else (columns, rows)
    sums = reduce_sum(abs(x), summed, True)
    result = (reduce_max if ord > 0 else reduce_min)(sums, compared, True)
    return result if keepdims else reduce_sum(result, (rows, columns))


@api
def vector_norm(x: Any, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return sum(abs(x) ** ord) ** (1 / ord) over ``axis``, as ``numpy.linalg.vector_norm`` does.

    Gradients at 0 are 0, as in torch. With ``ord`` 2, entries above about 1e19 in float32 overflow, as in NumPy.

    Args:
        x: float Tensor.
        ord: A number. inf: the largest absolute value. -inf: the smallest one. 0: the number of entries that are not 0.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.

    Raises:
        ArgumentError: ``ord`` is not a number.
    """
    x = floats(x, "a norm")
    if isinstance(ord, bool) or not isinstance(ord, int | float | np.number) or ord != ord:
        raise ArgumentError(f"ord={shown(ord)} is no norm of vectors; use a number")
    if ord == 2:
        return root(reduce_sum(square(x), axis, keepdims))
    if ord == 0:
        return reduce_sum(cast(not_equal(x, 0), x.dtype), axis, keepdims)
    magnitudes = abs(x)
    if ord == 1:
        return reduce_sum(magnitudes, axis, keepdims)
    if math.isinf(ord):
        return (reduce_max if ord > 0 else reduce_min)(magnitudes, axis, keepdims)
    return _of_powers(magnitudes, float(ord), axis, keepdims)


def _of_powers(magnitudes: Tensor, order: float, axis: Axis, keepdims: bool) -> Tensor:
    """Return (sum of magnitudes ** order) ** (1 / order) over ``axis``, for an order that is finite and not 0.

    Zeros and infinities, where the slope is undefined, get no gradient.
    """
    is_zero = equal(magnitudes, 0)
    powers = where(is_zero, 0.0 if order > 0 else math.inf, where(is_zero, 1, magnitudes) ** order)
    total = reduce_sum(powers, axis, keepdims)
    is_plain = logical_and(total > 0, total < math.inf)
    edge = stop_gradient(total if order > 0 else 1 / total)
    return where(is_plain, where(is_plain, total, 1) ** (1 / order), edge)
