"""Orders of entries: sorts, the largest ones, medians and quantiles.

NaN counts as the largest number, and equal entries keep their order, as in NumPy and torch. Gradients go to the entries
that are chosen.
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
from .statistics import reduce_any

MAX_ROUNDS = 128
"""Maximum ``k`` of ``top_k`` that is chosen in rounds, one entry after the other."""
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@api
def sort(x: Any, axis: int = -1, descending: bool = False) -> Tensor:
    """Entries of ``axis`` in order, the smallest first, or the largest with ``descending``; NaN counts as the largest.

    It compares all entries of the axis with all.
    """
    x = as_tensor(x)
    if x.dtype == "bool":
        return cast(sort(cast(x, "int32"), axis, descending), "bool")
    last, order = _axis_last(x, axis)
    hits = _hits(_ranks(last, flag(descending, "descending")), last)
    return _axis_back(_picked(hits, last), order)


@api
def argsort(x: Any, axis: int = -1, descending: bool = False) -> Tensor:
    """Indices (int64) that put the entries of ``axis`` in the order of ``sort``, ``descending`` or not; equal entries
    keep their order.
    """
    x = as_tensor(x)
    if x.dtype == "bool":
        x = cast(x, "int32")
    last, order = _axis_last(x, axis)
    hits = _hits(_ranks(last, flag(descending, "descending")), last)
    return _axis_back(_picked(hits, places_along(last, last.rank - 1)), order)


@api
def top_k(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """(values, indices) of the ``k`` largest entries of ``axis``, the largest first; indices are int64.

    largest: False for the smallest ones, the smallest first.

    NaN counts as the largest; of equal entries the first is first.
    """
    x = as_tensor(x)
    if not x.rank or x.dtype == "bool":
        raise ShapeError(f"top_k takes numbers [..., entries], not {x!r}; convert with rg.cast")
    last, order = _axis_last(x, axis)
    size, count = last.type.shape[-1], whole_number(k, "k", 1)
    if isinstance(size, int) and count > size:
        raise ShapeError(f"top_k: k={count} of an axis of {size} entries")
    if flag(largest, "largest"):
        best = _largest(last, size, count)
    else:
        best = sort(last)[..., :count], argsort(last)[..., :count]
    return _axis_back(best[0], order), _axis_back(best[1], order)


def _largest(x: Tensor, size: Dim, count: int) -> tuple[Tensor, Tensor]:
    """The largest entries of the last axis, and where they stand."""
    if isinstance(size, int) and (count > MAX_ROUNDS or 4 * count > size):
        ranks = _ranks(x, descending=True)
        hits = equal(expand_dims(ranks, -2), build("reshape", build("iota", size=count), shape=(count, 1)))
        return _picked(hits, x), _picked(hits, build("iota", size=size))
    if count > MAX_ROUNDS:
        raise ShapeError(f"top_k: k={count} of an axis of open size; at most {MAX_ROUNDS}")
    return _in_rounds(x, count)


def _in_rounds(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest, then the largest of the others, and on."""
    is_float = x.dtype in FLOATS
    lowest = -np.inf if is_float else int(np.iinfo(x.dtype).min)
    place = build("iota", size=x.type.shape[-1])
    if not isinstance(x.type.shape[-1], int):  # a call checks the bounds of a slice: that there are as many
        last = reduce_max(x[..., count - 1 : count], -1, True)
        place = where(logical_or(equal(last, last), not_equal(last, last)), place, 0)
    values, indices = [], []
    is_left: Tensor | None = None
    for _ in range(count):
        left = x if is_left is None else where(is_left, x, lowest)
        best = equal(x, reduce_max(left, -1, True))
        best = logical_or(best, not_equal(x, x)) if is_float else best
        best = best if is_left is None else logical_and(best, is_left)
        index = reduce_min(where(best, place, np.int64(2**63 - 1)), -1, True)
        hit = equal(place, index)
        values.append(reduce_sum(where(hit, x, 0), -1))
        indices.append(reduce_min(index, -1))
        is_left = logical_not(hit) if is_left is None else logical_and(is_left, logical_not(hit))
    return stack(values, -1), stack(indices, -1)


