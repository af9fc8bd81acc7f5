"""Reads ops of quantized operands as float ops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.known import Dequantized, Known, Operand, known, shape_of
from ..core.sizes import UnreadableError
from ..core.table import Call, Outputs, reads
from .quantized import floats_of, numbers_of, quantized

E = "com.microsoft"
_OPERANDS: Mapping[str, tuple[str, tuple[int, ...], int]] = {
    "QLinearAdd": ("Add", (0, 3), 6),
    "QLinearMul": ("Mul", (0, 3), 6),
    "QLinearSigmoid": ("Sigmoid", (0,), 3),
    "QLinearLeakyRelu": ("LeakyRelu", (0,), 3),
    "QLinearReduceMean": ("ReduceMean", (0,), 3),
    "QLinearAveragePool": ("AveragePool", (0,), 3),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), 3),
    "QLinearSoftmax": ("Softmax", (0,), 3),
}
"""(Float op, positions of operands, position of the result's scale), by op. Scale and zero point follow an operand."""


@reads(*_OPERANDS, domain=E)
def _of_operands(call: Call) -> Outputs:
    op, operands, result = _OPERANDS[call.op]
    is_last = bool(call.whole("channels_last", 0))
    product = call.of(
        op, [_channels_first(call, floats_of(call, number), is_last) for number in operands], call.whole("opset", 12)
    )
    return quantized(call, _channels_back(call, _plain_output(product), is_last), result)


def _channels_first(call: Call, x: Operand, is_last: bool) -> Operand:
    """Transpose x so that its channels are axis 1. ``is_last`` is True if they are the last axis."""
    rank = len(shape_of(x))
    return call.tensors.transpose(x, (0, rank - 1, *range(1, rank - 1))) if is_last else x


def _channels_back(call: Call, x: Operand, was_last: bool) -> Operand:
    """Transpose x so that axis 1, the channels, becomes the last axis again. ``was_last`` is False to return x."""
    rank = len(shape_of(x))
    return call.tensors.transpose(x, (0, *range(2, rank), 1)) if was_last else x


@reads("NhwcMaxPool", domain=E)
def _max_pool(call: Call) -> Outputs:
    x = call.quantized(0)
    if not isinstance(x, Dequantized):
        raise UnreadableError("its operand must be quantized")
    result = call.of("MaxPool", [_channels_first(call, x.source, True)])
    return Dequantized(_channels_back(call, _plain_output(result), True), x.scale, x.zero)


@reads("QLinearMatMul")
def _matmul(call: Call) -> Outputs:
    left, right = floats_of(call, 0, axis=-2), floats_of(call, 3, axis=-1)
    return quantized(call, _plain_output(call.of("MatMul", [left, right])), 6)


@reads("QLinearConv")
@reads("QLinearConv", domain=E)
def _conv(call: Call) -> Outputs:
    is_last = bool(call.whole("channels_last", 0))
    x, kernel = _channels_first(call, floats_of(call, 0), is_last), floats_of(call, 3, axis=0)
    result = _plain_output(call.of("Conv", [x, kernel, _bias(call, 8)]))
    return quantized(call, _channels_back(call, result, is_last), 6)


def _bias(call: Call, number: int, factor: float = 1.0) -> Known | None:
    """Return an integer bias as floats; None without one. Its scale is ``factor`` times the scales of both operands."""
    if call.maybe(number) is None:
        return None
    scales = (numbers_of(call.array(place, "its scale"), None)[0] for place in (1, 4))
    steps = call.array(number, "its bias").astype(np.float64)
    for scale in scales:
        steps = steps * scale
    return known((steps * factor).astype(np.float32))


@reads("QGemm", domain=E)
def _gemm(call: Call) -> Outputs:
    column = 0 if call.whole("transB", 0) else 1
    sides = [floats_of(call, 0), floats_of(call, 3, axis=column)]
    result = _plain_output(call.of("Gemm", [*sides, _bias(call, 6, call.number("alpha", 1.0))]))
    return result if call.maybe(7) is None else quantized(call, result, 7)


@reads("MatMulIntegerToFloat", domain=E)
def _to_float(call: Call) -> Outputs:
    sides = [floats_of(call, 0, (2, 4), -2), floats_of(call, 1, (3, 5), -1)]
    result = call.of("MatMul", sides)
    return result if call.maybe(6) is None else call.of("Add", [_plain_output(result), call.input(6)])


@reads("QLinearConcat", domain=E)
def _concat(call: Call) -> Outputs:
    items = [floats_of(call, number) for number in range(2, len(call.inputs), 3)]
    return quantized(call, _plain_output(call.of("Concat", items)), 0)


@reads("QLinearWhere", domain=E)
def _where(call: Call) -> Outputs:
    return quantized(call, _plain_output(call.of("Where", [call.input(0), floats_of(call, 1), floats_of(call, 4)])), 7)


def _plain_output(outputs: Outputs) -> Operand:
    """Return the first output of an op. Raises ``UnreadableError`` if it is absent or quantized at run time."""
    first = outputs[0] if isinstance(outputs, list | tuple) else outputs
    if first is None or isinstance(first, Dequantized):
        raise UnreadableError("its output is quantized at run time, which is not supported")
    assert isinstance(first, Operand)
    return first
