"""Reductions over two axes, and padding and cropping."""

from __future__ import annotations

from collections.abc import Mapping

from ...declare.functions.basic import reduce_max, reduce_mean
from ...declare.functions.padding import pad
from ..steps import Function
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal
from .plain import sizes


def _whole(function: Function) -> Handler:
    """Return the reader of a reduction over both axes."""

    def reduce(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
        axes = (2, 3) if layer.config.get("data_format", None) == "channels_first" else (1, 2)
        options = {"keepdims": True} if layer.config.get("keepdims", False) else {}
        return Signal(b.script.call(function, inputs.one.value, axis=axes, **options))

    return reduce


# Edges --------------------------------------------------------------------------------------------


def _sides(layer: Layer, key: str) -> list[tuple[int, int]]:
    """Return (before, after) of both axes."""
    option = layer.config.get(key)
    if isinstance(option, list) and len(option) == 2 and all(isinstance(pair, list) for pair in option):
        counts = [count for pair in option for count in pair]
        if all(len(pair) == 2 for pair in option) and all(type(n) is int and 0 <= n < 1 << 24 for n in counts):
            return [(first, second) for first, second in option]
    return [(count, count) for count in sizes(layer, key, 2, least=0)]


def _zero_padding(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    sides = {axis: pair for axis, pair in enumerate(_sides(layer, "padding"), 1) if any(pair)}
    return Signal(b.script.call(pad, inputs.one.value, sides) if sides else inputs.one.value)


def _cropping(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    kept = [slice(before or None, -after or None) for before, after in _sides(layer, "cropping")]
    return Signal(b.script.item(inputs.one.value, slice(None), *kept))


LAYERS: Mapping[str, Handler] = {
    "GlobalMaxPooling2D": _whole(reduce_max),
    "GlobalAveragePooling2D": _whole(reduce_mean),
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
}
