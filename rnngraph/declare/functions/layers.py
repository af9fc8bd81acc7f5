"""Layers without a time axis. They own parameters, which are numbered in the order of declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...ir.graph import make
from ...ir.types import FLOATS, INTEGERS, TensorType
from ...support.api_guard import api
from ...support.arguments import check_positive, flag, number, whole_number
from ...support.arguments import units as positive_units
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown, user_line
from ..initializers import Initializer, initializer_of
from ..layer import within
from ..parameters import ParameterSpec, ScopeName, scope_name, with_update
from ..tensor import Tensor
from .activations import activation_function
from .basic import equal, expand_dims, gather, one_axis, reshape, stop_gradient, where
from .normalization import scale_and_shift
from .randomness import by_graph
from .statistics import moments


def owned(
    scope: ScopeName,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    initializer: str | Initializer,
    trainable: bool = True,
) -> Tensor:
    """Return a parameter of a layer, created by the first layer of a scope and shared by later ones."""
    kind = TensorType(dtype, shape)
    spec = scope.specs.get(name)
    if spec is None:
        spec = ParameterSpec(kind, initializer_of(initializer), trainable, scope.where, within=name)
        scope.specs[name] = spec
    if spec.type != kind:
        raise ShapeError(
            f"parameter {scope.base}/{name} is {spec.type}, and this layer needs {kind}; give the layer another name",
            scope.where,
        )
    return parameter_of(scope, name)


def parameter_of(scope: ScopeName, name: str) -> Tensor:
    """Return a parameter that a layer of this scope has created."""
    spec = scope.specs[name]
    return Tensor(make("parameter", where=scope.where, type=spec.type, label=name, slot=spec, scope=scope))


@api
def dense(
    x: Tensor,
    units: int,
    activation: str | Callable[[Any], Tensor] | None = None,
    use_bias: bool = True,
    name: str | None = None,
) -> Tensor:
    """Return activation(x kernel + bias) on the last axis.

    Parameters: ``dense/kernel`` [width, units] and ``dense/bias`` [units]; for the next layer ``dense_1/…``.

    Args:
        x: float [..., width].
        units: Width of the result.
        activation: Name, function, or None for no activation.
        use_bias: Add a bias.
        name: Scope of the parameters in place of ``dense``.

    Returns:
        Tensor [..., units].

    Raises:
        DtypeError: x is not a float Tensor.
        ShapeError: The last size of x is symbolic.
    """
    scope = scope_name(name, "dense", user_line())
    return affine(x, units, activation, scope, ("kernel", "bias") if flag(use_bias, "use_bias") else ("kernel",))


def affine(
    x: Tensor,
    units: int,
    activation: str | Callable[[Any], Tensor] | None,
    scope: ScopeName,
    names: tuple[str, ...],
    initializers: tuple[Any, ...] = ("glorot_uniform", "zeros"),
) -> Tensor:
    """Build a dense layer whose kernel, and bias if there is one, have these names."""
    where = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"dense needs a float Tensor, not {x!r}", where)
    if x.rank < 1 or not isinstance(x.type.shape[-1], int):
        raise ShapeError(f"dense needs a fixed last size, not {x!r}", where)
    count = positive_units(units, "units")
    with within(scope.layer):
        result = x @ owned(scope, names[0], (x.width, count), x.dtype, initializers[0])
        if len(names) == 2:
            result = result + owned(scope, names[1], (count,), x.dtype, initializers[1])
        return activation_function(activation)(result)


@api
def embedding(
    ids: Tensor,
    vocabulary: int | Tensor,
    width: int | None = None,
    name: str | None = None,
    padding_id: int | None = None,
) -> Tensor:
    """Look up rows of a table.

    Args:
        ids: int [...]. Each call checks that ids are rows of the table.
        vocabulary: Number of rows of a table that this layer owns as ``embedding/table``, or a table [vocabulary,
            width].
        width: Width of an owned table.
        name: Scope of the parameter in place of ``embedding``.
        padding_id: Id whose row gets no gradient, so that it keeps its value.

    Returns:
        Tensor [..., width].

    Raises:
        DtypeError: The ids are not ints.
        ShapeError: ``width`` is missing for an owned table.
    """
    at = user_line()
    if not isinstance(ids, Tensor) or ids.dtype not in INTEGERS:
        raise DtypeError(f"embedding needs ids of int32 or int64, not {ids!r}", at)
    if isinstance(vocabulary, Tensor):
        return _without_gradient_at(gather(vocabulary, ids, negative=False), ids, padding_id)
    if width is None:
        raise ShapeError(
            "embedding with a number of rows needs a width; give width=, or a table in place of the number", at
        )
    scope = scope_name(name, "embedding", at)
    shape = (positive_units(vocabulary, "vocabulary"), positive_units(width, "width"))
    with within(scope.layer):
        rows = gather(owned(scope, "table", shape, "float32", "glorot_uniform"), ids, negative=False)
        return _without_gradient_at(rows, ids, padding_id)


def _without_gradient_at(rows: Tensor, ids: Tensor, padding_id: int | None) -> Tensor:
    """Return looked-up rows without a training gradient at the rows of ``padding_id``."""
    if padding_id is None:
        return rows
    is_padding = expand_dims(equal(ids, whole_number(padding_id, "padding_id", 0)), -1)
    return by_graph(training=where(is_padding, stop_gradient(rows), rows), inference=rows)


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
    """Return gamma (x - mean) / sqrt(variance + epsilon) + beta for each entry of ``axis`` (Ioffe and Szegedy 2015).

    The training graph uses the mean and variance of the batch over all other axes, including padding. The inference
    graph uses moving averages. Only steps of a ``Trainer`` update them, to ``average momentum + batch (1 - momentum)``.
    The variance is the mean of squares, as in TensorFlow and Keras; torch's moving variance is n / (n - 1) times as
    large.

    Parameters, each with the size of ``axis``: ``batch_normalization/gamma``, ``beta``, and the untrained
    ``moving_mean`` and ``moving_variance``; for the next layer ``batch_normalization_1/…``.

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
    """Build batch normalization whose moving averages a ``Trainer`` updates."""
    return normalized_with(x, Normalization(axis, momentum, epsilon), scope, initializers)[0]


class Normalization(NamedTuple):
    """Options of batch normalization.

    Attributes:
        axis: Axis of the channels.
        momentum: Share of the old moving average.
        epsilon: Number added to the variance.
        training: True: select by graph. False: both graphs use the moving averages, which nothing updates. A bool
            scalar Tensor: both graphs use the batch's statistics where it is True, and nothing updates the averages.
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
    """Build batch normalization. Return it with (moving average, batch statistic) by name."""
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
        return _normalized(x, options._replace(axis=place), own)


def _normalized(
    x: Tensor, options: Normalization, own: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Build batch normalization with the parameters ``own``. The axis is not negative."""
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
