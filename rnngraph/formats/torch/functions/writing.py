"""Handlers of writes to slices. The result concatenates the entries before the slice, the new ones and those after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ....ir.sizes.polynomial import ceil_divide
from ....ir.types import Dim
from ...steps import Value
from ..composed.axes import with_each_nth
from ..tracing.kinds import Argument, Index, Operand, Result
from ..tracing.registry import UnreadableError, reads
from ..tracing.tensors import TORCH_DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Written, dtype_of, shape_of
from .elementwise import choose
from .filling import filled
from .joining import joined
from .shapes import ALL, expanded, reshaped, unsqueezed
from .slicing import entry_of, gathered, place_in, slice_axis


@reads("__setitem__")
def _set(tracer: Tracer, x: Operand, index: Index, value: Argument) -> Result:
    """Return x with a value written at an index, for ``x[index] = value``."""
    entries = index if isinstance(index, tuple) else (index,)
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    if isinstance(value, torch.Tensor):
        value = tracer.value(value)
    count = len(shape_of(x)) - len(entries)
    if any(entry is Ellipsis for entry in entries):
        at = next(number for number, entry in enumerate(entries) if entry is Ellipsis)
        entries = (*entries[:at], *(ALL,) * (count + 1), *entries[at + 1 :])
    if len(entries) == 1 and isinstance(entries[0], Value | Lazy) and dtype_of(entries[0]) == "bool":
        return _masked_set(tracer, x, entries[0], value)
    return written(tracer, x, entries, value)


def written(tracer: Tracer, x: Operand, entries: Sequence[Index], value: Argument) -> Operand:
    """Return x with a value or number written at an index along the first axes.

    Raise ``UnreadableError`` for indices that are computed, and for lists of indices along several axes.
    """
    places = [axis for axis, entry in enumerate(entries) if not (isinstance(entry, slice) and entry == ALL)]
    if not places:
        return _broadcast_value(tracer, value, shape_of(x), dtype_of(x))
    axis = places[0]
    entry = entries[axis]
    if not _is_place(entry) and not isinstance(entry, slice | list | torch.Tensor):
        raise UnreadableError("values are written at computed indices; select with torch.where")
    if len(places) > 1:  # Write to the part along the first axis, then write that part to x.
        if isinstance(entry, list | torch.Tensor):
            raise UnreadableError("values are written at lists of indices along several axes; write along one axis")
        inner = [*(ALL,) * axis, *([] if _is_place(entry) else [ALL]), *entries[axis + 1 :]]
        value = written(tracer, _read(tracer, x, axis, entry), inner, value)
    if isinstance(x, Filled | Written) and _is_place(entry) and not (isinstance(x, Written) and x.axis != axis):
        return _set_entry(tracer, x, axis, int(entry), value)
    if (isinstance(entry, slice) and entry.step in (None, 1)) or _is_place(entry):
        return _part_set(tracer, x, axis, entry, value)
    return _set_several(tracer, x, axis, entry, value)


def _is_place(entry: Index) -> bool:
    return isinstance(entry, int) and not isinstance(entry, bool)


def _read(tracer: Tracer, x: Operand, axis: int, entry: Index) -> Operand:
    """Return the part of x that an int or a slice selects along an axis."""
    size = shape_of(x)[axis]
    start, stop = _bounds(tracer, entry, size)
    if _is_place(entry):
        return entry_of(tracer, x, axis, int(entry))
    return slice_axis(tracer, x, axis, start, stop, 1 if entry.step is None else int(entry.step))


def _bounds(tracer: Tracer, entry: Index, size: Dim) -> tuple[Dim, Dim]:
    """Return (start, stop) of an int or a slice, as nonnegative positions within the axis."""
    if isinstance(entry, slice):
        return place_in(tracer, entry.start, size, 0), place_in(tracer, entry.stop, size, size)
    start = place_in(tracer, entry, size, 0)
    return start, start + 1


def _set_entry(tracer: Tracer, x: Filled | Written, axis: int, place: int, value: Argument) -> Operand:
    """Return x with the entry at ``place`` overwritten. x is constant, except for entries overwritten before."""
    place %= tracer.sizes.value(x.shape[axis])
    whole = (*x.shape[:axis], *x.shape[axis + 1 :])
    value = _broadcast_value(tracer, value, whole, x.dtype)
    tracer.sizes.counts.add(tracer.sizes.value(x.shape[axis]))
    ground, items = (x.ground, x.items) if isinstance(x, Written) else (x, {})
    return Written(ground, axis, {**items, place: value})


def _part_set(tracer: Tracer, x: Operand, axis: int, entry: Index, value: Argument) -> Operand:
    """Return x with an entry or a slice of an axis replaced by a value."""
    shape, dtype = shape_of(x), dtype_of(x)
    size = shape[axis]
    start, stop = _bounds(tracer, entry, size)
    if _is_place(entry):
        value = _with_axis(tracer, value, axis, len(shape))
    value = _broadcast_value(tracer, value, (*shape[:axis], stop - start, *shape[axis + 1 :]), dtype)
    before = [slice_axis(tracer, x, axis, 0, start)] if start != 0 else []
    after = [slice_axis(tracer, x, axis, stop, size)] if stop != size else []
    return joined(tracer, [*before, value, *after], axis, shape, dtype)


def _set_several(tracer: Tracer, x: Operand, axis: int, entry: Index, value: Argument) -> Operand:
    """Overwrite nonadjacent entries of an axis: append the new entries to x, and gather the result's entries."""
    shape, dtype = shape_of(x), dtype_of(x)
    size = shape[axis]
    if not isinstance(size, int):
        return _set_every_nth(tracer, x, axis, entry, value)
    order = np.arange(size)
    chosen = entry if isinstance(entry, slice) else np.asarray(entry)
    count = len(order[chosen])
    order[chosen] = size + np.arange(count)
    value = _broadcast_value(tracer, value, (*shape[:axis], count, *shape[axis + 1 :]), dtype)
    both = joined(tracer, [x, value], axis, (*shape[:axis], size + count, *shape[axis + 1 :]), dtype)
    return gathered(tracer, tracer.value(both), axis, tracer.declared("order", order, False))


