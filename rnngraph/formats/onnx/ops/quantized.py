"""Reads quantized numbers as floats with the file's scales.

Values that are rounded at run time are not rounded here. Values outside the quantized range saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....declare.functions import basic
from ....declare.functions.layers import embedding
from ....ir.types import FLOATS, Dim
from ...steps import Value
from ..core.known import Deferred, Dequantized, Known, Operand, dtype_of, known, number_like, shape_of
from ..core.model import MAIN_DOMAINS, dtype_name
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
    return floats_of(call, 0, axis=call.whole("axis", 1))


def floats_of(call: Call, number: int, places: tuple[int, int] | None = None, axis: int = 1) -> Operand:
    """Return an input of quantized numbers as floats.

    Args:
        places: Positions of its scale and zero point among the inputs, by default the next two.
        axis: Axis of several scales.
    """
    x, (scale_at, zero_at) = call.quantized(number), places or (number + 1, number + 2)
    if isinstance(x, Dequantized) and x.scale is None:
        return x.source
    _check_blocks(call)
    scale = _finite(call.array(scale_at, "its scale"))
    zero = call.array(zero_at, "its zero point") if call.maybe(zero_at) is not None else None
    if isinstance(x, Dequantized):
        return _rescaled(call, x, scale, zero)
    if isinstance(x, Known):
        return known(dequantized(x.numbers("an array"), scale, zero, axis))
    value = call.tensors.value(x)
    if scale.size == 1 and (zero is None or zero.size == 1):
        rows = _of_floats(call, value, lambda table: known(dequantized(table.numbers("a table"), scale, zero, axis)))
        if rows is not None:
            return rows
    steps: Operand = call.tensors.cast(value, "float32")
    ones = _beside(shape_of(value), scale.size, axis)
    if zero is not None and zero.any():
        steps = combined(call, "Sub", steps, known(np.broadcast_to(zero, scale.shape).astype(np.float32).reshape(ones)))
    return combined(call, "Mul", steps, known(scale.astype(np.float32).reshape(ones)))


def _finite(scale: np.ndarray) -> np.ndarray:
    if not np.isfinite(scale).all():  # such as a mask of -inf, which quantization cannot represent
        raise UnreadableError("its scale is not finite; quantize the file without this node")
    return scale


def _check_blocks(call: Call) -> None:
    if call.whole("block_size", 0):
        raise UnreadableError("it quantizes in blocks")


def _beside(shape: Sequence[Dim], count: int, axis: int) -> list[int]:
    """Return the shape in which ``count`` numbers of an axis broadcast with an array."""
    place = axis_of(axis, len(shape)) if count > 1 else None
    ones = [dim if other == place else 1 for other, dim in enumerate(shape)]
    if not all(isinstance(dim, int) for dim in ones):
        raise UnreadableError("its scales belong to an axis of open size")
    return [int(str(dim)) for dim in ones]


def _rescaled(call: Call, x: Dequantized, scale: np.ndarray, zero: np.ndarray | None) -> Operand:
    """Return a value that was quantized with one scale and dequantized with another, usually the same."""
    assert x.scale is not None
    assert x.zero is not None
    factors, zeros = numbers_of(scale, zero)
    if np.array_equal(factors, x.scale) and np.array_equal(zeros, x.zero):
        return x.source
    if factors.size > 1 or x.scale.size > 1:
        raise UnreadableError("its operand was quantized with other scales")
    result = combined(call, "Mul", x.source, number_like(float(factors[0] / x.scale[0]), x.source))
    shift = float((x.zero[0] - zeros[0]) * factors[0])
    return combined(call, "Add", result, number_like(shift, result)) if shift else result


def numbers_of(scale: np.ndarray, zero: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return scales and zero points in float64, with one zero point for each scale."""
    factors = scale.astype(np.float64).reshape(-1)
    zeros = np.zeros(1) if zero is None else zero.astype(np.float64).reshape(-1)
    if zeros.size not in (1, factors.size):
        raise UnreadableError(f"it has {factors.size} scales but {zeros.size} zero points")
    return factors, np.broadcast_to(zeros, factors.shape)


_MOVING = (basic.gather, basic.transpose, basic.reshape, basic.expand_dims, basic.squeeze)


def _of_floats(call: Call, x: Value, floats: Callable[[Known], Known]) -> Value | None:
    """Return entries that are only moved out of a table of the file, from the table's floats; else None."""
    table = call.tensors.known_as(x)
    if table is not None:
        return call.tensors.value(floats(table), "embedding")
    step = x.step
    if x.path or step.key not in (embedding, *_MOVING):
        return None
    operands = list(step.operands)
    at = 1 if step.key is embedding else 0
    inner = _of_floats(call, operands[at], floats) if at < len(operands) and isinstance(operands[at], Value) else None
    if inner is None:
        return None
    operands[at] = inner
    return call.script.call(step.key, *operands, **step.keywords)


