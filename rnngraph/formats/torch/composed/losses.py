"""Losses, which modules compute where they are given labels."""

from __future__ import annotations

import inspect

import torch
from torch.nn import functional

from ..tracing.kinds import Function
from ..tracing.registry import UnreadableError, composed


def _how(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return the reduction; of torch's old arguments what they mean where one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    return "none" if reduce is False else "sum" if size_average is False else "mean"


def _reduced(x: torch.Tensor, reduction: str) -> torch.Tensor:
    return x if reduction == "none" else x.sum() if reduction == "sum" else x.mean()


def _weighed(x: torch.Tensor, weight: torch.Tensor, reduction: str) -> torch.Tensor:
    """Reduce losses of entries that count differently: a mean is over the sum of the weights."""
    if weight is None or reduction != "mean":
        return _reduced(x if weight is None else weight * x, reduction)
    return (weight * x).sum() / weight.sum()


@composed("mse_loss")
def _mse_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    return _weighed(torch.square(x - target), weight, _how(size_average, reduce, reduction))


@composed("l1_loss")
def _l1_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    weight = _argument_of_caller(functional.l1_loss, "weight") if weight is None else weight
    return _weighed(torch.abs(x - target), weight, _how(size_average, reduce, reduction))


def _argument_of_caller(function: Function, name: str) -> object:
    """Return the argument of the call of a function that runs: torch leaves out some that it should hand on."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return None if frame is None else frame.f_locals[name]


@composed("smooth_l1_loss")
def _smooth_l1_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> torch.Tensor:
    far, reduction = torch.abs(x - target), _how(size_average, reduce, reduction)
    if beta == 0:
        return _reduced(far, reduction)
    near = torch.where(far < beta, far, 0.0)  # so that no infinite square has a part in the gradient
    return _reduced(torch.where(far < beta, near * near * (0.5 / beta), far - 0.5 * beta), reduction)


@composed("huber_loss")
def _huber_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    far = torch.abs(x - target)
    near = torch.where(far <= delta, far, 0.0)
    each = torch.where(far <= delta, 0.5 * near * near, delta * (far - 0.5 * delta))
    return _reduced(each if weight is None else weight * each, reduction)


@composed("binary_cross_entropy")
def _binary_cross_entropy(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    slope = ((x - target) / torch.clamp((1 - x) * x, min=1e-12)).detach()  # torch's own: finite at 0 and 1
    still, line = x.detach(), slope * x
    ones, zeros = torch.clamp(torch.log(still), min=-100), torch.clamp(torch.log1p(-still), min=-100)
    each = (target - 1) * zeros - target * ones - (line.detach() - line)
    return _reduced(each if weight is None else weight * each, _how(size_average, reduce, reduction))


@composed("binary_cross_entropy_with_logits")
def _with_logits(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    more = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    each = (1 - target) * x + more * functional.softplus(-x)
    return _reduced(each if weight is None else weight * each, _how(size_average, reduce, reduction))


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
    reduction = _how(size_average, reduce, reduction)
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
    counts, reduction = target != ignore_index, _how(size_average, reduce, reduction)
    each = -torch.gather(x, 1, torch.where(counts, target, 0).unsqueeze(1)).squeeze(1)
    shares = counts.to(x.dtype)
    if weight is not None:
        shares = shares * weight[torch.where(counts, target, 0)]
    total = torch.where(counts, each * shares, 0)
    return total.sum() / shares.sum() if reduction == "mean" else _reduced(total, reduction)


@composed("cross_entropy")
def _cross_entropy(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    if label_smoothing or target.is_floating_point() or x.dim() < 2:
        raise UnreadableError("it is read of classes that are whole numbers, without label_smoothing")
    return functional.nll_loss(
        functional.log_softmax(x, 1), target, weight, ignore_index=ignore_index,
        reduction=_how(size_average, reduce, reduction),
    )  # fmt: skip
