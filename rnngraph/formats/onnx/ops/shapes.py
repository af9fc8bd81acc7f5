"""Reads ops that compute sizes, and that fill arrays of computed shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.sequences import positions
from ....ir.types import INTEGERS, Dim, Size, size
from ...steps import Value
from ..core.known import Expanded, Known, Operand, check_count, dtype_of, known, of_sizes, shape_of
from ..core.sizes import ForcedSizeError, UnreadableError, part_of, sign_of, texts, total
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from ..core.values import storage_dtype


@reads("Constant")
def _constant(call: Call) -> Outputs:
    return known(call.constant(call.node))


@reads("Shape")
def _shape(call: Call) -> Outputs:
    shape = call.shape()
    return of_sizes(shape[slice(call.attribute("start", None), call.attribute("end", None))])


@reads("Size")
def _size(call: Call) -> Outputs:
    count = of_sizes([total(call.shape())])
    return Known(count.array.reshape(()), count.dtype)


@reads("ConstantOfShape")
def _constant_of_shape(call: Call) -> Outputs:
    number = call.known_attribute("value") or known(np.zeros(1, np.float32))
    if number.array.size != 1:
        raise UnreadableError("its value must be a single number")
    return repeated(Known(number.array.reshape(()), number.dtype), call.sizes(0, "the sizes"))


def repeated(x: Known | Value, shape: list[Any]) -> Operand:
    """Return x broadcast to a shape: computed if x and all sizes are known, otherwise ``Expanded``, without a copy.

    One number that would fill more than 4096 elements becomes ``Expanded``, too.
    """
    if any(sign_of(dim) == -1 for dim in shape):
        raise UnreadableError(f"its shape {texts(shape)} must have sizes of 0 or more")
    if isinstance(x, Known) and all(isinstance(dim, int) for dim in shape):
        count = 1
        for dim in shape:
            count *= dim
        if count <= 1 << 12 or x.array.size > 1:
            check_count(count)
            return Known(np.ascontiguousarray(np.broadcast_to(x.array, shape)), x.dtype)
    return Expanded(x, tuple(shape)) if shape_of(x) != tuple(shape) else x


@reads("Expand")
def _expand(call: Call) -> Outputs:
    x, count = call.input(0), call.input(1)
    if isinstance(count, Value) and shape_of(count) == (1,) and all(dim == 1 for dim in call.shape()):
        # ``count`` is the number of a mask's true entries. ScatterND, which writes x there, does not need this number.
        only = call.tensors.reshape(x, ())
        return Expanded(only.source if isinstance(only, Expanded) else only, (size("_nonzero"),))
    target = call.sizes(1, "the sizes")
    own, source = call.shape(), x.source if isinstance(x, Expanded) else x
    rank = max(len(own), len(target))
    shape: list[Dim] = []
    for have, want in zip((*(1,) * (rank - len(own)), *own), (*(1,) * (rank - len(target)), *target), strict=True):
        if isinstance(have, Size) and have.symbol is not None and isinstance(want, int) and want > 1:
            raise ForcedSizeError(f"it broadcasts {texts(own)} to {texts(target)}", have.symbol, want)
        shape.append(want if have == 1 else have)
    return repeated(source, shape)


@reads("Range")
def _range(call: Call) -> Outputs:
    items = [call.input(number) for number in range(3)]
    if not all(isinstance(item, Known) for item in items):
        raise UnreadableError("its limits are computed at run time; they may depend only on constants and sizes")
    start, stop, step = (item.array.reshape(-1).tolist()[0] for item in items if isinstance(item, Known))
    dtype = dtype_of(items[0])
    if not any(isinstance(item, Known) and item.is_symbolic for item in items):
        if step == 0:
            raise UnreadableError("its step is 0; give another step")
        check_count(max(0, int(np.ceil((float(stop) - float(start)) / float(step)))))
        return known(np.arange(start, stop, step, dtype=dtype))
    if step != 1 or (not isinstance(start, Size) and start != int(start)):
        raise UnreadableError("its limit is a symbolic size; its step must be 1, and its start an integer")
    first = start if isinstance(start, Size) else int(start)
    result = counted(call.tensors, first, stop - first)
    return result if dtype in INTEGERS else call.tensors.cast(result, storage_dtype(dtype))


def counted(tensors: Tensors, start: Any, count: Dim) -> Value:
    """Return ``count`` consecutive integers from ``start``, computed as positions along an axis of size ``count``."""
    if not isinstance(start, int):
        raise UnreadableError("a range that starts at a symbolic size is not supported; fix the size")
    if isinstance(count, Size) and count.symbol is None:
        part = part_of(count)
        if part is None:
            raise UnreadableError(f"a range of the computed size {count} is not supported")
        name, index = part
        if index.step is None:  # All but the last entries of a named size: count up to the size, then slice.
            return tensors.script.item(counted(tensors, start, size(name)), index)
    zeros = tensors.broadcast(tensors.script.call(basic.cast, 0.0, "float32"), (count,))
    result = tensors.script.call(positions, zeros)
    return tensors.script.operation("+", result, start) if start else tensors.record(result, "count")


def row_indices(tensors: Tensors, start: int, count: Size) -> Value:
    """Return ``count`` consecutive indices of rows, from ``start``. Calls raise an error if the table is too short."""
    part = part_of(count)
    if count.symbol is None and (part is None or part[1].step is not None):
        raise UnreadableError(f"its number of rows, {count}, is a formula that is not supported; fix the sizes")
    name, index = part or (str(count), slice(None))
    zeros = tensors.broadcast(tensors.script.call(basic.cast, 0.0, "float32"), (size(name),))
    result = tensors.script.call(positions, zeros)
    result = tensors.script.item(result, index) if part else result
    return tensors.script.operation("+", result, start) if start else result
