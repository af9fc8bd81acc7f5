"""Sequence losses: over lists of steps (``legacy_seq2seq``), and over Tensors (``seq2seq``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core.operations import operation
from ..ops.functions import cast, reshape
from ..ops.losses import sparse_softmax_cross_entropy_with_logits
from ..ops.shapes import add_n, shape

Loss = Callable[..., Tensor] | None
"""Function of the arguments ``labels`` and ``logits`` that returns a loss; None for the softmax cross-entropy."""


def _cross_entropy(labels: Tensor, logits: Tensor, function: Loss) -> Tensor:
    """Return the loss of each label, in the shape of ``labels``.

    Args:
        labels: Class indices.
        logits: Logits in the shape of ``labels`` and a last axis of classes.
        function: Function that replaces the cross-entropy, or None.
    """
    if function is None:
        return sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if not callable(function):
        raise DtypeError(f"softmax_loss_function must be a function of labels= and logits=, not {shown(function)}")
    return function(labels=labels, logits=logits)


def check_lists(what: str, **lists: Any) -> None:
    """Raise an error unless all ``lists`` are lists of equal length, with one Tensor per step."""
    sizes = set()
    for name, items in lists.items():
        if not isinstance(items, list | tuple) or not items:
            raise DtypeError(f"{what}: {name} must be a list of Tensors, one per step, not {shown(items)}")
        sizes.add(len(items))
    if len(sizes) > 1:
        lengths = ", ".join(f"{len(items)} {name}" for name, items in lists.items())
        raise ArgumentError(f"{what} has {lengths}; pass lists of one length, with one entry for each step")


@operation
def sequence_loss_by_example(
    logits: Sequence[Tensor],
    targets: Sequence[Tensor],
    weights: Sequence[Any],
    average_across_timesteps: bool = True,
    softmax_loss_function: Loss = None,
    name: str | None = None,
) -> Tensor:
    """Return the weighted cross-entropy of each row [batch], averaged over steps by default.

    Args:
        logits: List of the logits [batch, classes] of each step.
        targets: List of the labels of each step, int [batch].
        weights: List of the weights [batch] of each step.
        average_across_timesteps: True to divide the sum over steps by the sum of the row's weights.
        softmax_loss_function: Function of ``labels`` and ``logits`` that replaces the cross-entropy.
    """
    check_lists("sequence_loss_by_example", logits=logits, targets=targets, weights=weights)
    steps = []
    for logit, target, weight in zip(logits, targets, weights, strict=True):
        target = target if softmax_loss_function is not None else reshape(target, [-1])
        steps.append(_cross_entropy(target, logit, softmax_loss_function) * weight)
    total = add_n(steps)
    return total / (add_n(list(weights)) + 1e-12) if average_across_timesteps else total


@operation
def legacy_sequence_loss(
    logits: Sequence[Tensor],
    targets: Sequence[Tensor],
    weights: Sequence[Any],
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    softmax_loss_function: Loss = None,
    name: str | None = None,
) -> Tensor:
    """Return the sum of ``sequence_loss_by_example``, by default divided by the number of rows."""
    cost = functions.reduce_sum(
        sequence_loss_by_example(logits, targets, weights, average_across_timesteps, softmax_loss_function)
    )
    return cost / cast(shape(targets[0])[0], cost.dtype) if average_across_batch else cost


legacy_sequence_loss.__name__ = legacy_sequence_loss.__qualname__ = "sequence_loss"


@operation
def sequence_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    sum_over_timesteps: bool = False,
    sum_over_batch: bool = False,
    softmax_loss_function: Loss = None,
    name: str | None = None,
) -> Tensor:
    """Return the weighted cross-entropy of sequences, averaged or summed over the chosen axes.

    An average divides by the sum of the weights over the same axes. The result is a scalar by default. An axis that is
    neither averaged nor summed remains.

    Args:
        logits: [batch, time, classes].
        targets: int [batch, time].
        weights: [batch, time], 1 for real steps and 0 past a row's end.
        softmax_loss_function: Function of ``labels`` [batch * time] and ``logits`` [batch * time, classes] that
            replaces the cross-entropy.
    """
    logits, targets, weights = as_tensor(logits), as_tensor(targets), as_tensor(weights)
    if logits.rank != 3 or targets.rank != 2 or weights.rank != 2:
        raise ShapeError(
            "sequence_loss needs logits [batch, time, classes], targets [batch, time] and weights [batch, time], not "
            f"{logits!r}, {targets!r} and {weights!r}"
        )
    if (average_across_timesteps and sum_over_timesteps) or (average_across_batch and sum_over_batch):
        raise ArgumentError(
            "sequence_loss can't both average and sum over an axis; pass average_across_timesteps=False or "
            "average_across_batch=False with a sum"
        )
    if softmax_loss_function is None:
        weighted = _cross_entropy(targets, logits, None) * weights
    else:  # the program's loss function receives one row per step
        flat = _cross_entropy(reshape(targets, [-1]), reshape(logits, [-1, logits.width]), softmax_loss_function)
        weighted = reshape(flat * reshape(weights, [-1]), shape(targets))
    if average_across_timesteps and average_across_batch:
        return functions.reduce_sum(weighted) / (functions.reduce_sum(weights) + 1e-12)
    if average_across_timesteps or average_across_batch:
        axis = 1 if average_across_timesteps else 0
        average = functions.reduce_sum(weighted, axis) / (functions.reduce_sum(weights, axis) + 1e-12)
        summed = sum_over_batch if average_across_timesteps else sum_over_timesteps
        return functions.reduce_sum(average) if summed else average
    axes = [axis for axis, summed in ((0, sum_over_batch), (1, sum_over_timesteps)) if summed]
    return functions.reduce_sum(weighted, tuple(axes)) if axes else weighted
