"""Order statistics: sorting, top k, medians and quantiles.

NaN counts as the largest number, and equal entries keep their order, as in NumPy and torch. Gradients go to the
selected entries.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ir.types import FLOATS, Dim
from ...support.api_guard import api
from ...support.arguments import flag, number, whole_number
from ...support.errors import ArgumentError, ShapeError, shown
from ..tensor import Tensor, as_tensor, build, constant, floats
from .basic import (
    Axis,
    axes_of,
    cast,
    equal,
    expand_dims,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    not_equal,
    one_axis,
    places_along,
    reduce_max,
    reduce_min,
    reduce_sum,
    stack,
    transpose,
    where,
)
from .rounding import floor
from .statistics import reduce_any, selected

MAX_ROUNDS = 128
"""Maximum ``k`` for which ``top_k`` selects one entry per round. Above it, all pairs are compared."""
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@api
def sort(x: Any, axis: int = -1, descending: bool = False) -> Tensor:
    """Sort the entries along ``axis``. NaN counts as the largest number.

    All pairs of entries are compared, so the cost grows with the square of the axis' size.

    Args:
        x: Tensor.
        axis: An int.
        descending: Largest entries first.
    """
    x = as_tensor(x)
    if x.dtype == "bool":
        return cast(sort(cast(x, "int32"), axis, descending), "bool")
    last, order = _axis_last(x, axis)
    hits = _rank_mask(_ranks(last, flag(descending, "descending")), last)
    return _axis_back(_entries_at_ranks(hits, last), order)


@api
def argsort(x: Any, axis: int = -1, descending: bool = False) -> Tensor:
    """Return the indices (int64) that sort the entries along ``axis``. Equal entries keep their order.

    Args:
        x: Tensor.
        axis: An int.
        descending: Largest entries first.
    """
    x = as_tensor(x)
    if x.dtype == "bool":
        x = cast(x, "int32")
    last, order = _axis_last(x, axis)
    hits = _rank_mask(_ranks(last, flag(descending, "descending")), last)
    return _axis_back(_entries_at_ranks(hits, places_along(last, last.rank - 1)), order)


@api
def top_k(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest entries along ``axis`` in descending order, and their indices.

    NaN counts as the largest number. Equal entries keep their order.

    Args:
        x: Tensor of numbers.
        k: Number of entries.
        axis: An int.
        largest: False: the k smallest entries in ascending order.

    Returns:
        (values, int64 indices), both of size k along ``axis``.

    Raises:
        ShapeError: ``k`` is larger than the axis, which each call checks for a symbolic size. Or the size is symbolic,
            ``largest`` is True, and ``k`` exceeds 128. Or x is a scalar or bool.
    """
    x = as_tensor(x)
    if not x.rank or x.dtype == "bool":
        raise ShapeError(f"top_k needs numbers [..., entries], not {x!r}; convert with rg.cast")
    last, order = _axis_last(x, axis)
    size, count = last.type.shape[-1], whole_number(k, "k", 1)
    if isinstance(size, int) and count > size:
        raise ShapeError(f"top_k: k={count} is more than the {size} entries of the axis; give a smaller k")
    if flag(largest, "largest"):
        best = _largest(last, size, count)
    else:
        best = sort(last)[..., :count], argsort(last)[..., :count]
    return _axis_back(best[0], order), _axis_back(best[1], order)


