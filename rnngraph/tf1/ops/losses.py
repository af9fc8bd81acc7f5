"""TensorFlow 1.x's losses: ``tf.nn.*_with_logits``, one value for each row, and ``tf.losses``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions import losses
from ...declare.functions.matching import check_same_shape
from ...declare.tensor import Tensor, as_tensor, build, holds_tensors, like
from ...declare.tensor import constant as make_constant
from ...support.api_guard import api
from ...support.errors import ArgumentError, ShapeError
from ..core import elementwise
from ..core.graph import GraphKeys, get_default_graph
from ..core.operations import operation
from ..core.tensors import gives_tensors
from .shapes import add_n

NONE, SUM = "none", "weighted_sum"
SUM_OVER_BATCH_SIZE, MEAN = "weighted_sum_over_batch_size", "weighted_mean"
SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"


# tf.nn: one value for each row ----------------------------------------------------------------------


def _require_names(sentinel: Any, labels: Any, logits: Any, what: str) -> None:
    """Raise ``ArgumentError`` unless labels and logits are passed by name."""
    if sentinel is not None or labels is None or logits is None:
        raise ArgumentError(f"tf.nn.{what} needs arguments by name: labels=…, logits=…")


def _stacked(value: Any) -> Any:
    """Return a list of Tensors stacked to one Tensor; other values unchanged."""
    return as_tensor(value) if isinstance(value, list | tuple) and holds_tensors(value) else value


@operation
def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """Return -log softmax(logits)[label], one value for each label."""
    _require_names(_sentinel, labels, logits, "sparse_softmax_cross_entropy_with_logits")
    return losses.sparse_softmax_cross_entropy(_stacked(labels), _stacked(logits), reduction="none")


@operation
def softmax_cross_entropy_with_logits(
    _sentinel: Any = None,
    labels: Any = None,
    logits: Any = None,
    dim: int = -1,
    name: str | None = None,
    axis: int | None = None,
) -> Tensor:
    """Return -sum(labels * log softmax(logits)) along an axis. Labels are probabilities."""
    _require_names(_sentinel, labels, logits, "softmax_cross_entropy_with_logits")
    logits = _stacked(logits)
    along = dim if axis is None else axis
    logits = as_tensor(logits)
    targets = labels if isinstance(labels, Tensor) or holds_tensors(labels) else np.asarray(labels, logits.dtype)
    return losses.softmax_cross_entropies(functions.cast(targets, logits.dtype), logits, along)


@operation
def softmax_cross_entropy_with_logits_v2(
    labels: Any, logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None
) -> Tensor:
    """Return the result of ``softmax_cross_entropy_with_logits``."""
    along = next((item for item in (axis, dim) if item is not None), -1)
    return softmax_cross_entropy_with_logits(labels=labels, logits=logits, dim=along)


@operation
def sigmoid_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """Return the binary cross-entropy of sigmoid(logits), elementwise."""
    _require_names(_sentinel, labels, logits, "sigmoid_cross_entropy_with_logits")
    logits = _checked_predictions(labels, _stacked(logits))
    return losses.binary_cross_entropies(like(labels, logits), logits)


def _checked_predictions(labels: Any, predictions: Any) -> Tensor:
    """Return predictions as a Tensor. Raise ``ShapeError`` if labels that are not a scalar have another shape."""
    checked: Tensor = as_tensor(predictions)
    targets = as_tensor(labels)
    if targets.rank:
        check_same_shape(targets, checked)
    return checked


def _labels_and_predictions(labels: Any, predictions: Any) -> tuple[Tensor, Tensor]:
    """Return (labels in the dtype of the predictions, predictions)."""
    checked = _checked_predictions(labels, predictions)
    return functions.cast(like(labels, checked), checked.dtype), checked


# tf.losses: weighted and reduced --------------------------------------------------------------------


def _add_reduced_loss(values: Tensor, weights: Any, reduction: str, into: Any = GraphKeys.LOSSES) -> Tensor:
    """Return values times weights, reduced. Add the result to the collection ``into``, unless that is None."""
    loss = _reduce(values, weights, reduction)
    if into is not None:
        add_loss(loss, into)
    return loss


def _reduce(values: Tensor, weights: Any, reduction: str) -> Tensor:
    """Return values times weights, reduced to a scalar unless ``reduction`` is ``NONE``.

    Args:
        values: Losses.
        weights: A number, or a Tensor that broadcasts to the losses.
        reduction: Constant of ``tf.losses.Reduction``.
    """
    is_number = isinstance(weights, int | float)
    factor = like(weights, values)
    if factor.rank not in (0, values.rank):
        raise ShapeError(
            f"weights {factor!r} must be a scalar or have the rank of the losses {values!r}; "
            "insert axes with tf.expand_dims"
        )
    if is_number and weights == 0:
        raise ArgumentError("weights=0 makes the loss 0; remove this loss")
    weighted = values if is_number and weights == 1 else values * factor
    if reduction == NONE:
        return weighted
    if reduction == SUM:
        return functions.reduce_sum(weighted)
    if reduction == SUM_OVER_BATCH_SIZE or (is_number and reduction == SUM_BY_NONZERO_WEIGHTS):
        return functions.reduce_mean(weighted)
    if is_number and reduction == MEAN:
        return functions.reduce_mean(values)
    full = build("broadcast", factor, shape=values.type.shape)
    if reduction == MEAN:
        return elementwise.div_no_nan(functions.reduce_sum(weighted), functions.reduce_sum(full))
    if reduction == SUM_BY_NONZERO_WEIGHTS:
        count = functions.reduce_sum(functions.cast(functions.not_equal(full, 0), values.dtype))
        return elementwise.div_no_nan(functions.reduce_sum(weighted), count)
    raise ArgumentError(f"reduction={reduction!r} is not offered; use one of tf.losses.Reduction")


@operation
def sparse_softmax_cross_entropy(
    labels: Tensor,
    logits: Tensor,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return -log softmax(logits)[label], weighted and reduced as in ``compute_weighted_loss``.

    Args:
        labels: int [...].
        logits: [..., classes].
    """
    return _add_reduced_loss(
        losses.sparse_softmax_cross_entropy(labels, logits, reduction="none"), weights, reduction, loss_collection
    )