def dequantized(array: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, axis: int) -> np.ndarray:
    """Return (array - zero) * scale, which are single numbers or one for each entry of an axis."""

    def spread(numbers: np.ndarray) -> np.ndarray:
        if numbers.size == 1:
            return numbers.reshape(())
        place = axis_of(axis, array.ndim)
        if numbers.shape != (array.shape[place],):
            raise UnreadableError(
                f"scales of shape {list(numbers.shape)} do not fit axis {axis} of {list(array.shape)}"
            )
        return numbers.reshape([-1 if other == place else 1 for other in range(array.ndim)])

    centred = array.astype(np.float64) - (0 if zero is None else spread(zero.astype(np.float64)))
    return (centred * spread(scale.astype(np.float64))).astype(np.float32)


@reads("QuantizeLinear", "FakeQuantizeLinear")
@reads("QuantizeLinear", domain=E)
def _quantize(call: Call) -> Outputs:
    _check_blocks(call)
    return quantized(call, call.input(0), 1, call.whole("axis", 1))


def quantized(call: Call, x: Operand, scale_at: int, axis: int = 1) -> Operand | Dequantized:
    """Return x clipped to the range of its quantization, not rounded. An array of the file becomes quantized numbers.

    Files may express a bound, such as relu's at 0, by the range alone.

    scale_at: position of the scale among the inputs, followed by the zero point.
    """
    x_scale, x_zero = call.maybe(scale_at), call.maybe(scale_at + 1)
    if not isinstance(x_scale, Known) or not (x_zero is None or isinstance(x_zero, Known)):
        return Dequantized(x, None, None)
    kind = (dtype_name(call.whole("output_dtype", 0)) or "uint8") if x_zero is None else x_zero.dtype
    if np.dtype(kind).kind not in "iu":
        raise UnreadableError(f"it quantizes to {kind}, which is not supported")
    zero = None if x_zero is None else x_zero.numbers("its zero point")
    scale, zeros = numbers_of(_finite(x_scale.numbers("its scale")), zero)
    ones, limits = _beside(shape_of(x), scale.size, axis), np.iinfo(kind)
    if isinstance(x, Known):
        steps = np.rint(x.numbers("an array") / scale.reshape(ones)) + zeros.reshape(ones)
        return known(np.clip(steps, limits.min, limits.max).reshape(x.array.shape), kind)
    if dtype_of(x) not in FLOATS:
        x = call.tensors.cast(call.tensors.value(x), "float32")
    low, high = (
        known(((limit - zeros) * scale).astype(np.float32).reshape(ones if scale.size > 1 else ()))
        for limit in (limits.min, limits.max)
    )
    if scale.size > 1:
        return Dequantized(combined(call, "Min", combined(call, "Max", x, low), high), scale, zeros)
    within = call.of("Clip", [x, low, high])
    assert isinstance(within, Operand)
    return Dequantized(within, scale, zeros)


@reads("DynamicQuantizeLinear")
def _dynamic(call: Call) -> Outputs:
    """Return x, with scale 1 and zero point 0."""
    return [Dequantized(call.input(0), np.ones(1), np.zeros(1)), known(np.float32(1)), known(np.zeros((), np.uint8))]


# Ops that only move numbers -------------------------------------------------------------------------------

MOVING = frozenset(
    (
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "ReverseSequence",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    )
)
"""Ops of ONNX that only move entries, which may be quantized."""
ASKING = frozenset(("ArgMax", "ArgMin", "Shape", "Size"))
"""Ops of ONNX whose result is the same for quantized numbers."""


def of_floats(call: Call) -> Outputs | None:
    """Return the outputs of a node that moves quantized numbers, from the floats for which they stand; else None."""
    items = [item for item in call.inputs if isinstance(item, Dequantized)]
    if not items or call.node.domain not in MAIN_DOMAINS or call.op not in MOVING | ASKING:
        return None
    first = items[0]
    for item in items:
        if not _is_alike(first, item):
            raise UnreadableError("its operands are quantized along different axes")
        if item.scale is not None and item.scale.size > 1:
            raise UnreadableError("its operands are quantized with different scales")
    beside = range(len(call.inputs)) if call.op == "Concat" else (2,) if call.op == "Pad" else ()
    result = call.of(
        call.op, [_before(item, first, number in beside) for number, item in enumerate(call.inputs)], call.opset
    )
    if call.op in ASKING:
        return result
    outputs: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
    return [Dequantized(item, first.scale, first.zero) if isinstance(item, Operand) else item for item in outputs]


