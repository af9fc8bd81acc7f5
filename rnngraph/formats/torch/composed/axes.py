"""Functions that transpose, concatenate, split or insert axes, windows along an axis, and interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from ..tracing.kinds import Number, Tensors
from ..tracing.registry import composed


@composed("unfold")
def _unfold(x: torch.Tensor, dimension: int, size: int, step: int) -> torch.Tensor:
    """Return the windows of x along an axis, with their entries along a new last axis."""
    before, last = (slice(None),) * (dimension % x.dim()), x.size(dimension) - size + 1
    return torch.stack([x[(*before, slice(place, last + place, step))] for place in range(size)], -1)


@composed("fliplr")
def _fliplr(x: torch.Tensor) -> torch.Tensor:
    return torch.flip(x, (1,))


@composed("flipud")
def _flipud(x: torch.Tensor) -> torch.Tensor:
    return torch.flip(x, (0,))


@composed("rot90")
def _rot90(x: torch.Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> torch.Tensor:
    if k % 4 == 2:
        return torch.flip(x, tuple(dims))
    transposed = x.transpose(*dims) if k % 2 else x
    return torch.flip(transposed, (dims[0] if k % 4 == 1 else dims[1],)) if k % 4 else transposed


@composed(".H")
def _h(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(-2, -1)


@composed("atleast_1d")
def _atleast_1d(x: torch.Tensor) -> torch.Tensor:
    return x if x.dim() else x.unsqueeze(0)


@composed("atleast_2d")
def _atleast_2d(x: torch.Tensor) -> torch.Tensor:
    return x if x.dim() > 1 else _atleast_1d(x).unsqueeze(0)


@composed("atleast_3d")
def _atleast_3d(x: torch.Tensor) -> torch.Tensor:
    return x if x.dim() > 2 else _atleast_2d(x).unsqueeze(-1)


@composed("vstack", "row_stack")
def _vstack(tensors: Tensors) -> torch.Tensor:
    return torch.cat([_atleast_2d(x) for x in tensors], 0)


@composed("dstack")
def _dstack(tensors: Tensors) -> torch.Tensor:
    return torch.cat([_atleast_3d(x) for x in tensors], 2)


@composed("column_stack")
def _column_stack(tensors: Tensors) -> torch.Tensor:
    return torch.cat([x if x.dim() > 1 else _atleast_1d(x).unsqueeze(1) for x in tensors], 1)


@composed("unsafe_chunk")
def _unsafe_chunk(x: torch.Tensor, chunks: int, dim: int = 0) -> torch.Tensor:
    return torch.chunk(x, chunks, dim)


@composed("unsafe_split")
def _unsafe_split(x: torch.Tensor, split_size: int | Sequence[int], dim: int = 0) -> Tensors:
    return torch.split(x, split_size, dim)


@composed("hsplit")
def _hsplit(x: torch.Tensor, parts: int | Sequence[int]) -> Tensors:
    return torch.tensor_split(x, parts, 1 if x.dim() > 1 else 0)


@composed("vsplit")
def _vsplit(x: torch.Tensor, parts: int | Sequence[int]) -> Tensors:
    return torch.tensor_split(x, parts, 0)


@composed("dsplit")
def _dsplit(x: torch.Tensor, parts: int | Sequence[int]) -> Tensors:
    return torch.tensor_split(x, parts, 2)


@composed("meshgrid")
def _meshgrid(*tensors: torch.Tensor, indexing: str = "ij") -> Tensors:
    items = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
    order = [1, 0, *range(2, len(items))] if indexing == "xy" and len(items) > 1 else [*range(len(items))]
    sizes = [items[place].numel() for place in order]
    shaped = [
        x.reshape([-1 if order[axis] == place else 1 for axis in range(len(items))]) for place, x in enumerate(items)
    ]
    return tuple(x.expand(sizes) for x in shaped)


# Diagonals ------------------------------------------------------------------------------------------


@composed("eye")
def _eye(n: int, m: int | None = None, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return an identity matrix with a symbolic size. For plain ints, torch computes the matrix as a constant."""
    rows, columns = torch.arange(n), torch.arange(n if m is None else m)
    return (rows.unsqueeze(1) == columns).to(dtype or torch.get_default_dtype())


@composed("linspace")
def _linspace(start: Number, end: Number, steps: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    place = torch.arange(steps).to(dtype or torch.get_default_dtype())
    return start + place * ((end - start) / torch.clamp(place.amax(), min=1))


@composed("new_tensor")
def _new_tensor(x: torch.Tensor, data: object, dtype: torch.dtype | None = None) -> torch.Tensor:
    return torch.tensor(data, dtype=dtype or x.dtype)


@composed("select_scatter")
def _select_scatter(x: torch.Tensor, src: torch.Tensor, dim: int, index: int) -> torch.Tensor:
    written = x.clone()
    written[(*(slice(None),) * (dim % x.dim()), index)] = src
    return written


@composed("slice_scatter")
def _slice_scatter(
    x: torch.Tensor, src: torch.Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> torch.Tensor:
    written = x.clone()
    written[(*(slice(None),) * (dim % x.dim()), slice(start, end, step))] = src
    return written


def with_each_nth(x: torch.Tensor, axis: int, start: int, step: int, value: Number | torch.Tensor) -> torch.Tensor:
    """Return x with a number or a tensor's entries written at start, start + step, … along an axis."""
    offset = torch.arange(x.size(axis)) - start
    hit = ((offset >= 0) & (offset % step == 0)).reshape(-1, *(1,) * (x.dim() - axis - 1))
    if isinstance(value, torch.Tensor):
        value = torch.repeat_interleave(value, step, axis)
        if start:
            value = torch.cat([x.narrow(axis, 0, start), value], axis)
        value = value.narrow(axis, 0, x.size(axis))
    return torch.where(hit, value, x)


# Interpolation and powers ---------------------------------------------------------------------------


@composed("lp_pool1d")
def _lp_pool1d(
    x: torch.Tensor, norm_type: float, kernel_size: int, stride: int | None = None, ceil_mode: bool = False
) -> torch.Tensor:
    size = kernel_size[0] if isinstance(kernel_size, list | tuple) else kernel_size
    mean = functional.avg_pool1d(torch.pow(x, norm_type), kernel_size, stride, 0, ceil_mode)
    return torch.pow(torch.sign(mean) * torch.abs(mean) * size, 1 / norm_type)


def interpolate_entries(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Interpolate linearly along the last axis, with ``factor`` points per entry."""
    before, after = torch.cat([x[..., :1], x[..., :-1]], -1), torch.cat([x[..., 1:], x[..., -1:]], -1)
    points = []
    for place in range(factor):
        share = (place + 0.5) / factor - 0.5
        points.append((1 - abs(share)) * x + abs(share) * (before if share < 0 else after))
    return torch.stack(points, -1).flatten(-2)


def nearest(x: torch.Tensor, size: int) -> torch.Tensor:
    """Resize the last axis to ``size`` entries. Entry i is copied from position floor(i * old size / size)."""
    places = torch.floor(torch.arange(size, dtype=torch.float32) * (x.size(-1) / size))
    return x.index_select(x.dim() - 1, places.long())
