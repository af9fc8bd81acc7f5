"""What torch's functions that make tensors of sizes mean."""

from __future__ import annotations

from typing import Any

import torch

from ....declare.functions import basic
from ....ir.types import Dim, Size
from ...steps import Value
from ..tracing.kinds import Function, Number, Operand, Result
from ..tracing.numbers import Extent, OpenFloat, dim_of
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, Lazy, Positions, Sorted, dtype_of, shape_of
from .shapes import sizes_of


def _made_of(number: Number) -> Function:
    def mean(tracer: Tracer, *size: Any, dtype: object = None, **named: Any) -> Result:
        return Filled(number, tuple(sizes_of(size or (named["size"],))), DTYPES[tracer.expected.dtype])

    return mean


meaning("zeros", "new_zeros_", "empty")(_made_of(0))
meaning("ones")(_made_of(1))


def _of_other(number: Number) -> Function:
    def mean(tracer: Tracer, x: Operand, *size: Any, dtype: object = None, **named: Any) -> Result:
        return Filled(number, tuple(sizes_of(size or (named["size"],))), DTYPES[tracer.expected.dtype])

    return mean


meaning("new_zeros", "new_empty")(_of_other(0))
meaning("new_ones")(_of_other(1))


def _like(number: Number) -> Function:
    def mean(tracer: Tracer, x: Operand, dtype: object = None) -> Result:
        if isinstance(x, Sorted):
            return Sorted("empty", x.of, x.lengths, x.shape, x.dtype)
        return Filled(number, _shape(x), DTYPES[tracer.expected.dtype])

    return mean


def _shape(x: Operand) -> tuple[Dim, ...]:
    return shape_of(x) if isinstance(x, Value | Lazy) else tuple(x.shape)


meaning("zeros_like", "empty_like", "zero_")(_like(0))
meaning("ones_like")(_like(1))


@meaning("full")
def _full(tracer: Tracer, size: Any, fill_value: Any, dtype: object = None) -> Result:
    return filled(tracer, fill_value, tuple(sizes_of(size)), DTYPES[tracer.expected.dtype])


def filled(tracer: Tracer, number: Any, shape: tuple[Dim, ...], dtype: str) -> Operand:
    """A number everywhere, which may be made of sizes."""
    if not isinstance(number, Extent | OpenFloat):
        return Filled(number, shape, dtype)
    found = tracer.number(number, dtype)
    return tracer.script.operation("+", tracer.value(Filled(0, shape, dtype)), found) if shape else found


@meaning("tensor", "as_tensor")
def _tensor(tracer: Tracer, data: Any, dtype: object = None) -> Result:
    """A tensor of numbers."""
    kind = DTYPES[tracer.expected.dtype]
    items = data if isinstance(data, list | tuple) else [data]
    if any(isinstance(item, list | tuple | Value | Lazy | torch.Tensor) for item in items):
        raise UnreadableError("of numbers and sizes it is read in one list")
    found = [tracer.value(filled(tracer, item, (1,), kind)) for item in items]
    whole = found[0] if len(found) == 1 else tracer.call(basic.concat, found, 0)
    return whole if isinstance(data, list | tuple) else tracer.call(basic.reshape, whole, ())


@meaning("full_like", "new_full")
def _full_like(tracer: Tracer, x: Operand, *given: Any, dtype: object = None, fill_value: Any = None) -> Result:
    number = given[-1] if fill_value is None else fill_value
    shape = (
        _shape(x)
        if len(given) < 2 and not (given and isinstance(given[0], list | tuple))
        else tuple(sizes_of(given[0]))
    )
    return filled(tracer, number, shape, DTYPES[tracer.expected.dtype])


@meaning("fill_")
def _fill(tracer: Tracer, x: Operand, value: Any) -> Result:
    return filled(tracer, value, shape_of(x), dtype_of(x))


@meaning("arange")
def _arange(
    tracer: Tracer, *bounds: Any, dtype: object = None, start: Any = 0, end: Any = None, step: Any = 1
) -> Result:
    if len(bounds) == 1:
        end = bounds[0]
    elif bounds:
        start, end = bounds[:2]
        step = bounds[2] if len(bounds) > 2 else step
    kind = DTYPES[tracer.expected.dtype]
    if not isinstance(step, int) or isinstance(start, float) or isinstance(end, float):
        raise UnreadableError("it is read with whole numbers and sizes")
    first, last = dim_of(start), dim_of(end)
    if step == -1 and isinstance(last, int):
        count = first - last
        if isinstance(first, Size):
            ahead = tracer.value(Positions(count, 0, 1, "int64"))
            return tracer.cast(tracer.script.operation("-", tracer.number(first, "int64"), ahead), kind)
        return Positions(count, first, -1, kind)
    if step != 1 or not isinstance(first, int):
        count = len(range(int(start), int(end), step))
        for bound in (first, last):
            tracer.sizes.fix(bound)
        return Positions(count, int(start), step, kind)
    return Positions(last - first, first, 1, kind)


@meaning("one_hot")
def _one_hot(tracer: Tracer, x: Operand, num_classes: int = -1) -> Result:
    if num_classes == -1:
        raise UnreadableError("give num_classes, which is else found by values")
    return tracer.call(basic.one_hot, tracer.value(x), int(num_classes), "int64")