def _is_alike(one: Dequantized, other: Dequantized) -> bool:
    if one.scale is None or other.scale is None or one.zero is None or other.zero is None:
        return one.scale is other.scale
    return np.array_equal(one.scale, other.scale) and np.array_equal(one.zero, other.zero)


def _before(item: Operand | Deferred | None, first: Dequantized, is_beside: bool) -> Operand | Deferred | None:
    """Return an input as floats. is_beside: integers of the file are quantized like the others."""
    if isinstance(item, Dequantized):
        return item.source
    if not is_beside or item is None:
        return item
    if not isinstance(item, Known) or first.scale is None:
        raise UnreadableError("it joins values that are quantized at run time with others")
    return known(dequantized(item.numbers("an array"), first.scale, first.zero, 0))


# Products of integers --------------------------------------------------------------------------------------


def _steps_of(call: Call, number: int, zero_at: int) -> Operand:
    """Return an operand of an integer op minus its zero point, not rounded. Scales are multiplied after the op."""
    x = call.quantized(number)
    zero = call.array(zero_at, "its zero point") if call.maybe(zero_at) is not None else None
    if isinstance(x, Value) and (
        zero is None or zero.size == 1
    ):  # rows of an 8-bit table, which floats represent exactly
        floats = call.tensors.cast(x, "float32")
        return floats if zero is None else combined(call, "Sub", floats, known(zero.reshape(()).astype(np.float32)))
    if not isinstance(x, Dequantized) or x.scale is None or x.scale.size > 1:
        raise UnreadableError("it multiplies integers that were not quantized with one known scale")
    return _rescaled(call, x, np.ones(1), zero)


@reads("MatMulInteger")
def _matmul_integer(call: Call) -> Outputs:
    """Read an integer product as a product of floats."""
    left, right = _steps_of(call, 0, 2), call.input(1)
    if not isinstance(right, Known):
        raise UnreadableError("its right operand is not an array of the file")
    array = right.numbers("a matrix").astype(np.float32)
    if call.maybe(3) is not None:
        array = array - call.array(3, "its zero point").astype(np.float32)
    return product_of(call.tensors, left, known(array))


@reads("ConvInteger")
def _conv_integer(call: Call) -> Outputs:
    """Read an integer convolution as a convolution of floats."""
    x, kernel = _steps_of(call, 0, 2), call.array(1, "its kernel").astype(np.float32)
    if call.maybe(3) is not None:
        kernel = kernel - _of_first_axis(call.array(3, "its zero point"), kernel.ndim)
    return convolved(call, x, kernel, None)


def _of_first_axis(numbers: np.ndarray, rank: int) -> np.ndarray:
    """Return one number, or one for each filter, in a shape that broadcasts with kernels."""
    return numbers.astype(np.float32).reshape((-1, *(1,) * (rank - 1)) if numbers.size > 1 else ())


@reads("DynamicQuantizeMatMul", domain=E)
def _dynamic_matmul(call: Call) -> Outputs:
    zero = call.array(3, "its zero point") if call.maybe(3) is not None else None
    right = dequantized(call.array(1, "its matrix"), call.array(2, "its scale"), zero, 1)
    product = product_of(call.tensors, call.input(0), known(right))
    bias = call.maybe(4)
    return product if bias is None else combined(call, "Add", product, bias)


@reads("DynamicQuantizeLSTM", domain=E)
def _dynamic_lstm(call: Call) -> Outputs:
    """Read an LSTM whose W and R are transposed, with scales and zero points for each direction or column."""
    weights: dict[str, Operand] = {}
    for name, number, place in (("W", 1, 8), ("R", 2, 10)):
        array, scale = call.array(number, name), call.array(place, f"the scale of {name}")
        zero = call.array(place + 1, "its zero point") if call.maybe(place + 1) is not None else np.zeros_like(scale)
        if array.ndim != 3 or scale.shape[:1] != array.shape[:1] or zero.shape != scale.shape:
            raise UnreadableError(f"{name} of shape {list(array.shape)} does not fit scales {list(scale.shape)}")
        one = (scale.shape[0], 1, -1)
        floats = (array.astype(np.float64) - zero.reshape(one)) * scale.astype(np.float64).reshape(one)
        weights[name] = known(np.ascontiguousarray(floats.astype(np.float32).transpose(0, 2, 1)))
    weights |= {name: operand for name, number in (("B", 3), ("P", 7)) if (operand := call.maybe(number)) is not None}
    x: Any = call.value(0)
    return declared([call], [layer_with(call, "LSTM", weights, shape_of(x))], x)[0]
