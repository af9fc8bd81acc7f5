"""Reads quantized numbers as floats, by the file's scales.

Values that the file rounds at run time are not rounded. Values outside the quantized range saturate.
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
from ..core.sizes import UnreadableError, axis_of, texts
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
    """Return an input of quantized numbers as the floats that they represent.

    Args:
        places: Positions of the scale and zero point among the inputs; by default the next two.
        axis: Axis of the scales, if there are several.
    """
    x, (scale_at, zero_at) = call.quantized(number), places or (number + 1, number + 2)
    if isinstance(x, Dequantized) and x.scale is None:
        return x.source
    _check_blocks(call)
    scale = _finite(call.array(scale_at, "its scale"))
    zero = call.array(zero_at, "its zero point") if call.maybe(zero_at) is not None else None
    if isinstance(x, Dequantized):
        return _dequantize_again(call, x, scale, zero)
    if isinstance(x, Known):
        return known(_dequantized_along(x.numbers("an array"), scale, zero, axis))
    value = call.tensors.value(x)
    if scale.size == 1 and (zero is None or zero.size == 1):
        rows = _of_floats(call, value, lambda table: known(_dequantized_along(table.numbers("it"), scale, zero, axis)))
        if rows is not None:
            return rows
    steps = _subtract_zero_point(call, value, None if zero is None else _broadcast_scales(zero, shape_of(value), axis))
    return combined(call, "Mul", steps, known(_broadcast_scales(scale, shape_of(value), axis).astype(np.float32)))


def _subtract_zero_point(call: Call, x: Value, zero: np.ndarray | None) -> Operand:
    """Return integers minus their zero point, as floats."""
    steps = call.tensors.cast(x, "float32")
    return combined(call, "Sub", steps, known(zero.astype(np.float32))) if zero is not None and zero.any() else steps


def _finite(scale: np.ndarray) -> np.ndarray:
    if not np.isfinite(scale).all():  # Quantizing a mask with -inf gives such a scale.
        raise UnreadableError("its scale is not finite; quantize the file without this node")
    return scale


def _check_blocks(call: Call) -> None:
    if call.whole("block_size", 0):
        raise UnreadableError("quantization in blocks is not supported")


def _broadcast_scales(numbers: np.ndarray, shape: Sequence[Dim], axis: int) -> np.ndarray:
    """Reshape scales or zero points so that they broadcast with an array of this shape.

    Args:
        numbers: One number, or one for each entry of the axis.
        shape: Shape of the array.
        axis: Axis of the scales, if there are several.
    """
    if numbers.size == 1:
        return numbers.reshape(())
    place = axis_of(axis, len(shape))
    if not isinstance(shape[place], int):
        raise UnreadableError("its scales lie along an axis of symbolic size; fix the size")
    if numbers.shape != (shape[place],):
        raise UnreadableError(
            f"its scales have shape {list(numbers.shape)}, and axis {place} of {texts(shape)} has {shape[place]} "
            "entries; give one scale, or one for each entry"
        )
    return numbers.reshape([-1 if other == place else 1 for other in range(len(shape))])


def _dequantize_again(call: Call, x: Dequantized, scale: np.ndarray, zero: np.ndarray | None) -> Operand:
    """Return x, dequantized by the node's scale and zero point. Usually these are those of x."""
    assert x.scale is not None
    assert x.zero is not None
    factors, zeros = numbers_of(scale, zero)
    if np.array_equal(factors, x.scale) and np.array_equal(zeros, x.zero):
        return x.source
    if factors.size > 1 or x.scale.size > 1:
        raise UnreadableError(
            f"it has {factors.size} scales, and its quantized operand {x.scale.size} others; give both the same "
            "scales, or one scale each"
        )
    result = combined(call, "Mul", x.source, number_like(float(factors[0] / x.scale[0]), x.source))
    shift = float((x.zero[0] - zeros[0]) * factors[0])
    return combined(call, "Add", result, number_like(shift, result)) if shift else result


