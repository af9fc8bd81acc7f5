"""Elementwise functions of one and two tensors, and products."""

from __future__ import annotations

import torch

from ..tracing.kinds import Number, Tensors
from ..tracing.registry import UnreadableError, composed


def as_tensor(x: Number | torch.Tensor) -> torch.Tensor:
    """Return a tensor unchanged, and a number as a constant scalar tensor."""
    return x if isinstance(x, torch.Tensor) else torch.tensor(x)


# One tensor -----------------------------------------------------------------------------------------


@composed("frac")
def _frac(x: torch.Tensor) -> torch.Tensor:
    return x - torch.trunc(x)


@composed("isreal")
def _isreal(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x, dtype=torch.bool)


# Two tensors ----------------------------------------------------------------------------------------


@composed("ldexp")
def _ldexp(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return x * torch.exp2(other.to(x.dtype))


@composed("float_power")
def _float_power(x: Number | torch.Tensor, exponent: Number | torch.Tensor) -> torch.Tensor:
    return torch.pow(as_tensor(x).double(), exponent.double() if isinstance(exponent, torch.Tensor) else exponent)


@composed("addcdiv")
def _addcdiv(x: torch.Tensor, tensor1: torch.Tensor, tensor2: torch.Tensor, *, value: Number = 1) -> torch.Tensor:
    return x + (tensor1 / tensor2 if value == 1 else value * (tensor1 / tensor2))


@composed("isclose")
def _isclose(
    x: torch.Tensor, other: torch.Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> torch.Tensor:
    far, allowed = torch.abs(x - other), atol + rtol * torch.abs(other)
    near = (far <= allowed) & (far < float("inf")) | (x == other)  # Infinite values are close only to themselves.
    return near | ((x != x) & (other != other)) if equal_nan else near


@composed("dist")
def _dist(x: torch.Tensor, other: torch.Tensor, p: float = 2) -> torch.Tensor:
    return torch.linalg.vector_norm(x - other, p)


@composed("pairwise_distance")
def _pairwise_distance(
    x1: torch.Tensor, x2: torch.Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> torch.Tensor:
    return torch.linalg.vector_norm(x1 - x2 + eps, p, -1, keepdim)


@composed("cdist")
def _cdist(x1: torch.Tensor, x2: torch.Tensor, p: float = 2.0, compute_mode: str | None = None) -> torch.Tensor:
    return torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@composed("cross")
def _cross(x: torch.Tensor, other: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Return the cross product along an axis, by default along the first axis of size 3."""
    return _linalg_cross(x, other, dim=list(x.shape).index(3) if dim is None else dim)


@composed("linalg_cross")
def _linalg_cross(x: torch.Tensor, other: torch.Tensor, *, dim: int = -1) -> torch.Tensor:
    a, b = x.unbind(dim), other.unbind(dim)
    pairs = ((1, 2), (2, 0), (0, 1))
    return torch.stack([a[i] * b[j] - a[j] * b[i] for i, j in pairs], dim)


# Products -------------------------------------------------------------------------------------------


@composed("inner")
def _inner(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    if x.dim() == 1 or other.dim() == 1:
        return (x * other).sum(-1)
    if other.dim() != 2:
        raise UnreadableError(f"its second operand has {other.dim()} axes; it must have one or two")
    return x @ other.transpose(0, 1)


@composed("linalg_multi_dot", "chain_matmul")
def _multi_dot(tensors: Tensors, *more: torch.Tensor) -> torch.Tensor:
    first, *others = [tensors, *more] if isinstance(tensors, torch.Tensor) else tensors
    for other in others:
        first = first @ other
    return first


@composed("addbmm")
def _addbmm(
    x: torch.Tensor, batch1: torch.Tensor, batch2: torch.Tensor, *, beta: Number = 1, alpha: Number = 1
) -> torch.Tensor:
    return _add_product(beta, x, alpha * (batch1 @ batch2).sum(0))


def _add_product(beta: Number, x: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Return beta * x + product. If beta is 0, x is ignored, even if it is NaN."""
    return product if beta == 0 else beta * x + product


@composed("addmv")
def _addmv(
    x: torch.Tensor, mat: torch.Tensor, vec: torch.Tensor, *, beta: Number = 1, alpha: Number = 1
) -> torch.Tensor:
    return _add_product(beta, x, alpha * (mat @ vec))


@composed("addr")
def _addr(
    x: torch.Tensor, vec1: torch.Tensor, vec2: torch.Tensor, *, beta: Number = 1, alpha: Number = 1
) -> torch.Tensor:
    return _add_product(beta, x, alpha * torch.outer(vec1, vec2))
