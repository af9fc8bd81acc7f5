"""Handlers of torch functions that return shapes, dtypes and numbers rather than tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .kinds import Declaring, Function, Number
from .numbers import LongestRow, extent_of
from .sizes import SizesChanged
from .tensors import Shape, Traced
from .values import Filled, Packed, shape_of


def _sizes_of(tracer: Declaring, x: torch.Tensor) -> Shape:
    if not isinstance(x, Traced):
        return Shape(x.shape)
    return Shape(extent_of(tracer.sizes, dim) for dim in shape_of(x.value))


def _size(tracer: Declaring, x: torch.Tensor, dim: int | None = None) -> Shape | int:
    shape = _sizes_of(tracer, x)
    if dim is not None and isinstance(x, Traced) and isinstance(x.value, Packed) and x.dim() == 1:
        return LongestRow(tracer.sizes, x.value.shape[0])  # x is ``batch_sizes``, with one entry per time step
    return shape if dim is None else shape[dim]


def _truth(tracer: Declaring, x: torch.Tensor) -> bool:
    """Return the truth of a constant. For a tensor without a value, rewrite the branch, or record a problem."""
    if isinstance(x, Traced) and isinstance(x.value, Filled):
        return bool(x.value.number)
    return _unknown_truth(tracer)


def _unknown_truth(tracer: Declaring) -> bool:
    """Rewrite the current branch so that a tensor selects, and signal ``SizesChanged``; else record a problem."""
    if tracer.rewrites_branch():
        raise SizesChanged
    before = len(tracer.problems)
    tracer.problem("the code branches on values of a tensor; select with torch.where, or branch on sizes")
    # True the first time, and False if the problem was recorded before, so that a ``while`` loop on it ends.
    return tracer.problems[-1] not in tracer.problems[:before]


def _equality(function: Function) -> Function:
    """Return a function that computes ``equal`` or ``allclose`` of constant tensors as a bool."""

    def compare(tracer: Declaring, x: torch.Tensor, other: torch.Tensor, *args: float, **options: float) -> bool:
        values = [item.value if isinstance(item, Traced) else None for item in (x, other)]
        numbers = [torch.tensor(item.number) for item in values if isinstance(item, Filled)]
        if len(numbers) < 2:
            return _unknown_truth(tracer)
        return _sizes_of(tracer, x) == _sizes_of(tracer, other) and bool(function(*numbers, *args, **options))

    return compare


def _item(tracer: Declaring, x: torch.Tensor, *_: object) -> Number:
    """Return a constant as a number. For a tensor without a value, record a problem, and return 1.

    Raises:
        SizesChanged: The tensor is a bool of a branch that was just rewritten, so that ``forward`` runs again.
    """
    if isinstance(x, Traced) and isinstance(x.value, Filled):
        return x.value.number
    if not isinstance(x, Traced):
        return x.item()
    if x.dtype == torch.bool and tracer.rewrites_branch():
        raise SizesChanged
    tracer.problem("the code converts a tensor to a number, but its values exist only at run time; keep the tensor")
    return 1.0 if x.dtype.is_floating_point else 1


def _list(tracer: Declaring, x: torch.Tensor) -> list[float]:
    tracer.problem("the code converts a tensor to a list, but its values exist only at run time; keep the tensor")
    ones: list[float] = torch.ones(x.shape).tolist()
    return ones


def _numpy(tracer: Declaring, x: torch.Tensor, *_: object, **__: object) -> np.ndarray:
    tracer.problem("the code converts a tensor to NumPy, but its values exist only at run time; use torch's functions")
    ones: np.ndarray = torch.ones(x.shape).numpy()
    return ones


def _iterate(tracer: Declaring, x: torch.Tensor) -> Iterator[torch.Tensor]:
    return iter([x[position] for position in range(int(x.shape[0]))]) if x.ndim else iter(())


def _itself(tracer: Declaring, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    """Return the tensor itself, for calls such as ``detach_`` that change no values."""
    return x


PYTHON_RESULTS: dict[str, Function] = {
    ".shape": _sizes_of,
    "size": _size,
    "__len__": lambda r, x: int(x.shape[0]),
    "__bool__": _truth,
    "equal": _equality(torch.equal),
    "allclose": _equality(torch.allclose),
    "is_nonzero": _truth,
    "is_signed": lambda r, x: x.is_signed(),
    "element_size": lambda r, x: x.element_size(),
    "is_inference": lambda r, x: False,
    "is_conj": lambda r, x: False,
    "item": _item,
    "tolist": _list,
    "__float__": lambda r, x: float(_item(r, x)),
    "__int__": lambda r, x: int(_item(r, x)),
    "__index__": lambda r, x: int(_item(r, x)),
    "numpy": _numpy,
    "dim": lambda r, x: x.dim(),
    ".ndim": lambda r, x: x.dim(),
    "ndimension": lambda r, x: x.dim(),
    ".dtype": lambda r, x: x.dtype,
    ".device": lambda r, x: torch.device("cpu"),
    ".is_cuda": lambda r, x: False,
    ".requires_grad": lambda r, x: False,
    "is_contiguous": lambda r, x, **_: True,
    ".is_nested": lambda r, x: False,
    "is_floating_point": lambda r, x: x.dtype.is_floating_point,
    "is_complex": lambda r, x: False,
    "numel": lambda r, x: _sizes_of(r, x).numel(),
    "nelement": lambda r, x: _sizes_of(r, x).numel(),
    "get_device": lambda r, x: -1,
    "requires_grad_": _itself,
    "detach_": _itself,
    ".is_meta": lambda r, x: False,
    "__hash__": lambda r, x: id(x),
    ".grad": lambda r, x: None,
    ".layout": lambda r, x: torch.strided,
    ".is_sparse": lambda r, x: False,
    ".is_quantized": lambda r, x: False,
    ".is_mkldnn": lambda r, x: False,
    "__repr__": lambda r, x, **_: f"<tensor {list(x.shape)}>",
    "__format__": lambda r, x, spec: f"<{list(x.shape)}>",
    ".is_leaf": lambda r, x: True,
    ".grad_fn": lambda r, x: None,
    "is_tensor": lambda r, x: True,
    ".is_cpu": lambda r, x: True,
    ".names": lambda r, x: (None,) * x.dim(),
    "flatten_parameters": _itself,
    "is_same_size": lambda r, x, y: x.shape == y.shape,
    "__iter__": _iterate,
    ".itemsize": lambda r, x: x.itemsize,
    "stride": lambda r, x, *args, **keywords: x.stride(*args, **keywords),
}
"""Handlers of functions, methods and properties (with a dot) that return no tensor, by name."""
