"""Quantized ops, read as floats with the file's scales: what they round at run time is not rounded here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.layers import embedding
from ....ir.types import FLOATS
from ...steps import Value
from ..core.known import Known, Operand, Unrounded, dtype_of, known, shape_of
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads
from ..recurrent.drivers import declared
from ..recurrent.layer import layer_with
from .convolutions import convolved
from .elementwise import combined
from .products import product_of

E = "com.microsoft"


@reads("DequantizeLinear")
@reads("DequantizeLinear", domain=E)
def _dequantize(call: Call) -> Outputs:
    x = call.unrounded(0)
    if dtype_of(x) in FLOATS:
        return x
    if call.whole("block_size", 0):
        raise UnreadableError("its scales are of blocks")
    scale, axis = call.array(1, "its scale"), call.whole("axis", 1)
    zero = call.array(2, "its zero point") if call.maybe(2) is not None else None
    if isinstance(x, Known):
        return known(dequantized(x.numbers("an array"), scale, zero, axis))
    value = call.tensors.value(x)
    if scale.size == 1 and (zero is None or zero.size == 1):
        rows = _of_floats(call, value, lambda table: known(dequantized(table.numbers("a table"), scale, zero, axis)))
        if rows is not None:
            return rows
    shape = shape_of(value)
    steps: Operand = call.tensors.cast(value, "float32")
    ones = [dim if place == axis % len(shape) and scale.size > 1 else 1 for place, dim in enumerate(shape)]
    if not all(isinstance(dim, int) for dim in ones):
        raise UnreadableError("its scales are of an axis of open size")
    if zero is not None and zero.any():
        steps = combined(call, "Sub", steps, known(np.broadcast_to(zero, scale.shape).astype(np.float32).reshape(ones)))
    return combined(call, "Mul", steps, known(scale.astype(np.float32).reshape(ones)))


_MOVING = (basic.gather, basic.transpose, basic.reshape, basic.expand_dims, basic.squeeze)


def _of_floats(call: Call, x: Value, floats: Callable[[Known], Known]) -> Value | None:
    """What is taken of a table of the file by moving entries alone, taken of its floats; None of anything else."""
    table = call.tensors.known_as(x)
    if table is not None:
        return call.tensors.value(floats(table), "embedding")
    step = x.step
    if x.path or step.key not in (embedding, *_MOVING):
        return None
    given = list(step.operands)
    at = 1 if step.key is embedding else 0
    inner = _of_floats(call, given[at], floats) if at < len(given) and isinstance(given[at], Value) else None
    if inner is None:
        return None
    given[at] = inner
    return call.script.call(step.key, *given, **step.keywords)


def dequantized(array: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, axis: int) -> np.ndarray:
    """(array - zero) * scale, these being numbers or of an axis."""

    def spread(numbers: np.ndarray) -> np.ndarray:
        if numbers.size == 1:
            return numbers.reshape(())
        place = axis_of(axis, array.ndim)
        if numbers.shape != (array.shape[place],):
            raise UnreadableError(f"scales of shape {list(numbers.shape)} along axis {axis} of {list(array.shape)}")
        return numbers.reshape([-1 if other == place else 1 for other in range(array.ndim)])

    centred = array.astype(np.float64) - (0 if zero is None else spread(zero.astype(np.float64)))
    return (centred * spread(scale.astype(np.float64))).astype(np.float32)


@reads("QuantizeLinear", "FakeQuantizeLinear")
@reads("QuantizeLinear", domain=E)
def _quantize(call: Call) -> Outputs:
    return Unrounded(call.value(0))


@reads("DynamicQuantizeLinear")
def _dynamic(call: Call) -> Outputs:
    """x, with scale 1 and zero point 0."""
    return [Unrounded(call.value(0)), known(np.float32(1)), known(np.zeros((), np.uint8))]


@reads("MatMulInteger")
def _matmul_integer(call: Call) -> Outputs:
    """A product of floats; scales are multiplied behind it."""
    left, right = call.unrounded(0), call.input(1)
    if dtype_of(left) not in FLOATS or not isinstance(right, Known):
        raise UnreadableError("whole numbers are multiplied that no DynamicQuantizeLinear made")
    array = right.numbers("a matrix").astype(np.float32)
    if call.maybe(3) is not None:
        array = array - call.array(3, "its zero point").astype(np.float32)
    return product_of(call.tensors, left, known(array))


@reads("ConvInteger")
def _conv_integer(call: Call) -> Outputs:
    """A convolution of floats; scales are multiplied behind it."""
    x, kernel = call.unrounded(0), call.array(1, "its kernel").astype(np.float32)
    if dtype_of(x) not in FLOATS:
        raise UnreadableError("whole numbers are multiplied that no DynamicQuantizeLinear made")
    if call.maybe(3) is not None:
        kernel = kernel - _of_first_axis(call.array(3, "its zero point"), kernel.ndim)
    return convolved(call, x, kernel, None)


def _of_first_axis(numbers: np.ndarray, rank: int) -> np.ndarray:
    """One number, or one for each filter, beside kernels."""
    return numbers.astype(np.float32).reshape((-1, *(1,) * (rank - 1)) if numbers.size > 1 else ())


@reads("DynamicQuantizeMatMul", domain=E)
def _dynamic_matmul(call: Call) -> Outputs:
    zero = call.array(3, "its zero point") if call.maybe(3) is not None else None
    right = dequantized(call.array(1, "its matrix"), call.array(2, "its scale"), zero, 1)
    found = product_of(call.tensors, call.input(0), known(right))
    bias = call.maybe(4)
    return found if bias is None else combined(call, "Add", found, bias)


@reads("DynamicQuantizeLSTM", domain=E)
def _dynamic_lstm(call: Call) -> Outputs:
    """Its W and R lie transposed, with scales and zero points of directions or of columns."""
    weights: dict[str, Operand] = {}
    for name, number, place in (("W", 1, 8), ("R", 2, 10)):
        array, scale = call.array(number, name), call.array(place, f"the scale of {name}")
        zero = call.array(place + 1, "its zero point") if call.maybe(place + 1) is not None else np.zeros_like(scale)
        if array.ndim != 3 or scale.shape[:1] != array.shape[:1] or zero.shape != scale.shape:
            raise UnreadableError(f"{name} has shape {list(array.shape)} and scales {list(scale.shape)}")
        one = (scale.shape[0], 1, -1)
        floats = (array.astype(np.float64) - zero.reshape(one)) * scale.astype(np.float64).reshape(one)
        weights[name] = known(np.ascontiguousarray(floats.astype(np.float32).transpose(0, 2, 1)))
    weights |= {name: given for name, number in (("B", 3), ("P", 7)) if (given := call.maybe(number)) is not None}
    x: Any = call.value(0)
    return declared([call], [layer_with(call, "LSTM", weights, shape_of(x))], x)[0]