@operation
def softmax_cross_entropy(
    onehot_labels: Tensor,
    logits: Tensor,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return -sum(labels * log softmax(logits)) over the last axis, reduced as in ``compute_weighted_loss``."""
    labels = onehot_labels
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + label_smoothing / logits.width
    return _add_reduced_loss(
        softmax_cross_entropy_with_logits(labels=labels, logits=logits), weights, reduction, loss_collection
    )


@operation
def sigmoid_cross_entropy(
    multi_class_labels: Tensor,
    logits: Tensor,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the binary cross-entropy of sigmoid(logits), weighted and reduced as in ``compute_weighted_loss``."""
    labels = multi_class_labels
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return _add_reduced_loss(
        sigmoid_cross_entropy_with_logits(labels=labels, logits=logits), weights, reduction, loss_collection
    )


@operation
def mean_squared_error(
    labels: Any,
    predictions: Tensor,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return (predictions - labels)^2, weighted and reduced as in ``compute_weighted_loss``."""
    values = losses.mean_squared_error(*_labels_and_predictions(labels, predictions), reduction="elements")
    return _add_reduced_loss(values, weights, reduction, loss_collection)


@operation
def absolute_difference(
    labels: Any,
    predictions: Tensor,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return |predictions - labels|, weighted and reduced as in ``compute_weighted_loss``."""
    values = losses.absolute_difference(*_labels_and_predictions(labels, predictions), reduction="elements")
    return _add_reduced_loss(values, weights, reduction, loss_collection)


@operation
def huber_loss(
    labels: Any,
    predictions: Tensor,
    weights: Any = 1.0,
    delta: float = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the Huber loss, quadratic up to ``delta`` and linear beyond, reduced as in ``compute_weighted_loss``."""
    values = losses.huber_loss(*_labels_and_predictions(labels, predictions), delta=delta, reduction="elements")
    return _add_reduced_loss(values, weights, reduction, loss_collection)


@operation
def log_loss(
    labels: Any,
    predictions: Tensor,
    weights: Any = 1.0,
    epsilon: float = 1e-7,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the binary cross-entropy of probabilities, weighted and reduced as in ``compute_weighted_loss``."""
    labels, p = _labels_and_predictions(labels, predictions)
    values = -(labels * functions.log(p + epsilon)) - (1.0 - labels) * functions.log(1.0 - p + epsilon)
    return _add_reduced_loss(values, weights, reduction, loss_collection)


@operation
def hinge_loss(
    labels: Any,
    logits: Tensor,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return the hinge loss, weighted and reduced as in ``compute_weighted_loss``.

    The loss of a label is max(0, 1 - logits) for labels 1, and max(0, 1 + logits) for labels 0.
    """
    labels, logits = _labels_and_predictions(labels, logits)
    values = elementwise.relu(1.0 - (labels * 2.0 - 1.0) * logits)
    return _add_reduced_loss(values, weights, reduction, loss_collection)


@operation
def cosine_distance(
    labels: Any,
    predictions: Tensor,
    axis: int | None = None,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
    dim: int | None = None,
) -> Tensor:
    """Return 1 minus dot products along an axis, reduced as in ``compute_weighted_loss``. Operands are unit vectors."""
    along = dim if axis is None else axis
    if along is None:
        raise ArgumentError("tf.losses.cosine_distance needs an axis")
    labels, predictions = _labels_and_predictions(labels, predictions)
    values = 1.0 - functions.reduce_sum(labels * predictions, along, True)
    return _add_reduced_loss(values, weights, reduction, loss_collection)


@operation
def compute_weighted_loss(
    losses: Any,
    weights: Any = 1.0,
    scope: Any = None,
    loss_collection: Any = GraphKeys.LOSSES,
    reduction: str = SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:
    """Return losses times their weights, reduced to a scalar unless ``reduction`` is ``Reduction.NONE``.

    By default, the weighted sum is divided by the number of nonzero weights.

    Args:
        losses: Values that the program computed.
        weights: A scalar, or weights of the rank of ``losses`` that broadcast to them.
        scope: Ignored.
        loss_collection: Collection of the graph to which the result is added; None for none.
        reduction: Constant of ``tf.losses.Reduction``.
    """
    return _add_reduced_loss(as_tensor(losses), weights, reduction, loss_collection)


@operation
def weighted_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, pos_weight: Any = 1.0, name: str | None = None, targets: Any = None
) -> Tensor:
    """Return the binary cross-entropy of sigmoid(logits), elementwise. ``pos_weight`` multiplies the labels' terms."""
    values = labels if targets is None else targets
    logits = _checked_predictions(values, logits)
    falling = functions.log1p(functions.exp(-functions.abs(logits))) + functions.maximum(-logits, 0.0)
    return losses.binary_cross_entropies(like(values, logits), logits, pos_weight, falling)


# Collections of losses ---------------------------------------------------------------------------


@api
def add_loss(loss: Tensor, loss_collection: str = GraphKeys.LOSSES) -> None:
    """Add a loss to the graph's collection."""
    get_default_graph().collections[str(loss_collection)].append(loss)


@gives_tensors
def get_losses(scope: str | None = None, loss_collection: str = GraphKeys.LOSSES) -> list[Tensor]:
    """Return the losses in a collection of the graph whose names begin with ``scope``."""
    return get_default_graph().get_collection(loss_collection, scope)


@gives_tensors
def get_regularization_losses(scope: str | None = None) -> list[Tensor]:
    """Return the penalties of the graph's variables; with ``scope``, those whose names begin with it."""
    return get_default_graph().get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


@gives_tensors
def get_regularization_loss(scope: str | None = None, name: str = "total_regularization_loss") -> Tensor:
    """Return the sum of the penalties that ``get_regularization_losses`` returns."""
    losses = get_regularization_losses(scope)
    return add_n(losses) if losses else make_constant(0.0, "float32")


@gives_tensors
def get_total_loss(
    add_regularization_losses: bool = True, name: str = "total_loss", scope: str | None = None
) -> Tensor:
    """Return the sum of all losses of the graph or of a scope, by default with the penalties of variables."""
    losses = get_losses(scope) + (get_regularization_losses(scope) if add_regularization_losses else [])
    if not losses:
        raise ArgumentError("tf.losses.get_total_loss: the graph has no loss; declare one with tf.losses")
    return add_n(losses)
