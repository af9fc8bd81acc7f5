"""Losses and ``accuracy``.

A loss is a scalar. ``reduction="none"`` returns one value for each row or step, ``"elements"`` one for each element.
"""

from __future__ import annotations

from typing import Any

from ...ir.graph import topological
from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api
from ...support.arguments import check_positive
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..tensor import Tensor, build, like
from .activations import log_softmax, softplus
from .basic import (
    abs,
    argmax,
    cast,
    equal,
    expand_dims,
    log1p,
    maximum,
    minimum,
    reduce_sum,
    square,
    where,
)
from .basic import exp as exponential
from .matching import class_labels, compared, is_within, lengths_of_rows


def reduce_loss(losses: Tensor, weights: Any, lengths: Any, reduction: str) -> Tensor:
    """Return the weighted mean or sum of the losses of rows or steps, or the weighted losses themselves.

    Args:
        losses: float [batch] or [batch, time].
        weights: Number or Tensor that broadcasts with ``losses``.
        lengths: int [batch]. Steps beyond a row's length do not count. None: all steps count.
        reduction: ``mean``: the sum divided by the sum of the weights that count. If these add up to 0, the mean is 0;
            but NaN if ``weights`` is a number and there are no lengths. ``sum``: the sum of the weighted losses.
            ``none``: the weighted losses.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(
            f"reduction={reduction!r} is not offered; use mean, sum or none, or elements for losses that "
            "average over the last axis"
        )
    factor = build("broadcast", like(weights, losses), shape=losses.type.shape)
    if lengths is not None:
        real = real_steps(losses, lengths)
        factor, losses = where(real, factor, 0), where(real, losses, 0)
    weighted = losses * factor
    if reduction == "none":
        return weighted
    total = reduce_sum(weighted)
    if reduction == "sum":
        return total
    count = reduce_sum(factor)
    if lengths is None and isinstance(weights, int | float):
        return total / count
    return total / where(equal(count, 0), 1, count)


def _check_order(labels: Any, logits: Any) -> None:
    """Raise ``ArgumentError`` if labels depend on trained parameters and logits do not.

    The arguments are then probably swapped: torch and early versions of TensorFlow take logits first.
    """
    if _is_learned(labels) and not _is_learned(logits):
        raise ArgumentError(
            "the first argument, labels, depends on trained parameters, and the second, logits, does not; swap the "
            "arguments"
        )


def _is_learned(value: Any) -> bool:
    """True if a Tensor depends on a trainable parameter."""
    if not isinstance(value, Tensor):
        return False
    dependencies = topological([value.node])
    specs = [node["slot"] for node in dependencies if node.op == "parameter"]
    drivers = (driver for node in dependencies if node.op == "driver" for driver, _ in node["driver"].with_inner())
    specs += [spec for driver in drivers for spec, _ in driver.names.parameters]
    return any(spec.trainable for spec in specs)


def real_steps(losses: Tensor, lengths: Any) -> Tensor:
    """Return a mask [batch, time] that is True for the steps within each row's length."""
    if losses.rank != 2:
        raise ShapeError(f"lengths= needs losses [batch, time], not {losses!r}")
    limit = expand_dims(lengths_of_rows(lengths, losses.type.shape[0], "lengths"), -1)
    return is_within(losses.type.shape[1], limit, within="lengths")


