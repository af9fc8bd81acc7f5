"""Declares 1-D and 2-D global pools, padding, cropping and upsampling."""

from __future__ import annotations

from collections.abc import Mapping

from ...declare.functions.arrays.moves import repeat
from ...declare.functions.basic import cast, expand_dims, reduce_max, reduce_mean, reduce_sum
from ...declare.functions.padding import pad
from ..steps import Function
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .plain import sizes


def _axis_options(layer: Layer, axes: int) -> dict[str, object]:
    """Return the arguments ``axis`` and ``keepdims`` of a reduction over all axes but batch and channels."""
    first = 2 if layer.config.get("data_format", None) == "channels_first" else 1
    keepdims = {"keepdims": True} if layer.config.get("keepdims", False) else {}
    return {"axis": first if axes == 1 else tuple(range(first, first + axes)), **keepdims}


def _global(function: Function, axes: int) -> Handler:
    """Return the handler of a global pool: a reduction over all axes but batch and channels."""
    return lambda b, layer, inputs: Signal(b.script.call(function, inputs.one.value, **_axis_options(layer, axes)))


def _global_average(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare a 1-D global average pool: the mean over the unmasked steps."""
    x, over, of = inputs.one, _axis_options(layer, 1), b.script.operation
    if x.mask is None:
        return Signal(b.script.call(reduce_mean, x.value, **over))
    if x.mask.tensor.rank != 2:
        raise Unreadable(f"its mask has rank {x.mask.tensor.rank}; it must have rank 2")
    counts = b.script.call(cast, x.mask, x.dtype)
    weights = b.script.call(expand_dims, counts, 2 if over["axis"] == 1 else 1)
    total = b.script.call(reduce_sum, of("*", x.value, weights), **over)
    return Signal(of("/", total, b.script.call(reduce_sum, weights, **over)))


# Padding and cropping -----------------------------------------------------------------------------


def _sides(layer: Layer, key: str, axes: int) -> list[tuple[int, int]]:
    """Return the number of entries to pad or crop (before, after) along each axis, from the option ``key``."""
    option = layer.config.get(key)
    if axes == 1:
        before, after = sizes(layer, key, 2, minimum=0)
        return [(before, after)]
    if isinstance(option, list) and len(option) == 2 and all(isinstance(pair, list) for pair in option):
        counts = [count for pair in option for count in pair]
        if all(len(pair) == 2 for pair in option) and all(type(n) is int and 0 <= n < 1 << 24 for n in counts):
            return [(first, second) for first, second in option]
    return [(count, count) for count in sizes(layer, key, 2, minimum=0)]


def _zero_padding(axes: int) -> Handler:
    def add(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        sides = {axis: pair for axis, pair in enumerate(_sides(layer, "padding", axes), 1) if any(pair)}
        return Signal(b.script.call(pad, inputs.one.value, sides) if sides else inputs.one.value)

    return add


def _cropping(axes: int) -> Handler:
    def crop(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        remaining = [slice(before or None, -after or None) for before, after in _sides(layer, "cropping", axes)]
        is_cut = any(part != slice(None) for part in remaining)
        return Signal(b.script.item(inputs.one.value, slice(None), *remaining) if is_cut else inputs.one.value)

    return crop


def _up_sampling(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare 1-D upsampling, which repeats each step ``size`` times."""
    (count,) = sizes(layer, "size", 1)
    return Signal(b.script.call(repeat, inputs.one.value, count, 1) if count > 1 else inputs.one.value)


LAYERS: Mapping[str, Handler] = {
    "GlobalMaxPooling1D": _global(reduce_max, 1),
    "GlobalMaxPooling2D": _global(reduce_max, 2),
    "GlobalAveragePooling1D": _global_average,
    "GlobalAveragePooling2D": _global(reduce_mean, 2),
    "UpSampling1D": _up_sampling,
    "ZeroPadding1D": _zero_padding(1),
    "ZeroPadding2D": _zero_padding(2),
    "Cropping1D": _cropping(1),
    "Cropping2D": _cropping(2),
}
