"""Metrics of binary classification at many thresholds: areas under curves, and points on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, constant
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, shown
from ..core.scopes import name_scope
from ..core.tensors import gives_tensors
from .accumulating import Metric, Total, floats, metric_of, ratio, same_rank, total, truth, weighted

_MARGIN = 1e-7
"""Distance of the outer thresholds from 0 and 1. It is also added to divisors, so that quotients stay finite."""
_NAMES = {"tp": "true_positives", "fn": "false_negatives", "tn": "true_negatives", "fp": "false_positives"}


def _counts(
    labels: Any, predictions: Any, thresholds: Sequence[float], weights: Any, which: Sequence[str]
) -> list[Total]:
    """Return the weighted number of examples [thresholds] of each kind in ``which``, as totals over all runs.

    Predictions above a threshold are positive.

    Args:
        labels: Labels, of which 0 is negative.
        predictions: Numbers.
        thresholds: The thresholds.
        weights: Weights of examples, or None.
        which: Kinds of examples, such as "tp" for true positives.
    """
    a, b = (functions.reshape(item, [1, -1]) for item in same_rank(labels, predictions))
    sides = functions.reshape(constant(np.asarray(thresholds, np.float32)), [-1, 1])
    above, label = functions.greater(floats(b), sides), truth(a)
    scales = None if weights is None else functions.reshape(floats(weights), [1, -1])
    _, factors = weighted(floats(label), scales)
    totals: list[Total] = []
    for kind in which:
        predicted = above if kind[1] == "p" else functions.logical_not(above)
        is_label = label if kind in ("tp", "fn") else functions.logical_not(label)
        hits = functions.cast(functions.logical_and(predicted, is_label), "float32") * factors
        totals.append(total(_NAMES[kind], functions.reduce_sum(hits, 1)))
    return totals


def _spread(count: int) -> list[float]:
    """Return ``count`` evenly spaced thresholds. The first is just below 0, and the last just above 1."""
    number = whole_number(count, "num_thresholds", 2)
    return [-_MARGIN, *((place + 1) / (number - 1) for place in range(number - 2)), 1.0 + _MARGIN]


@gives_tensors
def auc(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    num_thresholds: int = 200,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    curve: str = "ROC",
    name: str | None = None,
    summation_method: str = "trapezoidal",
    thresholds: Any = None,
) -> Metric:
    """Return the area under the ROC curve or the precision-recall curve.

    Args:
        num_thresholds: Number of evenly spaced thresholds from 0 to 1. No effect with ``thresholds``.
        curve: "ROC" or "PR".
        summation_method: "trapezoidal", "minoring", "majoring", or "careful_interpolation". For ROC, the last one is
            "trapezoidal".
        thresholds: List of thresholds between 0 and 1, to which one below 0 and one above 1 are added. None: evenly
            spaced ones.
    """
    if curve not in ("ROC", "PR"):
        raise ArgumentError(f'tf.metrics.auc: curve must be "ROC" or "PR", not {shown(curve)}')
    if summation_method not in ("trapezoidal", "careful_interpolation", "minoring", "majoring"):
        raise ArgumentError(
            f"tf.metrics.auc: unknown summation_method {shown(summation_method)}; use trapezoidal, "
            "careful_interpolation, minoring or majoring"
        )
    sides = _spread(num_thresholds) if thresholds is None else [-_MARGIN, *sorted(thresholds), 1.0 + _MARGIN]

    def area(tp: Tensor, fn: Tensor, tn: Tensor, fp: Tensor) -> Tensor:
        epsilon = 1e-6
        if curve == "PR" and summation_method == "careful_interpolation":
            return _interpolated(tp, fn, fp)
        hits = (tp + epsilon) / (tp + fn + epsilon)
        x, y = (fp / (fp + tn + epsilon), hits) if curve == "ROC" else (hits, (tp + epsilon) / (tp + fp + epsilon))
        if summation_method == "minoring":
            heights = functions.minimum(y[:-1], y[1:])
        elif summation_method == "majoring":
            heights = functions.maximum(y[:-1], y[1:])
        else:
            heights = (y[:-1] + y[1:]) / 2.0
        return functions.reduce_sum((x[:-1] - x[1:]) * heights)

    with name_scope(name or "auc"):
        counts = _counts(labels, predictions, sides, weights, ("tp", "fn", "tn", "fp"))
        return metric_of(counts, area, metrics_collections, updates_collections)


def _interpolated(tp: Tensor, fn: Tensor, fp: Tensor) -> Tensor:
    """Return the area under the precision-recall curve, interpolated as in Davis & Goadrich 2006."""
    hits, positives = tp[:-1] - tp[1:], tp + fp
    slope = ratio(hits, positives[:-1] - positives[1:])
    begins = tp[1:] - slope * positives[1:]
    is_positive = functions.logical_and(functions.greater(positives[:-1], 0.0), functions.greater(positives[1:], 0.0))
    steps = functions.where(is_positive, positives[:-1] / functions.where(is_positive, positives[1:], 1.0), 1.0)
    return functions.reduce_sum(ratio(slope * (hits + begins * functions.log(steps)), tp[1:] + fn[1:]))


@gives_tensors
def precision_at_thresholds(
    labels: Any,
    predictions: Any,
    thresholds: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the precision at each threshold, [thresholds]."""
    with name_scope(name or "precision_at_thresholds"):
        counts = _counts(labels, predictions, thresholds, weights, ("tp", "fp"))
        return metric_of(counts, lambda tp, fp: tp / (tp + fp + _MARGIN), metrics_collections, updates_collections)


@gives_tensors
def recall_at_thresholds(
    labels: Any,
    predictions: Any,
    thresholds: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the recall at each threshold, [thresholds]."""
    with name_scope(name or "recall_at_thresholds"):
        counts = _counts(labels, predictions, thresholds, weights, ("tp", "fn"))
        return metric_of(counts, lambda tp, fn: tp / (tp + fn + _MARGIN), metrics_collections, updates_collections)