def _class_labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Return labels as int64, after a check of dtypes and that their shape is that of logits without the classes."""
    if not isinstance(labels, Tensor) or labels.dtype not in INTEGERS:
        raise DtypeError(f"labels must be a Tensor of int32 or int64, not {labels!r}")
    if not isinstance(logits, Tensor) or logits.dtype not in FLOATS:
        raise DtypeError(f"logits must be a float Tensor, not {logits!r}")
    return cast(class_labels(labels, logits), "int64")


@api
def sparse_softmax_cross_entropy(
    labels: Tensor, logits: Tensor, weights: Any = 1.0, lengths: Any = None, reduction: str = "mean"
) -> Tensor:
    """Return the cross-entropy -log softmax(logits)[label].

    Args:
        labels: int [...]. Each call checks that fed labels are in 0..classes - 1. A computed label out of that range
            has a loss of 0.
        logits: float [..., classes].
        weights: Number or Tensor that broadcasts with the losses [...].
        lengths: int [batch], for losses [batch, time]. Steps beyond a row's length do not count.
        reduction: ``mean``: the weighted mean over the steps that count. ``sum``: their weighted sum. ``none``: the
            weighted losses [...].
    """
    labels = _class_labels(labels, logits)
    if lengths is not None:  # values beyond a row's length need not be valid labels
        labels = where(real_steps(labels, lengths), labels, 0)
    hit = build("equal", expand_dims(labels, -1), build("iota", size=logits.type.shape[-1]), within="labels")
    chosen = reduce_sum(where(hit, log_softmax(logits), 0), axis=-1)
    return reduce_loss(-chosen, weights, lengths, reduction)


@api
def softmax_cross_entropy(
    labels: Tensor, logits: Tensor, weights: Any = 1.0, lengths: Any = None, reduction: str = "mean"
) -> Tensor:
    """Return -sum(labels * log softmax(logits)) over the last axis, where labels are probabilities.

    Args:
        labels: float [..., classes].
        logits: float [..., classes].
        weights: As for ``sparse_softmax_cross_entropy``.
        lengths: As for ``sparse_softmax_cross_entropy``.
        reduction: As for ``sparse_softmax_cross_entropy``.
    """
    _check_order(labels, logits)
    labels, logits = compared(labels, logits)
    return reduce_loss(softmax_cross_entropies(labels, logits, -1), weights, lengths, reduction)


@api
def sigmoid_cross_entropy(
    labels: Tensor,
    logits: Tensor,
    weights: Any = 1.0,
    lengths: Any = None,
    reduction: str = "mean",
    *,
    pos_weight: Any = None,
) -> Tensor:
    """Return the binary cross-entropy of sigmoid(logits), averaged over the last axis. Labels are probabilities.

    Args:
        labels: float [..., classes].
        logits: float [..., classes].
        weights: As for ``mean_squared_error``.
        lengths: As for ``mean_squared_error``.
        reduction: As for ``mean_squared_error``.
        pos_weight: Weight of the loss where a label is 1: a number or a Tensor that broadcasts with the labels. It does
            not change the divisor of the mean.
    """
    _check_order(labels, logits)
    labels, logits = compared(labels, logits)
    return _reduce_elements(binary_cross_entropies(labels, logits, pos_weight), weights, lengths, reduction)


@api
def mean_squared_error(
    labels: Tensor, predictions: Tensor, weights: Any = 1.0, lengths: Any = None, reduction: str = "mean"
) -> Tensor:
    """Return (labels - predictions)^2, averaged over the last axis unless that is the batch.

    Args:
        labels: float Tensor of the shape of the predictions, or a number.
        predictions: float Tensor, or a number.
        weights: As for ``sparse_softmax_cross_entropy``. With ``elements``, weights broadcast with the elements.
        lengths: As for ``sparse_softmax_cross_entropy``.
        reduction: As for ``sparse_softmax_cross_entropy``, or ``elements``: the loss of each element, without an
            average over the last axis.
    """
    labels, predictions = compared(labels, predictions)
    return _reduce_elements(square(predictions - labels), weights, lengths, reduction)


@api
def absolute_difference(
    labels: Tensor, predictions: Tensor, weights: Any = 1.0, lengths: Any = None, reduction: str = "mean"
) -> Tensor:
    """Return |labels - predictions|, averaged over the last axis unless that is the batch.

    Args:
        labels: float Tensor of the shape of the predictions, or a number.
        predictions: float Tensor, or a number.
        weights: As for ``mean_squared_error``.
        lengths: As for ``mean_squared_error``.
        reduction: As for ``mean_squared_error``.
    """
    labels, predictions = compared(labels, predictions)
    return _reduce_elements(abs(predictions - labels), weights, lengths, reduction)


@api
def huber_loss(
    labels: Tensor,
    predictions: Tensor,
    weights: Any = 1.0,
    delta: float = 1.0,
    lengths: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the Huber loss (1964) of the errors predictions - labels: quadratic up to ``delta``, and linear beyond.

    As in ``mean_squared_error``, losses are averaged over the last axis unless that is the batch.

    Args:
        labels: float Tensor of the shape of the predictions, or a number.
        predictions: float Tensor, or a number.
        weights: As for ``mean_squared_error``.
        delta: Absolute error from which the loss is linear; positive.
        lengths: As for ``mean_squared_error``.
        reduction: As for ``mean_squared_error``.

    Raises:
        ArgumentError: ``delta`` is not positive. Or ``weights`` is a number other than 1, ``delta`` is 1, and
            ``reduction`` is ``mean``: the number, which the mean would cancel, was probably meant as ``delta``.
    """
    check_positive("delta", delta)
    if isinstance(weights, int | float) and weights != 1 and delta == 1.0 and reduction == "mean":
        raise ArgumentError(
            f"weights={shown(weights)} is one number, which the mean divides out again; write "
            f"delta={shown(weights)} for the point where the loss becomes linear, or multiply the loss to scale it"
        )
    labels, predictions = compared(labels, predictions)
    return _reduce_elements(huber_losses(predictions - labels, delta), weights, lengths, reduction)


