"""Handlers of indexing: indices, slices and gathers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch

from ....declare.functions import basic
from ....declare.functions.indexing import axis_indices, clamped_slice, gather_nd, take_along_axis
from ....ir.sizes.arithmetic import compare
from ....ir.types import Dim, Size, evaluate
from ...operators.moves import check_positions, is_clamped
from ...steps import Value
from ..tracing.kinds import Index, Operand, Result
from ..tracing.materialize import number_of
from ..tracing.numbers import dim_of
from ..tracing.registry import UnreadableError, reads
from ..tracing.tracer import Tracer
from ..tracing.values import Entry, Filled, Lazy, Positions, Sorted, Stacked, Written, dtype_of, shape_of
from .shapes import ALL, axis_of, expanded, reshaped, unsqueezed

MAX_TRIED = 200
"""``_is_inside`` tests that a position such as ``T//2`` is in bounds for all values of T from 1 to below this one."""


Entries: TypeAlias = Dim | tuple[Dim, Dim, int] | slice | Operand | list[int]
"""Selection along an axis: one entry, (start, stop, step), a slice whose bounds are clamped at run time, or indices."""


def of_steps(tracer: Tracer, items: tuple[Entry, ...], axis: int, dtype: str) -> Stacked:
    """Return the values of a loop's steps, stacked along a new axis. Its size is that of the looped axis."""
    tracer.sizes.counts.add(len(items))
    inner, count = shape_of(items[0]), tracer.sizes.steps(len(items))
    tracer.on_time(count)
    return Stacked(items, axis, (*inner[:axis], count, *inner[axis:]), dtype)


def slice_axis(tracer: Tracer, x: Operand, axis: int, start: Dim, stop: Dim, step: int = 1) -> Operand:
    """Return x[start:stop:step] along an axis. Bounds lie within the axis."""
    shape = shape_of(x)
    size = shape[axis]
    if start == 0 and stop == size and step == 1:
        return x
    if tracer.is_number(x) and isinstance(start, int | Size) and step == 1:
        return Filled(x.number, (*shape[:axis], stop - start, *shape[axis + 1 :]), x.dtype)
    if isinstance(x, Positions) and step == 1 and isinstance(start, int):
        return Positions(stop - start, x.start + start * x.step, x.step, x.dtype)
    if (
        isinstance(x, Stacked)
        and axis == x.axis
        and isinstance(start, int)
        and isinstance(stop, int)
        and type(size) is int
    ):
        return of_steps(tracer, x.items[start:stop:step], axis, x.dtype)
    if isinstance(start, int) and stop == start + 1:
        tracer.sizes.take(size, start)
    bounds = [_bound(start, size, 0), _bound(stop, size, None)]
    x = tracer.value(x)
    if any(isinstance(bound, Size) for bound in bounds):
        return _gathered_part(tracer, x, axis, start, stop, step)
    return tracer.script.item(x, *(ALL,) * axis, slice(bounds[0] or None, bounds[1], step if step != 1 else None))


def _all_written(tracer: Tracer, x: Entry) -> Entry:
    """If all entries of a constant tensor were overwritten, return them as a stack. Return other values unchanged."""
    if not isinstance(x, Written) or len(x.items) != tracer.sizes.value(x.shape[x.axis]):
        return x
    items = tuple(tracer.cast(x.items[place], x.dtype) for place in range(len(x.items)))
    return of_steps(tracer, items, x.axis, x.dtype)


def _bound(place: Dim, size: Dim, end: int | None) -> Dim | None:
    """Return a slice bound as source text writes it: negative near the end of a symbolic axis, None for the end itself.

    A bound at a constant distance from the end of a symbolic axis is negative. None is the end of the axis.

    Args:
        place: The bound, as a nonnegative position.
        size: Size of the axis.
        end: 0 if the bound is a start, None if it is a stop.
    """
    if isinstance(place, int):
        return place if end == 0 or place != size else None
    difference = place - size
    if difference == 0:
        return None
    return difference if isinstance(difference, int) and difference < 0 else place


