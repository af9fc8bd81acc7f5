"""Ops that choose entries by indices."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.indexing import axis_indices
from ....declare.functions.layers import embedding
from ....declare.functions.orders import argsort, sort, top_k
from ....ir.types import FLOATS, Dim, Size, dim_text
from ...steps import Value
from ..core.known import Expanded, Found, Known, Operand, check_count, dtype_of, known, of_sizes, shape_of
from ..core.sizes import UnreadableError, axis_of, texts, total
from ..core.table import Call, Outputs, reads
from ..core.values import held
from .shapes import counted, places

MOST_CHOSEN = 256
"""Entries of an axis of open size that are chosen one by one."""


@reads("Gather")
def _gather(call: Call) -> Outputs:
    x, index, rank = call.input(0), call.input(1), call.rank()
    axis = call.axis(0, rank)
    if isinstance(index, Known) and not index.is_symbolic:
        return _taken_along(call, x, index.array, axis)
    if isinstance(x, Known) and x.is_symbolic:
        raise UnreadableError("sizes that are open are chosen from at run time")
    ids = call.value(1)
    back = call.tensors.sorted_from(x)
    if back is not None and back[2] == axis and call.tensors.is_a(ids, "inverse", back[1]):
        return back[0]
    if call.tensors.is_a(ids, "order"):
        return call.tensors.sorted(call.tensors.value(x), ids, axis)
    if ids.tensor.dtype == "int32" and dtype_of(index) not in ("int32", "int64"):
        raise UnreadableError(f"indices are of {dtype_of(index)}")
    source = call.tensors.transpose(x, (axis, *(other for other in range(rank) if other != axis)))
    table = call.tensors.value(source, "embedding")
    size = call.shape()[axis]
    counting = _counting(call, ids) if isinstance(size, int) else None
    if counting is not None:
        ids = counting
    elif not _is_place(ids):
        ids = from_start(call, ids, size, table, 0)
    found = call.script.call(embedding if isinstance(x, Known) and axis == 0 else basic.gather, *(
        (ids, table) if isinstance(x, Known) and axis == 0 else (table, ids)
    ))  # fmt: skip
    many = len(shape_of(ids))
    order = (*range(many, many + axis), *range(many), *range(many + axis, many + rank - 1))
    return call.tensors.transpose(found, order)


def _counting(call: Call, ids: Value) -> Value | None:
    """Indices that count from 0 on, as rows of a table are counted; None of others."""
    if call.tensors.is_a(ids, "count"):
        count = shape_of(ids)[0]
        return places(call.tensors, 0, count) if isinstance(count, Size) else None
    if ids.path or ids.step.key not in (basic.cast, basic.expand_dims, basic.reshape):
        return None
    inner, *others = ids.step.operands
    found = _counting(call, inner) if isinstance(inner, Value) else None
    return None if found is None else call.script.call(ids.step.key, found, *others, **ids.step.keywords)


def first_rows(call: Call, x: Operand, axis: int, start: int, stop: Size) -> Operand:
    """Entries from start to an open size, of an axis of fixed size."""
    before = (axis, *(other for other in range(len(shape_of(x))) if other != axis))
    table = call.tensors.value(call.tensors.transpose(x, before), "table")
    count = stop - start
    if not isinstance(count, Size):
        raise UnreadableError(f"a bound {stop} of an axis of {shape_of(x)[axis]}")
    found = call.script.call(basic.gather, table, places(call.tensors, start, count))
    return call.tensors.transpose(found, [before.index(place) for place in range(len(before))])


def _is_place(ids: Value) -> bool:
    """True if no index is counted from the end."""
    while ids.step.key is basic.cast:
        ids = ids.step.operands[0]
    return ids.step.key is basic.argmax


def from_start(call: Call, ids: Value, size: Dim, x: Value, axis: int) -> Value:
    """Indices into an axis of ``x`` of this size, counted from its start; a call checks those that are fed."""
    ids = call.tensors.cast(ids, "int64")
    if isinstance(size, int):
        return call.script.call(axis_indices, ids, size)
    return call.script.call(axis_indices, ids, x, *((axis,) if axis else ()))


def _taken_one_by_one(call: Call, x: Operand, index: np.ndarray, axis: int) -> Operand:
    """Entries at indices of the file, some of which count from the end of an axis of open size."""
    if index.size > MOST_CHOSEN:
        raise UnreadableError(
            f"{index.size} entries of an axis of open size are chosen from its end; up to {MOST_CHOSEN} are read"
        )
    before, shape = [slice(None)] * axis, shape_of(x)
    parts = [call.tensors.taken(x, [*before, slice(place, place + 1 or None)]) for place in index.reshape(-1).tolist()]
    return call.tensors.reshape(call.tensors.concat(parts, axis), [*shape[:axis], *index.shape, *shape[axis + 1 :]])


def _taken_along(call: Call, x: Operand, index: np.ndarray, axis: int) -> Operand:
    """Entries at indices of the file."""
    shape = shape_of(x)
    size = shape[axis]
    if isinstance(size, int) and index.size and not (index.min() >= -size and index.max() < size):
        raise UnreadableError(f"an index is outside of an axis of {size}")
    if isinstance(x, Known):
        check_count(int(index.size) * max(1, x.array.size // max(1, x.array.shape[axis])))
        return Known(np.asarray(np.take(x.array, index, axis)), x.dtype)
    before: list[Any] = [slice(None)] * axis
    after: list[Any] = [slice(None)] * (len(shape) - axis - 1)
    if index.ndim == 0:
        return call.tensors.taken(x, [*before, int(index), *after])
    flat = [int(entry) for entry in index.reshape(-1)]
    step = flat[1] - flat[0] if len(flat) > 1 else 1
    is_even = bool(flat) and step > 0 and all(b - a == step for a, b in pairwise(flat))
    if is_even and (flat[0] >= 0) == (flat[-1] >= 0) and index.ndim == 1:
        stop = None if flat[-1] == -1 else flat[-1] + 1
        return call.tensors.taken(x, [*before, slice(flat[0], stop, None if step == 1 else step), *after])
    if not isinstance(size, int) and min(flat, default=0) < 0:
        return _taken_one_by_one(call, x, index, axis)
    ids = call.tensors.value(
        known(np.where(index < 0, index + (size if isinstance(size, int) else 0), index).astype(np.int64))
    )
    order = (axis, *(other for other in range(len(shape)) if other != axis))
    table = call.tensors.value(call.tensors.transpose(x, order))
    found = call.script.call(basic.gather, table, ids)
    many = index.ndim
    back = (*range(many, many + axis), *range(many), *range(many + axis, many + len(shape) - 1))
    return call.tensors.transpose(found, back)


@reads("GatherElements")
def _gather_elements(call: Call) -> Outputs:
    x, index, axis = call.input(0), call.input(1), call.axis(0, call.rank())
    if isinstance(x, Known) and isinstance(index, Known):
        return Known(np.take_along_axis(x.numbers("an array"), index.numbers("indices"), axis), x.dtype)
    value, ids = call.value(0), call.value(1)
    if value.tensor.dtype == "bool":
        raise UnreadableError("entries of bool are chosen one by one")
    for place, (have, wanted) in enumerate(zip(call.shape(), call.shape(1), strict=True)):
        if place != axis and have != wanted:
            if not isinstance(have, int) or not isinstance(wanted, int):
                raise UnreadableError("its indices are of another shape than what they choose from")
            value = call.tensors.value(call.tensors.taken(value, [*[slice(None)] * place, slice(wanted)]))
    size = call.shape()[axis]
    ids = from_start(call, ids, size, value, axis)
    if call.shape(1)[axis] == 1:
        hits = call.script.call(basic.equal, ids, along(call, size, call.rank() - axis - 1))
        chosen = call.script.call(basic.where, hits, value, 0)
        return call.script.call(basic.reduce_sum, chosen, axis, keepdims=True)
    # each index beside all places, of which entries are added up where it is one's own
    ids, value = (
        call.tensors.value(call.tensors.expand_dims(item, [place])) for item, place in ((ids, axis + 1), (value, axis))
    )
    hits = call.script.call(basic.equal, ids, along(call, size, call.rank() - axis - 1))
    return call.script.call(basic.reduce_sum, call.script.call(basic.where, hits, value, 0), axis + 1)


def entry_count(call: Call, size: Dim) -> Any:
    """How many entries an axis has, to compute with."""
    return size if isinstance(size, int) else call.tensors.value(call.tensors.reshape(of_sizes([size]), ()))


def along(call: Call, size: Dim, behind: int) -> Value:
    """0, 1 and on up to a size, with so many axes of 1 behind."""
    return call.tensors.value(call.tensors.reshape(_counted(call, size), [size, *(1,) * behind]))


def _counted(call: Call, size: Any) -> Operand:
    """0, 1 and on, up to a size."""
    return known(np.arange(size)) if isinstance(size, int) else counted(call.tensors, 0, size)


@reads("GatherND")
def _gather_nd(call: Call) -> Outputs:
    shape, index, batch = call.shape(), call.shape(1), call.whole("batch_dims", 0)
    depth = index[-1] if index else 0
    if not isinstance(depth, int) or not 0 <= batch < len(index) or not 0 < depth <= len(shape) - batch:
        raise UnreadableError(f"it chooses {dim_text(depth)} axes of {texts(shape)} by {texts(index)}")
    ids, tensors, script = call.value(1), call.tensors, call.script
    flat: Any = None
    for place in range(batch + depth):
        if place < batch:  # rows choose from their own
            part: Any = along(call, shape[place], len(index) - 2 - place)
        else:
            part = tensors.value(tensors.taken(ids, [*[slice(None)] * (len(index) - 1), place - batch]))
            part = from_start(call, part, shape[place], call.value(0), place)
        if flat is not None:
            part = script.operation("+", script.operation("*", flat, entry_count(call, shape[place])), part)
        flat = part
    table = tensors.value(tensors.reshape(call.input(0), [total(shape[: batch + depth]), *shape[batch + depth :]]))
    return script.call(basic.gather, table, flat)


@reads("ArgMax", "ArgMin")
def _argmax(call: Call) -> Outputs:
    axis = call.axis(0, call.rank())
    options = {"keepdims": True} if call.whole("keepdims", 1) == 1 else {}
    x, function = call.input(0), basic.argmax if call.op == "ArgMax" else basic.argmin
    if not call.whole("select_last_index", 0):
        return call.script.call(function, call.tensors.value(x), axis, **options)
    back = call.tensors.taken(x, [*[slice(None)] * axis, slice(None, None, -1)])  # the first from behind
    found = call.script.call(function, call.tensors.value(back), axis, **options)
    size = entry_count(call, call.shape()[axis])
    last = size - 1 if isinstance(size, int) else call.script.operation("-", size, 1)
    return call.script.operation("-", last, found)


@reads("OneHot")
def _one_hot(call: Call) -> Outputs:
    depth = call.ints(1, "the depth")[0]
    values = call.input(2)
    axis = call.whole("axis", -1)
    axis = axis_of(axis, call.rank() + 1)
    if not 0 < depth <= 1 << 24:
        raise UnreadableError(f"a depth of {depth}")
    ids = call.value(0)
    if ids.tensor.dtype in FLOATS:
        ids = call.tensors.cast(ids, "int64")
    ids = call.script.call(basic.where, call.script.operation("<", ids, 0), call.script.operation("+", ids, depth), ids)
    dtype = held(dtype_of(values))
    if isinstance(values, Known) and values.array.reshape(-1).tolist() == [0, 1]:
        found: Operand = call.script.call(basic.one_hot, ids, depth, *(() if dtype == "float32" else (dtype,)))
    else:
        off, on = (call.tensors.value(call.tensors.taken(values, [place])) for place in (0, 1))
        found = call.script.call(basic.where, call.script.call(basic.one_hot, ids, depth, "bool"), on, off)
    rank = call.rank()
    order = [*range(axis), rank, *range(axis, rank)]
    return call.tensors.transpose(found, order)


def _sorted(call: Call) -> Outputs | None:
    """All numbers of a vector, the largest first, as lengths are sorted before sequences are packed; or the indices of
    such an order, the smallest first, which gives where each stands in it.
    """
    given, shape, is_largest = call.maybe(1), call.shape(), bool(call.whole("largest", 1))
    if not isinstance(given, Known) or len(shape) != 1 or given.array.reshape(-1).tolist() != list(shape):
        return None
    x, tensors = call.value(0), call.tensors
    if not is_largest and tensors.is_a(x, "order"):
        return [counted(tensors, 0, shape[0]), tensors.say(call.script.call(argsort, x), "inverse", x)]
    if not is_largest or (isinstance(shape[0], int) and x.tensor.dtype in FLOATS):
        return None
    order = tensors.say(call.script.call(argsort, x, descending=True), "order")
    return [tensors.sorted(x, order, 0), order]


@reads("TopK")
def _top_k(call: Call) -> Outputs:
    whole = _sorted(call)
    if whole is not None:
        return whole
    count = call.ints(1, "the number")[0] if call.maybe(1) is not None else call.whole("k", 1)
    rank = call.rank()
    axis = call.axis(-1, rank)
    size, script, tensors = call.shape()[axis], call.script, call.tensors
    if not count >= 1 or (isinstance(size, int) and count > size):
        raise UnreadableError(f"it takes {count} of an axis of {size}")
    if not call.whole("largest", 1):  # of the whole order, in which NaN is the largest
        front = [*[slice(None)] * axis, slice(0, count)]
        return [tensors.taken(script.call(function, call.value(0), axis), front) for function in (sort, argsort)]
    order = [*(other for other in range(rank) if other != axis), axis]
    last = tensors.value(tensors.transpose(call.input(0), order))
    best = script.call(top_k, last, count, hint=("values", "places"))
    back = [order.index(place) for place in range(rank)]
    return [tensors.transpose(one, back) for one in best]


@reads("Compress", "NonZero", "Unique")
def _by_values(call: Call) -> Outputs:
    items = [item for item in call.inputs if item is not None]
    if call.op == "NonZero" and isinstance(items[0], Known):
        return known(np.stack(np.nonzero(items[0].numbers("an array"))).astype(np.int64))
    if call.op == "NonZero" and isinstance(items[0], Expanded) and len(items[0].shape) == 1:
        source = items[0].source  # ones, as old exporters count to a size
        if isinstance(source, Known) and not source.is_symbolic and source.array.all():
            return call.tensors.expand_dims(counted(call.tensors, 0, items[0].shape[0]), [0])
    if call.op == "NonZero":
        return Found(call.tensors.cast(call.value(0), "bool"))
    raise UnreadableError("the size of what it gives depends on numbers at run time")
