"""Normalizations of single rows: no row depends on another one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import DtypeError, ShapeError, shown
from ..tensor import Tensor, as_tensor, build
from .basic import Axis, maximum, one_axis, reduce_mean, sqrt, square
from .norms import vector_norm


@api
def layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-12, axis: Axis = -1) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) over ``axis``, times gamma, plus beta (Ba et al. 2016).

    gamma, beta: arrays or Tensors that broadcast with x, such as one number for each entry of the last axis.
    axis: an int, or several.
    """
    x = as_tensor(x)
    _check_arrays("layer_norm", gamma=gamma, beta=beta)
    centred = x - reduce_mean(x, axis, keepdims=True)
    scaled = centred / sqrt(reduce_mean(square(centred), axis, keepdims=True) + epsilon)
    scaled = scaled if gamma is None else scaled * gamma
    return scaled if beta is None else scaled + beta


@api
def normalize(x: Any, ord: float = 2, axis: Axis = -1, epsilon: float = 1e-12) -> Tensor:
    """x over the norm of its vectors along ``axis``, which counts as ``epsilon`` at least.

    ord, axis: as for ``vector_norm``.
    """
    return as_tensor(x) / maximum(vector_norm(x, ord, axis, keepdims=True), epsilon)


@api
def standardize(
    x: Any, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon), times gamma, plus beta, by numbers for each entry of ``axis``.

    It is what ``batch_normalization`` computes at inference, with moving averages as mean and variance.

    mean, variance, gamma, beta: arrays or Tensors [size of the axis].
    """
    x = as_tensor(x)
    _check_arrays("standardize", mean=mean, variance=variance, gamma=gamma, beta=beta)
    behind = (1,) * (x.rank - 1 - one_axis(x.rank, axis))

    def spread(array: Any) -> Tensor:
        array = as_tensor(array)
        return build("reshape", array, shape=(*array.type.shape, *behind)) if behind else array

    scaled = (x - spread(mean)) / spread(sqrt(as_tensor(variance) + epsilon))
    scaled = scaled if gamma is None else scaled * spread(gamma)
    return scaled if beta is None else scaled + spread(beta)


@api
def rms_norm(x: Any, gamma: Any = None, axis: Axis = -1, epsilon: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x * x) + epsilon) over ``axis``, times gamma (Zhang and Sennrich 2019).

    gamma: an array or a Tensor that broadcasts with x.
    axis: an int, or several.
    """
    x = as_tensor(x)
    _check_arrays("rms_norm", gamma=gamma)
    scaled = x / sqrt(reduce_mean(square(x), axis, keepdims=True) + epsilon)
    return scaled if gamma is None else scaled * gamma


@api
def group_norm(
    x: Any, groups: int, gamma: Any = None, beta: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) of each row and group of channels, times gamma, plus beta (Wu and He 2018).

    x: [batch, …], where ``axis`` has the channels. Mean and variance are over all axes but the first, and over the
    channels of a group.
    groups: how many there are; they divide the channels. As many as channels: instance normalization.
    gamma, beta: [channels].
    """
    x = as_tensor(x)
    _check_arrays("group_norm", gamma=gamma, beta=beta)
    place, count = one_axis(x.rank, axis), whole_number(groups, "groups", 1)
    shape = x.type.shape
    channels = shape[place]
    if place == 0 or not isinstance(channels, int) or channels % count:
        raise ShapeError(f"group_norm: axis {place} of {x!r} does not divide into {count} groups of channels")
    parts = build("reshape", x, shape=(*shape[:place], count, channels // count, *shape[place + 1 :]))
    over = tuple(other for other in range(1, parts.rank) if other != place)
    scaled = build("reshape", layer_norm(parts, epsilon=epsilon, axis=over), shape=shape)
    behind = (1,) * (x.rank - 1 - place)
    for array in (gamma, beta):
        if array is not None and as_tensor(array).type.shape != (channels,):
            raise ShapeError(f"group_norm: gamma and beta are [{channels}], not {as_tensor(array)!r}")
    if gamma is not None:
        scaled = scaled * build("reshape", as_tensor(gamma), shape=(channels, *behind))
    if beta is not None:
        scaled = scaled + build("reshape", as_tensor(beta), shape=(channels, *behind))
    return scaled


def _check_arrays(function: str, **arrays: Any) -> None:
    """Refuses a width, ``center=`` or ``epsilon=`` in the place where others have it."""
    for name, array in arrays.items():
        if isinstance(array, bool | int | float | np.generic):
            over = "it normalises over the last axis, and epsilon= has a name"
            raise DtypeError(
                f"{name} of {function} is an array or a Tensor, such as an rg.parameter, not {shown(array)}; {over}"
            )