def _gathered_part(tracer: Tracer, x: Value, axis: int, start: Dim, stop: Dim, step: int) -> Operand:
    """Return a slice whose bounds are symbolic, as a gather."""
    count = stop - start
    if step != 1:
        raise UnreadableError("a slice has a step, and bounds that are symbolic sizes; leave out the step")
    index = Positions(count, start, 1, "int64") if isinstance(start, int) else None
    if index is None:
        shifted = tracer.value(Positions(count, 0, 1, "int64"))
        offset = number_of(tracer, start, "int64")
        value = tracer.script.operation("+", shifted, offset)
    else:
        value = tracer.value(index)
    return gathered(tracer, x, axis, value)


def gathered(tracer: Tracer, x: Value, axis: int, index: Value) -> Operand:
    """Return the entries of an axis at a tensor of indices. The axes of the indices replace the axis."""
    return tracer.call(basic.gather, x, index, *([axis] if axis else []))


def place_in(tracer: Tracer, bound: int | None, size: Dim, otherwise: Dim) -> Dim:
    """Return a bound of a slice as a nonnegative position, clamped to the axis.

    Args:
        tracer: The tracer.
        bound: The bound; None if the slice has none.
        size: Size of the axis.
        otherwise: Position for a bound of None.
    """
    if bound is None:
        return otherwise
    place = dim_of(bound)
    sizes = tracer.sizes
    if sizes.value(place) < 0:
        if not compare(operator.lt, place, 0):  # For other sizes the bound may count from the start.
            sizes.fix(place)
        place = size + place
        return 0 if sizes.value(place) < 0 else place
    if sizes.value(place) >= sizes.value(size) and isinstance(size, int):
        if isinstance(place, int):
            return size
        if sizes.value(place) > size:
            sizes.fix(place)
        return place
    if isinstance(place, int) and isinstance(size, Size) and place > sizes.value(size):
        return size if place >= 2**31 else sizes.fix(size)
    if isinstance(place, Size) and isinstance(size, Size) and sizes.value(place) > sizes.value(size):
        sizes.fix(size)
    return place


@reads("__getitem__")
def _item(tracer: Tracer, x: Operand, index: Index) -> Result:
    """Declare ``x[index]``."""
    x = _all_written(tracer, x if isinstance(x, Value | Lazy) else tracer.value(x))
    entries = index if isinstance(index, tuple) else (index,)
    if isinstance(x, Sorted):
        return _of_sorted(tracer, x, entries)
    count = sum(1 for entry in entries if entry is not None and entry is not Ellipsis)
    rank = len(shape_of(x))
    if Ellipsis in [entry if entry is Ellipsis else None for entry in entries]:
        at = next(number for number, entry in enumerate(entries) if entry is Ellipsis)
        entries = (*entries[:at], *(ALL,) * (rank - count), *entries[at + 1 :])
    else:
        entries = (*entries, *(ALL,) * (rank - count))
    chosen = [entry for entry in entries if isinstance(entry, Value | Lazy | list | torch.Tensor)]
    if len(chosen) > 1:
        return _entry_of_each_row(tracer, x, entries)
    return _index_axes(tracer, x, entries)


def _entry_of_each_row(tracer: Tracer, x: Operand, entries: Sequence[Index]) -> Operand:
    """Return x indexed by several tensors. ``x[torch.arange(rows), index]`` takes one entry of each row."""
    rows, index, *others = entries
    places = isinstance(rows, Positions) and (rows.start, rows.step) == (0, 1)
    if not places or not isinstance(index, Value) or any(other != ALL for other in others):
        return _at_several(tracer, x, entries)
    x = tracer.value(x)
    tracer.sizes.unify(rows.count, shape_of(x)[0])
    tracer.sizes.unify(shape_of(index)[0], shape_of(x)[0])
    column = reshaped(tracer, _as_integers(tracer, index), [*shape_of(index), *(1,) * (len(shape_of(x)) - 1)])
    return tracer.call(basic.squeeze, tracer.call(take_along_axis, x, tracer.value(column), 1), 1)


