"""Reads ops that overwrite entries.

Indices may be slices of axes (exporters' form of in-place writes), constants, or a few run-time indices along an axis.
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
from ..core.known import Expanded, Known, NonZeroIndices, Operand, known, shape_of
from ..core.ranges import Range, parts_of, range_of
from ..core.sizes import UnreadableError, texts
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from .choosing import check_known

MAX_ENTRIES = 256
"""Maximum entries of an axis that is split into a list to overwrite a single entry."""
MAX_WRITTEN = 16
"""Maximum run-time indices along an axis that are written one after another."""
_MODES = {"none": "set", "add": "add", "mul": "multiply", "min": "minimum", "max": "maximum"}
COMPUTED = "the indices to which it writes are computed at run time; they must be constant, or one range for each axis"


Bounds = tuple[Dim, Dim]
"""(First index, number of entries) of a range along an axis."""


@reads("ScatterElements", "Scatter")
def _scatter_elements(call: Call) -> Outputs:
    order, tensors, places = call.input(1), call.tensors, call.input(2)
    is_count = tensors.is_a(places, "count") or (
        isinstance(places, Known) and places.array.tolist() == list(range(places.array.size))
    )
    if tensors.is_a(order, "order") and is_count and call.text("reduction", "none") == "none":
        assert isinstance(order, Value)
        return tensors.record(call.script.call(argsort, order), "inverse", order)
    axis, shape, index = call.axis(0, call.rank()), call.shape(), call.shape(1)
    check_known(order, shape[axis], axis)
    range_ = range_of(tensors, order)
    is_part = range_ is not None and (index[axis] == 1 if range_.axis is None else range_.axis == axis)
    if range_ is not None and is_part and call.text("reduction", "none") == "none":
        bounds: list[Bounds] = [(0, dim) for dim in index]
        bounds[axis] = range_.first, index[axis]
        return written_over(tensors, call.input(0), bounds, tensors.reshape(places, index))
    if any(have != size for place, (have, size) in enumerate(zip(shape, index, strict=True)) if place != axis):
        raise UnreadableError(
            f"its indices {texts(index)} and data {texts(shape)} must be equal in size, except along axis {axis}"
        )
    mode = _MODES[call.text("reduction", "none")]
    options = {} if mode == "set" else {"mode": mode}
    return call.script.call(put_along_axis, call.value(0), call.value(1), call.value(2), axis, **options)


@reads("ScatterND")
def _scatter_nd(call: Call) -> Outputs:
    indices = call.nonzero_indices(1)
    if indices is not None:
        return _write_where(call, indices)
    x, index, updates = (call.input(number) for number in range(3))
    if isinstance(x, Known) and isinstance(index, Known) and isinstance(updates, Known):
        return _of_known(x, index, updates)
    tensors, shape, places, reduction = call.tensors, call.shape(), call.shape(1), call.text("reduction", "none")
    depth = places[-1] if places else 0
    if not isinstance(depth, int) or not 0 < depth <= len(shape) or reduction not in ("none", "add"):
        raise UnreadableError(
            f"it writes along {depth} axes of {texts(shape)} with reduction {reduction!r}, which is not supported"
        )
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
    if depth > 1 or reduction != "none" or index.array.size > MAX_WRITTEN:
        raise UnreadableError("it writes to indices along axes of symbolic size, which is not supported")
    rows = tensors.reshape(updates, [index.array.size, *shape[1:]])
    for number, place in enumerate(index.numbers("indices").reshape(-1).tolist()):
        bounds: list[Bounds] = [(place, 1), *((0, dim) for dim in shape[1:])]
        x = written_over(tensors, x, bounds, tensors.index(rows, [slice(number, number + 1)]))
    return x


def _write_where(call: Call, indices: NonZeroIndices) -> Operand:
    """Return the node's data with one number in place of the entries at which a mask is true."""
    number = call.input(2)
    source = number.source if isinstance(number, Expanded) else number
    is_plain = (
        indices.is_transposed and shape_of(indices.mask) == call.shape() and call.text("reduction", "none") == "none"
    )
    if not is_plain or any(dim != 1 for dim in shape_of(source)):
        raise UnreadableError(
            "the number of indices to which it writes depends on the data; it must write one number where a mask of "
            "the data's shape is true"
        )
    only = call.tensors.value(call.tensors.reshape(source, ()))
    return call.script.call(basic.where, indices.mask, only, call.value(0))


def _of_known(x: Known, index: Known, updates: Known) -> Known:
    """Return ScatterND's result for known operands."""
    result = (x.array.astype(object) if updates.is_symbolic else x.array).copy()
    places = index.numbers("indices")
    for place in np.ndindex(places.shape[:-1]):
        result[tuple(places[place])] = updates.array[place]
    return known(result, x.dtype)