def numbers_of(scale: np.ndarray, zero: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return scales and zero points as float64 vectors of equal length. A missing zero point is 0."""
    factors = scale.astype(np.float64).reshape(-1)
    zeros = np.zeros(1) if zero is None else zero.astype(np.float64).reshape(-1)
    if zeros.size not in (1, factors.size):
        raise UnreadableError(f"it has {factors.size} scales, but {zeros.size} zero points; give as many")
    return factors, np.broadcast_to(zeros, factors.shape)


_MOVING = (basic.gather, basic.transpose, basic.reshape, basic.expand_dims, basic.squeeze)


def _of_floats(call: Call, x: Value, floats: Callable[[Known], Known]) -> Value | None:
    """Return x as floats if it looks up, transposes or reshapes an integer table of the file; else None.

    The table is dequantized, and the operations are declared again on the floats.

    Args:
        call: The node.
        x: Integers.
        floats: Function that dequantizes the table.
    """
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


def _dequantized_along(array: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, axis: int) -> np.ndarray:
    """Dequantize an array with one scale and zero point, or one for each entry of an axis."""
    zero = None if zero is None else _broadcast_scales(zero, array.shape, axis)
    return dequantized(array, _broadcast_scales(scale, array.shape, axis), zero)


def dequantized(array: np.ndarray, scale: np.ndarray, zero: np.ndarray | None) -> np.ndarray:
    """Return (array - zero) * scale as float32. Scale and zero point broadcast with the array."""
    centred = array.astype(np.float64) - (0 if zero is None else zero.astype(np.float64))
    return (centred * scale.astype(np.float64)).astype(np.float32)


@reads("QuantizeLinear", "FakeQuantizeLinear")
@reads("QuantizeLinear", domain=E)
def _quantize(call: Call) -> Outputs:
    _check_blocks(call)
    return quantized(call, call.input(0), 1, call.whole("axis", 1))


def quantized(call: Call, x: Operand, scale_at: int, axis: int = 1) -> Operand | Dequantized:
    """Return x clamped to the range of the quantization, without rounding. Arrays of the file are quantized.

    With a scale that is computed at run time, x is not clamped.

    The range matters: files may leave out an activation such as relu if the range has the same bound.

    Args:
        call: The node.
        x: The value.
        scale_at: Position of the scale among the inputs; the zero point follows.
        axis: Axis of the scales, if there are several.
    """
    x_scale, x_zero = call.maybe(scale_at), call.maybe(scale_at + 1)
    if not isinstance(x_scale, Known) or not (x_zero is None or isinstance(x_zero, Known)):
        return Dequantized(x, None, None)
    kind = (dtype_name(call.whole("output_dtype", 0)) or "uint8") if x_zero is None else x_zero.dtype
    if np.dtype(kind).kind not in "iu":
        raise UnreadableError(f"it quantizes to {kind}, which is not supported")
    zero = None if x_zero is None else x_zero.numbers("its zero point")
    scale, zeros = numbers_of(_finite(x_scale.numbers("its scale")), zero)
    limits = np.iinfo(kind)
    wide_scale, wide_zeros = (_broadcast_scales(numbers, shape_of(x), axis) for numbers in (scale, zeros))
    if isinstance(x, Known):
        steps = np.rint(x.numbers("an array") / wide_scale) + wide_zeros
        return known(np.clip(steps, limits.min, limits.max).reshape(x.array.shape), kind)
    if dtype_of(x) not in FLOATS:
        x = call.tensors.cast(call.tensors.value(x), "float32")
    low, high = (known(np.asarray((limit - wide_zeros) * wide_scale, np.float32)) for limit in (limits.min, limits.max))
    if scale.size > 1:
        return Dequantized(combined(call, "Min", combined(call, "Max", x, low), high), scale, zeros)
    within = call.of("Clip", [x, low, high])
    assert isinstance(within, Operand)
    return Dequantized(within, scale, zeros)


@reads("DynamicQuantizeLinear")
def _dynamic(call: Call) -> Outputs:
    """Return (x, scale 1, zero point 0), so that ops that read all three compute with the floats of x."""
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
"""Ops that only move entries, so that they may move quantized entries."""
SCALE_INDEPENDENT = frozenset(("ArgMax", "ArgMin", "Shape", "Size"))
"""Ops whose results are the same for quantized numbers as for the floats that they represent."""


def of_floats(call: Call) -> Outputs | None:
    """Return the outputs of an op that only moves entries, of which some are quantized; None for other nodes."""
    items = [item for item in call.inputs if isinstance(item, Dequantized)]
    if not items or call.node.domain not in MAIN_DOMAINS or call.op not in MOVING | SCALE_INDEPENDENT:
        return None
    first = items[0]
    for item in items:
        if not _is_alike(first, item):
            raise UnreadableError("its operands have different scales or zero points; quantize them alike")
        if item.scale is not None and item.scale.size > 1:
            raise UnreadableError(
                "its operand has one scale for each entry of an axis; quantize it with a single scale"
            )
    quantized_inputs = range(len(call.inputs)) if call.op == "Concat" else (2,) if call.op == "Pad" else ()
    result = call.of(
        call.op,
        [_input_as_floats(item, first, number in quantized_inputs) for number, item in enumerate(call.inputs)],
        call.opset,
    )
    if call.op in SCALE_INDEPENDENT:
        return result
    outputs: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
    return [Dequantized(item, first.scale, first.zero) if isinstance(item, Operand) else item for item in outputs]


def _is_alike(one: Dequantized, other: Dequantized) -> bool:
    """True if two quantized values have the same scales and zero points."""
    if one.scale is None or other.scale is None or one.zero is None or other.zero is None:
        return one.scale is other.scale
    return np.array_equal(one.scale, other.scale) and np.array_equal(one.zero, other.zero)


def _input_as_floats(
    item: Operand | Deferred | None, first: Dequantized, is_quantized: bool
) -> Operand | Deferred | None:
    """Return an input of an op that moves entries as floats.

    Args:
        item: The input.
        first: The first quantized input.
        is_quantized: True if integers of the file are quantized like ``first``, rather than indices or sizes.
    """
    if isinstance(item, Dequantized):
        return item.source
    if not is_quantized or item is None:
        return item
    if not isinstance(item, Known) or first.scale is None:
        raise UnreadableError("it combines values that are quantized at run time with others, which is not supported")
    return known(_dequantized_along(item.numbers("an array"), first.scale, first.zero, 0))


# Products of integers --------------------------------------------------------------------------------------


def _steps_of(call: Call, number: int, zero_at: int) -> Operand:
    """Return the operand of an integer product minus its zero point, as floats. The file scales the product later."""
    x = call.quantized(number)
    zero = call.array(zero_at, "its zero point") if call.maybe(zero_at) is not None else None
    # Rows of an 8-bit table are floats in the script, which represent the integers exactly.
    if isinstance(x, Value) and (zero is None or zero.size == 1):
        return _subtract_zero_point(call, x, None if zero is None else zero.reshape(()))
    if not isinstance(x, Dequantized) or x.scale is None or x.scale.size > 1:
        raise UnreadableError("its integers must be quantized with a single scale and zero point of the file")
    return _dequantize_again(call, x, np.ones(1), zero)


@reads("MatMulInteger")
def _matmul_integer(call: Call) -> Outputs:
    """Read an integer product as a float product."""
    left, right = _steps_of(call, 0, 2), call.input(1)
    if not isinstance(right, Known):
        raise UnreadableError("its right operand must be an array that the file contains")
    array = right.numbers("a matrix").astype(np.float32)
    if call.maybe(3) is not None:
        array = array - call.array(3, "its zero point").astype(np.float32)
    return product_of(call.tensors, left, known(array))


@reads("ConvInteger")
def _conv_integer(call: Call) -> Outputs:
    """Read an integer convolution as a float convolution."""
    x, kernel = _steps_of(call, 0, 2), call.array(1, "its kernel").astype(np.float32)
    if call.maybe(3) is not None:
        kernel = kernel - _broadcast_scales(call.array(3, "its zero point"), kernel.shape, 0).astype(np.float32)
    return convolved(call, x, kernel, None)


@reads("DynamicQuantizeMatMul", domain=E)
def _dynamic_matmul(call: Call) -> Outputs:
    zero = call.array(3, "its zero point") if call.maybe(3) is not None else None
    right = _dequantized_along(call.array(1, "its matrix"), call.array(2, "its scale"), zero, 1)
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
            raise UnreadableError(
                f"{name} has shape {list(array.shape)}, its scales {list(scale.shape)} and its zero points "
                f"{list(zero.shape)}; give arrays of 3 axes, with scales and zero points of one shape"
            )
        one = (scale.shape[0], 1, -1)
        floats = dequantized(array, scale.reshape(one), zero.reshape(one))
        weights[name] = known(np.ascontiguousarray(floats.transpose(0, 2, 1)))
    weights |= {name: operand for name, number in (("B", 3), ("P", 7)) if (operand := call.maybe(number)) is not None}
    x: Any = call.value(0)
    return declared([call], [layer_with(call, "LSTM", weights, shape_of(x))], x)[0]