def _at_several(tracer: Tracer, x: Operand, entries: Sequence[Index]) -> Value:
    """Return x[i, j]: entries at tensors of indices along the first axes."""
    chosen = [entry for entry in entries if not isinstance(entry, slice)]
    if any(entry != ALL for entry in entries[len(chosen) :]) or any(entry is None for entry in chosen):
        raise UnreadableError("several tensors index axes that are not the first ones; transpose these to the front")
    for axis, entry in enumerate(chosen):
        check_indices(tracer, entry, shape_of(x)[axis], axis)
    indices = [tracer.value(torch.tensor(entry) if isinstance(entry, int | list) else entry) for entry in chosen]
    if any(dtype_of(index) not in ("int32", "int64") for index in indices):
        raise UnreadableError("several tensors index it, and not all are integers; select with torch.where")
    whole = tracer.sizes.broadcast(*map(shape_of, indices))
    same = [tracer.value(expanded(tracer, tracer.value(index, "int64"), whole)) for index in indices]
    return tracer.call(gather_nd, tracer.value(x), tracer.call(basic.stack, same, -1))


def _index_axes(tracer: Tracer, x: Operand, entries: Sequence[Index]) -> Operand:
    """Return x[entries]. Each entry indexes one axis; None inserts a new axis."""
    axis, shape = 0, shape_of(x)
    plain: list[Entries] = []
    for entry in entries:
        if entry is None:
            continue
        if isinstance(x, Value) and _is_clamped(entry, shape[axis]):
            plain.append(entry)
        elif isinstance(entry, slice):
            step = 1 if entry.step is None else int(entry.step)
            start = place_in(tracer, entry.start, shape[axis], 0)
            stop = place_in(tracer, entry.stop, shape[axis], shape[axis])
            plain.append((start, stop, step))
        elif isinstance(entry, bool):
            raise UnreadableError(f"it is indexed by {entry}; index with an int, or select with torch.where")
        elif isinstance(entry, int):
            place = dim_of(entry)
            size = shape[axis]
            if isinstance(place, Size):
                offset = place - size
                place = offset if isinstance(offset, int) else place
            plain.append(place)
        else:
            plain.append(entry)
        axis += 1
    return _one_by_one(tracer, x, entries, plain)


def _is_clamped(entry: Index, size: Dim) -> bool:
    """True for a slice whose constant bounds may exceed an axis of symbolic size."""
    if not isinstance(entry, slice) or isinstance(size, int):
        return False
    bounds = [bound for bound in (entry.start, entry.stop) if bound is not None]
    if not all(type(bound) is int for bound in bounds) or any(bound >= 2**31 for bound in bounds):
        return False
    return is_clamped(size, entry.start, entry.stop, 1 if entry.step is None else int(entry.step))


def _one_by_one(tracer: Tracer, x: Operand, entries: Sequence[Index], plain: list[Entries]) -> Operand:
    """Return x[entries], whose selections by axis are ``plain``, as one basic indexing if possible, else axis by axis.

    Args:
        entries: The entries of the index.
        plain: The entries as selections along each axis.
    """
    only_adds = None in entries and all(entry is None or entry == ALL for entry in entries)
    if isinstance(x, Value) and not only_adds and all(isinstance(item, int | tuple) for item in plain):
        written = _written_index(tracer, x, entries, plain)
        if written is not None:
            return tracer.script.item(x, *written) if any(entry != ALL for entry in written) else x
    axis, places = 0, iter(plain)
    for entry in entries:
        if entry is None:
            x = unsqueezed(tracer, x, axis)
            axis += 1
            continue
        item = next(places)
        if isinstance(item, tuple):
            x = slice_axis(tracer, x, axis, *item)
            axis += 1
        elif isinstance(item, slice):
            step = () if item.step in (None, 1) else (int(item.step),)
            x = tracer.call(clamped_slice, tracer.value(x), axis, item.start, item.stop, *step)
            axis += 1
        elif isinstance(item, int):
            x = entry_of(tracer, x, axis, item)
        elif isinstance(item, Size):
            x = _entry_at(tracer, x, axis, item)
        else:
            x = _entries_at(tracer, x, axis, item)
            axis += 1
    return x


def _entry_at(tracer: Tracer, x: Operand, axis: int, place: Size) -> Operand:
    """Return the entry of an axis at a position that depends on symbolic sizes, such as the middle."""
    if not _is_inside(place, shape_of(x)[axis]):
        return entry_of(tracer, x, axis, tracer.sizes.fix(place))
    index = tracer.call(basic.reshape, number_of(tracer, place, "int64"), (1,))
    return tracer.call(basic.squeeze, tracer.value(gathered(tracer, tracer.value(x), axis, index)), axis)


