"""Functions that pick entries by index, and sums along an axis."""

from __future__ import annotations

from typing import Any

import torch

from ..tracing.registry import UnreadableError, composed


def _last(x: Any, dim: int) -> Any:
    return torch.movedim(x, dim, -1) if dim % x.dim() != x.dim() - 1 else x


def _back(x: Any, dim: int) -> Any:
    return torch.movedim(x, -1, dim) if dim % x.dim() != x.dim() - 1 else x


# Picks by index -------------------------------------------------------------------------------------


@composed("take_along_dim")
def _take_along_dim(x: Any, indices: Any, dim: Any = None) -> Any:
    if dim is None:
        x, indices, dim = x.reshape(-1), indices.reshape(-1), 0
    pairs = zip(indices.shape, x.shape, strict=True)
    sizes = [want if type(have) is int and have == 1 else have for have, want in pairs]
    sizes[dim] = indices.size(dim)
    return torch.gather(x, dim, indices.expand(sizes))


@composed("take")
def _take(x: Any, index: Any) -> Any:
    return x.reshape(-1)[index]


@composed("isin")
def _isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    found = (elements.unsqueeze(-1) == test_elements.reshape(-1)).any(-1)
    return ~found if invert else found


@composed("bucketize")
def _bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    own = x.unsqueeze(-1)
    is_before = ~(boundaries > own) if right else ~(boundaries >= own)  # NaN stands behind all
    return is_before.sum(-1)


@composed("searchsorted")
def _searchsorted(sorted_sequence: Any, x: Any, *, out_int32: bool = False, right: bool = False,
                  side: Any = None) -> Any:  # fmt: skip
    if sorted_sequence.dim() > 1:
        raise UnreadableError("it is read with boundaries of one axis")
    return _bucketize(x, sorted_sequence, right=right or side == "right")


# Along an axis --------------------------------------------------------------------------------------


@composed("nansum")
def _nansum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return torch.where(x != x, 0.0, x).sum(() if dim is None else dim, keepdim)


@composed("nanmean")
def _nanmean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    axes = () if dim is None else dim
    return torch.where(x != x, 0.0, x).sum(axes, keepdim) / (x == x).to(x.dtype).sum(axes, keepdim)


@composed("aminmax")
def _aminmax(x: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    axes = () if dim is None else dim
    return torch.amin(x, axes, keepdim), torch.amax(x, axes, keepdim)


@composed("trapezoid", "trapz")
def _trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    if x is not None:
        raise UnreadableError("it is read with dx")
    y = _last(y, dim)
    return ((y[..., 1:] + y[..., :-1]) * (dx / 2)).sum(-1)


@composed("embedding_bag")
def _embedding_bag(ids: Any, weight: Any, offsets: Any = None, max_norm: Any = None, norm_type: float = 2,
                   scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                   per_sample_weights: Any = None, include_last_offset: bool = False,
                   padding_idx: Any = None) -> Any:  # fmt: skip
    if ids.dim() != 2 or offsets is not None:
        raise UnreadableError("it is read of ids [bags, entries], without offsets")
    if max_norm is not None:
        raise UnreadableError("max_norm changes the table in place")
    rows = torch.nn.functional.embedding(ids, weight, scale_grad_by_freq=scale_grad_by_freq)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    if padding_idx is None:
        return rows.mean(1) if mode == "mean" else rows.sum(1) if mode == "sum" else torch.amax(rows, 1)
    counts = (ids != padding_idx).unsqueeze(-1)
    if mode == "max":
        largest = torch.amax(torch.where(counts, rows, float("-inf")), 1)
        return torch.where(counts.any(1), largest, 0.0)  # 0 where a bag holds nothing
    total = torch.where(counts, rows, 0.0).sum(1)
    return total if mode == "sum" else total / torch.clamp(counts.to(rows.dtype).sum(1), min=1)
