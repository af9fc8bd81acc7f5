"""Losses, which modules compute where they are given labels."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from ..tracing.registry import UnreadableError, composed


def _reduced(x: Any, reduction: str) -> Any:
    return x if reduction == "none" else x.sum() if reduction == "sum" else x.mean()


@composed("mse_loss")
def _mse_loss(x: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
              weight: Any = None) -> Any:  # fmt: skip
    squares = torch.square(x - target)
    return _reduced(squares if weight is None else weight * squares, reduction)


@composed("l1_loss")
def _l1_loss(x: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
             weight: Any = None) -> Any:  # fmt: skip
    far = torch.abs(x - target)
    return _reduced(far if weight is None else weight * far, reduction)


@composed("smooth_l1_loss")
def _smooth_l1_loss(x: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
                    beta: float = 1.0) -> Any:  # fmt: skip
    far = torch.abs(x - target)
    if beta == 0:
        return _reduced(far, reduction)
    near = torch.where(far < beta, far, 0.0)  # so that no infinite square has a part in the gradient
    return _reduced(torch.where(far < beta, near * near * (0.5 / beta), far - 0.5 * beta), reduction)


@composed("huber_loss")
def _huber_loss(x: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    far = torch.abs(x - target)
    near = torch.where(far <= delta, far, 0.0)
    each = torch.where(far <= delta, 0.5 * near * near, delta * (far - 0.5 * delta))
    return _reduced(each if weight is None else weight * each, reduction)


@composed("binary_cross_entropy")
def _binary_cross_entropy(x: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
                          reduction: str = "mean") -> Any:  # fmt: skip
    ones, zeros = torch.clamp(torch.log(x), min=-100), torch.clamp(torch.log1p(-x), min=-100)
    each = (target - 1) * zeros - target * ones
    return _reduced(each if weight is None else weight * each, reduction)


@composed("binary_cross_entropy_with_logits")
def _with_logits(x: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
                 reduction: str = "mean", pos_weight: Any = None) -> Any:  # fmt: skip
    more = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    each = (1 - target) * x + more * functional.softplus(-x)
    return _reduced(each if weight is None else weight * each, reduction)


@composed("kl_div")
def _kl_div(x: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
            log_target: bool = False) -> Any:  # fmt: skip
    each = torch.exp(target) * (target - x) if log_target else torch.xlogy(target, target) - target * x
    return each.sum() / x.size(0) if reduction == "batchmean" else _reduced(each, reduction)


@composed("nll_loss")
def _nll_loss(x: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
              reduce: Any = None, reduction: str = "mean") -> Any:  # fmt: skip
    counts = target != ignore_index
    each = -torch.gather(x, 1, torch.where(counts, target, 0).unsqueeze(1)).squeeze(1)
    shares = counts.to(x.dtype)
    if weight is not None:
        shares = shares * weight[torch.where(counts, target, 0)]
    total = torch.where(counts, each * shares, 0)
    return total.sum() / shares.sum() if reduction == "mean" else _reduced(total, reduction)


@composed("cross_entropy")
def _cross_entropy(x: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
                   reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0) -> Any:  # fmt: skip
    if label_smoothing or target.is_floating_point() or x.dim() < 2:
        raise UnreadableError("it is read of classes that are whole numbers, without label_smoothing")
    return functional.nll_loss(
        functional.log_softmax(x, 1), target, weight, ignore_index=ignore_index, reduction=reduction
    )