def _largest(x: Tensor, size: Dim, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` largest entries along the last axis of size ``size``, and their indices."""
    if isinstance(size, int) and (count > MAX_ROUNDS or 4 * count > size):
        ranks = _ranks(x, descending=True)
        hits = equal(expand_dims(ranks, -2), build("reshape", build("iota", size=count), shape=(count, 1)))
        return _entries_at_ranks(hits, x), _entries_at_ranks(hits, build("iota", size=size))
    if count > MAX_ROUNDS:
        raise ShapeError(f"top_k: k={count} along an axis of symbolic size is not supported; give at most {MAX_ROUNDS}")
    return _in_rounds(x, count)


def _in_rounds(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return (values, indices) of the ``count`` largest entries. Each round selects one entry."""
    is_float = x.dtype in FLOATS
    lowest = -np.inf if is_float else int(np.iinfo(x.dtype).min)
    place = build("iota", size=x.type.shape[-1])
    if not isinstance(x.type.shape[-1], int):  # by this slice, each call checks that there are ``count`` entries
        last = reduce_max(x[..., count - 1 : count], -1, True)
        place = where(logical_or(equal(last, last), not_equal(last, last)), place, 0)
    values, indices = [], []
    is_remaining: Tensor | None = None
    for _ in range(count):
        remaining = x if is_remaining is None else where(is_remaining, x, lowest)
        best = equal(x, reduce_max(remaining, -1, True))
        best = logical_or(best, not_equal(x, x)) if is_float else best
        best = best if is_remaining is None else logical_and(best, is_remaining)
        index = reduce_min(where(best, place, np.int64(2**63 - 1)), -1, True)
        hit = equal(place, index)
        values.append(selected(hit, x, -1))
        indices.append(reduce_min(index, -1))
        is_remaining = logical_not(hit) if is_remaining is None else logical_and(is_remaining, logical_not(hit))
    return stack(values, -1), stack(indices, -1)


@api
def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the median over ``axis`` of floats; NaN if an entry is NaN.

    The median of an even number of entries is the mean of the middle two. Sizes along ``axis`` must be fixed.
    """
    return _quantile(x, 0.5, axis, keepdims, "midpoint", False)


@api
def quantile(x: Any, q: float, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Tensor:
    """Return the quantile ``q`` over ``axis``: the entry at position q * (n - 1) of the n sorted entries.

    The result is NaN if an entry is NaN.

    Args:
        x: float Tensor.
        q: A number in [0, 1].
        axis: As for ``reduce_sum``; sizes must be fixed.
        keepdims: As for ``reduce_sum``.
        method: Interpolation between two entries: "linear", "lower", "higher", "midpoint" or "nearest", as for
            ``numpy.quantile``.

    Raises:
        ArgumentError: ``q`` or ``method`` is invalid.
        ShapeError: An axis has a symbolic size, or no entries.
    """
    return _quantile(x, q, axis, keepdims, method, False)


@api
def nanquantile(x: Any, q: float, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Tensor:
    """Return the quantile ``q`` over ``axis`` of the entries that are not NaN; NaN if all are NaN.

    ``method`` and all other arguments are those of ``quantile``.
    """
    return _quantile(x, q, axis, keepdims, method, True)


def _quantile(x: Any, q: float, axis: Axis, keepdims: bool, method: str, ignores_nan: bool) -> Tensor:
    """Return the quantile ``q`` over several axes. With ``ignores_nan``, entries that are NaN do not count."""
    x = floats(x, "a quantile")
    if not 0 <= number(q, "q") <= 1:
        raise ArgumentError(f"q={shown(q)} must be a number from 0 to 1")
    if method not in METHODS:
        raise ArgumentError(f"method={shown(method)} is not offered; use one of {', '.join(METHODS)}")
    axes = axes_of(x, axis)
    kept_shape = tuple(1 if place in axes else dim for place, dim in enumerate(x.type.shape))
    others = tuple(place for place in range(x.rank) if place not in axes)
    flat, size = transpose(x, (*others, *axes)), math.prod(_fixed(x, place) for place in axes)
    flat = build("reshape", flat, shape=(*(x.type.shape[place] for place in others), size))
    result = _interpolate(flat, size, q, method, ignores_nan)
    return build("reshape", result, shape=kept_shape if flag(keepdims, "keepdims") else result.type.shape)


def _fixed(x: Tensor, place: int) -> int:
    """Return the size of an axis. Raise ``ShapeError`` if it is symbolic or 0."""
    size = x.type.shape[place]
    if not isinstance(size, int) or size < 1:
        raise ShapeError(
            f"a quantile needs a fixed size of at least 1 along axis {place}, not {x!r}; declare the size as an int"
        )
    return size


def _interpolate(x: Tensor, size: int, q: float, method: str, ignores_nan: bool) -> Tensor:
    """Return the quantile ``q`` along the last axis of size ``size``."""
    is_nan = not_equal(x, x)
    if ignores_nan:
        count = reduce_sum(cast(logical_not(is_nan), "float64"), -1, True)
        place = maximum(count - 1, 0) * q
    else:  # if an entry is NaN, take the last entry of the order, which is NaN
        ends = (constant(place, "float64") for place in (size - 1.0, q * (size - 1.0)))
        place = where(reduce_any(is_nan, -1, True), *ends)
    low = floor(place)
    share = place - low
    high = where(share > 0, low + 1, low)
    if method == "nearest":
        even = build("round", place)
        low = high = even
    elif method == "lower":
        high = low
    elif method == "higher":
        low = high
    ranks = cast(_ranks(x, descending=False), "float64")
    lower = selected(equal(ranks, low), x, -1)
    if low is high:
        return lower
    upper = selected(equal(ranks, high), x, -1)
    if method == "midpoint":
        return lower * 0.5 + upper * 0.5
    weight, gap = cast(reduce_sum(share, -1), x.dtype), upper - lower
    between = where(weight < 0.5, lower + gap * weight, upper - gap * (1 - weight))
    return where(equal(gap, gap), between, lower)  # two equal infinities have no difference


def _axis_last(x: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...] | None]:
    """Move an axis to the end. Return (x, the order of axes that undoes the move, or None if nothing moved)."""
    place = one_axis(x.rank, axis)
    if place == x.rank - 1:
        return x, None
    order = (*(other for other in range(x.rank) if other != place), place)
    return transpose(x, order), tuple(order.index(other) for other in range(x.rank))


def _axis_back(x: Tensor, order: tuple[int, ...] | None) -> Tensor:
    """Transpose x by ``order``, which ``_axis_last`` returned, so that its last axis is at its old place."""
    return x if order is None else transpose(x, order)


def _ranks(x: Tensor, descending: bool) -> Tensor:
    """Return the position (int64) that each entry along the last axis has in the sorted order: [7, 5] → [1, 0]."""
    place = build("iota", size=x.type.shape[-1])
    own, other = expand_dims(x, -1), expand_dims(x, -2)
    first, second = (own, other) if descending else (other, own)
    is_first, is_second = _less(first, second), _less(second, first)
    is_earlier = place < expand_dims(place, -1)
    is_before = logical_or(is_first, logical_and(logical_not(is_second), is_earlier))
    return reduce_sum(cast(is_before, "int64"), -1)


def _less(a: Tensor, b: Tensor) -> Tensor:
    """Return a < b, elementwise, as bool. NaN counts as the largest number."""
    return logical_and(equal(a, a), logical_not(a >= b)) if a.dtype in FLOATS else a < b


def _rank_mask(ranks: Tensor, x: Tensor) -> Tensor:
    """Return a mask [..., rank, entry] that is True where an entry of x has that rank.

    ``ranks`` [..., entry] are the ranks of the entries.
    """
    return equal(expand_dims(ranks, -2), expand_dims(build("iota", size=x.type.shape[-1]), -1))


def _entries_at_ranks(hits: Tensor, x: Tensor) -> Tensor:
    """Return the entries x [..., entry] in the order of their ranks, as [..., rank].

    ``hits`` is a mask [..., rank, entry] that is True where an entry has that rank.
    """
    return selected(hits, expand_dims(x, -2) if x.rank > 1 else x, -1)
