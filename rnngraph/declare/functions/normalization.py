"""Normalizations of single rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import check_not_negative, check_positive, flag, number, whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown, user_line
from ...support.records import NamedTuple
from ..initializers import Initializer
from ..layer import within
from ..parameters import ScopeName, scope_name, with_update
from ..tensor import Tensor, as_tensor, build
from .basic import Axis, maximum, one_axis, reduce_mean, reshape, sqrt, square, where
from .layers import owned
from .norms import vector_norm
from .randomness import by_graph
from .statistics import moments


@api
def layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-12, axis: Axis = -1) -> Tensor:
    """Return (x - mean) / sqrt(variance + epsilon) * gamma + beta, with moments over ``axis`` (Ba et al. 2016).

    Args:
        x: float Tensor.
        gamma: Array or Tensor that broadcasts with x, such as [size of the last axis]. None: no factor.
        beta: Array or Tensor that broadcasts with x. None: no offset.
        epsilon: Added to the variance; 0 or more.
        axis: An int, or several.

    Raises:
        DtypeError: ``gamma`` or ``beta`` is a number.
        ArgumentError: ``epsilon`` is negative or no number.
    """
    x = as_tensor(x)
    _check_arrays("layer_norm", gamma=gamma, beta=beta)
    check_not_negative("epsilon", epsilon)
    _, centred, variance = moments(x, axis)
    scaled = centred / sqrt(variance + epsilon)
    scaled = scaled if gamma is None else scaled * gamma
    return scaled if beta is None else scaled + beta


@api
def normalize(x: Any, ord: float = 2, axis: Axis = -1, epsilon: float = 1e-12) -> Tensor:
    """Divide x by the norms of its vectors along ``axis``, so that each vector has norm 1.

    Args:
        x: float Tensor.
        ord: As for ``vector_norm``.
        axis: As for ``vector_norm``.
        epsilon: Minimum of the divisor; 0 or more. Shorter vectors are divided by ``epsilon``.

    Raises:
        ArgumentError: ``epsilon`` is negative or no number.
    """
    check_not_negative("epsilon", epsilon)
    return as_tensor(x) / maximum(vector_norm(x, ord, axis, keepdims=True), epsilon)


@api
def standardize(
    x: Any, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:
    """Return (x - mean) / sqrt(variance + epsilon) * gamma + beta, with statistics for each entry of ``axis``.

    With moving averages as mean and variance, the result equals ``batch_normalization`` at inference bit for bit. Both
    compute x * factor + (beta - mean * factor), as torch, ONNX Runtime and Keras do.

    Args:
        x: float Tensor.
        mean: Array or Tensor [size of the axis], or [1]. None: zeros.
        variance: Array or Tensor [size of the axis], or [1].
        gamma: Array or Tensor [size of the axis], or [1]. None: no factor.
        beta: Array or Tensor [size of the axis], or [1]. None: no offset.
        axis: An int.
        epsilon: Added to the variance; 0 or more.

    Raises:
        DtypeError: An argument that must be an array is a number.
        ArgumentError: ``epsilon`` is negative or no number.
    """
    x = as_tensor(x)
    _check_arrays("standardize", mean=mean, variance=variance, gamma=gamma, beta=beta)
    check_not_negative("epsilon", epsilon)
    trailing = (1,) * (x.rank - 1 - one_axis(x.rank, axis))

    def spread(array: Any) -> Tensor:
        array = as_tensor(array)
        return build("reshape", array, shape=(*array.type.shape, *trailing)) if trailing else array

    mean, gamma, beta = (None if array is None else spread(array) for array in (mean, gamma, beta))
    return scale_and_shift(x, mean, spread(variance), gamma, beta, epsilon)


def scale_and_shift(
    x: Tensor, mean: Tensor | None, variance: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
) -> Tensor:
    """Return x * factor + (beta - mean * factor), where the factor is gamma * (1 / sqrt(variance + epsilon)).

    The order of operations is that of torch, ONNX Runtime, Keras and ``tf.nn.batch_normalization``. TensorFlow's fused
    kernel subtracts the mean first: for its bits, pass x - mean, and None as mean.

    Args:
        x: float Tensor.
        mean: float Tensor that broadcasts with x. None: 0.
        variance: float Tensor that broadcasts with x.
        gamma: float Tensor that broadcasts with x. None: 1.
        beta: float Tensor that broadcasts with x. None: 0.
        epsilon: Added to the variance.
    """
    factor = 1.0 / sqrt(variance + epsilon)
    factor = factor if gamma is None else gamma * factor
    if mean is None:
        return x * factor if beta is None else x * factor + beta
    shift = -(mean * factor)
    return x * factor + (shift if beta is None else beta + shift)


@api
def rms_norm(x: Any, gamma: Any = None, axis: Axis = -1, epsilon: float = 1e-6) -> Tensor:
    """Return x / sqrt(mean(x * x) + epsilon) * gamma, with the mean over ``axis`` (Zhang and Sennrich 2019).

    Args:
        x: float Tensor.
        gamma: Array or Tensor that broadcasts with x. None: no factor.
        axis: An int, or several.
        epsilon: Added to the mean square; 0 or more.

    Raises:
        DtypeError: ``gamma`` is a number.
        ArgumentError: ``epsilon`` is negative or no number.
    """
    x = as_tensor(x)
    _check_arrays("rms_norm", gamma=gamma)
    check_not_negative("epsilon", epsilon)
    scaled = x / sqrt(reduce_mean(square(x), axis, keepdims=True) + epsilon)
    return scaled if gamma is None else scaled * gamma


@api
def group_norm(
    x: Any, groups: int, gamma: Any = None, beta: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:
    """Return (x - mean) / sqrt(variance + epsilon) * gamma + beta, with moments over groups of channels.

    Each row has a mean and a variance for each group of channels, over all axes but the first (Wu and He 2018).

    Args:
        x: float [batch, …].
        groups: Number of groups, a divisor of the number of channels. Equal to that number: instance normalization.
        gamma: Array or Tensor [channels]. None: no factor.
        beta: Array or Tensor [channels]. None: no offset.
        axis: Axis of the channels.
        epsilon: Added to the variance; 0 or more.

    Raises:
        ArgumentError: ``epsilon`` is negative or no number.
        ShapeError: The groups do not divide the channels, or gamma or beta is not [channels].
        DtypeError: ``gamma`` or ``beta`` is a number.
    """
    x = as_tensor(x)
    _check_arrays("group_norm", gamma=gamma, beta=beta)
    place, count = one_axis(x.rank, axis), whole_number(groups, "groups", 1)
    if gamma is not None and as_tensor(gamma).rank == 1 and not isinstance(x.type.shape[place], int):
        fixed = (*x.type.shape[:place], *as_tensor(gamma).type.shape, *x.type.shape[place + 1 :])
        x = build("ensure_shape", x, shape=fixed)
    shape = x.type.shape
    channels = shape[place]
    if place == 0 or not isinstance(channels, int) or channels % count:
        raise ShapeError(
            f"group_norm: axis {place} of {x!r} does not divide into {count} groups; give a divisor of its size"
        )
    parts = build("reshape", x, shape=(*shape[:place], count, channels // count, *shape[place + 1 :]))
    reduced_axes = tuple(other for other in range(1, parts.rank) if other != place)
    scaled = build("reshape", layer_norm(parts, epsilon=epsilon, axis=reduced_axes), shape=shape)
    trailing = (1,) * (x.rank - 1 - place)
    for array in (gamma, beta):
        if array is not None and as_tensor(array).type.shape != (channels,):
            raise ShapeError(f"group_norm: gamma and beta must be [{channels}], not {as_tensor(array)!r}")
    if gamma is not None:
        scaled = scaled * build("reshape", as_tensor(gamma), shape=(channels, *trailing))
    if beta is not None:
        scaled = scaled + build("reshape", as_tensor(beta), shape=(channels, *trailing))
    return scaled


def _check_arrays(function: str, **arrays: Any) -> None:
    """Raise ``DtypeError`` for a number in place of an array. The names of ``arrays`` are those in errors.

    Other frameworks take a width, ``center`` or ``epsilon`` at the position of these arguments.
    """
    for name, array in arrays.items():
        if isinstance(array, bool | int | float | np.generic):
            hint = "the width is inferred from x, and epsilon is passed by name"
            raise DtypeError(
                f"{name} of {function} must be an array or a Tensor, such as an rg.parameter, not {shown(array)}; "
                f"{hint}"
            )


@api
def batch_normalization(
    x: Tensor,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    name: str | None = None,
) -> Tensor:
    """Return gamma * (x - mean) / sqrt(variance + epsilon) + beta for each entry of ``axis`` (Ioffe and Szegedy 2015).

    The training graph uses the mean and variance of the batch over all other axes, including padding. The inference
    graph uses moving averages. Only steps of a ``Trainer`` update them, to average * momentum + batch * (1 - momentum).
    The variance divides by the number n of entries, as in TensorFlow and Keras; torch's moving variance divides by
    n - 1.

    Parameters, each with the size of ``axis``: ``batch_normalization/gamma``, ``beta``, and the untrained
    ``moving_mean`` and ``moving_variance``. The next layer has ``batch_normalization_1/…``.

    Args:
        x: float [batch, …].
        axis: Axis of the channels, whose size is fixed.
        momentum: Share of the old moving average, in [0, 1].
        epsilon: Added to the variance; positive.
        center: Add ``beta``.
        scale: Multiply by ``gamma``.
        name: Scope of the parameters in place of ``batch_normalization``.

    Raises:
        DtypeError: x is not a float Tensor.
        ShapeError: x has no batch axis, or the size of ``axis`` is symbolic.
        ArgumentError: ``momentum`` or ``epsilon`` is out of range.
    """
    scope = scope_name(name, "batch_normalization", user_line())
    starts = {"gamma": "ones"} if flag(scale, "scale") else {}
    starts |= {"beta": "zeros"} if flag(center, "center") else {}
    return normalized(x, axis, momentum, epsilon, scope, {**starts, "moving_mean": "zeros", "moving_variance": "ones"})


def normalized(
    x: Tensor,
    axis: int,
    momentum: float,
    epsilon: float,
    scope: ScopeName,
    initializers: Mapping[str, str | Initializer],
) -> Tensor:
    """Return batch normalization of x, whose moving averages a ``Trainer`` updates.

    Args:
        x: float [batch, …].
        axis: Axis of the channels.
        momentum: Share of the old moving average.
        epsilon: Number added to the variance.
        scope: Scope of the parameters.
        initializers: Initializer of each parameter, by name. ``gamma`` and ``beta`` may be missing.
    """
    return normalized_with(x, Normalization(axis, momentum, epsilon), scope, initializers)[0]


class Normalization(NamedTuple):
    """Options of batch normalization.

    Attributes:
        axis: Axis of the channels.
        momentum: Share of the old moving average.
        epsilon: Number added to the variance.
        training: True: the training graph uses the batch's statistics, and the inference graph the moving averages.
            False: both graphs use the moving averages, which nothing updates. A bool scalar Tensor: both graphs use
            the batch's statistics if it is True, and nothing updates the averages.
        subtracts_first: True if inference subtracts the moving mean before it scales, as in TensorFlow's fused kernel.
    """

    axis: int
    momentum: float
    epsilon: float
    training: bool | Tensor = True
    subtracts_first: bool = False


def normalized_with(
    x: Tensor, options: Normalization, scope: ScopeName, initializers: Mapping[str, str | Initializer]
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Return batch normalization of x, and its pairs (moving average, statistic of the batch) by name.

    The names are ``moving_mean`` and ``moving_variance``. With ``training=False`` there are no pairs.
    """
    where, momentum, epsilon = scope.where, options.momentum, options.epsilon
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"batch_normalization needs a float Tensor, not {x!r}", where)
    if x.rank < 2:
        raise ShapeError(f"batch_normalization needs a Tensor [batch, …], not {x!r}", where)
    place = one_axis(x.rank, options.axis)
    size = x.type.shape[place]
    if not isinstance(size, int):
        raise ShapeError(f"batch_normalization needs a fixed size along axis {place}, not {x!r}", where)
    if not 0 <= number(momentum, "momentum") <= 1:
        raise ArgumentError(f"momentum={shown(momentum)} must be a number from 0 to 1", where)
    check_positive("epsilon", epsilon)
    own = {
        key: owned(scope, key, (size,), x.dtype, start, trainable=not key.startswith("moving"))
        for key, start in initializers.items()
    }
    with within(scope.layer):
        return _build_normalization(x, options._replace(axis=place), own)