def _is_inside(place: Size, size: Dim) -> bool:
    """True if a position is in bounds for all values below ``MAX_TRIED`` of the only symbol of an axis.

    False if the axis and the position do not both depend on one and the same symbol.
    """
    if not isinstance(size, Size) or size.symbols != place.symbols or len(place.symbols) != 1:
        return False
    counts = [dict.fromkeys(place.symbols, count) for count in range(1, MAX_TRIED)]
    return all(0 <= evaluate(place, count) < evaluate(size, count) for count in counts)


def _written_index(
    tracer: Tracer, x: Value, entries: Sequence[Index], plain: list[Entries]
) -> list[int | slice | None] | None:
    """Return the index for basic indexing in the script; None if a gather is needed."""
    index: list[int | slice | None] = []
    places, shape = iter(plain), iter(shape_of(x))
    for entry in entries:
        if entry is None:
            index.append(None)
            continue
        item, size = next(places), next(shape)
        if isinstance(item, int):
            tracer.sizes.take(size, item)
            index.append(item)
            continue
        assert isinstance(item, tuple)
        start, stop, step = item
        if isinstance(start, int) and stop == start + 1:
            tracer.sizes.take(size, start)
        low, high = _bound(start, size, 0), _bound(stop, size, None)
        if isinstance(low, Size) or isinstance(high, Size):
            return None
        index.append(slice(low or None, high, step if step != 1 else None))
    while len(index) > 1 and index[-1] == ALL:
        index.pop()
    return index


def entry_of(tracer: Tracer, x: Entry, axis: int, place: int) -> Entry:
    """Return the entry of an axis at a constant position, without the axis."""
    shape = shape_of(x)
    tracer.sizes.take(shape[axis], place)
    if isinstance(x, Stacked) and axis == x.axis:
        return x.items[place]
    if isinstance(x, Written) and axis == x.axis and place % tracer.sizes.value(shape[axis]) in x.items:
        return x.items[place % tracer.sizes.value(shape[axis])]
    if isinstance(x, Filled) and isinstance(shape[axis], int) and not tracer.is_number(x):
        # Declare the constant, so that indexing an initial state records the same calls as indexing later states.
        # Otherwise the unrolled loop is not recognised.
        x = tracer.value(x)
    if isinstance(x, Filled | Written):
        ground = x if isinstance(x, Filled) else x.ground
        if isinstance(x, Filled) or axis == x.axis:
            return Filled(ground.number, (*shape[:axis], *shape[axis + 1 :]), ground.dtype)
    if isinstance(x, Stacked) and len(shape_of(x.items[0])) == len(shape) - 1:
        inner = axis - (axis > x.axis)
        items = tuple(entry_of(tracer, item, inner, place) for item in x.items)
        whole = (*shape[:axis], *shape[axis + 1 :])
        return Stacked(items, x.axis - (axis < x.axis), whole, x.dtype)
    return tracer.script.item(tracer.value(x), *(ALL,) * axis, place)


def check_indices(tracer: Tracer, index: object, size: Dim, axis: int, negative: bool = True) -> None:
    """Raise ``UnreadableError`` if a constant index is out of bounds for an axis in the example. Skip other indices."""
    if isinstance(index, torch.Tensor) and not index.is_floating_point():
        places = np.asarray(index.detach().cpu())
    elif isinstance(index, Filled):
        places = np.asarray(index.number)
    else:
        return
    if places.dtype != bool:
        check_positions(places, tracer.sizes.value(size), axis, negative)


