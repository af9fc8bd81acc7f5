"""Averages over many runs: of numbers, and of errors between labels and predictions."""

from __future__ import annotations

from typing import Any

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor
from ..core import elementwise
from ..core.scopes import name_scope
from ..core.tensors import gives_tensors
from .accumulating import Metric, floats, map_metric, metric_of, ratio, same_rank, total, weighted


def averaged(values: Any, weights: Any, metrics: Any, updates: Any, name: str) -> Metric:
    """Return the weighted mean of all values of all runs. Its variables are under the name scope ``name``."""
    with name_scope(name):
        products, factors = weighted(floats(values), weights)
        totals = [total("total", functions.reduce_sum(products)), total("count", functions.reduce_sum(factors))]
        return metric_of(totals, ratio, metrics, updates)


@gives_tensors
def mean(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the weighted mean of all values of all runs."""
    return averaged(values, weights, metrics_collections, updates_collections, name or "mean")


@gives_tensors
def mean_tensor(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the weighted mean over runs of each entry of a Tensor of fixed shape."""
    with name_scope(name or "mean"):
        products, factors = weighted(floats(values), weights)
        totals = [total("total_tensor", products), total("count_tensor", factors)]
        return metric_of(totals, ratio, metrics_collections, updates_collections)


@gives_tensors
def percentage_below(
    values: Any,
    threshold: float,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the weighted share of values below a threshold."""
    below = functions.less(as_tensor(values), threshold)
    title = name or "percentage_below_threshold"
    return averaged(below, weights, metrics_collections, updates_collections, title)


@gives_tensors
def mean_absolute_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the mean of |predictions - labels|."""
    errors = functions.abs(_difference(labels, predictions))
    return averaged(errors, weights, metrics_collections, updates_collections, name or "mean_absolute_error")


@gives_tensors
def mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the mean of (predictions - labels)^2."""
    errors = functions.square(_difference(labels, predictions))
    return averaged(errors, weights, metrics_collections, updates_collections, name or "mean_squared_error")


@gives_tensors
def root_mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the square root of the mean of (predictions - labels)^2."""
    errors = functions.square(_difference(labels, predictions))
    title = name or "root_mean_squared_error"
    return map_metric(averaged(errors, weights, metrics_collections, updates_collections, title), functions.sqrt)


@gives_tensors
def mean_relative_error(
    labels: Any,
    predictions: Any,
    normalizer: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the mean of |labels - predictions| / normalizer, with 0 where the normalizer is 0."""
    ratios = elementwise.div_no_nan(functions.abs(_difference(labels, predictions)), floats(normalizer))
    return averaged(ratios, weights, metrics_collections, updates_collections, name or "mean_relative_error")


@gives_tensors
def mean_cosine_distance(
    labels: Any,
    predictions: Any,
    dim: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return 1 minus the mean dot product, along the axis ``dim``, of labels and predictions that are unit vectors."""
    a, b = same_rank(labels, predictions)
    products = functions.reduce_sum(floats(a) * floats(b), dim, True)
    title = name or "mean_cosine_distance"
    return map_metric(
        averaged(products, weights, metrics_collections, updates_collections, title),
        lambda similarity: 1.0 - similarity,
    )


def _difference(labels: Any, predictions: Any) -> Tensor:
    a, b = same_rank(labels, predictions)
    return functions.cast(b, "float32") - functions.cast(a, "float32")