def region_of(ranges: Sequence[Range | None], shape: Sequence[Dim], index: Sequence[Dim]) -> list[Bounds] | None:
    """Return the range that is written along each axis; None if the indices do not form one range for each axis.

    Args:
        ranges: Indices along each indexed axis, as a range; None if they are not consecutive.
        shape: Shape of the data.
        index: Shape of the indices, without the last axis.
    """
    region: list[Bounds] = []
    last = -1
    for item in ranges:
        if item is None or (item.axis is not None and item.axis <= last):
            return None
        last = last if item.axis is None else item.axis
        region.append((item.first, 1 if item.axis is None else index[item.axis]))
    used = {item.axis for item in ranges if item is not None}
    if any(dim != 1 for place, dim in enumerate(index) if place not in used):
        return None
    return [*region, *((0, dim) for dim in shape[len(ranges) :])]


def written_over(tensors: Tensors, x: Operand, region: Sequence[Bounds], updates: Operand) -> Operand:
    """Return x with a region replaced by ``updates``. ``region`` has (first index, number of entries) for each axis."""
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
        parts = [tensors.index(x, [*ahead, entry]) for entry in range(size)]
        parts[start] = tensors.squeeze(updates, [axis])
        return tensors.stack([tensors.value(part) for part in parts], axis)
    inner = updates
    if len(cut) > 1:
        within = tensors.index(x, [*ahead, slice(start, stop)])
        whole: list[Bounds] = [*region[:axis], (0, shape_of(within)[axis]), *region[axis + 1 :]]
        inner = written_over(tensors, within, whole, updates)
    parts = [] if start == 0 else [tensors.index(x, [*ahead, slice(None, start)])]
    parts += [inner] if stop is None else [inner, tensors.index(x, [*ahead, slice(stop, None)])]
    return tensors.concat(parts, axis)


def _is_list(tensors: Tensors, x: Operand, axis: int) -> bool:
    """True if x is a stack along an axis, or one repeated number, so that an entry of the axis can be replaced."""
    size = shape_of(x)[axis]
    if not isinstance(size, int) or not 1 < size <= MAX_ENTRIES:
        return False
    note = tensors.note(x) if isinstance(x, Value) else None
    if note is not None:
        return note.kind == "stack" and note.by == axis
    source = x.source if isinstance(x, Expanded) else x
    return isinstance(source, Known) and not source.is_symbolic and bool((source.array == source.array.flat[0]).all())


def _ends(size: Dim, first: Dim, count: Dim) -> tuple[int, int | None]:
    """Return (start, stop) of the slice of ``count`` entries from index ``first``. A stop of None is the axis's end."""
    start, is_beyond = first, False
    if isinstance(first, Size):  # Counted from the end, as -1 for the index T - 1 of an axis of size T.
        start = first - size
        is_beyond = isinstance(start, int) and start >= 0
    elif first < 0 and isinstance(size, int):
        start = first + size
        is_beyond = start < 0
    if not isinstance(start, int):
        raise UnreadableError(
            f"it writes from index {first} of an axis of size {size}, at no fixed distance from its ends; fix the sizes"
        )
    left = (0 if start < 0 else size) - start - count
    if is_beyond or (isinstance(left, int) and left < 0):
        raise UnreadableError(
            f"it writes {count} entries from index {first} on, which an axis of size {size} lacks; give other indices"
        )
    if left == 0:
        return start, None
    if isinstance(left, int) and not isinstance(count, int):
        return start, -left
    if not isinstance(count, int):
        raise UnreadableError(
            f"it writes {count} entries from index {first} of an axis of size {size}, whose end depends on both sizes; "
            "fix the sizes"
        )
    return start, start + count


def _of_places(call: Call, index: np.ndarray, reduction: str) -> Operand:
    """Return the node's data with entries overwritten, or added to, at constant indices.

    Old and new entries are concatenated, and gathered.
    """
    tensors, depth = call.tensors, index.shape[-1]
    shape: list[Any] = list(call.shape())
    limits, rest = shape[:depth], shape[depth:]
    for place, limit in enumerate(limits):
        if index.size and not -limit <= index[..., place].min() <= index[..., place].max() < limit:
            raise UnreadableError(f"an index is out of range for an axis of size {limit}; give {-limit} to {limit - 1}")
    flat = np.ravel_multi_index(tuple((index % limits).reshape(-1, depth).T), limits)
    if reduction == "add" and len(set(flat.tolist())) < flat.size:
        raise UnreadableError("it adds several values to one entry, which is not supported")
    total = int(np.prod(limits))
    old = tensors.reshape(call.input(0), [total, *rest])
    new = tensors.reshape(call.input(2), [flat.size, *rest])
    sources = np.arange(total) if reduction == "none" else np.full(total, flat.size)
    sources[flat] = np.arange(flat.size) + (total if reduction == "none" else 0)
    if reduction == "none":
        both = tensors.concat([old, new], 0)
        result = call.script.call(basic.gather, tensors.value(both), tensors.value(known(sources)))
        return tensors.reshape(result, shape)
    zero = tensors.reshape(call.script.operation("*", tensors.value(tensors.index(old, [slice(1)])), 0), [1, *rest])
    both = tensors.concat([new, zero], 0)
    added = call.script.call(basic.gather, tensors.value(both), tensors.value(known(sources)))
    return tensors.reshape(call.script.operation("+", tensors.value(old), added), shape)
