"""Convolutions and pools over time, and what adds, repeats and takes away steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.functions.basic import cast, concat, expand_dims, reduce_max, reduce_mean, reduce_sum, reshape
from ...declare.functions.convolutions import average_pool1d, conv1d, max_pool1d
from ...declare.functions.padding import pad
from ..steps import Value
from .activations import activation
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .plain import sizes

MOST_GROUPS = 4096


def problem_of(layer: Layer) -> str | None:
    """What can't be read of a layer's options."""
    if layer.config.get("data_format", None) == "channels_first" and not layer.kind.startswith("Global"):
        return "data_format 'channels_first'"
    return None


def _one(layer: Layer, key: str, default: int = 1) -> int:
    return sizes(layer, key, 1)[0] if layer.config.get(key, None) is not None else default


@dataclass(frozen=True)
class Windows:
    """What an output reads along an axis: every ``apart``-th of ``size`` entries; ``stride`` from one to the next.
    padding: ``valid``, ``same`` or ``causal``.
    """

    size: int
    stride: int
    apart: int
    padding: str

    @property
    def span(self) -> int:
        """Entries behind the first."""
        return self.apart * (self.size - 1)


def padding_of(layer: Layer) -> str:
    padding = layer.config.text("padding", "valid")
    if padding not in ("valid", "same", "causal"):
        raise Unreadable(f"its padding is {padding!r}")
    return padding


def _windows(layer: Layer, size: int) -> Windows:
    return Windows(size, _one(layer, "strides"), _one(layer, "dilation_rate"), padding_of(layer))


def _conv1d(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, groups = inputs.one, layer.config.count("groups", 1)
    if x.width % groups or groups > MOST_GROUPS:
        raise layer.config.error(f"{layer} has {groups} groups for an input of width {x.width}")
    count, size = layer.config.count("filters", most=1 << 24), _one(layer, "kernel_size")
    kernel = b.array(layer, "kernel", size, x.width // groups, count)
    return Signal(convolved(b, layer, x.value, kernel, groups, "kernel", True, _windows(layer, size)))


def _depthwise(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    kernel = _depthwise_kernel(b, layer, x, "kernel")
    return Signal(convolved(b, layer, x.value, kernel, x.width, "kernel", True, _windows(layer, kernel.shape[0])))


def _separable(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Each unit by itself, then all of each step."""
    x = inputs.one
    if b.is_shared(layer):
        raise Unreadable("it is called more than once")
    kernel = _depthwise_kernel(b, layer, x, "depthwise_kernel")
    y = convolved(b, layer, x.value, kernel, x.width, "depthwise", False, _windows(layer, kernel.shape[0]))
    count = layer.config.count("filters", most=1 << 24)
    pointwise = b.array(layer, "pointwise_kernel", 1, kernel.shape[2], count)
    return Signal(convolved(b, layer, y, pointwise, 1, "pointwise", True, Windows(1, 1, 1, "valid")))


def _depthwise_kernel(b: Declaration, layer: Layer, x: Signal, name: str) -> np.ndarray:
    """[size, width, many] as [size, 1, width * many]."""
    many = layer.config.count("depth_multiplier", 1, most=1 << 16)
    kernel = b.array(layer, name, _one(layer, "kernel_size"), x.width, many)
    return kernel.reshape(kernel.shape[0], 1, -1)


