"""Reads convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....declare.functions import activations, basic
from ....ir.types import Dim
from ...operators.convolutions import convolution, owned, transposed_convolution
from ...operators.pools import max_pool, mean_pool
from ...operators.windows import Padding, Window
from ..core.known import Operand, shape_of
from ..core.sizes import UnreadableError, texts
from ..core.table import Call, Outputs, reads
from .backend import OnnxBackend

_AUTOMATIC = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}


@reads("Conv")
def _conv(call: Call) -> Outputs:
    return convolved(call, call.input(0), call.array(1, "its kernel"), _bias(call))


def convolved(call: Call, x: Operand, kernel: np.ndarray, bias: np.ndarray | None) -> Operand:
    """Convolve x [batch, width, *axes] with a kernel [filters, width / groups, *sizes], by the node's attributes."""
    sizes, groups, b = shape_of(x)[2:], call.whole("group", 1), OnnxBackend(call)
    if kernel.ndim != len(sizes) + 2:
        raise UnreadableError(
            f"its kernel {list(kernel.shape)} and input {texts(shape_of(x))} must have the same rank, of 3 or more"
        )
    _check_bias(bias, kernel.shape[0])
    windows = [
        Window.along(size, *window) for size, window in zip(sizes, _windows(call, kernel.shape[2:]), strict=True)
    ]
    convolve = owned(b, call.script.scope("conv1d"), bias, groups)
    return _channels_to_front(
        b, convolution(b, _channels_to_end(b, x), _channels_last(kernel), windows, groups, convolve)
    )


def _check_causal(call: Call, kernel: np.ndarray) -> None:
    """Raise ``UnreadableError`` unless the input is [batch, channels, time] and the kernel [channels, 1, size]."""
    if call.rank() != 3:
        axes = "[batch, time, channels]" if call.whole("channels_last", 0) else "[batch, channels, time]"
        raise UnreadableError(f"its input {texts(call.shape())} must have the three axes {axes}")
    if kernel.ndim != 3:
        raise UnreadableError(f"its kernel {list(kernel.shape)} must have the three axes [channels, 1, size]")
    if kernel.shape[1] != 1:
        raise UnreadableError(
            f"its kernel {list(kernel.shape)} reads {kernel.shape[1]} channels for each output; it must read 1"
        )


@reads("CausalConvWithState")
@reads("CausalConvWithState", domain="com.microsoft")
def _causal(call: Call) -> Outputs:
    """Return (depthwise convolution of the past steps followed by the input, past steps for the next call)."""
    kernel, bias = call.array(1, "its kernel"), _bias(call)
    last, others = bool(call.whole("channels_last", 0)), ("state_window", "state_update_capacity", "state_length")
    _check_causal(call, kernel)
    for name in (*others, "input_channels", "input_channel_offset"):
        if call.whole(name, 0):
            raise UnreadableError(f"attribute {name} is not supported")
    activation = call.text("activation", "none")
    if activation not in ("none", "silu", "swish"):
        raise UnreadableError(f"activation {activation!r} is not supported")
    channels, _, size = kernel.shape
    _check_bias(bias, channels)
    b, dilation = OnnxBackend(call), call.whole("dilation", 1)
    span = (size - 1) * dilation
    x, past = (item if item is None or last else _channels_to_end(b, item) for item in (call.input(0), call.maybe(3)))
    assert x is not None
    if past is not None and shape_of(past)[1:] != (span, channels):
        raise UnreadableError(f"its state {texts(shape_of(past))} must have {span} steps of {channels} channels")
    joined = b.pad(x, {1: (span, 0)}) if past is None else b.concat([past, x], 1)
    source, sides = (x, (span, 0)) if past is None else (joined, (0, 0))
    convolve = owned(b, call.script.scope("conv1d"), bias, channels)
    window = Window.along(shape_of(source)[1], size, 1, dilation, sides)
    y = convolution(b, source, _channels_last(kernel), [window], channels, convolve)
    y = y if activation == "none" else b.call(activations.swish, y)
    present = b.item(joined, slice(None), slice(-span, None) if span else slice(0, 0))
    return [y, present] if last else [_channels_to_front(b, item) for item in (y, present)]


@reads("ConvTranspose")
def _transposed(call: Call) -> Outputs:
    kernel, x, groups, bias = call.array(1, "its kernel"), call.input(0), call.whole("group", 1), _bias(call)
    count, b = kernel.ndim - 2, OnnxBackend(call)
    if kernel.ndim != len(shape_of(x)) or count < 1:
        raise UnreadableError(
            f"its kernel {list(kernel.shape)} and input {texts(shape_of(x))} must have the same rank, of 3 or more"
        )
    if call.entries("output_shape") is not None:
        raise UnreadableError("attribute output_shape is not supported; set pads for the output size")
    added = call.entries("output_padding") or [0] * count
    if len(added) != count:
        raise UnreadableError(f"output_padding needs {count} entries; it has {len(added)}")
    _check_bias(bias, kernel.shape[1] * groups)
    node_windows = _windows(call, kernel.shape[2:])
    windows = [Window.transposed(*window, more) for window, more in zip(node_windows, added, strict=True)]
    transposed = _channels_last(kernel)
    convolve = owned(b, call.script.scope("conv1d"), bias, groups)
    return _channels_to_front(
        b, transposed_convolution(b, _channels_to_end(b, x), transposed, windows, added, groups, convolve)
    )


