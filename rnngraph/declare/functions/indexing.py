"""Checked indices of an axis, reads and writes at indices, and slices with clamped bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.attributes import MAX_DIVISOR
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
from .matching import checked_constants
from .statistics import reduce_any, reduce_prod, selected

MODES = ("set", "add", "multiply", "minimum", "maximum")
NEAR = 32
"""Maximum distance of a slice's bound from an end of a symbolic axis for which the bound is not clamped.

Readers of other formats assume axes of at least this size. Each call checks the bound.
"""


@api
def axis_indices(indices: Any, x: Any, axis: int = 0, negative: bool = True) -> Tensor:
    """Return ``indices`` with negative ones converted to the positions that they select: -1 → n - 1.

    Here n is the size of the axis. Each call checks that fed indices are in ``-n..n-1``, or in ``0..n-1`` with
    ``negative=False``. Constants are checked at the declaration. Computed indices are not checked.

    Args:
        indices: ints of any shape.
        x: The Tensor that is indexed, or the size n.
        axis: Axis of x.
        negative: True: negative indices count from the end. False: negative fed and constant indices are errors.
            Negative computed ones are then returned unchanged, and computed ones of n or more become n - 1.

    Raises:
        DtypeError: The indices are not ints.
        ShapeError: A constant index is out of bounds for an axis of fixed size.
    """
    return places_in(indices, x, axis, negative, "axis_indices")


def places_in(indices: Any, x: Any, axis: int, negative: bool, what: str) -> Tensor:
    """Return ``axis_indices(indices, x, axis, negative)``. ``what`` names the calling function in errors."""
    index = as_tensor(indices)
    if index.dtype not in INTEGERS:
        raise DtypeError(f"indices must be ints, not {index!r}; convert with rg.cast")
    place = 0
    if isinstance(x, int | np.integer):
        size: Dim = whole_number(x, "x")
    else:
        x = as_tensor(x)
        place = one_axis(x.rank, axis)
        size = x.type.shape[place]
    if index.node.op == "constant":
        return checked_constants(index, size, place, negative, what)
    count = dimension(size, index.dtype)
    if negative:
        from_end = build("less", index, constant(0, index.dtype), within="entries", entries=size)
        return where(from_end, index + count, index)
    is_inside = build("less", index, count, within="rows", entries=size)
    return where(is_inside, index, count - 1)


@api
def clamped_slice(x: Any, axis: int, start: int | None = None, stop: int | None = None, step: int = 1) -> Tensor:
    """Return ``x[start:stop:step]`` along an axis. Each call clamps the bounds to the size of the axis, as Python does.

    ``x[...]`` rejects bounds outside a symbolic axis. ``clamped_slice(x, 1, stop=1000)`` has min(T, 1000) of T steps.

    Args:
        x: Tensor.
        axis: Axis. A symbolic axis must have fewer than 2**30 entries.
        start: First entry; negative values count from the end. None: entry 0, or the last one if ``step`` is negative.
        stop: Entry before which the slice ends; negative values count from the end. None: no bound.
        step: Distance between entries; negative values go backwards.

    Raises:
        ShapeError: The step is 0 or too large.
    """
    x = as_tensor(x)
    place = one_axis(x.rank, axis)
    stride = whole_number(step, "step")
    if not 0 < abs(stride) <= MAX_DIVISOR:
        raise ShapeError(
            f"a slice can't have step {stride}; the step must be in -{MAX_DIVISOR}..{MAX_DIVISOR}, and not be 0"
        )
    first, last = (
        None if bound is None else max(-CLAMPED, min(CLAMPED, whole_number(bound, name)))
        for bound, name in ((start, "start"), (stop, "stop"))
    )
    size = x.type.shape[place]
    if isinstance(size, int):
        return x[(*(slice(None),) * place, slice(first, last, stride))]
    if stride < 0:  # entry a is entry -a-1 of the reversed axis
        x = build("reverse", x, axis=place)
        first, last = (None if bound is None else ~bound for bound in (first, last))
    begin = 0 if first is None else _clamp_bound(size, first)
    end = size if last is None else _clamp_bound(size, last)
    if first is not None and last is not None:
        begin = _first_of(size, begin, first, end, last)
    bounds: list[tuple[Dim, Dim, int]] = [(0, dim, 1) for dim in x.type.shape]
    bounds[place] = begin, end, abs(stride)
    starts, stops, steps = zip(*bounds, strict=True)
    return build("slice", x, start=starts, stop=stops, step=steps)


def is_far(size: Dim, bound: int | None) -> bool:
    """True if the bound of a slice must be clamped at run time, because an axis of size ``size`` may be shorter."""
    return not isinstance(size, int) and bound is not None and abs(bound) > NEAR


def _clamp_bound(size: Dim, bound: int) -> Dim:
    """Convert a bound of a slice, which may be negative, to a position clamped to 0..size."""
    return least(size, bound) if bound >= 0 else size - least(size, -bound)


def _first_of(size: Dim, begin: Dim, first: int, end: Dim, last: int) -> Dim:
    """Return the smaller of the clamped bounds ``begin`` and ``end`` of a slice.

    ``first`` and ``last`` are the bounds before they were clamped; negative ones count from the end.
    """
    if (first < 0) == (last < 0):
        return begin if first <= last else end
    if first < 0:  # ``begin`` is at most ``size``, so ``last`` needs no clamping
        return least(begin, last)
    return least(end, first)


# Entries at indices ---------------------------------------------------------------------------------------


@api
def gather_nd(x: Any, indices: Any, batch_dims: int = 0, negative: bool = True) -> Tensor:
    """Return the entry of x at each index vector, as ``tf.gather_nd`` does.

    Args:
        x: Tensor.
        indices: ints [..., n]. Each index vector [n] selects an entry along the first n axes after the batch axes.
        batch_dims: Number of leading axes that x and the indices share.
        negative: True: negative indices count from the end. False: they are errors. Fed indices are checked as by
            ``axis_indices``. Computed ones are not: outside of an axis, they select another entry of x.

    Returns:
        Tensor of shape indices.shape[:-1] + x.shape[batch_dims + n:].

    Raises:
        DtypeError: The indices are not ints, or their last size is symbolic.
        ShapeError: The index vectors are empty, or longer than x has axes after the batch axes.
    """
    x, index, batch = as_tensor(x), as_tensor(indices), whole_number(batch_dims, "batch_dims", 0)
    depth = index.type.shape[-1] if index.rank else None
    if index.dtype not in INTEGERS or not isinstance(depth, int):
        raise DtypeError(f"gather_nd needs int indices [..., axes] with a fixed last size, not {index!r}")
    if not batch < index.rank or not 0 < depth <= x.rank - batch:
        raise ShapeError(
            f"gather_nd of {x!r} by {index!r} with batch_dims={batch}: the index vectors do not fit; after the batch "
            f"axes, give vectors of 1 to {x.rank - batch} entries"
        )
    place: Tensor | None = None
    for axis in range(batch + depth):
        if axis < batch:  # each row looks up its own entries
            size, trailing = x.type.shape[axis], index.rank - 2 - axis
            axis_index = build("reshape", build("iota", size=size), shape=(size, *(1,) * trailing))
        else:
            axis_index = places_in(_column(index, axis - batch), x, axis, negative, "gather_nd")
        place = axis_index if place is None else place * dimension(x.type.shape[axis], "int64") + axis_index
    table = build("reshape", x, shape=(product(x.type.shape[: batch + depth]), *x.type.shape[batch + depth :]))
    return gather(table, place)


def _column(index: Tensor, number: int) -> Tensor:
    """Return entry ``number`` of every index vector in ``index``, as int64; a constant if ``index`` is one."""
    if index.node.op == "constant":
        return constant(np.asarray(index.node["value"])[..., number], "int64")
    return cast(index[..., number], "int64")


@api
def take_along_axis(x: Any, indices: Any, axis: int, negative: bool = True) -> Tensor:
    """Return entries at indices of an axis, with separate indices for each position along the other axes.

    The values are those of ``numpy.take_along_axis``. Every index is compared with every position on the axis, so the
    cost grows with the size of the axis.

    Args:
        x: Tensor.
        indices: ints of the rank of x. Along the other axes, sizes equal those of x or are 1.
        axis: Axis of x.
        negative: True: negative indices count from the end. False: they are errors. Fed indices are checked as by
            ``axis_indices``. Computed ones are not: outside of the axis, they give 0.

    Raises:
        ShapeError: The ranks differ.
    """
    x, place, index = _resolve_along(x, indices, axis, negative, "take_along_axis")
    kind = x.dtype
    x = cast(x, "int32") if kind == "bool" else x
    if index.type.shape[place] == 1:
        hit = equal(index, places_along(x, place))
        return cast(selected(hit, x, place, keepdims=True), kind)
    hit = _index_mask(x, place, index)
    return cast(selected(hit, expand_dims(x, place), place + 1), kind)


@api
def put_along_axis(x: Any, indices: Any, values: Any, axis: int, mode: str = "set", negative: bool = True) -> Tensor:
    """Return x with values written along an axis, at separate indices for each position along the other axes.

    The values are those of ``numpy.put_along_axis``. Every index is compared with every position on the axis, so the
    cost grows with the size of the axis.

    Args:
        x: Tensor.
        indices: As for ``take_along_axis``.
        values: Tensor of the shape of the indices, or a number.
        axis: Axis of x.
        mode: ``set``: replace the entry; the last of several values for one entry wins. ``add``, ``multiply``,
            ``minimum``, ``maximum``: combine the entry with all values for it.
        negative: True: negative indices count from the end. False: they are errors. Fed indices are checked as by
            ``axis_indices``. Computed ones are not: outside of the axis, they write nothing.

    Raises:
        ShapeError: The ranks differ.
        ArgumentError: The mode is unknown.
    """
    x, place, index = _resolve_along(x, indices, axis, negative, "put_along_axis")
    one_of(mode, "mode", MODES)
    kind = x.dtype
    if kind == "bool":
        x = cast(x, "int32")
    new_values = like(values, x)
    new_values = cast(new_values, x.dtype) if kind == "bool" else new_values
    if mode == "add":
        return cast(x + sums_at(x, place, index, new_values), kind)
    hit = _index_mask(x, place, index)
    new_values = expand_dims(new_values, place + 1) if new_values.rank else new_values
    if mode == "multiply":
        result = x * reduce_prod(where(hit, new_values, 1), place)
    elif mode == "set":
        number = places_along(hit, place)
        last = reduce_max(where(hit, number, -1), place, keepdims=True)
        value = selected(logical_and(hit, equal(number, last)), new_values, place)
        result = where(reduce_any(hit, place), value, x)
    else:
        reduce, combine = (reduce_min, minimum) if mode == "minimum" else (reduce_max, maximum)
        result = combine(x, reduce(where(hit, new_values, expand_dims(x, place)), place))
    return cast(result, kind)


def sums_at(x: Tensor, place: int, index: Tensor, values: Tensor) -> Tensor:
    """Return a Tensor of the shape of x that is 0 except for ``values``, which are added at ``index`` along an axis.

    Args:
        x: Tensor with the shape of the result.
        place: The axis, not negative.
        index: int64. Values at indices outside of the axis are dropped.
        values: Tensor that broadcasts with the index, or a scalar.
    """
    values = expand_dims(values, place + 1) if values.rank else values
    return reduce_sum(where(_index_mask(x, place, index), values, 0), place)


def _resolve_along(x: Any, indices: Any, axis: int, negative: bool, name: str) -> tuple[Tensor, int, Tensor]:
    """Check the arguments of a function ``*_along_axis``.

    Returns:
        (x as a Tensor, the axis as a non-negative index, the indices as int64 counted from the start of the axis).
    """
    x, index = as_tensor(x), as_tensor(indices)
    place = one_axis(x.rank, axis)
    if index.rank != x.rank:
        raise ShapeError(f"{name} needs indices with as many axes as {x!r}, not {index!r}")
    return x, place, cast(places_in(index, x, place, negative, name), "int64")


def _index_mask(x: Tensor, place: int, index: Tensor) -> Tensor:
    """Return a mask that is True where an index selects an entry of x along the axis ``place``.

    The mask is [..., indices, entries, ...]: ``place`` is the axis of indices, and ``place + 1`` that of entries.
    """
    return equal(expand_dims(index, place + 1), places_along(x, place))