def _transposed(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """A convolution of the steps with zeros between them, with the kernel turned round."""
    x = inputs.one
    if layer.config.get("output_padding", None) is not None or b.is_shared(layer):
        raise Unreadable("it has output_padding, or is called more than once")
    count, size = layer.config.count("filters", most=1 << 24), _one(layer, "kernel_size")
    stride, dilation = _one(layer, "strides"), _one(layer, "dilation_rate")
    span, value = dilation * (size - 1), x.value
    if stride > 1:
        wide = b.script.call(pad, b.script.call(expand_dims, value, 2), {2: (0, stride - 1)})
        value = b.script.call(reshape, wide, (None, -1, x.width))
        value = b.script.item(value, slice(None), slice(None, 1 - stride))
    cut = max(span + 1 - stride, 0) // 2 if padding_of(layer) == "same" else 0
    after = stride - 1 + cut if padding_of(layer) == "same" else max(span, stride - 1)
    arrays = {"kernel": b.array(layer, "kernel", size, count, x.width).transpose(0, 2, 1)[::-1]}
    if layer.config.flag("use_bias", True):
        arrays["bias"] = b.array(layer, "bias", count)
    name, behind = activation(b, layer)
    options: dict[str, Any] = {"padding": (span - cut, after)}
    options |= {} if dilation == 1 else {"dilation": dilation}
    options |= {} if name is None else {"activation": name}
    options |= {} if "bias" in arrays else {"use_bias": False}
    scope = b.scope(layer)
    b.script.own(scope, arrays)
    return Signal(behind(b.script.call(conv1d, value, count, size, **options, name=scope)))


def convolved(
    b: Declaration, layer: Layer, x: Value, kernel: np.ndarray, groups: int, part: str, is_last: bool,
    windows: Windows,
) -> Value:  # fmt: skip
    """A convolution of x [batch, time, width] with a layer's kernel [size, width / groups, filters].

    part: of the layer, if it is made of several, else ``kernel``. is_last: whether bias and activation belong here.
    """
    size, count = kernel.shape[0], kernel.shape[2]
    arrays = {"kernel": kernel}
    if is_last and layer.config.flag("use_bias", True):
        arrays["bias"] = b.array(layer, "bias", count)
    name, behind = activation(b, layer) if is_last else (None, lambda value: value)
    if b.is_shared(layer):
        y = _written_out(b, layer, x, arrays, groups, windows)
        return behind(y if name is None else b.activated(y, name))
    options: dict[str, Any] = {"padding": windows.padding}
    options |= {key: n for key, n in (("dilation", windows.apart), ("strides", windows.stride)) if n != 1}
    options |= {} if groups == 1 else {"groups": groups}
    options |= {} if name is None else {"activation": name}
    options |= {} if "bias" in arrays else {"use_bias": False}
    scope = b.scope(layer) if part == "kernel" else f"{b.scope(layer)}/{part}"
    b.script.own(scope, arrays)
    return behind(b.script.call(conv1d, x, count, size, **options, name=scope))


def _written_out(
    b: Declaration, layer: Layer, x: Value, arrays: Mapping[str, np.ndarray], groups: int, windows: Windows
) -> Value:
    """A sum over the entries of the kernel, which several calls share."""
    kernel = b.parameter(layer, "kernel", arrays["kernel"])
    size, wide, count = arrays["kernel"].shape
    span, strides, padding = windows.span, windows.stride, windows.padding
    if padding == "same" and strides > 1:
        raise Unreadable("it is called more than once, with strides and padding 'same'")
    before = {"valid": 0, "causal": span, "same": span // 2}[padding]
    after = span - before if padding == "same" else 0
    given = b.script.call(pad, x, {1: (before, after)}) if before or after else x
    total: Value | None = None
    for entry in range(size):
        first = entry * windows.apart
        last = first - span
        steps = b.script.item(given, slice(None), slice(first or None, last or None))
        one = b.script.item(kernel, entry)
        high = count // groups
        parts = [
            b.script.operation(
                "@",
                steps if groups == 1 else b.script.item(steps, ..., slice(part * wide, (part + 1) * wide)),
                one if groups == 1 else b.script.item(one, slice(None), slice(part * high, (part + 1) * high)),
            )
            for part in range(groups)
        ]
        found = parts[0] if groups == 1 else b.script.call(concat, parts)
        total = found if total is None else b.script.operation("+", total, found)
    assert total is not None
    if strides > 1:
        total = b.script.item(total, slice(None), slice(None, None, strides))
    return b.script.operation("+", total, b.parameter(layer, "bias", arrays["bias"])) if "bias" in arrays else total


# Pools --------------------------------------------------------------------------------------------


def _pool(function: Any) -> Handler:
    def pool(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        size = _one(layer, "pool_size", 2)
        strides, padding = _one(layer, "strides", size), padding_of(layer)
        options: dict[str, Any] = {} if strides == size else {"strides": strides}
        options |= {} if padding == "valid" else {"padding": padding}
        return Signal(b.script.call(function, inputs.one.value, size, **options))

    return pool


def _axis(layer: Layer) -> int:
    return 2 if layer.config.get("data_format", None) == "channels_first" else 1


def _options(layer: Layer) -> dict[str, Any]:
    return {"keepdims": True} if layer.config.get("keepdims", False) else {}


def _global_max(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    return Signal(b.script.call(reduce_max, inputs.one.value, axis=_axis(layer), **_options(layer)))


def _global_average(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """The mean of the steps that count."""
    x, axis, of = inputs.one, _axis(layer), b.script.operation
    if x.mask is None:
        return Signal(b.script.call(reduce_mean, x.value, axis=axis, **_options(layer)))
    if x.mask.tensor.rank != 2:
        raise Unreadable(f"its mask has rank {x.mask.tensor.rank}")
    counts = b.script.call(cast, x.mask, x.dtype)
    weights = b.script.call(expand_dims, counts, 2 if axis == 1 else 1)
    total = b.script.call(reduce_sum, of("*", x.value, weights), axis=axis, **_options(layer))
    return Signal(of("/", total, b.script.call(reduce_sum, weights, axis=axis, **_options(layer))))


# Steps --------------------------------------------------------------------------------------------


def _zero_padding(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    before, after = sizes(layer, "padding", 2, least=0)
    return Signal(b.script.call(pad, inputs.one.value, {1: (before, after)}))


def _cropping(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    before, after = sizes(layer, "cropping", 2, least=0)
    x = inputs.one.value
    return Signal(b.script.item(x, slice(None), slice(before or None, -after or None)) if before or after else x)


def _up_sampling(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Each step so many times."""
    x = inputs.one
    (count,) = sizes(layer, "size", 1)
    wide = b.script.call(pad, b.script.call(expand_dims, x.value, 2), {2: (0, count - 1)}, mode="edge")
    return Signal(b.script.call(reshape, wide, (None, -1, x.width)))


LAYERS: Mapping[str, Handler] = {
    "Conv1D": _conv1d, "Conv1DTranspose": _transposed, "DepthwiseConv1D": _depthwise, "SeparableConv1D": _separable,
    "MaxPooling1D": _pool(max_pool1d), "AveragePooling1D": _pool(average_pool1d), "GlobalMaxPooling1D": _global_max,
    "GlobalAveragePooling1D": _global_average, "ZeroPadding1D": _zero_padding, "Cropping1D": _cropping,
    "UpSampling1D": _up_sampling,
}  # fmt: skip