@api
def median(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Median over ``axis``, of an even number of entries the mean of the two in the middle; NaN where one is NaN."""
    return _quantile(x, 0.5, axis, keepdims, "midpoint", False)


@api
def quantile(x: Any, q: float, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Tensor:
    """The entry of the sorted ``axis`` at ``q * (n - 1)``, between two entries by ``method``; NaN where one is NaN.

    q: a number from 0 to 1.
    axis, keepdims: as for ``reduce_sum``; the axes have fixed sizes.
    method: "linear", "lower", "higher", "midpoint" or "nearest", as for ``numpy.quantile``.
    """
    return _quantile(x, q, axis, keepdims, method, False)


@api
def nanquantile(x: Any, q: float, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Tensor:
    """As ``quantile`` of ``q`` and ``method``, of the entries that are not NaN; NaN where all are."""
    return _quantile(x, q, axis, keepdims, method, True)


def _quantile(x: Any, q: float, axis: Axis, keepdims: bool, method: str, leaves_nan: bool) -> Tensor:
    x = floats(x, "a quantile")
    if not 0 <= number(q, "q") <= 1:
        raise ArgumentError(f"q={shown(q)} must be a number from 0 to 1")
    if method not in METHODS:
        raise ArgumentError(f"method={shown(method)} is not offered; use one of {', '.join(METHODS)}")
    axes = axes_of(x, axis)
    kept = tuple(1 if place in axes else dim for place, dim in enumerate(x.type.shape))
    others = tuple(place for place in range(x.rank) if place not in axes)
    flat, size = transpose(x, (*others, *axes)), math.prod(_fixed(x, place) for place in axes)
    flat = build("reshape", flat, shape=(*(x.type.shape[place] for place in others), size))
    found = _between(flat, size, q, method, leaves_nan)
    return build("reshape", found, shape=kept if flag(keepdims, "keepdims") else found.type.shape)


def _fixed(x: Tensor, place: int) -> int:
    size = x.type.shape[place]
    if not isinstance(size, int) or size < 1:
        raise ShapeError(f"a quantile over axis {place} of {x!r}, which has no fixed size of 1 or more")
    return size


def _between(x: Tensor, size: int, q: float, method: str, leaves_nan: bool) -> Tensor:
    """The quantile along the last axis."""
    is_nan = not_equal(x, x)
    if leaves_nan:
        count = reduce_sum(cast(logical_not(is_nan), "float64"), -1, True)
        place = maximum(count - 1, 0) * q
    else:  # where one is NaN, the last one of the order
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
    lower = reduce_sum(where(equal(ranks, low), x, 0), -1)
    if low is high:
        return lower
    upper = reduce_sum(where(equal(ranks, high), x, 0), -1)
    if method == "midpoint":
        return lower * 0.5 + upper * 0.5
    weight, gap = cast(reduce_sum(share, -1), x.dtype), upper - lower
    between = where(weight < 0.5, lower + gap * weight, upper - gap * (1 - weight))
    return where(equal(gap, gap), between, lower)  # of two that are infinite alike there is no gap


def _axis_last(x: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...] | None]:
    """x with an axis at the end, and the order back; None where it is there already."""
    place = one_axis(x.rank, axis)
    if place == x.rank - 1:
        return x, None
    order = (*(other for other in range(x.rank) if other != place), place)
    return transpose(x, order), tuple(order.index(other) for other in range(x.rank))


def _axis_back(x: Tensor, order: tuple[int, ...] | None) -> Tensor:
    return x if order is None else transpose(x, order)


def _ranks(x: Tensor, descending: bool) -> Tensor:
    """Where each entry of the last axis stands in the order: int64. It compares all with all."""
    place = build("iota", size=x.type.shape[-1])
    own, other = expand_dims(x, -1), expand_dims(x, -2)
    first, second = (own, other) if descending else (other, own)
    is_first, is_second = _less(first, second), _less(second, first)
    is_earlier = place < expand_dims(place, -1)
    is_before = logical_or(is_first, logical_and(logical_not(is_second), is_earlier))
    return reduce_sum(cast(is_before, "int64"), -1)


def _less(a: Tensor, b: Tensor) -> Tensor:
    """a < b, where NaN is the largest number."""
    return logical_and(equal(a, a), logical_not(a >= b)) if a.dtype in FLOATS else a < b


def _hits(ranks: Tensor, x: Tensor) -> Tensor:
    """[..., rank, entry]: which entry has a rank."""
    return equal(expand_dims(ranks, -2), expand_dims(build("iota", size=x.type.shape[-1]), -1))


def _picked(hits: Tensor, x: Tensor) -> Tensor:
    """[..., rank] of entries [..., entry]."""
    return reduce_sum(where(hits, expand_dims(x, -2) if x.rank > 1 else x, 0), -1)
