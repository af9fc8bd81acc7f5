"""Functions that select entries by index, and functions along an axis such as sums and extremes."""

from __future__ import annotations

import torch

from ..tracing.kinds import Number, Tensors
from ..tracing.registry import UnreadableError, composed
from .elements import as_tensor


def _last(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return x with the axis ``dim`` moved to the end."""
    return torch.movedim(x, dim, -1) if dim % x.dim() != x.dim() - 1 else x


def _back(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Return x with its last axis moved to position ``dim``: the inverse of ``_last``."""
    return torch.movedim(x, -1, dim) if dim % x.dim() != x.dim() - 1 else x


# Selection by index ---------------------------------------------------------------------------------


@composed("take_along_dim")
def _take_along_dim(x: torch.Tensor, indices: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    if dim is None:
        x, indices, dim = x.reshape(-1), indices.reshape(-1), 0
    pairs = zip(indices.shape, x.shape, strict=True)
    sizes = [want if type(have) is int and have == 1 else have for have, want in pairs]
    sizes[dim] = indices.size(dim)
    return torch.gather(x, dim, indices.expand(sizes))


@composed("take")
def _take(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1)[index]


@composed("isin")
def _isin(
    elements: Number | torch.Tensor,
    test_elements: Number | torch.Tensor,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> torch.Tensor:
    is_in = (as_tensor(elements).unsqueeze(-1) == as_tensor(test_elements).reshape(-1)).any(-1)
    return ~is_in if invert else is_in


@composed("bucketize")
def _bucketize(
    x: Number | torch.Tensor, boundaries: torch.Tensor, *, out_int32: bool = False, right: bool = False
) -> torch.Tensor:
    own = as_tensor(x).unsqueeze(-1)
    is_before = ~(boundaries > own) if right else ~(boundaries >= own)  # True for NaN, which sorts after all numbers
    return is_before.sum(-1)


@composed("searchsorted")
def _searchsorted(
    sorted_sequence: torch.Tensor,
    x: Number | torch.Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> torch.Tensor:
    if sorted_sequence.dim() > 1:
        raise UnreadableError(f"its boundaries have {sorted_sequence.dim()} axes; they must have one")
    return _bucketize(x, sorted_sequence, right=right or side == "right")


# Along an axis --------------------------------------------------------------------------------------


@composed("nansum")
def _nansum(
    x: torch.Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> torch.Tensor:
    return torch.where(x != x, 0.0, x).sum(() if dim is None else dim, keepdim, dtype=dtype)


@composed("nanmean")
def _nanmean(x: torch.Tensor, dim: int | None = None, keepdim: bool = False) -> torch.Tensor:
    axes = () if dim is None else dim
    return torch.where(x != x, 0.0, x).sum(axes, keepdim) / (x == x).to(x.dtype).sum(axes, keepdim)


@composed("aminmax")
def _aminmax(x: torch.Tensor, *, dim: int | None = None, keepdim: bool = False) -> Tensors:
    axes = () if dim is None else dim
    return torch.amin(x, axes, keepdim), torch.amax(x, axes, keepdim)


@composed("trapezoid", "trapz")
def _trapezoid(y: torch.Tensor, x: torch.Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> torch.Tensor:
    if x is not None:
        raise UnreadableError("its argument x is not supported; give equal distances as dx")
    y = _last(y, dim)
    return ((y[..., 1:] + y[..., :-1]) * (dx / 2)).sum(-1)


@composed("embedding_bag")
def _embedding_bag(
    ids: torch.Tensor,
    weight: torch.Tensor,
    offsets: torch.Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: torch.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> torch.Tensor:
    """Return the mean, sum or maximum of each bag's rows of ``weight``; ``offsets`` are the bags' first positions."""
    if ids.dim() != 2 or offsets is not None:
        raise UnreadableError("its ids must be [bags, entries], without offsets; reshape them")
    if max_norm is not None:
        raise UnreadableError("max_norm changes the table in place, which is not supported; leave it out")
    rows = torch.nn.functional.embedding(ids, weight, scale_grad_by_freq=scale_grad_by_freq)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    if padding_idx is None:
        return rows.mean(1) if mode == "mean" else rows.sum(1) if mode == "sum" else torch.amax(rows, 1)
    counts = (ids != (padding_idx + weight.shape[0] if padding_idx < 0 else padding_idx)).unsqueeze(-1)
    if mode == "max":
        largest = torch.amax(torch.where(counts, rows, float("-inf")), 1)
        return torch.where(counts.any(1), largest, 0.0)  # The maximum of an empty bag is 0.
    total = torch.where(counts, rows, 0.0).sum(1)
    return total if mode == "sum" else total / torch.clamp(counts.to(rows.dtype).sum(1), min=1)
