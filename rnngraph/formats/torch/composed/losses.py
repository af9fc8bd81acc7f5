"""Handlers of torch's losses: some call a loss of ``rg``, the others are computed by other torch functions."""

from __future__ import annotations

import inspect
from functools import partial

import torch
from torch.nn import functional

from ....declare.functions import losses as ours
from ....ir.types import FLOATS
from ...steps import Value
from ..tracing.kinds import Argument, Function, Number, Operand, Result
from ..tracing.registry import UnreadableError, composed, reads
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Lazy, dtype_of, shape_of


def _reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return the reduction. The deprecated arguments ``size_average`` and ``reduce`` override ``reduction``."""
    if size_average is None and reduce is None:
        return reduction
    return "none" if reduce is False else "sum" if size_average is False else "mean"


def _reduced(x: torch.Tensor, reduction: str) -> torch.Tensor:
    return x if reduction == "none" else x.sum() if reduction == "sum" else x.mean()


def _reduced_by_weights(x: torch.Tensor, weight: torch.Tensor | None, reduction: str) -> torch.Tensor:
    """Reduce losses, weighted unless ``weight`` is None. The mean of weighted losses is divided by the weights' sum."""
    if weight is None or reduction != "mean":
        return _reduced(x if weight is None else weight * x, reduction)
    return (weight * x).sum() / weight.sum()


