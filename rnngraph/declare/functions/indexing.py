"""Indices into an axis, which a call checks, and slices whose bounds are clamped."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.attributes import MOST_DIVISOR
from ...ir.sizes.polynomial import CLAMPED, least
from ...ir.types import INTEGERS, Dim
from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import DtypeError, ShapeError
from ..tensor import Tensor, as_tensor, build, constant
from .basic import dimension, one_axis, where

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
