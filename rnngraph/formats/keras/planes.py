"""Convolutions and pools along two axes, of which one has a fixed size: what a window reads along that one is written
out, and the other one is as time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...declare.functions.basic import concat, maximum, reduce_max, reduce_mean, reshape, transpose
from ...declare.functions.convolutions import average_pool1d, max_pool1d
from ...declare.functions.padding import pad
from ...declare.tensor import constant
from ..steps import Value
from .convolutions import Windows, convolved, padding_of
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .plain import sizes

MOST_ACROSS, MOST_PARTS = 64, 4096
"""Entries of windows along an axis that is written out, and pieces of which one product's input is put together."""


@dataclass(frozen=True)
class _Across:
    """What windows read along the axis that is written out.

    size: of the axis, with what stands around it. starts: of each entry of the windows, the first place that one reads.
    count: of windows.
    """

    before: int
    after: int
    starts: tuple[int, ...]
    count: int
    stride: int


def _windows(layer: Layer, key: str, padding: str, stride_of: Sequence[int] | None = None) -> list[Windows]:
    """Along both axes. key: the option with the sizes. stride_of: the strides where the layer has none."""
    lengths = sizes(layer, key, 2)
    given = layer.config.get("strides", None)
    strides = (stride_of or [1, 1]) if given is None else sizes(layer, "strides", 2)
    apart = sizes(layer, "dilation_rate", 2) if layer.config.get("dilation_rate", None) is not None else [1, 1]
    return [Windows(*one, padding) for one in zip(lengths, strides, apart, strict=True)]


