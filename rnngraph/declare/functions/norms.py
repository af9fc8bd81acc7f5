"""Norms of vectors and of matrices."""

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
    """Norm of vectors or matrices, as ``numpy.linalg.norm``.

    ord: None for the root of the sum of squares over ``axis``; else that of ``vector_norm`` where there is one axis, of
        ``matrix_norm`` where there are two.
    axis: an int, two of them, or None for all; with None and an ``ord`` x has one axis or two.
    keepdims: leaves the axes there, with a length of 1.
    """
    x = as_tensor(x)
    if ord is None:
        return vector_norm(x, 2, axis, keepdims)
    along = (
        tuple(range(x.rank))
        if axis is None
        else (axis,)
        if isinstance(axis, int | np.integer)
        else entries(axis, "axis")
    )
    if len(along) == 1 and not isinstance(ord, str):
        return vector_norm(x, ord, along, keepdims)
    if len(along) != 2:
        what = f"ord={shown(ord)} of {len(along)} axes" if len(along) != 1 else f"ord={shown(ord)} of vectors"
        raise ArgumentError(f"norm: {what}; a number goes with one axis, a number or 'fro' with two, None with any")
    return matrix_norm(x, ord, along, keepdims)


@api
def matrix_norm(
    x: Any, ord: float | str = "fro", axis: Sequence[int] = (-2, -1), keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Norm of matrices, whose rows and columns are the two axes.

    ord: "fro" for the root of the sum of squares; 1 for the largest sum of absolute values in a column, inf in a row;
        -1 and -inf for the smallest. Norms of singular values (2, -2, "nuc") are not offered.
    """
    x = floats(x, "matrix_norm")
    places = [one_axis(x.rank, place) for place in entries(axis, "axis")]
    if len(set(places)) != 2 or len(places) != 2:
        raise ShapeError(f"a matrix has two axes, not {shown(axis)}")
    if ord == "fro":
        return vector_norm(x, 2, tuple(places), keepdims)
    if ord in ("nuc", 2, -2):
        raise NotOfferedError(
            f"ord={shown(ord)} of matrices is computed of singular values, which are not offered; "
            "ord='fro', 1, -1, inf and -inf are"
        )
    if isinstance(ord, bool) or not isinstance(ord, int | float | np.number) or math.fabs(ord) not in (1, math.inf):
        raise ArgumentError(f"ord={shown(ord)} is no norm of matrices; use 'fro', 1, -1, inf or -inf")
    rows, columns = places
    summed, compared = (rows, columns) if math.fabs(ord) == 1 else (columns, rows)
    sums = reduce_sum(abs(x), summed, True)
    found = (reduce_max if ord > 0 else reduce_min)(sums, compared, True)
    return found if keepdims else reduce_sum(found, (rows, columns))


@api
def vector_norm(x: Any, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """sum(abs(x) ** ord) ** (1 / ord) over ``axis``, as ``numpy.linalg.vector_norm``.

    ord: any number; inf and -inf for the largest and smallest absolute value, 0 for the count of those that are not 0.
    axis, keepdims: as for ``reduce_sum``.

    Gradients at 0 are 0, as in torch. Squares of large numbers overflow, as in NumPy: from about 1e19 on in float32.
    """
    x = floats(x, "a norm")
    if isinstance(ord, bool) or not isinstance(ord, int | float | np.number) or ord != ord:
        raise ArgumentError(f"ord={shown(ord)} is no norm of vectors; use a number")
    if ord == 2:
        return root(reduce_sum(square(x), axis, keepdims))
    if ord == 0:
        return reduce_sum(cast(not_equal(x, 0), x.dtype), axis, keepdims)
    far = abs(x)
    if ord == 1:
        return reduce_sum(far, axis, keepdims)
    if math.isinf(ord):
        return (reduce_max if ord > 0 else reduce_min)(far, axis, keepdims)
    return _of_powers(far, float(ord), axis, keepdims)


def _of_powers(far: Tensor, order: float, axis: Axis, keepdims: bool) -> Tensor:
    """The sum of powers of absolute values, to the reciprocal of the power. No power is taken of 0 and of infinities,
    where slopes are none.
    """
    is_zero = equal(far, 0)
    powers = where(is_zero, 0.0 if order > 0 else math.inf, where(is_zero, 1, far) ** order)
    total = reduce_sum(powers, axis, keepdims)
    is_plain = logical_and(total > 0, total < math.inf)
    edge = stop_gradient(total if order > 0 else 1 / total)
    return where(is_plain, where(is_plain, total, 1) ** (1 / order), edge)
