"""Ops that choose entries by indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.indexing import axis_indices, gather_nd, take_along_axis
from ....declare.functions.layers import embedding
from ....declare.functions.orders import argsort, top_k
from ....ir.types import FLOATS, Dim, Size
from ...operators.moves import take
from ...steps import Value
from ..core.known import Expanded, Found, Known, Operand, check_count, dtype_of, known, of_sizes, shape_of
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads
from ..core.values import held
from .backend import OnnxBackend
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
    table, size = call.tensors.value(x, "embedding"), call.shape()[axis]
    counting = _counting(call, ids) if isinstance(size, int) else None
    if counting is not None:
        ids = counting
    elif not _is_place(ids):
        ids = from_start(call, ids, size, table, axis)
    if isinstance(x, Known) and axis == 0:
        return call.script.call(embedding, ids, table)
    return call.tensors.rows_at(table, ids, axis)


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
    count = stop - start
    if not isinstance(count, Size):
        raise UnreadableError(f"a bound {stop} of an axis of {shape_of(x)[axis]}")
    return call.tensors.rows_at(call.tensors.value(x, "table"), places(call.tensors, start, count), axis)


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


def _taken_along(call: Call, x: Operand, index: np.ndarray, axis: int) -> Operand:
    """Entries at indices of the file."""
    if isinstance(x, Known):
        size = x.array.shape[axis]
        check_count(int(index.size) * max(1, x.array.size // max(1, size)))
        if index.size and not (index.min() >= -size and index.max() < size):
            raise UnreadableError(f"an index is outside of an axis of {size}")
        return Known(np.asarray(np.take(x.array, index, axis)), x.dtype)
    return take(OnnxBackend(call), x, index, axis, lambda ids: call.tensors.value(known(ids.astype(np.int64))))


@reads("GatherElements")
def _gather_elements(call: Call) -> Outputs:
    x, index, axis = call.input(0), call.input(1), call.axis(0, call.rank())
    if isinstance(x, Known) and isinstance(index, Known):
        return Known(np.take_along_axis(x.numbers("an array"), index.numbers("indices"), axis), x.dtype)
    value = call.value(0)
    for place, (have, wanted) in enumerate(zip(call.shape(), call.shape(1), strict=True)):
        if place != axis and have != wanted:
            if not isinstance(have, int) or not isinstance(wanted, int):
                raise UnreadableError("its indices are of another shape than what they choose from")
            value = call.tensors.value(call.tensors.taken(value, [*[slice(None)] * place, slice(wanted)]))
    return call.script.call(take_along_axis, value, call.value(1), axis)


@reads("GatherND")
def _gather_nd(call: Call) -> Outputs:
    batch = call.whole("batch_dims", 0)
    return call.script.call(gather_nd, call.value(0), call.value(1), *([batch] if batch else []))


@reads("ArgMax", "ArgMin")
def _argmax(call: Call) -> Outputs:
    axis = call.axis(0, call.rank())
    options = {"keepdims": True} if call.whole("keepdims", 1) == 1 else {}
    x, function = call.input(0), basic.argmax if call.op == "ArgMax" else basic.argmin
    if not call.whole("select_last_index", 0):
        return call.script.call(function, call.tensors.value(x), axis, **options)
    back = call.tensors.taken(x, [*[slice(None)] * axis, slice(None, None, -1)])  # the first from behind
    found = call.script.call(function, call.tensors.value(back), axis, **options)
    size = call.shape()[axis]
    count = size if isinstance(size, int) else call.tensors.value(call.tensors.reshape(of_sizes([size]), ()))
    last = count - 1 if isinstance(count, int) else call.script.operation("-", count, 1)
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
    dtype, options = held(dtype_of(values)), {"axis": axis} if axis != call.rank() else {}
    kind = () if dtype == "float32" else (dtype,)
    if not isinstance(values, Known) or values.array.reshape(-1).tolist() != [0, 1]:
        both = (call.tensors.reshape(call.tensors.taken(values, [place]), ()) for place in (0, 1))
        off, on = (call.tensors.beside(value, 0, dtype) for value in both)
        options |= {"on_value": on, "off_value": off}
    return call.script.call(basic.one_hot, ids, depth, *kind, **options)


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
    size = call.shape()[axis]
    if not count >= 1 or (isinstance(size, int) and count > size):
        raise UnreadableError(f"it takes {count} of an axis of {size}")
    options: dict[str, Any] = {} if axis == rank - 1 else {"axis": axis}
    options |= {} if call.whole("largest", 1) else {"largest": False}
    return list(call.script.call(top_k, call.value(0), count, **options, hint=("values", "places")))


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
