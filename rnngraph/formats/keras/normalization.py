"""Declares normalization layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...declare.functions.normalization import group_norm, layer_norm, normalize, rms_norm, standardize
from ..layers import declare_batch_normalization
from .activations import number
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .core.variables import own_variables


def _axes(layer: Layer, rank: int, default: object = -1) -> list[int]:
    """Return the option ``axis``, an int or a list, as sorted nonnegative axes."""
    option = layer.config.get("axis", default)
    axes = [option] if isinstance(option, int) else option
    if not isinstance(axes, list) or not all(isinstance(axis, int) and -rank <= axis < rank for axis in axes):
        raise layer.config.error(f"axis {option!r} of {layer} does not exist in its input")
    return sorted({axis % rank for axis in axes})


def _one_axis(layer: Layer, rank: int) -> int:
    axes = _axes(layer, rank)
    if len(axes) != 1:
        raise Unreadable("normalization over several axes is not supported")
    return axes[0]


def _batch_normalization(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare batch normalization, by batch statistics in training.

    A layer that is shared, frozen or called with training=False normalizes by the moving averages only.
    """
    x = inputs.one
    if layer.config.get("renorm", False):
        raise Unreadable("renorm=True is not supported")
    axis = _one_axis(layer, x.rank)
    size = x.shape[axis]
    if not isinstance(size, int):
        raise Unreadable("the size of its axis is symbolic; fix it with fixed=")
    names = [variable.name for variable in own_variables(layer)]
    arrays = {name: b.array(layer, name, size) for name in names}
    epsilon = number(layer.config, "epsilon", 1e-3)
    is_frozen = layer.config.get("trainable", True) is False
    if b.is_shared(layer) or is_frozen or not b.drops(1.0):  # 0 means training=False
        return _by_moving_averages(b, layer, x, arrays, axis, epsilon)
    momentum = number(layer.config, "momentum", 0.99)
    return Signal(declare_batch_normalization(b.script, x.value, arrays, b.scope(layer), axis, epsilon, momentum))


def _by_moving_averages(
    b: Declaration, layer: Layer, x: Signal, arrays: Mapping[str, np.ndarray], axis: int, epsilon: float
) -> Signal:
    """Declare batch normalization by the moving averages in both graphs, as for a frozen layer."""
    own = {name: b.parameter(layer, name, arrays[name], trainable=not name.startswith("moving")) for name in arrays}
    statistics = own.pop("moving_mean"), own.pop("moving_variance")
    options = {} if axis == x.rank - 1 else {"axis": axis}
    return Signal(b.script.call(standardize, x.value, *statistics, **own, **options, epsilon=epsilon))


def _layer_normalization(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    if layer.config.get("rms_scaling", False):
        raise Unreadable("rms_scaling=True is not supported")
    axes, epsilon = _axes(layer, x.rank), number(layer.config, "epsilon", 1e-3)
    if axes != [*range(axes[0], x.rank)] or not all(isinstance(x.shape[axis], int) for axis in axes):
        raise Unreadable("its axes must be the last ones, and have fixed sizes")
    sizes = [size for size in x.shape[axes[0] :] if isinstance(size, int)]
    own = {one.name: b.parameter(layer, one.name, b.array(layer, one.name, *sizes)) for one in own_variables(layer)}
    options = {} if len(axes) == 1 else {"axis": tuple(axes)}
    return Signal(b.script.call(layer_norm, x.value, **own, epsilon=epsilon, **options))


def _group_normalization(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare group normalization: statistics are over all steps and the units of a group."""
    x, groups = inputs.one, layer.config.get("groups", 32)
    if x.rank != 3 or _axes(layer, x.rank) != [2]:
        raise Unreadable("its input must be [batch, time, units], and its axis the last one")
    groups = x.width if groups == -1 else groups
    if isinstance(groups, bool) or not isinstance(groups, int) or not 0 < groups <= x.width or x.width % groups:
        raise layer.config.error(f"{layer} has {groups} groups, which do not divide its input's {x.width} units")
    own = {one.name: b.parameter(layer, one.name, b.array(layer, one.name, x.width)) for one in own_variables(layer)}
    epsilon = number(layer.config, "epsilon", 1e-3)
    return Signal(b.script.call(group_norm, x.value, groups, **own, epsilon=epsilon))


def _rms_normalization(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    x = inputs.one
    if _axes(layer, x.rank) != [x.rank - 1]:
        raise Unreadable("its axis must be the last one")
    scale = b.parameter(layer, "scale", b.array(layer, "scale", x.width))
    return Signal(b.script.call(rms_norm, x.value, scale, epsilon=number(layer.config, "epsilon", 1e-6)))


def _unit_normalization(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare x / max(norm, epsilon), where epsilon is 1e-12 (Keras 3) or 1e-6."""
    x = inputs.one
    axes = tuple(_axes(layer, x.rank))
    options = {} if b.version >= 3 else {"epsilon": 1e-6}
    return Signal(b.script.call(normalize, x.value, axis=axes, **options))


def _normalization(b: Declaration, layer: Layer, inputs: Inputs) -> Signal:
    """Declare (x - mean) / deviation or, with ``invert``, x * deviation + mean. The statistics are not trained."""
    x, of = inputs.one, b.script.operation
    mean, variance = _moments(b, layer)
    axis = layer.config.get("axis", -1)
    if axis in (None, []):
        mean, variance = mean.reshape(-1)[:1], variance.reshape(-1)[:1]
    elif _one_axis(layer, x.rank) != x.rank - 1:
        raise Unreadable("its axis must be the last one")
    mean, deviation = (array.reshape(-1).astype(np.float32) for array in (mean, np.sqrt(np.maximum(variance, 0))))
    if {mean.size, deviation.size} - {1, x.width} or not mean.size or not deviation.size:
        raise layer.config.error(f"{layer} has {mean.size} means, but its input has {x.width} units")
    deviation = np.maximum(deviation, np.float32(1e-7))
    middle = b.parameter(layer, "mean", mean, trainable=False)
    scale = b.parameter(layer, "deviation", deviation, trainable=False)
    if layer.config.get("invert", False):
        return Signal(of("+", of("*", x.value, scale), middle))
    return Signal(of("/", of("-", x.value, middle), scale))


def _moments(b: Declaration, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean, variance) of a Normalization layer, from its arrays or its configuration."""
    arrays = b.arrays(layer)
    if "mean" in arrays:
        return arrays["mean"], arrays["variance"]
    try:
        mean, variance = (np.asarray(layer.config.get(key), np.float32) for key in ("mean", "variance"))
    except (ValueError, TypeError, OverflowError):
        raise layer.config.error(f"mean or variance of {layer} is not an array") from None
    return mean, variance


LAYERS: Mapping[str, Handler] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "RMSNormalization": _rms_normalization,
    "UnitNormalization": _unit_normalization,
    "Normalization": _normalization,
}