@api
def accuracy(labels: Tensor, logits: Tensor, weights: Any = 1.0, lengths: Any = None) -> Tensor:
    """Return the fraction of labels that equal ``argmax(logits)``. It has no gradient.

    Args:
        labels: int [...]. A label that is not a class never matches.
        logits: float [..., classes].
        weights: Number or Tensor that broadcasts with the labels. The result is a weighted mean.
        lengths: int [batch]. Steps beyond a row's length do not count.

    Returns:
        Scalar of the logits' dtype.
    """
    hit = equal(argmax(logits), _class_labels(labels, logits))
    return reduce_loss(cast(hit, logits.dtype), weights, lengths, "mean")


def _reduce_elements(losses: Tensor, weights: Any, lengths: Any, reduction: str) -> Tensor:
    """Average the losses of elements over the last axis, and apply ``reduce_loss``. Losses [batch] are not averaged.

    With the reduction ``elements``, return the weighted losses themselves.
    """
    if reduction == "elements":
        if lengths is not None:
            raise ArgumentError(
                'reduction="elements" takes no lengths; use reduction="none", or weights that are 0 in the padding'
            )
        is_plain = isinstance(weights, int | float) and weights == 1
        return losses if is_plain else losses * like(weights, losses)
    if losses.rank > 1:
        losses = reduce_sum(losses, axis=-1) / float(losses.width)
    return reduce_loss(losses, weights, lengths, reduction)


# Losses of elements and rows, before any reduction ---------------------------


def softmax_cross_entropies(labels: Tensor, logits: Tensor, axis: int) -> Tensor:
    """Return -sum(labels * log softmax(logits)) over ``axis``, without that axis."""
    return -reduce_sum(build("mul", labels, log_softmax(logits, axis), labels="classes"), axis=axis)


def binary_cross_entropies(
    labels: Any, logits: Tensor, pos_weight: Any = None, falling: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy of sigmoid(logits) for each element.

    Args:
        labels: Probabilities of the positive class; number or Tensor that broadcasts with the logits.
        logits: float Tensor.
        pos_weight: Weight of the term of label 1. With None, the loss of an infinite logit of the right sign is 0.
        falling: softplus(-logits), from front ends whose softplus has another slope at 0. None: computed here. It has
            no effect without ``pos_weight``.
    """
    if pos_weight is None:
        falling = log1p(exponential(minimum(logits, -logits)))  # operands in the order of softplus, for the slope at 0
        return maximum(0, logits) - build("mul", labels, logits, labels="truths") + falling
    falling = softplus(-logits) if falling is None else falling
    if not (isinstance(pos_weight, int | float) and pos_weight == 1):
        falling = (1.0 + (like(pos_weight, logits) - 1.0) * labels) * falling
    return (1.0 - labels) * logits + falling


def huber_losses(errors: Tensor, delta: float) -> Tensor:
    """Return the Huber loss of each element of ``errors``: quadratic up to ``delta``, and linear beyond."""
    size = abs(errors)
    inner = minimum(size, delta)
    return inner * inner * 0.5 + (size - inner) * delta
