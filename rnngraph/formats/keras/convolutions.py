"""Declares 1-D and 2-D convolutions and pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..operators.backend import ScriptBackend
from ..operators.convolutions import (
    MAX_PRODUCTS,
    Convolve,
    convolution,
    owned,
    shared,
    transposed_convolution,
)
from ..operators.pools import adaptive_pool, max_pool, mean_pool
from ..operators.windows import Window
from ..steps import Value
from .activations import activation
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .plain import sizes


def problem_of(layer: Layer) -> str | None:
    """Return the reason why the layout of a layer's channels is not supported; None if it is."""
    if layer.config.get("data_format", None) == "channels_first" and not layer.kind.startswith("Global"):
        return "data_format='channels_first' is not supported"
    return None


def _padding_of(layer: Layer) -> str:
    padding = layer.config.text("padding", "valid")
    if padding not in ("valid", "same", "causal"):
        raise Unreadable(f"its padding {padding!r} is not supported; use valid, same or causal")
    return padding


def _option(layer: Layer, key: str, default: Sequence[int]) -> Sequence[int]:
    """Return an option as one int for each axis; ``default`` if the option is None or missing."""
    return default if layer.config.get(key, None) is None else sizes(layer, key, len(default))


def _check_rank(x: Signal, axes: int) -> None:
    if x.rank != axes + 2 or not x.width:
        raise Unreadable(f"its input has rank {x.rank}; it must have rank {axes + 2}, and at least one channel")


def _windows(layer: Layer, x: Signal, kernel: Sequence[int], strides: Sequence[int]) -> list[Window]:
    """Return the window of a convolution or pool along each axis between batch and channels.

    Args:
        layer: The layer.
        x: The layer's input.
        kernel: Entries of a window along each axis.
        strides: Strides if the layer's options state none.
    """
    _check_rank(x, len(kernel))
    steps, dilations = _option(layer, "strides", strides), _option(layer, "dilation_rate", [1] * len(kernel))
    padding = _padding_of(layer)
    axes = zip(x.shape[1:-1], kernel, steps, dilations, strict=True)
    return [Window.along(size, one, step, dilation, padding) for size, one, step, dilation in axes]


# Convolutions -------------------------------------------------------------------------------------


def _groups(layer: Layer, x: Signal) -> int:
    groups = layer.config.count("groups", 1, maximum=MAX_PRODUCTS)
    if x.width % groups:
        raise layer.config.error(f"{layer} has {groups} groups, which do not divide its input's {x.width} channels")
    return groups


