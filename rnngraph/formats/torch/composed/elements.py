"""Functions of single elements and of pairs, and products."""

from __future__ import annotations

from typing import Any

import torch

from ..tracing.registry import UnreadableError, composed

# Single elements ------------------------------------------------------------------------------------


@composed("frac")
def _frac(x: Any) -> Any:
    return x - torch.trunc(x)


@composed("isreal")
def _isreal(x: Any) -> Any:
    return torch.ones_like(x, dtype=torch.bool)


# Pairs ----------------------------------------------------------------------------------------------


@composed("ldexp")
def _ldexp(x: Any, other: Any) -> Any:
    return x * torch.exp2(other.to(x.dtype))


@composed("float_power")
def _float_power(x: Any, exponent: Any) -> Any:
    return torch.pow(x.double(), exponent.double() if isinstance(exponent, torch.Tensor) else exponent)


@composed("addcdiv")
def _addcdiv(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    return x + (tensor1 / tensor2 if value == 1 else value * (tensor1 / tensor2))


@composed("isclose")
def _isclose(x: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    far, allowed = torch.abs(x - other), atol + rtol * torch.abs(other)
    near = (far <= allowed) & (far < float("inf")) | (x == other)  # an infinite bound allows nothing
    return near | ((x != x) & (other != other)) if equal_nan else near


@composed("dist")
def _dist(x: Any, other: Any, p: float = 2) -> Any:
    return torch.linalg.vector_norm(x - other, p)


@composed("pairwise_distance")
def _pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return torch.linalg.vector_norm(x1 - x2 + eps, p, -1, keepdim)


@composed("cdist")
def _cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    return torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@composed("cross", "linalg_cross")
def _cross(x: Any, other: Any, dim: int = -1) -> Any:
    a, b = x.unbind(dim), other.unbind(dim)
    pairs = ((1, 2), (2, 0), (0, 1))
    return torch.stack([a[i] * b[j] - a[j] * b[i] for i, j in pairs], dim)


# Products -------------------------------------------------------------------------------------------


@composed("inner")
def _inner(x: Any, other: Any) -> Any:
    if x.dim() == 1 or other.dim() == 1:
        return (x * other).sum(-1)
    if other.dim() != 2:
        raise UnreadableError("it is read with a second operand of one or two axes")
    return x @ other.transpose(0, 1)


@composed("linalg_multi_dot", "chain_matmul")
def _multi_dot(tensors: Any, *more: Any) -> Any:
    first, *others = [tensors, *more] if isinstance(tensors, torch.Tensor) else tensors
    for other in others:
        first = first @ other
    return first


@composed("addbmm")
def _addbmm(x: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return _added(beta, x, alpha * (batch1 @ batch2).sum(0))


def _added(beta: Any, x: Any, product: Any) -> Any:
    """The product, and beta times x, of which nothing counts where beta is 0, NaN neither."""
    return product if beta == 0 else beta * x + product


@composed("addmv")
def _addmv(x: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return _added(beta, x, alpha * (mat @ vec))


@composed("addr")
def _addr(x: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    return _added(beta, x, alpha * torch.outer(vec1, vec2))
