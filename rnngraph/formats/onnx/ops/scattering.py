"""Ops that write entries over others: parts of axes, as exporters have them of what is written in place; places of the
file; and places that a call gives, one or a few along an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.indexing import put_along_axis
from ....declare.functions.orders import argsort
from ....ir.types import Dim, Size
from ...steps import Value
from ..core.known import Expanded, Found, Known, Operand, known, shape_of
from ..core.ranges import Range, parts_of, range_of
from ..core.sizes import UnreadableError, texts
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors

MOST_ENTRIES = 256
"""Entries of an axis that become a list of entries, one of which is written over."""
MOST_WRITTEN = 16
"""Places along an axis that are written one after the other."""
_MODES = {"none": "set", "add": "add", "mul": "multiply", "min": "minimum", "max": "maximum"}
COMPUTED = "where it writes is computed at run time"


Bounds = tuple[Dim, Dim]
"""Where a part of an axis begins, and how long it is."""


@reads("ScatterElements", "Scatter")
def _scatter_elements(call: Call) -> Outputs:
    order, tensors, places = call.input(1), call.tensors, call.input(2)
    is_count = tensors.is_a(places, "count") or (
        isinstance(places, Known) and places.array.tolist() == list(range(places.array.size))
    )
    if tensors.is_a(order, "order") and is_count and call.text("reduction", "none") == "none":
        assert isinstance(order, Value)
        return tensors.say(call.script.call(argsort, order), "inverse", order)
    axis, shape, index = call.axis(0, call.rank()), call.shape(), call.shape(1)
    found = range_of(tensors, order)
    is_part = found is not None and (index[axis] == 1 if found.axis is None else found.axis == axis)
    if found is not None and is_part and call.text("reduction", "none") == "none":
        bounds: list[Bounds] = [(0, dim) for dim in index]
        bounds[axis] = found.first, index[axis]
        return written_over(tensors, call.input(0), bounds, tensors.reshape(places, index))
    if any(have != wanted for place, (have, wanted) in enumerate(zip(shape, index, strict=True)) if place != axis):
        raise UnreadableError(f"it writes to places of {texts(index)} of an array of {texts(shape)}")
    mode = _MODES[call.text("reduction", "none")]
    options = {} if mode == "set" else {"mode": mode}
    return call.script.call(put_along_axis, call.value(0), call.value(1), call.value(2), axis, **options)


@reads("ScatterND")
def _scatter_nd(call: Call) -> Outputs:
    found = call.found(1)
    if found is not None:
        return _where_found(call, found)
    x, index, updates = (call.input(number) for number in range(3))
    if isinstance(x, Known) and isinstance(index, Known) and isinstance(updates, Known):
        return _of_known(x, index, updates)
    tensors, shape, places, reduction = call.tensors, call.shape(), call.shape(1), call.text("reduction", "none")
    depth = places[-1] if places else 0
    if not isinstance(depth, int) or not 0 < depth <= len(shape) or reduction not in ("none", "add"):
        raise UnreadableError(f"it writes to {depth} axes of {texts(shape)}, {reduction!r}")
    parts = parts_of(tensors, index)
    ranges = None if parts is None else [range_of(tensors, part) for part in parts]
    if ranges is not None and reduction == "none":
        region = region_of(ranges, shape, places[:-1])
        if region is not None:
            whole = [dim for _, dim in region]
            return written_over(tensors, x, region, tensors.reshape(updates, whole))
    if not isinstance(index, Known):
        raise UnreadableError(COMPUTED)
    if all(isinstance(dim, int) for dim in shape[:depth]):
        return _of_places(call, index.numbers("indices"), reduction)
    if depth > 1 or reduction != "none" or index.array.size > MOST_WRITTEN:
        raise UnreadableError("it writes to places of axes of open size")
    rows = tensors.reshape(updates, [index.array.size, *shape[1:]])
    for number, place in enumerate(index.numbers("indices").reshape(-1).tolist()):
        bounds: list[Bounds] = [(place, 1), *((0, dim) for dim in shape[1:])]
        x = written_over(tensors, x, bounds, tensors.taken(rows, [slice(number, number + 1)]))
    return x


def _where_found(call: Call, found: Found) -> Operand:
    """One number where a mask holds."""
    number = call.input(2)
    source = number.source if isinstance(number, Expanded) else number
    is_plain = found.is_turned and shape_of(found.mask) == call.shape() and call.text("reduction", "none") == "none"
    if not is_plain or any(dim != 1 for dim in shape_of(source)):
        raise UnreadableError("it writes to places of which there are as many as numbers at run time say")
    only = call.tensors.value(call.tensors.reshape(source, ()))
    return call.script.call(basic.where, found.mask, only, call.value(0))


def _of_known(x: Known, index: Known, updates: Known) -> Known:
    """Entries written over others, of the file alone."""
    found = (x.array.astype(object) if updates.is_symbolic else x.array).copy()
    places = index.numbers("indices")
    for place in np.ndindex(places.shape[:-1]):
        found[tuple(places[place])] = updates.array[place]
    return known(found, x.dtype)


def region_of(ranges: Sequence[Range | None], shape: Sequence[Dim], index: Sequence[Dim]) -> list[Bounds] | None:
    """The part of each axis that is written, if places are all those of parts of axes, in their order."""
    found: list[Bounds] = []
    last = -1
    for item in ranges:
        if item is None or (item.axis is not None and item.axis <= last):
            return None
        last = last if item.axis is None else item.axis
        found.append((item.first, 1 if item.axis is None else index[item.axis]))
    used = {item.axis for item in ranges if item is not None}
    if any(dim != 1 for place, dim in enumerate(index) if place not in used):
        return None
    return [*found, *((0, dim) for dim in shape[len(ranges) :])]


def written_over(tensors: Tensors, x: Operand, region: Sequence[Bounds], updates: Operand) -> Operand:
    """x with updates in the place of a part of it."""
    shape = shape_of(x)
    cut = [axis for axis, (first, count) in enumerate(region) if (first, count) != (0, shape[axis])]
    if not cut:
        return updates
    axis = cut[0]
    start, stop = _ends(shape[axis], *region[axis])
    ahead = [slice(None)] * axis
    if len(cut) == 1 and stop == start + 1 and _is_list(tensors, x, axis):
        size = shape[axis]
        assert isinstance(size, int)
        parts = [tensors.taken(x, [*ahead, entry]) for entry in range(size)]
        parts[start] = tensors.squeeze(updates, [axis])
        return tensors.stack([tensors.value(part) for part in parts], axis)
    inner = updates
    if len(cut) > 1:
        within = tensors.taken(x, [*ahead, slice(start, stop)])
        whole: list[Bounds] = [*region[:axis], (0, shape_of(within)[axis]), *region[axis + 1 :]]
        inner = written_over(tensors, within, whole, updates)
    parts = [] if start == 0 else [tensors.taken(x, [*ahead, slice(None, start)])]
    parts += [inner] if stop is None else [inner, tensors.taken(x, [*ahead, slice(stop, None)])]
    return tensors.concat(parts, axis)


def _is_list(tensors: Tensors, x: Operand, axis: int) -> bool:
    """Whether x is a stack, or one number everywhere, so that an entry of it may be another value."""
    size = shape_of(x)[axis]
    if not isinstance(size, int) or not 1 < size <= MOST_ENTRIES:
        return False
    note = tensors.note(x) if isinstance(x, Value) else None
    if note is not None:
        return note.kind == "stack" and note.by == axis
    source = x.source if isinstance(x, Expanded) else x
    return isinstance(source, Known) and not source.is_symbolic and bool((source.array == source.array.flat[0]).all())


def _ends(size: Dim, first: Dim, count: Dim) -> tuple[int, int | None]:
    """Where a part of an axis begins and ends, as slices have it; None for the end of the axis."""
    if isinstance(first, Size) or (isinstance(first, int) and first < 0 and isinstance(size, int)):
        first = first - size if isinstance(first, Size) else first + size
    if not isinstance(first, int):
        raise UnreadableError(f"it writes from entry {first} of an axis of {size} on")
    left = (0 if first < 0 else size) - first - count
    if left == 0:
        return first, None
    if isinstance(left, int) and not isinstance(count, int):
        return first, -left
    if not isinstance(count, int) or (isinstance(left, int) and left < 0):
        raise UnreadableError(f"it writes {count} entries of an axis of {size}, from {first} on")
    return first, first + count


def _of_places(call: Call, index: np.ndarray, reduction: str) -> Operand:
    """Entries at places of the file: of old and new ones side by side one for each place."""
    tensors, depth = call.tensors, index.shape[-1]
    shape: list[Any] = list(call.shape())
    limits, rest = shape[:depth], shape[depth:]
    for place, limit in enumerate(limits):
        if index.size and not -limit <= index[..., place].min() <= index[..., place].max() < limit:
            raise UnreadableError(f"a place is outside of an axis of {limit}")
    flat = np.ravel_multi_index(tuple((index % limits).reshape(-1, depth).T), limits)
    if reduction == "add" and len(set(flat.tolist())) < flat.size:
        raise UnreadableError("it adds several numbers up at one place")
    total = int(np.prod(limits))
    old = tensors.reshape(call.input(0), [total, *rest])
    new = tensors.reshape(call.input(2), [flat.size, *rest])
    chosen = np.arange(total) if reduction == "none" else np.full(total, flat.size)
    chosen[flat] = np.arange(flat.size) + (total if reduction == "none" else 0)
    if reduction == "none":
        both = tensors.concat([old, new], 0)
        found = call.script.call(basic.gather, tensors.value(both), tensors.value(known(chosen)))
        return tensors.reshape(found, shape)
    zero = tensors.reshape(call.script.operation("*", tensors.value(tensors.taken(old, [slice(1)])), 0), [1, *rest])
    both = tensors.concat([new, zero], 0)
    added = call.script.call(basic.gather, tensors.value(both), tensors.value(known(chosen)))
    return tensors.reshape(call.script.operation("+", tensors.value(old), added), shape)
