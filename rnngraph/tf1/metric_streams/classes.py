"""Metrics of classes over many runs: accuracy, precision, recall and confusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor
from ..core.scopes import name_scope
from ..core.tensors import gives_tensors
from ..ops.selection import confusion_matrix
from .accumulating import Metric, Total, floats, metric_of, ratio, same_rank, total, truth, weighted
from .means import averaged


@gives_tensors
def accuracy(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the accuracy: the weighted share of predictions that equal their label."""
    right = _right(labels, predictions)
    return averaged(right, weights, metrics_collections, updates_collections, name or "accuracy")


def _right(labels: Any, predictions: Any) -> Tensor:
    """Return 1.0 where a prediction equals its label, and 0.0 elsewhere."""
    a, b = same_rank(labels, predictions)
    return functions.cast(functions.equal(functions.cast(b, a.dtype), a), "float32")


# Two classes ---------------------------------------------------------------------------------------


def _counted(labels: Any, predictions: Any, weights: Any, which: tuple[bool, bool], name: str) -> Total:
    """Return the weighted number of examples with given truth values, as a total over all runs.

    Args:
        labels: Labels.
        predictions: Predictions.
        weights: Weights of examples, or None.
        which: (label != 0, prediction != 0) of the examples to count.
        name: Name scope of the total.
    """
    with name_scope(name):
        a, b = (truth(item) for item in same_rank(labels, predictions))
        a, b = (
            item if is_positive else functions.logical_not(item)
            for item, is_positive in zip((a, b), which, strict=True)
        )
        count, _ = weighted(floats(functions.logical_and(a, b)), weights)
        return total("count", functions.reduce_sum(count))


def _count(which: tuple[bool, bool], title: str, doc: str) -> Callable[..., Metric]:
    """Return the function ``tf.metrics.<title>``, which counts examples. See ``_counted`` for ``which``."""

    def count(
        labels: Any,
        predictions: Any,
        weights: Any = None,
        metrics_collections: Any = None,
        updates_collections: Any = None,
        name: str | None = None,
    ) -> Metric:
        counted = _counted(labels, predictions, weights, which, name or title)
        return metric_of([counted], lambda number: number * 1.0, metrics_collections, updates_collections)

    count.__name__ = count.__qualname__ = title
    count.__doc__ = doc
    return gives_tensors(count)


true_positives = _count(
    (True, True), "true_positives", "Return the number of examples whose label and prediction are nonzero."
)
false_positives = _count(
    (False, True), "false_positives", "Return the number of examples of which only the prediction is nonzero."
)
false_negatives = _count(
    (True, False), "false_negatives", "Return the number of examples of which only the label is nonzero."
)
true_negatives = _count(
    (False, False), "true_negatives", "Return the number of examples whose label and prediction are 0."
)


@gives_tensors
def precision(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the precision: the share of nonzero predictions whose label is nonzero."""
    with name_scope(name or "precision"):
        right = _counted(labels, predictions, weights, (True, True), "true_positives")
        wrong = _counted(labels, predictions, weights, (False, True), "false_positives")
        return metric_of([right, wrong], lambda a, b: ratio(a, a + b), metrics_collections, updates_collections)


@gives_tensors
def recall(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the recall: the share of nonzero labels whose prediction is nonzero."""
    with name_scope(name or "recall"):
        right = _counted(labels, predictions, weights, (True, True), "true_positives")
        wrong = _counted(labels, predictions, weights, (True, False), "false_negatives")
        return metric_of([right, wrong], lambda a, b: ratio(a, a + b), metrics_collections, updates_collections)


# Several classes -----------------------------------------------------------------------------------


@gives_tensors
def mean_per_class_accuracy(
    labels: Any,
    predictions: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the mean of the classes' accuracies, which are 0 for classes without labels.

    The accuracy of a class is the share of its examples that are predicted right. The update has the accuracies
    [num_classes].
    """
    with name_scope(name or "mean_accuracy"):
        a, b = (functions.reshape(item, [-1]) for item in same_rank(labels, predictions))
        scales = None if weights is None else functions.reshape(floats(weights), [-1])
        right, factors = weighted(_right(a, b), scales)
        hit = functions.one_hot(a, num_classes, "float32")

        def added(values: Tensor) -> Tensor:
            return functions.reduce_sum(hit * functions.expand_dims(values, 1), 0)

        totals = [total("total", added(factors)), total("count", added(right))]
        return metric_of(
            totals,
            lambda count, correct: functions.reduce_mean(ratio(correct, count)),
            metrics_collections,
            updates_collections,
            lambda count, correct: ratio(correct, count),
        )


@gives_tensors
def mean_iou(
    labels: Any,
    predictions: Any,
    num_classes: int,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Metric:
    """Return the mean intersection over union of labels and predictions, over the classes that occur.

    The update has the confusion matrix, float64 [num_classes, num_classes].
    """
    with name_scope(name or "mean_iou"):
        a, b = (functions.reshape(as_tensor(item), [-1]) for item in same_rank(labels, predictions))
        factors = None if weights is None else functions.reshape(floats(weights), [-1])
        confusion = confusion_matrix(a, b, num_classes, "float64", weights=factors)
        matrix = total("total_confusion_matrix", confusion, "float64")
        return metric_of([matrix], _iou, metrics_collections, updates_collections, lambda after: after * 1.0)


def _iou(matrix: Tensor) -> Tensor:
    """Return the mean intersection over union from a confusion matrix, over the classes that occur."""
    counts = functions.cast(matrix, "float32")
    both = functions.stack([counts[number, number] for number in range(int(str(matrix.shape[0])))])
    either = functions.reduce_sum(counts, 0) + functions.reduce_sum(counts, 1) - both
    occurs = functions.cast(functions.not_equal(either, 0.0), "float32")
    return ratio(functions.reduce_sum(ratio(both, either)), functions.reduce_sum(occurs))
