"""Reads ops that select entries by indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.indexing import axis_indices, gather_nd, take_along_axis
from ....declare.functions.layers import embedding
from ....declare.functions.orders import argsort, top_k
from ....ir.types import FLOATS, Dim, Size
from ...operators.moves import check_positions, take
from ...steps import Value
from ..core.known import Expanded, Known, NonZeroIndices, Operand, check_count, dtype_of, known, of_sizes, shape_of
from ..core.sizes import UnreadableError, axis_of, texts
from ..core.table import Call, Outputs, reads
from ..core.values import storage_dtype
from .backend import OnnxBackend
from .shapes import counted, row_indices


@reads("Gather")
def _gather(call: Call) -> Outputs:
    x, index, rank = call.input(0), call.input(1), call.rank()
    axis = call.axis(0, rank)
    if isinstance(index, Known) and not index.is_symbolic:
        return _taken(call, x, index.array, axis)
    if isinstance(x, Known) and x.is_symbolic:
        raise UnreadableError("it selects from symbolic sizes by run-time indices, which is not supported")
    ids = call.value(1)
    back = call.tensors.sorted_from(x)
    if back is not None and back[2] == axis and call.tensors.is_a(ids, "inverse", back[1]):
        return back[0]
    if call.tensors.is_a(ids, "order"):
        return call.tensors.sorted(call.tensors.value(x), ids, axis)
    if ids.tensor.dtype == "int32" and dtype_of(index) not in ("int32", "int64"):
        raise UnreadableError(f"its indices have dtype {dtype_of(index)}; they must be integers")
    table, size = call.tensors.value(x, "embedding"), call.shape()[axis]
    counting = _consecutive(call, ids) if isinstance(size, int) else None
    if counting is not None:
        ids = counting
    elif not _is_argmax(ids):
        ids = from_start(call, ids, size, table, axis)
    if isinstance(x, Known) and axis == 0:
        return call.script.call(embedding, ids, table)
    return call.tensors.rows_at(table, ids, axis)


def _consecutive(call: Call, ids: Value) -> Value | None:
    """Return ids 0, 1, … up to a symbolic size as indices, which calls check; None for other ids."""
    if call.tensors.is_a(ids, "count"):
        count = shape_of(ids)[0]
        return row_indices(call.tensors, 0, count) if isinstance(count, Size) else None
    if ids.path or ids.step.key not in (basic.cast, basic.expand_dims, basic.reshape):
        return None
    inner, *others = ids.step.operands
    source = _consecutive(call, inner) if isinstance(inner, Value) else None
    return None if source is None else call.script.call(ids.step.key, source, *others, **ids.step.keywords)


def first_rows(call: Call, x: Operand, axis: int, start: int, stop: Size) -> Operand:
    """Return the entries from ``start`` to ``stop`` (excluded), a symbolic size, of an axis of fixed size."""
    count = stop - start
    if not isinstance(count, Size):
        raise UnreadableError(f"its bound {stop} is out of range for an axis of size {shape_of(x)[axis]}")
    return call.tensors.rows_at(call.tensors.value(x, "table"), row_indices(call.tensors, start, count), axis)


def _is_argmax(ids: Value) -> bool:
    """True if indices come from argmax or argmin, so that none is negative."""
    while ids.step.key is basic.cast:
        ids = ids.step.operands[0]
    return ids.step.key is basic.argmax


def from_start(call: Call, ids: Value, size: Dim, x: Value, axis: int) -> Value:
    """Return ids as nonnegative indices into an axis of x. Negative ids, which count from the end, are converted.

    Args:
        call: The node.
        ids: Indices, which calls of the program check if they are an input.
        size: Size of the axis.
        x: The indexed value.
        axis: The axis.
    """
    ids = call.tensors.cast(ids, "int64")
    if isinstance(size, int):
        return call.script.call(axis_indices, ids, size)
    return call.script.call(axis_indices, ids, x, *((axis,) if axis else ()))


def _taken(call: Call, x: Operand, index: np.ndarray, axis: int) -> Operand:
    """Return the entries of an axis of x at constant indices, as ``numpy.take`` does."""
    if isinstance(x, Known):
        size = x.array.shape[axis]
        check_count(int(index.size) * max(1, x.array.size // max(1, size)))
        check_positions(index, size, axis)
        return Known(np.asarray(np.take(x.array, index, axis)), x.dtype)
    return take(OnnxBackend(call), x, index, axis, lambda ids: call.tensors.value(known(ids.astype(np.int64))))


def check_known(index: Operand, size: Dim, axis: int) -> None:
    """Raise ``UnreadableError`` if a constant index is out of bounds for an axis of a fixed size."""
    if isinstance(index, Known) and isinstance(size, int):
        check_positions(index.array, size, axis)


@reads("GatherElements")
def _gather_elements(call: Call) -> Outputs:
    x, index, axis = call.input(0), call.input(1), call.axis(0, call.rank())
    check_known(index, call.shape()[axis], axis)
    if isinstance(x, Known) and isinstance(index, Known):
        return Known(np.take_along_axis(x.numbers("an array"), index.numbers("indices"), axis), x.dtype)
    value = call.value(0)
    for place, (have, size) in enumerate(zip(call.shape(), call.shape(1), strict=True)):
        if place != axis and have != size:
            if not isinstance(have, int) or not isinstance(size, int):
                raise UnreadableError(
                    f"its data {texts(call.shape())} and indices {texts(call.shape(1))} may have different symbolic "
                    f"sizes in axis {axis} only, and differ in axis {place}; fix the sizes"
                )
            value = call.tensors.value(call.tensors.index(value, [*[slice(None)] * place, slice(size)]))
    return call.script.call(take_along_axis, value, call.value(1), axis)


@reads("GatherND")
def _gather_nd(call: Call) -> Outputs:
    batch, index, shape = call.whole("batch_dims", 0), call.input(1), call.shape()
    if isinstance(index, Known) and index.array.ndim:
        for axis, size in enumerate(shape[batch : batch + index.array.shape[-1]], batch):
            check_known(known(index.array[..., axis - batch]), size, axis)
    return call.script.call(gather_nd, call.value(0), call.value(1), *([batch] if batch else []))


@reads("ArgMax", "ArgMin")
def _argmax(call: Call) -> Outputs:
    axis = call.axis(0, call.rank())
    options = {"keepdims": True} if call.whole("keepdims", 1) == 1 else {}
    x, function = call.input(0), basic.argmax if call.op == "ArgMax" else basic.argmin
    if not call.whole("select_last_index", 0):
        return call.script.call(function, call.tensors.value(x), axis, **options)
    # select_last_index=1: the last index of an extreme is the first index along the reversed axis.
    back = call.tensors.index(x, [*[slice(None)] * axis, slice(None, None, -1)])
    index = call.script.call(function, call.tensors.value(back), axis, **options)
    size = call.shape()[axis]
    count = size if isinstance(size, int) else call.tensors.value(call.tensors.reshape(of_sizes([size]), ()))
    last = count - 1 if isinstance(count, int) else call.script.operation("-", count, 1)
    return call.script.operation("-", last, index)


@reads("OneHot")
def _one_hot(call: Call) -> Outputs:
    return one_hot_at(call, negative=True)


def one_hot_at(call: Call, negative: bool) -> Operand:
    """Read a one-hot encoding. Indices beyond the depth select no entry.

    Args:
        call: The node, with inputs and attributes as those of OneHot.
        negative: True if negative indices count from the end; False if they select no entry.
    """
    depth = call.ints(1, "the depth")[0]
    values = call.input(2)
    axis = call.whole("axis", -1)
    axis = axis_of(axis, call.rank() + 1)
    if not 0 < depth <= 1 << 24:
        raise UnreadableError(f"its depth is {depth}; it must be 1 to {1 << 24}")
    ids = call.value(0)
    if ids.tensor.dtype in FLOATS:
        ids = call.tensors.cast(ids, "int64")
    if negative:
        from_end = call.script.operation("<", ids, 0), call.script.operation("+", ids, depth)
        ids = call.script.call(basic.where, *from_end, ids)
    dtype, options = storage_dtype(dtype_of(values)), {"axis": axis} if axis != call.rank() else {}
    kind = () if dtype == "float32" else (dtype,)
    if not isinstance(values, Known) or values.array.reshape(-1).tolist() != [0, 1]:
        both = (call.tensors.reshape(call.tensors.index(values, [place]), ()) for place in (0, 1))
        off, on = (call.tensors.as_operand(value, 0, dtype) for value in both)
        options |= {"on_value": on, "off_value": off}
    return call.script.call(basic.one_hot, ids, depth, *kind, **options)


def _sort_vector(call: Call) -> Outputs | None:
    """Return the outputs of a TopK that sorts a whole vector; None for other TopK nodes.

    Exporters sort lengths in descending order before they pack sequences. Afterwards they sort the resulting indices,
    which inverts the order. Both sorts are recorded. None also for floats in a vector of fixed size.
    """
    count, shape, is_largest = call.maybe(1), call.shape(), bool(call.whole("largest", 1))
    if not isinstance(count, Known) or len(shape) != 1 or count.array.reshape(-1).tolist() != list(shape):
        return None
    x, tensors = call.value(0), call.tensors
    if not is_largest and tensors.is_a(x, "order"):
        return [counted(tensors, 0, shape[0]), tensors.record(call.script.call(argsort, x), "inverse", x)]
    if not is_largest or (isinstance(shape[0], int) and x.tensor.dtype in FLOATS):
        return None
    order = tensors.record(call.script.call(argsort, x, descending=True), "order")
    return [tensors.sorted(x, order, 0), order]


@reads("TopK")
def _top_k(call: Call) -> Outputs:
    whole = _sort_vector(call)
    if whole is not None:
        return whole
    count = call.ints(1, "the number")[0] if call.maybe(1) is not None else call.whole("k", 1)
    rank = call.rank()
    axis = call.axis(-1, rank)
    size = call.shape()[axis]
    if not count >= 1 or (isinstance(size, int) and count > size):
        raise UnreadableError(f"k is {count}; it must be 1 to the size of the axis, {size}")
    options: dict[str, Any] = {} if axis == rank - 1 else {"axis": axis}
    options |= {} if call.whole("largest", 1) else {"largest": False}
    return list(call.script.call(top_k, call.value(0), count, **options, hint=("values", "places")))


@reads("Compress", "NonZero", "Unique")
def _by_values(call: Call) -> Outputs:
    items = [item for item in call.inputs if item is not None]
    if call.op == "NonZero" and isinstance(items[0], Known):
        return known(np.stack(np.nonzero(items[0].numbers("an array"))).astype(np.int64))
    if call.op == "NonZero" and isinstance(items[0], Expanded) and len(items[0].shape) == 1:
        source = items[0].source  # Older exporters write range(n) as the indices of n ones.
        if isinstance(source, Known) and not source.is_symbolic and source.array.all():
            return call.tensors.expand_dims(counted(call.tensors, 0, items[0].shape[0]), [0])
    if call.op == "NonZero":
        return NonZeroIndices(call.tensors.cast(call.value(0), "bool"))
    raise UnreadableError("the size of its output depends on the data, which is not supported")