def _across(size: int, windows: Windows) -> _Across:
    before = after = 0
    if windows.padding == "same":
        missing = (-(-size // windows.stride) - 1) * windows.stride + windows.span + 1 - size
        before = max(missing, 0) // 2
        after = max(missing, 0) - before
    room = before + size + after - windows.span - 1
    if room < 0 or windows.size > MOST_ACROSS:
        raise Unreadable(f"its windows are of {windows.span + 1} along an axis of {size}")
    starts = tuple(entry * windows.apart for entry in range(windows.size))
    return _Across(before, after, starts, room // windows.stride + 1, windows.stride)


Run = Callable[[Value, _Across, Windows, int], Value]


def _on_planes(b: Declaration, layer: Layer, x: Signal, windows: Sequence[Windows], run: Run) -> Value:
    """x [batch, height, width, channels], by a function of x as [batch, across, along, channels], of the windows across
    and along, and of which axis is across: of two fixed ones the second.
    """
    if x.rank != 4 or not x.width:
        raise Unreadable(f"its input has rank {x.rank}")
    fixed = [place for place in (1, 0) if isinstance(x.shape[1 + place], int)]
    if not fixed:
        raise Unreadable("both axes of its input are open; fix the size of one in the model's Input")
    place, size = fixed[0], x.shape[1 + fixed[0]]
    assert isinstance(size, int)
    across, along = _across(size, windows[place]), windows[1 - place]
    if place == 0:
        return run(x.value, across, along, place)
    found = run(b.script.call(transpose, x.value, (0, 2, 1, 3)), across, along, place)
    return b.script.call(transpose, found, (0, 2, 1, 3))


def _parts(b: Declaration, x: Value, across: _Across, fill: float = 0.0) -> list[Value]:
    """Of x [batch, across, along, channels] what each entry of a window reads."""
    if across.before or across.after:
        options = {"value": fill} if fill else {}
        x = b.script.call(pad, x, {1: (across.before, across.after)}, **options)
    behind = (across.count - 1) * across.stride + 1
    step = None if across.stride == 1 else across.stride
    size = x.tensor.type.shape[1]
    if behind == size and len(across.starts) == 1 and step is None:
        return [x]
    return [b.script.item(x, slice(None), slice(start or None, start + behind, step)) for start in across.starts]


def _by_rows(b: Declaration, x: Value, run: Callable[[Value], Value]) -> Value:
    """A function of [rows, along, channels], of x [batch, across, along, channels]."""
    _, across, _, channels = x.tensor.type.shape
    first = b.script.call(reshape, b.script.call(transpose, x, (2, 0, 1, 3)), (None, -1, channels))
    found = b.script.call(transpose, run(b.script.call(transpose, first, (1, 0, 2))), (1, 0, 2))
    width = found.tensor.width
    return b.script.call(transpose, b.script.call(reshape, found, (None, -1, across, width)), (1, 2, 0, 3))


# Convolutions -------------------------------------------------------------------------------------


def _convolution(
    b: Declaration, layer: Layer, x: Signal, kernel: np.ndarray, groups: int, part: str, is_last: bool
) -> Value:
    """kernel: [height, width, channels / groups, filters]. part, is_last: as for ``convolved``."""
    channels = x.width
    if channels % groups:
        raise layer.config.error(f"{layer} has {groups} groups for an input of width {channels}")
    windows = [Windows(1, 1, 1, "valid")] * 2 if part == "pointwise" else _windows_of_kernel(layer)

    def run(x: Value, across: _Across, along: Windows, place: int) -> Value:
        parts, each = _parts(b, x, across), channels // groups
        if groups > 1 and len(parts) > 1:
            if groups * len(parts) > MOST_PARTS:
                raise Unreadable(f"it has {groups} groups of windows along two axes")
            pieces = [slice(group * each, (group + 1) * each) for group in range(groups)]
            parts = [b.script.item(one, ..., piece) for piece in pieces for one in parts]
        beside = parts[0] if len(parts) == 1 else b.script.call(concat, parts, 3)
        turned = kernel if place == 0 else kernel.swapaxes(0, 1)  # [across, along, …]
        flat = turned.transpose(1, 0, 2, 3).reshape(turned.shape[1], -1, turned.shape[3])
        convolve = partial(convolved, b, layer, kernel=flat, groups=groups, part=part, is_last=is_last, windows=along)
        return _by_rows(b, beside, convolve)

    return _on_planes(b, layer, x, windows, run)


def _windows_of_kernel(layer: Layer) -> list[Windows]:
    return _windows(layer, "kernel_size", padding_of(layer))


def _conv2d(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x, groups = inputs.one, layer.config.count("groups", 1)
    count = layer.config.count("filters", most=1 << 24)
    kernel = b.array(layer, "kernel", *sizes(layer, "kernel_size", 2), x.width // groups, count)
    return Signal(_convolution(b, layer, x, kernel, groups, "kernel", is_last=True))


def _depthwise_kernel(b: Declaration, layer: Layer, x: Signal, name: str) -> np.ndarray:
    many = layer.config.count("depth_multiplier", 1, most=1 << 16)
    high, wide = sizes(layer, "kernel_size", 2)
    return b.array(layer, name, high, wide, x.width, many).reshape(high, wide, 1, -1)


def _depthwise(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    return Signal(_convolution(b, layer, x, _depthwise_kernel(b, layer, x, "kernel"), x.width, "kernel", is_last=True))


def _separable(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Each channel by itself, then all of each place."""
    x = inputs.one
    if b.is_shared(layer):
        raise Unreadable("it is called more than once")
    kernel = _depthwise_kernel(b, layer, x, "depthwise_kernel")
    y = Signal(_convolution(b, layer, x, kernel, x.width, "depthwise", is_last=False))
    count = layer.config.count("filters", most=1 << 24)
    pointwise = b.array(layer, "pointwise_kernel", 1, 1, kernel.shape[3], count)
    return Signal(_convolution(b, layer, y, pointwise, 1, "pointwise", is_last=True))


# Pools --------------------------------------------------------------------------------------------


def _pool(is_max: bool) -> Handler:
    def pool(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        padding = padding_of(layer)
        windows = _windows(layer, "pool_size", padding, sizes(layer, "pool_size", 2))
        return Signal(_on_planes(b, layer, inputs.one, windows, partial(_pooled, b, is_max)))

    return pool


def _pooled(b: Declaration, is_max: bool, x: Value, across: _Across, along: Windows, _: int) -> Value:
    found, *parts = _parts(b, x, across, float("-inf") if is_max else 0.0)
    for part in parts:
        found = b.script.call(maximum, found, part) if is_max else b.script.operation("+", found, part)
    if not is_max and parts:
        found = b.script.operation("/", found, _counts(b, across, x))
    if along.size == along.stride == 1:
        return found
    options: dict[str, Any] = {} if along.stride == along.size else {"strides": along.stride}
    options |= {} if along.padding == "valid" else {"padding": along.padding}
    function = max_pool1d if is_max else average_pool1d
    return _by_rows(b, found, lambda rows: b.script.call(function, rows, along.size, **options))


def _counts(b: Declaration, across: _Across, x: Value) -> Any:
    """How many places of the input each window has: one number, or [windows, 1, 1]."""
    size = x.tensor.type.shape[1]
    assert isinstance(size, int)
    first = [number * across.stride - across.before for number in range(across.count)]
    counts = [float(sum(0 <= place + start < size for start in across.starts)) for place in first]
    if len(set(counts)) == 1:
        return counts[0]
    return b.script.call(constant, [[[count]] for count in counts], x.tensor.dtype)


def _whole(function: Callable[..., Any]) -> Handler:
    """Over both axes at once."""

    def reduce(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        axes = (2, 3) if layer.config.get("data_format", None) == "channels_first" else (1, 2)
        options = {"keepdims": True} if layer.config.get("keepdims", False) else {}
        return Signal(b.script.call(function, inputs.one.value, axis=axes, **options))

    return reduce


# Edges --------------------------------------------------------------------------------------------


def _sides(layer: Layer, key: str) -> list[tuple[int, int]]:
    """(before, after) of both axes."""
    given = layer.config.get(key)
    if isinstance(given, list) and len(given) == 2 and all(isinstance(pair, list) for pair in given):
        counts = [count for pair in given for count in pair]
        if all(len(pair) == 2 for pair in given) and all(type(n) is int and 0 <= n < 1 << 24 for n in counts):
            return [(first, second) for first, second in given]
    return [(count, count) for count in sizes(layer, key, 2, least=0)]


def _zero_padding(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    sides = {axis: pair for axis, pair in enumerate(_sides(layer, "padding"), 1) if any(pair)}
    return Signal(b.script.call(pad, inputs.one.value, sides) if sides else inputs.one.value)


def _cropping(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    kept = [slice(before or None, -after or None) for before, after in _sides(layer, "cropping")]
    return Signal(b.script.item(inputs.one.value, slice(None), *kept))


LAYERS: Mapping[str, Handler] = {
    "Conv2D": _conv2d, "DepthwiseConv2D": _depthwise, "SeparableConv2D": _separable, "MaxPooling2D": _pool(True),
    "AveragePooling2D": _pool(False), "GlobalMaxPooling2D": _whole(reduce_max),
    "GlobalAveragePooling2D": _whole(reduce_mean), "ZeroPadding2D": _zero_padding, "Cropping2D": _cropping,
}  # fmt: skip