def _bias(call: Call) -> np.ndarray | None:
    return call.array(2, "its bias") if call.maybe(2) is not None else None


def _check_bias(bias: np.ndarray | None, filters: int) -> None:
    if bias is not None and bias.shape != (filters,):
        raise UnreadableError(f"its bias has shape {list(bias.shape)}; give [{filters}], one number for each filter")


def _channels_last(kernel: np.ndarray) -> np.ndarray:
    """Transpose [filters, width / groups, *sizes] to [*sizes, width / groups, filters]."""
    return kernel.transpose(*range(2, kernel.ndim), 1, 0)


def _channels_to_end(b: OnnxBackend, x: Operand) -> Operand:
    """Transpose x [batch, width, *axes] to [batch, *axes, width]."""
    return b.transpose(x, (0, *range(2, len(shape_of(x))), 1))


def _channels_to_front(b: OnnxBackend, x: Operand) -> Operand:
    """Transpose x [batch, *axes, width] to [batch, width, *axes]."""
    rank = len(shape_of(x))
    return b.transpose(x, (0, rank - 1, *range(1, rank - 1)))


def _windows(call: Call, sizes: Sequence[int]) -> list[tuple[int, int, int, Padding]]:
    """Return (size, stride, dilation, padding) of the windows along each axis, for a kernel of these sizes.

    ``auto_pad`` overrides ``pads``.
    """
    count = len(sizes)

    def of(name: str, default: Sequence[int]) -> list[int]:
        entries = call.entries(name)
        if entries is not None and len(entries) != len(default):
            raise UnreadableError(f"{name} needs {count} entries; it has {len(entries)}")
        return [int(entry) for entry in entries or default]

    kernels, pads = of("kernel_shape", sizes), of("pads", [0] * 2 * count)
    if kernels != list(sizes):
        raise UnreadableError(f"kernel_shape is {kernels}, but the kernel has sizes {list(sizes)}; leave it out")
    if min(pads) < 0:
        raise UnreadableError(f"pads {pads} are not supported; they must not be negative")
    automatic = _AUTOMATIC.get(call.text("auto_pad", "NOTSET"))
    sides: list[Padding] = [automatic or pair for pair in zip(pads[:count], pads[count:], strict=True)]
    return list(zip(kernels, of("strides", [1] * count), of("dilations", [1] * count), sides, strict=True))


@reads("MaxPool", "AveragePool")
def _pool(call: Call) -> Outputs:
    sizes, b = call.shape()[2:], OnnxBackend(call)
    kernels = [int(size) for size in call.entries("kernel_shape") or []]
    if len(kernels) != len(sizes) or len(sizes) not in (1, 2):
        raise UnreadableError(
            f"its kernel {kernels} pools {len(sizes)} axes of its input; give one size for each, of one or two axes"
        )
    if call.whole("storage_order", 0):
        raise UnreadableError("storage_order=1 is not supported")
    windows = [Window.along(size, *window) for size, window in zip(sizes, _windows(call, kernels), strict=True)]
    if any(window.dilation > 1 for window in windows) and call.text("auto_pad", "NOTSET").startswith("SAME"):
        raise UnreadableError("ONNX and onnxruntime disagree on auto_pad of dilated windows; set pads")
    if call.whole("ceil_mode", 0):
        windows = [_ceiled(window, size) for window, size in zip(windows, sizes, strict=True)]
    x = _channels_to_end(b, call.input(0))
    if call.op == "MaxPool":
        return _channels_to_front(b, max_pool(b, x, windows))
    return _channels_to_front(b, mean_pool(b, x, windows, bool(call.whole("count_include_pad", 0))))


def _ceiled(window: Window, size: Dim) -> Window:
    """Return a window with padding for ``ceil_mode``, in which the last window may be incomplete."""
    ceiled = window.ceiled(size)
    if ceiled is None:
        raise UnreadableError("a symbolic size determines whether it has a last, incomplete window; fix the size")
    return ceiled


@reads("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(call: Call) -> Outputs:
    if call.rank() < 3:
        raise UnreadableError(f"it pools an array of shape {texts(call.shape())}; it must have rank 3 or more")
    function = basic.reduce_mean if call.op == "GlobalAveragePool" else basic.reduce_max
    source = call.tensors.transpose_source(call.input(0))
    if source is not None and source[1] == (0, 2, 1):
        return call.tensors.transpose(call.script.call(function, source[0], axis=1, keepdims=True), (0, 2, 1))
    axes = tuple(range(2, call.rank()))
    return call.script.call(function, call.value(0), axis=axes if len(axes) > 1 else 2, keepdims=True)