def _set_every_nth(tracer: Tracer, x: Operand, axis: int, entry: Index, value: Argument) -> Operand:
    """Return x with every n-th entry of an axis of symbolic size overwritten, from a constant entry to the last.

    Raise ``UnreadableError`` for other entries.
    """
    shape, size = shape_of(x), shape_of(x)[axis]
    start, stop = _bounds(tracer, entry, size) if isinstance(entry, slice) else (0, 0)
    if stop != size or not isinstance(start, int):
        raise UnreadableError("it writes to several entries of an axis of symbolic size; select with torch.where")
    step = int(entry.step)
    value = _broadcast_value(
        tracer, value, (*shape[:axis], ceil_divide(size - start, step), *shape[axis + 1 :]), dtype_of(x)
    )
    entries = value.number if isinstance(value, Filled) else value
    return tracer.by_torch(with_each_nth, x, axis, start, step, entries)


def _with_axis(tracer: Tracer, value: Argument, axis: int, rank: int) -> Operand:
    """Return the value of one entry with an axis of size 1 for that entry, unless broadcasting inserts the axis."""
    if not isinstance(value, Value | Lazy):
        return value
    at = len(shape_of(value)) - (rank - 1 - axis)
    return unsqueezed(tracer, value, at) if at >= 0 else value


def _broadcast_value(tracer: Tracer, value: Argument, shape: tuple[Dim, ...], dtype: str) -> Operand:
    """Broadcast a value or number to a shape."""
    if isinstance(value, bool | int | float):
        return filled(tracer, value, shape, dtype)
    more = len(shape_of(value)) - len(shape)
    if more > 0:  # As in torch, the value may have further leading axes of size 1.
        value = reshaped(tracer, value, shape_of(value)[more:])
    return tracer.cast(expanded(tracer, value, shape), dtype)


def _masked_set(tracer: Tracer, x: Operand, mask: Operand, value: Argument) -> Operand:
    """Return x with a value where a mask of the leading axes is True."""
    trailing = len(shape_of(x)) - len(shape_of(mask))
    if isinstance(value, Value | Lazy) and len(shape_of(value)) > trailing:
        raise UnreadableError("the number of written values depends on the mask's values; select with torch.where")
    mask = reshaped(tracer, mask, [*shape_of(mask), *(1,) * trailing]) if trailing else mask
    tracer.expected = torch.empty((), dtype=TORCH_DTYPES[dtype_of(x)])
    return choose(tracer, mask, value, x)


@reads("copy_")
def _copied(tracer: Tracer, x: Operand, value: Argument, non_blocking: bool = False) -> Result:
    value = tracer.value(value) if isinstance(value, torch.Tensor) else value
    return _broadcast_value(tracer, value, shape_of(x), dtype_of(x))
