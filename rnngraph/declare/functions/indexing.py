"""Indices into an axis, which a call checks, entries at indices, and slices whose bounds are clamped."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.attributes import MOST_DIVISOR
from ...ir.sizes.polynomial import CLAMPED, least
from ...ir.types import INTEGERS, Dim, product
from ...support.api_guard import api
from ...support.arguments import one_of, whole_number
from ...support.errors import DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, build, constant, like
from .basic import (
    cast,
    dimension,
    equal,
    expand_dims,
    gather,
    logical_and,
    maximum,
    minimum,
    one_axis,
    places_along,
    reduce_max,
    reduce_min,
    reduce_sum,
    where,
)
from .statistics import reduce_any, reduce_prod

MODES = ("set", "add", "multiply", "minimum", "maximum")
NEAR = 32
"""Entries from an end up to which readers take an axis of open size to reach; a call checks it."""


@api
def axis_indices(indices: Any, x: Any, axis: int = 0, negative: bool = True) -> Tensor:
    """Indices into an axis of ``x``, counted from its start.

    An index that is fed must name an entry: it lies in ``-n..n-1`` for an axis of ``n``, or in ``0..n-1`` with
    ``negative=False``. Indices that are computed are not checked.

    indices: ints of any shape.
    x: a Tensor, or an int, which stands for an axis of so many entries.
    negative: whether an index below 0 counts from the end.
    """
    index = as_tensor(indices)
    if index.dtype not in INTEGERS:
        raise DtypeError(f"indices are ints, not {index!r}; convert with rg.cast")
    if isinstance(x, int | np.integer):
        size: Dim = whole_number(x, "x")
    else:
        x = as_tensor(x)
        size = x.type.shape[one_axis(x.rank, axis)]
    count = dimension(size, index.dtype)
    if negative:
        from_end = build("less", index, constant(0, index.dtype), within="entries", entries=size)
        return where(from_end, index + count, index)
    is_inside = build("less", index, count, within="rows", entries=size)
    return where(is_inside, index, count - 1)


@api
def clamped_slice(x: Any, axis: int, start: int | None = None, stop: int | None = None, step: int = 1) -> Tensor:
    """``x[start:stop:step]`` along an axis, whose bounds are clamped to the axis at each call, as Python's lists do.

    Bounds of ``x[...]`` must lie within an axis of open size instead. ``clamped_slice(x, 1, stop=1000)`` has
    min(T, 1000) of T steps. An axis of open size has fewer than 2**30 entries then.

    start: the first entry; below 0 from the end; None for the end at which the slice begins.
    stop: the entry behind the last one, likewise.
    step: from one entry to the next; below 0 backwards.
    """
    x = as_tensor(x)
    place = one_axis(x.rank, axis)
    by = whole_number(step, "step")
    if not 0 < abs(by) <= MOST_DIVISOR:
        raise ShapeError(
            f"a slice with step {by}; the step must lie within -{MOST_DIVISOR}..{MOST_DIVISOR}, and not be 0"
        )
    first, last = (
        None if bound is None else max(-CLAMPED, min(CLAMPED, whole_number(bound, name)))
        for bound, name in ((start, "start"), (stop, "stop"))
    )
    size = x.type.shape[place]
    if isinstance(size, int):
        return x[(*(slice(None),) * place, slice(first, last, by))]
    if by < 0:  # entry a is entry -a-1 of the axis turned round
        x = build("reverse", x, axis=place)
        first, last = (None if bound is None else ~bound for bound in (first, last))
    begin = 0 if first is None else _clamped(size, first)
    end = size if last is None else _clamped(size, last)
    if first is not None and last is not None:
        begin = _first_of(size, begin, first, end, last)
    bounds: list[tuple[Dim, Dim, int]] = [(0, dim, 1) for dim in x.type.shape]
    bounds[place] = begin, end, abs(by)
    starts, stops, steps = zip(*bounds, strict=True)
    return build("slice", x, start=starts, stop=stops, step=steps)


def is_far(size: Dim, bound: int | None) -> bool:
    """True if a reader clamps a bound: the axis has an open size, and may well end before the bound."""
    return not isinstance(size, int) and bound is not None and abs(bound) > NEAR


def _clamped(size: Dim, bound: int) -> Dim:
    """A bound as a place from 0 to ``size``."""
    return least(size, bound) if bound >= 0 else size - least(size, -bound)


def _first_of(size: Dim, begin: Dim, first: int, end: Dim, last: int) -> Dim:
    """The smaller of ``begin`` and ``end``, which are places of the bounds ``first`` and ``last``."""
    if (first < 0) == (last < 0):
        return begin if first <= last else end
    if first < 0:  # where ``last`` is the end of the axis, no place is behind it
        return least(begin, last)
    return least(end, first)


# Entries at indices ---------------------------------------------------------------------------------------


@api
def gather_nd(x: Any, indices: Any, batch_dims: int = 0, negative: bool = True) -> Tensor:
    """Entries of x by indices of its first axes, which stand along the last axis of ``indices``.

    Gives indices.shape[:-1] + x.shape[batch_dims + n:], where n is the size of that last axis.

    indices: ints [..., n].
    batch_dims: so many first axes are common to x and the indices, which then choose among those behind.
    negative: whether an index below 0 counts from the end, as for ``axis_indices``, which checks indices that are fed.
    """
    x, index, batch = as_tensor(x), as_tensor(indices), whole_number(batch_dims, "batch_dims", 0)
    depth = index.type.shape[-1] if index.rank else None
    if index.dtype not in INTEGERS or not isinstance(depth, int):
        raise DtypeError(f"gather_nd takes ints [..., axes], not {index!r}")
    if not batch < index.rank or not 0 < depth <= x.rank - batch:
        raise ShapeError(f"gather_nd by {index!r} of {x!r}: it has as many indices as there are axes, or fewer")
    place: Tensor | None = None
    for axis in range(batch + depth):
        if axis < batch:  # rows choose from their own
            size, behind = x.type.shape[axis], index.rank - 2 - axis
            one = build("reshape", build("iota", size=size), shape=(size, *(1,) * behind))
        else:
            one = axis_indices(cast(index[..., axis - batch], "int64"), x, axis, negative)
        place = one if place is None else place * dimension(x.type.shape[axis], "int64") + one
    table = build("reshape", x, shape=(product(x.type.shape[: batch + depth]), *x.type.shape[batch + depth :]))
    return gather(table, place)


@api
def take_along_axis(x: Any, indices: Any, axis: int, negative: bool = True) -> Tensor:
    """Entries of ``axis`` at indices of their own for each place of the other axes, as ``numpy.take_along_axis``.

    It compares all indices with all entries of the axis.

    indices: ints with as many axes as x; along the other axes of x's sizes, or 1.
    negative: whether an index below 0 counts from the end, as for ``axis_indices``, which checks indices that are fed.
    """
    x, place, index = _along(x, indices, axis, negative, "take_along_axis")
    kind = x.dtype
    x = cast(x, "int32") if kind == "bool" else x
    if index.type.shape[place] == 1:
        hit = equal(index, places_along(x, place))
        return cast(reduce_sum(where(hit, x, 0), place, keepdims=True), kind)
    hit = _hits(x, place, index)
    return cast(reduce_sum(where(hit, expand_dims(x, place), 0), place + 1), kind)


@api
def put_along_axis(
    x: Any, indices: Any, values: Any, axis: int, mode: str = "set", negative: bool = True
) -> Tensor:  # fmt: skip
    """x with values at indices along ``axis``, of their own for each place of the other axes.

    It is what ``numpy.put_along_axis`` makes of x, and compares all indices with all entries of the axis.

    indices: as for ``take_along_axis``.
    values: of the shape of the indices, or a number.
    mode: ``set``, of several values for one entry the last one; or what is done with the entry and its values: ``add``,
        ``multiply``, ``minimum``, ``maximum``.
    negative: whether an index below 0 counts from the end, as for ``axis_indices``, which checks indices that are fed.
    """
    x, place, index = _along(x, indices, axis, negative, "put_along_axis")
    one_of(mode, "mode", MODES)
    kind = x.dtype
    if kind == "bool":
        x = cast(x, "int32")
    hit, given = _hits(x, place, index), like(values, x)
    given = cast(given, x.dtype) if kind == "bool" else given
    given = expand_dims(given, place + 1) if given.rank else given
    if mode == "add":
        found = x + reduce_sum(where(hit, given, 0), place)
    elif mode == "multiply":
        found = x * reduce_prod(where(hit, given, 1), place)
    elif mode == "set":
        number = places_along(hit, place)
        last = reduce_max(where(hit, number, -1), place, keepdims=True)
        value = reduce_sum(where(logical_and(hit, equal(number, last)), given, 0), place)
        found = where(reduce_any(hit, place), value, x)
    else:
        reduce, meet = (reduce_min, minimum) if mode == "minimum" else (reduce_max, maximum)
        found = meet(x, reduce(where(hit, given, expand_dims(x, place)), place))
    return cast(found, kind)


def _along(x: Any, indices: Any, axis: int, negative: bool, name: str) -> tuple[Tensor, int, Tensor]:
    """Return x, the axis, and indices from its start."""
    x, index = as_tensor(x), as_tensor(indices)
    place = one_axis(x.rank, axis)
    if index.rank != x.rank:
        raise ShapeError(f"{name} takes indices with as many axes as {x!r}, not {index!r}")
    return x, place, cast(axis_indices(index, x, place, negative), "int64")


def _hits(x: Tensor, place: int, index: Tensor) -> Tensor:
    """Return which entry each index names: [..., index, entry, ...]."""
    return equal(expand_dims(index, place + 1), places_along(x, place))