def _convolution(axes: int) -> Handler:
    """Return the handler of convolutions along 1 or 2 axes."""

    def convolve(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        x, size = inputs.one, sizes(layer, "kernel_size", axes)
        groups, count = _groups(layer, x), layer.config.count("filters", maximum=1 << 24)
        kernel = b.array(layer, "kernel", *size, x.width // groups, count)
        return _of_layer(b, layer, x, kernel, groups)

    return convolve


def _depthwise_kernel(b: Declaration, layer: Layer, x: Signal, name: str, axes: int) -> np.ndarray:
    """Return a depthwise kernel in the layout of a grouped convolution, [*sizes, 1, width * multiplier].

    The file's layout is [*sizes, width, multiplier].
    """
    many, size = layer.config.count("depth_multiplier", 1, maximum=1 << 16), sizes(layer, "kernel_size", axes)
    return b.array(layer, name, *size, x.width, many).reshape(*size, 1, -1)


def _depthwise(axes: int) -> Handler:
    """Return the handler of depthwise convolutions along 1 or 2 axes."""

    def convolve(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        x = inputs.one
        return _of_layer(b, layer, x, _depthwise_kernel(b, layer, x, "kernel", axes), x.width)

    return convolve


def _separable(axes: int) -> Handler:
    """Return the handler of a separable convolution: a depthwise one, followed by a pointwise one."""

    def convolve(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        x = inputs.one
        if b.is_shared(layer):
            raise Unreadable("several calls of the layer are not supported")
        kernel = _depthwise_kernel(b, layer, x, "depthwise_kernel", axes)
        windows = _windows(layer, x, kernel.shape[:-2], [1] * axes)
        first = owned(ScriptBackend(b.script), f"{b.scope(layer)}/depthwise", None, x.width)
        y = Signal(convolution(ScriptBackend(b.script), x.value, kernel, windows, x.width, first))
        count = layer.config.count("filters", maximum=1 << 24)
        pointwise = b.array(layer, "pointwise_kernel", *[1] * axes, kernel.shape[-1], count)
        return _of_layer(b, layer, y, pointwise, 1, [Window(1)] * axes, "pointwise")

    return convolve


def _of_layer(
    b: Declaration,
    layer: Layer,
    x: Signal,
    kernel: np.ndarray,
    groups: int,
    windows: list[Window] | None = None,
    part: str = "",
) -> Signal:
    """Declare a layer's convolution with bias and activation.

    Args:
        kernel: [*sizes, width / groups, filters].
        groups: Number of groups of channels.
        windows: Window along each axis; by default those of the layer's options.
        part: Suffix of the scope's name, for a layer with several convolutions.
    """
    if windows is None:
        windows = _windows(layer, x, kernel.shape[:-2], [1] * (kernel.ndim - 2))
    convolve, after = _layer(b, layer, kernel.shape[-1], groups, part)
    return Signal(after(convolution(ScriptBackend(b.script), x.value, kernel, windows, groups, convolve)))


def _layer(
    b: Declaration, layer: Layer, filters: int, groups: int, part: str = ""
) -> tuple[Convolve[Value], Callable[[Value], Value]]:
    """Return (function that declares a 1-D convolution with the layer's bias, function that applies its activation)."""
    bias = b.array(layer, "bias", filters) if layer.config.flag("use_bias", True) else None
    name, after = activation(b, layer)
    backend = ScriptBackend(b.script)
    if not b.is_shared(layer):
        scope = f"{b.scope(layer)}/{part}" if part else b.scope(layer)
        return owned(backend, scope, bias, groups, name), after
    added = None if bias is None else b.parameter(layer, "bias", bias)
    convolve = shared(backend, lambda array: b.parameter(layer, "kernel", array), added, groups)
    return convolve, lambda y: after(y if name is None else b.activated(y, name))


def _transposed(axes: int) -> Handler:
    """Return the handler of transposed convolutions along 1 or 2 axes."""

    def convolve(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        x, size = inputs.one, sizes(layer, "kernel_size", axes)
        if (output_padding := layer.config.get("output_padding", None)) is not None:
            raise Unreadable(f"output_padding={output_padding} is not supported")
        if b.is_shared(layer):
            raise Unreadable("a transposed convolution that is called several times is not supported")
        _check_rank(x, axes)
        count, padding = layer.config.count("filters", maximum=1 << 24), _padding_of(layer)
        steps, dilations = (_option(layer, key, [1] * axes) for key in ("strides", "dilation_rate"))
        kernel = b.array(layer, "kernel", *size, count, x.width)
        each = list(zip(size, steps, dilations, strict=True))
        added = [max(step - 1 - dilation * (one - 1), 0) for one, step, dilation in each]
        windows = [
            Window.transposed(one, step, dilation, padding, more)
            for (one, step, dilation), more in zip(each, added, strict=True)
        ]
        convolve, after = _layer(b, layer, count, 1)
        backend = ScriptBackend(b.script)
        return Signal(after(transposed_convolution(backend, x.value, kernel, windows, added, 1, convolve)))

    return convolve


# Pools --------------------------------------------------------------------------------------------


def _pool(axes: int, is_max: bool) -> Handler:
    """Return the handler of max pools or average pools along 1 or 2 axes."""

    def pool(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        x, size, backend = inputs.one, _option(layer, "pool_size", [2] * axes), ScriptBackend(b.script)
        windows = _windows(layer, x, size, size)
        return Signal(max_pool(backend, x.value, windows) if is_max else mean_pool(backend, x.value, windows, False))

    return pool


def _adaptive(axes: int, is_max: bool) -> Handler:
    """Return the handler of adaptive pools. Their option ``output_size`` is the number of windows along each axis."""

    def pool(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        x, backend = inputs.one, ScriptBackend(b.script)
        _check_rank(x, axes)
        counts = dict(enumerate(sizes(layer, "output_size", axes), 1))
        return Signal(adaptive_pool(backend, x.value, counts, is_max))

    return pool


LAYERS: Mapping[str, Handler] = {
    "Conv1D": _convolution(1),
    "Conv2D": _convolution(2),
    "Conv1DTranspose": _transposed(1),
    "Conv2DTranspose": _transposed(2),
    "DepthwiseConv1D": _depthwise(1),
    "DepthwiseConv2D": _depthwise(2),
    "SeparableConv1D": _separable(1),
    "SeparableConv2D": _separable(2),
    "MaxPooling1D": _pool(1, True),
    "MaxPooling2D": _pool(2, True),
    "AveragePooling1D": _pool(1, False),
    "AveragePooling2D": _pool(2, False),
    "AdaptiveMaxPooling1D": _adaptive(1, True),
    "AdaptiveMaxPooling2D": _adaptive(2, True),
    "AdaptiveAveragePooling1D": _adaptive(1, False),
    "AdaptiveAveragePooling2D": _adaptive(2, False),
}