def _build_normalization(
    x: Tensor, options: Normalization, own: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Return the result of ``normalized_with``, computed with the parameters ``own``."""
    place, momentum, epsilon, training, subtracts_first = options
    reduced_axes = tuple(other for other in range(x.rank) if other != place)

    def spread(vector: Tensor) -> Tensor:
        """Reshape a vector over the axis so that it broadcasts with x."""
        return vector if place == x.rank - 1 else reshape(vector, (-1, *(1,) * (x.rank - 1 - place)))

    wide = {key: spread(vector) for key, vector in own.items()}
    gamma, beta = wide.get("gamma"), wide.get("beta")
    moving_mean, moving_variance = wide["moving_mean"], wide["moving_variance"]
    source, mean_of_source = (x - moving_mean, None) if subtracts_first else (x, moving_mean)
    inferred = scale_and_shift(source, mean_of_source, moving_variance, gamma, beta, epsilon)
    if not isinstance(training, Tensor) and not training:
        return inferred, {}
    mean, centred, variance = moments(x, reduced_axes)
    average = {"moving_mean": reshape(mean, (-1,)), "moving_variance": reshape(variance, (-1,))}
    trained = scale_and_shift(centred, None, spread(average["moving_variance"]), gamma, beta, epsilon)
    statistics = {key: (own[key], value) for key, value in average.items()}
    if isinstance(training, Tensor):
        return where(training, trained, inferred), statistics
    for key, value in average.items():
        trained = with_update(trained, own[key], own[key] * momentum + value * (1.0 - momentum))
    return by_graph(training=trained, inference=inferred), statistics