def _argument_of_caller(function: Function, name: str) -> object:
    """Return the argument ``name`` of the innermost running call of a torch function; None if no call is running.

    For functions that drop this argument in the inner call that the tracer intercepts.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals[name]


# Elementwise losses of rg ---------------------------------------------------------------------------


def _elementwise_losses(tracer: Tracer, function: Function, x: Operand, target: Operand, **options: object) -> Value:
    """Declare the unreduced losses, one per element.

    Operands are broadcast first, because losses of ``rg`` do not broadcast.
    """
    operands = [item if isinstance(item, Lazy) else tracer.value(item) for item in (x, target)]
    whole = tracer.sizes.broadcast(*map(shape_of, operands))
    dtype = DTYPES[tracer.expected.dtype]

    def operand(item: Value | Lazy, other: Value | Lazy) -> Value | Number:
        if tracer.is_number(item) and shape_of(other) == whole and not tracer.is_number(other):
            return item.number
        if shape_of(item) != whole:
            item = tracer.by_torch(lambda *both: torch.broadcast_tensors(*both)[0], item, other)
        return tracer.value(item, dtype)

    return tracer.call(function, operand(operands[1], operands[0]), operand(*operands), **options, reduction="elements")


@reads("mse_loss")
def _mse(
    tracer: Tracer,
    x: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Operand | None = None,
) -> Result:
    each = _elementwise_losses(tracer, ours.mean_squared_error, x, target)
    how = _reduction_of(size_average, reduce, reduction)
    return tracer.by_torch(partial(_reduced_by_weights, reduction=how), each, weight)


@reads("l1_loss")
def _l1(
    tracer: Tracer,
    x: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Operand | None = None,
) -> Result:
    weight = _argument_of_caller(functional.l1_loss, "weight") if weight is None else weight
    each = _elementwise_losses(tracer, ours.absolute_difference, x, target)
    how = _reduction_of(size_average, reduce, reduction)
    return tracer.by_torch(partial(_reduced_by_weights, reduction=how), each, weight)


@reads("smooth_l1_loss")
def _smooth_l1(
    tracer: Tracer,
    x: Operand,
    target: Operand,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Result:
    """Declare smooth L1 loss: the Huber loss divided by ``beta``."""
    if beta:
        each = _elementwise_losses(tracer, ours.huber_loss, x, target, delta=float(beta))
        each = each if beta == 1 else tracer.script.operation("*", each, 1 / float(beta))
    else:
        each = _elementwise_losses(tracer, ours.absolute_difference, x, target)
    return tracer.by_torch(partial(_reduced, reduction=_reduction_of(size_average, reduce, reduction)), each)


@reads("huber_loss")
def _huber(
    tracer: Tracer,
    x: Operand,
    target: Operand,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Operand | None = None,
) -> Result:
    each = _elementwise_losses(tracer, ours.huber_loss, x, target, delta=float(delta))
    return tracer.by_torch(partial(_reduced_by_count, reduction=reduction), each, weight)


@reads("binary_cross_entropy_with_logits")
def _with_logits(
    tracer: Tracer,
    x: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Argument | None = None,
) -> Result:
    """Declare binary cross-entropy of logits x, reduced as torch does."""
    share: Argument = 1.0 if pos_weight is None else pos_weight
    share = share if isinstance(share, int | float) else tracer.value(share)
    each = _elementwise_losses(tracer, ours.sigmoid_cross_entropy, x, target, pos_weight=share)
    return tracer.by_torch(
        partial(_reduced_by_count, reduction=_reduction_of(size_average, reduce, reduction)), each, weight
    )


def _reduced_by_count(each: torch.Tensor, weight: torch.Tensor | None, reduction: str) -> torch.Tensor:
    """Reduce losses, weighted unless ``weight`` is None. The mean is the sum divided by the number of losses."""
    return _reduced(each if weight is None else weight * each, reduction)


# Losses that only torch defines ---------------------------------------------------------------------


@composed("binary_cross_entropy")
def _binary_cross_entropy(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    slope = ((x - target) / torch.clamp((1 - x) * x, min=1e-12)).detach()  # torch's derivative, finite at x = 0 and 1
    still, line = x.detach(), slope * x
    ones, zeros = torch.clamp(torch.log(still), min=-100), torch.clamp(torch.log1p(-still), min=-100)
    each = (target - 1) * zeros - target * ones - (line.detach() - line)
    return _reduced(each if weight is None else weight * each, _reduction_of(size_average, reduce, reduction))


@composed("kl_div")
def _kl_div(
    x: torch.Tensor,
    target: torch.Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> torch.Tensor:
    each = torch.exp(target) * (target - x) if log_target else torch.xlogy(target, target) - target * x
    reduction = _reduction_of(size_average, reduce, reduction)
    return each.sum() / x.size(0) if reduction == "batchmean" else _reduced(each, reduction)


@composed("nll_loss")
def _nll_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    classes = torch.where(target != ignore_index, target, 0)
    each = -torch.gather(x, 1, classes.unsqueeze(1)).squeeze(1)
    return _of_classes(each, target, weight, ignore_index, _reduction_of(size_average, reduce, reduction))


def _of_classes(
    each: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, ignore_index: int, reduction: str
) -> torch.Tensor:
    """Multiply losses by the weights of their targets' classes, and reduce them.

    Without ``weight``, every class has weight 1. Targets equal to ``ignore_index`` have weight 0. The mean is the sum
    of the weighted losses, divided by the sum of the weights.
    """
    counts = target != ignore_index
    shares = counts.to(each.dtype)
    if weight is not None:
        shares = shares * weight[torch.where(counts, target, 0)]
    total = torch.where(counts, each * shares, 0)
    return total.sum() / shares.sum() if reduction == "mean" else _reduced(total, reduction)


@reads("cross_entropy")
def _cross_entropy(
    tracer: Tracer,
    x: Operand,
    target: Operand,
    weight: Operand | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Result:
    """Declare cross-entropy of logits x and class ids or probabilities, reduced as torch does."""
    x, target = tracer.value(x), tracer.value(target)
    if label_smoothing or dtype_of(target) in FLOATS or len(shape_of(x)) < 2:
        raise UnreadableError(
            "its targets must be class indices, without label_smoothing; compute other losses from log_softmax"
        )
    logits = tracer.by_torch(lambda scores: torch.movedim(scores, 1, -1), x)
    classes = tracer.by_torch(lambda labels: torch.where(labels != ignore_index, labels, 0), target)
    each = tracer.call(ours.sparse_softmax_cross_entropy, tracer.value(classes), tracer.value(logits), reduction="none")
    how = _reduction_of(size_average, reduce, reduction)
    return tracer.by_torch(partial(_of_classes, ignore_index=ignore_index, reduction=how), each, target, weight)
