"""Layers outside time: they own parameters, named by their order of declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
from .basic import equal, expand_dims, gather, one_axis, reduce_mean, reshape, sqrt, square, stop_gradient, where
from .randomness import by_graph


def owned(
    scope: ScopeName, name: str, shape: tuple[int, ...], dtype: str, initializer: str | Initializer,
    trainable: bool = True,
) -> Tensor:  # fmt: skip
    """A parameter of a layer, under the layer's scope: made by the first layer of the scope, found by others."""
    kind = TensorType(dtype, shape)
    spec = scope.specs.get(name)
    if spec is None:
        spec = ParameterSpec(kind, initializer_of(initializer), trainable, scope.where, within=name)
        scope.specs[name] = spec
    if spec.type != kind:
        raise ShapeError(f"parameter {scope.base}/{name} has {spec.type} and is asked for as {kind}", scope.where)
    return parameter_of(scope, name)


def parameter_of(scope: ScopeName, name: str) -> Tensor:
    """A parameter that a layer of a scope has made."""
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
    """activation(x kernel + bias) on the last axis: x [..., width] gives [..., units].

    Owns ``dense/kernel`` [width, units] and ``dense/bias`` [units], then ``dense_1/…``; ``name`` replaces
    ``dense``.

    use_bias: whether a bias is added.
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
    """What dense layers share. names: of the kernel, and of the bias where there is one."""
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
    """Rows of a table at ``ids``: ids [...] gives [..., width].

    vocabulary: the number of rows of a table that this layer owns as ``embedding/table``, or a table
        [vocabulary, width] of one's own. An id outside the table is an error at run time.
    name: in place of ``embedding`` in the name of its parameter.
    padding_id: an id at which the table gets no gradient, so that its row stays as it is.
    """
    at = user_line()
    if not isinstance(ids, Tensor) or ids.dtype not in INTEGERS:
        raise DtypeError(f"embedding needs ids of int32 or int64, not {ids!r}", at)
    if isinstance(vocabulary, Tensor):
        return _without_gradient_at(gather(vocabulary, ids), ids, padding_id)
    if width is None:
        raise ShapeError("embedding needs a width where it owns its table", at)
    scope = scope_name(name, "embedding", at)
    shape = (positive_units(vocabulary, "vocabulary"), positive_units(width, "width"))
    with within(scope.layer):
        rows = gather(owned(scope, "table", shape, "float32", "glorot_uniform"), ids)
        return _without_gradient_at(rows, ids, padding_id)


def _without_gradient_at(rows: Tensor, ids: Tensor, padding_id: int | None) -> Tensor:
    """Rows of a table; in training no gradient passes through those of an id."""
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
    """gamma (x - mean) / sqrt(variance + epsilon) + beta for each entry of ``axis`` (Ioffe and Szegedy 2015).

    The training graph takes mean and variance of the batch, over all other axes, so that what it gives of a row depends
    on the others; padding counts as steps do. The inference graph takes moving averages: a step of a ``Trainer`` that
    counts makes them ``average momentum + (the batch's) (1 - momentum)``, and nothing else changes them. As in
    TensorFlow and Keras the variance is the mean of squares, also in the moving average, where torch's is n / (n - 1)
    times it.

    Owns [x's size along ``axis``] each ``batch_normalization/gamma`` (with ``scale``) and ``beta`` (with ``center``),
    and ``moving_mean`` and ``moving_variance``, which no gradient trains; then ``batch_normalization_1/…``; ``name``
    replaces ``batch_normalization``.
    """
    scope = scope_name(name, "batch_normalization", user_line())
    starts = {"gamma": "ones"} if flag(scale, "scale") else {}
    starts |= {"beta": "zeros"} if flag(center, "center") else {}
    return normalized(x, axis, momentum, epsilon, scope, {**starts, "moving_mean": "zeros", "moving_variance": "ones"})


def normalized(
    x: Tensor, axis: int, momentum: float, epsilon: float, scope: ScopeName,
    initializers: Mapping[str, str | Initializer],
) -> Tensor:  # fmt: skip
    """Batch normalization, whose averages steps of a ``Trainer`` move. initializers: of the parameters it has."""
    return normalized_with(x, axis, momentum, epsilon, scope, initializers, True)[0]


def normalized_with(
    x: Tensor,
    axis: int,
    momentum: float,
    epsilon: float,
    scope: ScopeName,
    initializers: Mapping[str, str | Initializer],
    training: bool | Tensor,
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Batch normalization, and (moving average, statistic of the batch) by name.

    training: False: both graphs take the moving averages, and nothing changes them. A scalar bool Tensor: both graphs
        take the batch's statistics where it is true, and steps change nothing by themselves.
    """
    where = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"batch_normalization needs a float Tensor, not {x!r}", where)
    if x.rank < 2:
        raise ShapeError(f"batch_normalization needs a Tensor [batch, …], not {x!r}", where)
    place = one_axis(x.rank, axis)
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
        return _normalized(x, place, size, momentum, epsilon, own, training)


def _normalized(
    x: Tensor, place: int, size: int, momentum: float, epsilon: float, own: Mapping[str, Tensor],
    training: bool | Tensor,
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:  # fmt: skip
    """own: the parameters that there are, by name."""
    others = tuple(other for other in range(x.rank) if other != place)

    def spread(vector: Tensor) -> Tensor:
        """A number for each entry of the axis, beside x."""
        return vector if place == x.rank - 1 else reshape(vector, (size, *(1,) * (x.rank - 1 - place)))

    def scaled(deviation: Tensor) -> Tensor:
        return own["gamma"] / deviation if "gamma" in own else 1.0 / deviation

    factor = scaled(sqrt(own["moving_variance"] + epsilon))
    shift = -own["moving_mean"] * factor
    inferred = x * spread(factor) + spread(shift + own["beta"] if "beta" in own else shift)
    if not isinstance(training, Tensor) and not training:
        return inferred, {}
    mean = reduce_mean(x, others, keepdims=True)
    centred = x - mean
    average = {"moving_mean": reshape(mean, (size,))}
    average["moving_variance"] = reduce_mean(square(centred), others)
    trained = centred * spread(scaled(sqrt(average["moving_variance"] + epsilon)))
    trained = trained + spread(own["beta"]) if "beta" in own else trained
    statistics = {key: (own[key], value) for key, value in average.items()}
    if isinstance(training, Tensor):
        return where(training, trained, inferred), statistics
    for key, value in average.items():
        trained = with_update(trained, own[key], own[key] * momentum + value * (1.0 - momentum))
    return by_graph(training=trained, inference=inferred), statistics
