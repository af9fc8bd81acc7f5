"""Reads reductions over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ....declare.functions import activations, basic
from ....declare.functions.norms import vector_norm
from ....declare.functions.statistics import logsumexp, reduce_all, reduce_any, reduce_prod
from ....ir.types import INTEGERS, product
from ..core.known import Known, Operand, known, shape_of
from ..core.sizes import UnreadableError, axis_of, checked
from ..core.table import Call, Outputs, reads

_REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": basic.reduce_sum,
    "ReduceMean": basic.reduce_mean,
    "ReduceMax": basic.reduce_max,
    "ReduceMin": basic.reduce_min,
    "ReduceProd": reduce_prod,
    "ReduceSumSquare": basic.reduce_sum,
    "ReduceL1": basic.reduce_sum,
    "ReduceL2": vector_norm,
    "ReduceLogSum": basic.reduce_sum,
    "ReduceLogSumExp": logsumexp,
}
_OF_TRUTHS = {"ReduceMax": reduce_any, "ReduceMin": reduce_all}
_BEFORE = {"ReduceSumSquare": basic.square, "ReduceL1": basic.abs}
_AFTER = {"ReduceLogSum": basic.log}
_OF_NONE = {**_BEFORE, **_AFTER, "ReduceL2": basic.abs}
"""Elementwise functions that equal a reduction over no axes, by op; the identity for other ops."""
_NUMPY: Mapping[str, Callable[..., Any]] = {
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceMean": np.mean,
    "ReduceL1": lambda x, **options: np.sum(np.abs(x), **options),
    "ReduceL2": lambda x, **options: np.sqrt(np.sum(x * x, **options)),
    "ReduceSumSquare": lambda x, **options: np.sum(x * x, **options),
}


@reads(*_REDUCTIONS)
def _reduction(call: Call) -> Outputs:
    x, rank, keeps = call.input(0), call.rank(), call.whole("keepdims", 1) == 1
    axes = call.axes(1)
    if not axes:
        if call.whole("noop_with_empty_axes", 0):
            return _of_entries(call)
        axes = list(range(rank))
    places = tuple(sorted({axis_of(axis, rank) for axis in axes}))
    if isinstance(x, Known) and call.op in _NUMPY:
        return _of_known(call, x, places, keeps)
    tensors = call.tensors
    value = tensors.value(x)
    transposed = tensors.transpose_source(value)
    if transposed is not None and keeps:  # reduce first, so that the transpose may cancel with a later one
        source, order = transposed
        result = _reduced(call, source, tuple(sorted(order[place] for place in places)), True)
        return tensors.transposed(result, order)
    if (
        transposed is not None
        and len(remaining := [axis for place, axis in enumerate(transposed[1]) if place not in places]) > 0
    ):
        source = transposed[0]
        result = _reduced(call, source, tuple(sorted(transposed[1][place] for place in places)), False)
        left = sorted(remaining)
        return tensors.transposed(result, tuple(left.index(axis) for axis in remaining))
    return _reduced(call, value, places, keeps)


def _of_entries(call: Call) -> Operand:
    """Return the result of the node's reduction over no axes, which is an elementwise function."""
    operand = call.input(0)
    function = _OF_NONE.get(call.op)
    return operand if function is None else call.script.call(function, call.tensors.value(operand))


def _reduced(call: Call, x: Any, axes: tuple[int, ...], keeps: bool) -> Any:
    """Declare the node's reduction of x, with its elementwise functions, such as the squares of ReduceSumSquare."""
    script, function = call.script, _REDUCTIONS[call.op]
    if call.op in ("ReduceMean", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2") and x.tensor.dtype in INTEGERS:
        raise UnreadableError(f"its operand is {x.tensor.dtype}, which is not supported; cast it to float32")
    if x.tensor.dtype == "bool":
        if call.op not in _OF_TRUTHS:
            raise UnreadableError("its operand is bool, which is not supported; cast it to float32")
        function = _OF_TRUTHS[call.op]
    if call.op in _BEFORE:
        x = script.call(_BEFORE[call.op], x)
    axis: Any = axes[0] if len(axes) == 1 else axes
    result = script.call(function, x, axis=axis, **({"keepdims": True} if keeps else {}))
    return script.call(_AFTER[call.op], result) if call.op in _AFTER else result


def _of_known(call: Call, x: Known, axes: tuple[int, ...], keeps: bool) -> Operand:
    if not x.is_symbolic:
        with np.errstate(all="ignore"):
            return known(np.asarray(_NUMPY[call.op](x.array, axis=axes, keepdims=keeps)), x.dtype)
    if call.op not in ("ReduceProd", "ReduceSum") or x.array.ndim != 1:
        raise UnreadableError("reducing an array of symbolic sizes is not supported")
    entries = list(x.array)
    total = checked(product(entries) if call.op == "ReduceProd" else sum(entries[1:], entries[0]))
    array = np.empty(1 if keeps else (), object)
    array[...] = total
    return known(array, x.dtype)


@reads("Softmax", "LogSoftmax")
def _softmax(call: Call) -> Outputs:
    function = activations.softmax if call.op == "Softmax" else activations.log_softmax
    own, tensors = call.shape(), call.tensors
    if call.opset >= 13:
        axis = call.axis(-1, len(own))
        transposed = tensors.transpose_source(call.input(0))
        if transposed is not None:
            return tensors.transposed(_along(call, function, transposed[0], transposed[1][axis]), transposed[1])
        return _along(call, function, call.value(0), axis)
    axis = call.axis(1, len(own))
    if axis == len(own) - 1 or all(dim == 1 for dim in own[axis + 1 :]):
        return _along(call, function, call.value(0), axis)
    flat = tensors.value(tensors.reshape(call.input(0), [*own[:axis], product(own[axis:])]))
    return tensors.reshape(call.script.call(function, flat), own)


def _along(call: Call, function: Callable[..., Any], x: Any, axis: int) -> Any:
    """Apply a function along an axis.

    If x is a matrix whose rows are the merged axes of another value, apply the function to that value, then merge.
    """
    source = call.tensors.unmerged_rows(x) if axis == 1 else None
    if source is not None:
        return call.tensors.reshape(call.script.call(function, source), shape_of(x))
    return call.script.call(function, x, **({} if axis == len(x.tensor.type.shape) - 1 else {"axis": axis}))


@reads("Hardmax")
def _hardmax(call: Call) -> Outputs:
    axis, rank = call.axis(-1 if call.opset >= 13 else 1, call.rank()), call.rank()
    size = call.shape()[axis]
    if not isinstance(size, int) or (call.opset < 13 and axis != rank - 1):
        raise UnreadableError("its axis must have a fixed size and, before opset 13, be the last one")
    place = call.script.call(basic.argmax, call.value(0), axis)
    return call.script.call(basic.one_hot, place, size, **({} if axis == rank - 1 else {"axis": axis}))