def _entries_at(tracer: Tracer, x: Operand, axis: int, index: Operand | list[int], negative: bool = True) -> Operand:
    """Return the entries of an axis at a tensor or list of indices."""
    if isinstance(index, list):
        index = torch.tensor(index)
    if isinstance(index, Sorted) and index.what in ("order", "back"):
        return in_order(tracer, x, axis, index)
    if (index.dtype == torch.bool) if isinstance(index, torch.Tensor) else dtype_of(index) == "bool":
        raise UnreadableError("a mask indexes it, so that its shape depends on the data; select with torch.where")
    check_indices(tracer, index, shape_of(x)[axis], axis, negative)
    if isinstance(index, torch.Tensor) and not index.is_floating_point() and index.dim() == 1:
        places = np.asarray(index.cpu())
        steps = set(np.diff(places).tolist())
        size = shape_of(x)[axis]
        if len(places) > 1 and steps == {1} and places[0] >= 0 and isinstance(size, int):
            return slice_axis(tracer, x, axis, int(places[0]), int(places[-1]) + 1)
    if isinstance(x, Positions) and x.start == 0 and x.step == 1:
        return tracer.value(index, x.dtype)
    size = shape_of(x)[axis]
    if isinstance(index, torch.Tensor) and isinstance(size, int):
        index = torch.where(index < 0, index + size, index)
    elif not isinstance(index, torch.Tensor) or bool((index < 0).any()):
        index = _from_start(tracer, tracer.value(index), x, axis, negative)
    return gathered(tracer, tracer.value(x), axis, tracer.value(index))


def _from_start(tracer: Tracer, index: Value, x: Operand, axis: int, negative: bool = True) -> Value:
    """Return nonnegative indices: the size is added to negative ones. Indices are checked at run time.

    Args:
        negative: False if the indices cannot be negative.
    """
    index = _as_integers(tracer, index)
    if index.step.key is basic.argmax:
        return index
    size = shape_of(x)[axis]
    entries = (size,) if isinstance(size, int) else (tracer.value(x), axis)
    return tracer.call(axis_indices, index, *entries, **({} if negative else {"negative": False}))


def _as_integers(tracer: Tracer, index: Value) -> Value:
    """Cast an index to an integer dtype."""
    return index if dtype_of(index) in ("int32", "int64") else tracer.cast(index, "int64")


@reads("index_select")
def _index_select(tracer: Tracer, x: Operand, dim: int, index: Operand) -> Result:
    x = x if isinstance(x, Value | Lazy) else tracer.value(x)
    rank = len(shape_of(x))
    return _entries_at(tracer, x, axis_of(rank, dim), index, negative=False)


@reads("select")
def _select(tracer: Tracer, x: Operand, dim: int, index: int) -> Result:
    axis = axis_of(len(shape_of(x)), dim)
    return _index_axes(tracer, x, [*(ALL,) * axis, index, *(ALL,) * (len(shape_of(x)) - axis - 1)])


@reads("narrow")
def _narrow(tracer: Tracer, x: Operand, dim: int, start: int, length: int) -> Result:
    axis = axis_of(len(shape_of(x)), dim)
    size = shape_of(x)[axis]
    first = place_in(tracer, start, size, 0)
    return slice_axis(tracer, x, axis, first, first + dim_of(length))


# Rows sorted by length ----------------------------------------------------------------


def in_order(tracer: Tracer, x: Operand, axis: int, index: Sorted) -> Operand:
    """Return x with rows permuted by ``index``, which sorts them by length, or restores their original order."""
    shape, dtype = shape_of(x), dtype_of(x)
    if index.what == "order":
        return Sorted("rows", x, index.lengths, shape, dtype, axis)
    if isinstance(x, Sorted) and x.what in ("rows", "lengths") and x.axis == axis:
        return x.of
    raise UnreadableError(
        "rows are permuted in the order of another sequence's lengths; sort rows by their own lengths"
    )


def _of_sorted(tracer: Tracer, x: Sorted, entries: Sequence[Index]) -> Operand:
    """Return rows sorted by length after a permutation that sorts or unsorts them, or one layer's sorted state."""
    axis = next((axis for axis, entry in enumerate(entries) if isinstance(entry, Sorted)), None)
    if axis is not None and all(entry == ALL for place, entry in enumerate(entries) if place != axis):
        return in_order(tracer, x, axis, entries[axis])
    # such as h_n[layer], for final states of sorted rows
    if x.what == "rows" and x.axis == 1 and len(entries) == 1 and isinstance(entries[0], int):
        inner = entry_of(tracer, x.of, 0, int(entries[0]))
        return Sorted("rows", inner, x.lengths, shape_of(inner), x.dtype)
    raise UnreadableError("rows sorted by length are indexed; restore their order first")
