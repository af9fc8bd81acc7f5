"""Handlers of functions that create tensors from sizes, such as ``torch.zeros``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ....declare.functions import basic
from ....ir.sizes.polynomial import ceil_divide
from ....ir.types import Dim, Size
from ...steps import Value
from ..tracing.kinds import Number, Operand, Result
from ..tracing.materialize import number_of
from ..tracing.numbers import Extent, OpenFloat, dim_of
from ..tracing.registry import Handler, UnreadableError, reads
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Positions, Sorted, dtype_of, shape_of
from .shapes import sizes_of


def _constant(number: Number) -> Handler:
    """Return a function that translates ``zeros`` or ``ones``: a tensor of given sizes, filled with ``number``."""

    def read(tracer: Tracer, *sizes: Any, dtype: object = None, size: Sequence[int] = ()) -> Result:
        return Filled(number, tuple(sizes_of(sizes or (size,))), DTYPES[tracer.expected.dtype])

    return read


reads("zeros", "empty")(_constant(0))
reads("ones")(_constant(1))


def _constant_beside(number: Number) -> Handler:
    """Return a function that translates ``new_zeros`` or ``new_ones``, which take x's dtype by default."""

    def read(tracer: Tracer, x: Operand, *sizes: Any, dtype: object = None, size: Sequence[int] = ()) -> Result:
        return Filled(number, tuple(sizes_of(sizes or (size,))), DTYPES[tracer.expected.dtype])

    return read


reads("new_zeros", "new_empty")(_constant_beside(0))
reads("new_ones")(_constant_beside(1))


def _like(number: Number) -> Handler:
    """Return a function that translates ``zeros_like`` or ``ones_like``: a tensor of x's shape, of one number."""

    def read(tracer: Tracer, x: Operand, dtype: object = None) -> Result:
        if isinstance(x, Sorted):
            return Sorted("empty", x.of, x.lengths, x.shape, x.dtype)
        return Filled(number, _shape(x), DTYPES[tracer.expected.dtype])

    return read


def _shape(x: Operand) -> tuple[Dim, ...]:
    return shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)


reads("zeros_like", "empty_like", "zero_")(_like(0))
reads("ones_like")(_like(1))


@reads("full")
def _full(tracer: Tracer, size: Sequence[int], fill_value: Number, dtype: object = None) -> Result:
    return filled(tracer, fill_value, tuple(sizes_of(size)), DTYPES[tracer.expected.dtype])


def filled(tracer: Tracer, number: Number, shape: tuple[Dim, ...], dtype: str) -> Operand:
    """Return a tensor filled with a number. Number and shape may depend on symbolic sizes."""
    if not isinstance(number, Extent | OpenFloat):
        return Filled(number, shape, dtype)
    value = number_of(tracer, number, dtype)
    return tracer.script.operation("+", tracer.value(Filled(0, shape, dtype)), value) if shape else value


@reads("tensor", "as_tensor")
def _tensor(tracer: Tracer, data: Number | Sequence[Any], dtype: object = None) -> Result:
    """Declare a scalar or 1-D tensor of numbers, which may depend on symbolic sizes."""
    kind = DTYPES[tracer.expected.dtype]
    items: Sequence[Any] = data if isinstance(data, list | tuple) else [data]
    if any(isinstance(item, list | tuple | Value | Lazy | torch.Tensor) for item in items):
        raise UnreadableError("its data has tensors or nested lists; give a number or a flat list of numbers")
    values = [tracer.value(filled(tracer, item, (1,), kind)) for item in items]
    whole = values[0] if len(values) == 1 else tracer.call(basic.concat, values, 0)
    return whole if isinstance(data, list | tuple) else tracer.call(basic.reshape, whole, ())


@reads("full_like", "new_full")
def _full_like(
    tracer: Tracer, x: Operand, *args: Any, dtype: object = None, fill_value: Number | None = None
) -> Result:
    number = args[-1] if fill_value is None else fill_value
    has_shape = len(args) > 1 or (args and isinstance(args[0], list | tuple))
    shape = tuple(sizes_of(args[0])) if has_shape else _shape(x)
    return filled(tracer, number, shape, DTYPES[tracer.expected.dtype])


@reads("fill_")
def _fill(tracer: Tracer, x: Operand, value: Number) -> Result:
    return filled(tracer, value, shape_of(x), dtype_of(x))


@reads("arange")
def _arange(
    tracer: Tracer,
    *bounds: Number,
    dtype: object = None,
    start: Number = 0,
    end: Number = 0,
    step: Number = 1,
) -> Result:
    if len(bounds) == 1:
        end = bounds[0]
    elif bounds:
        start, end = bounds[:2]
        step = bounds[2] if len(bounds) > 2 else step
    kind = DTYPES[tracer.expected.dtype]
    if not isinstance(step, int) or isinstance(start, float) or isinstance(end, float):
        raise UnreadableError("its bounds or its step are floats; give whole numbers or sizes")
    first, last = dim_of(start), dim_of(end)
    if step == -1 and isinstance(last, int):
        count = first - last
        if isinstance(first, Size):
            ahead = tracer.value(Positions(count, 0, 1, "int64"))
            return tracer.cast(tracer.script.operation("-", number_of(tracer, first, "int64"), ahead), kind)
        return Positions(count, first, -1, kind)
    if isinstance(first, int) and not isinstance(step, Extent) and step > 0:
        return Positions(ceil_divide(last - first, step), first, step, kind)
    if step != 1 or not isinstance(first, int):
        count = len(range(int(start), int(end), step))
        for bound in (first, last):
            tracer.sizes.fix(bound)
        return Positions(count, int(start), step, kind)
    return Positions(last - first, first, 1, kind)


@reads("one_hot")
def _one_hot(tracer: Tracer, x: Operand, num_classes: int = -1) -> Result:
    if num_classes == -1:
        raise UnreadableError("its output shape depends on the data; give num_classes")
    return tracer.call(basic.one_hot, tracer.value(x), int(num_classes), "int64")
