"""What torch's calls give that give no tensor: shapes, dtypes, numbers. ``tracer`` is a ``Tracer``, whose file imports
this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .numbers import LongestRow, extent_of
from .tensors import Shape, Traced
from .values import Filled, Packed, shape_of


def _sizes_of(tracer: Any, x: Any) -> Shape:
    if not isinstance(x, Traced):
        return Shape(x.shape)
    return Shape(extent_of(tracer.sizes, dim) for dim in shape_of(x.value))


def _size(tracer: Any, x: Any, dim: int | None = None) -> Any:
    found = _sizes_of(tracer, x)
    if dim is not None and isinstance(x, Traced) and isinstance(x.value, Packed) and x.dim() == 1:
        return LongestRow(tracer.sizes, x.value.shape[0])  # of ``batch_sizes``
    return found if dim is None else found[dim]


def _truth(tracer: Any, x: Any) -> bool:
    tracer.problem("the code hangs on values of a tensor; choose by torch.where, or on sizes, or before the module")
    return True


def _equal(tracer: Any, x: Any, *_: Any, **__: Any) -> bool:
    return _truth(tracer, x)


def _item(tracer: Any, x: Any, *_: Any) -> Any:
    if isinstance(x, Traced) and isinstance(x.value, Filled):
        return x.value.number
    if not isinstance(x, Traced):
        return x.item()
    tracer.problem("a number is taken out of a tensor; leave it a tensor")
    return 1.0 if x.dtype.is_floating_point else 1


def _list(tracer: Any, x: Any) -> Any:
    tracer.problem("values of a tensor are taken as a list; leave it a tensor")
    return torch.ones(x.shape).tolist()


def _numpy(tracer: Any, x: Any, *_: Any, **__: Any) -> Any:
    tracer.problem("NumPy is given values of a tensor; use torch's functions")
    return torch.ones(x.shape).numpy()


def _native(tracer: Any, func: Any) -> Callable[..., Any]:
    return lambda *args, **named: func(*args, **named)


def _iterate(tracer: Any, x: Any) -> Any:
    return iter([x[position] for position in range(int(x.shape[0]))]) if x.ndim else iter(())


def _same(tracer: Any, x: Any, *_: Any, **__: Any) -> Any:
    return x


ANSWERS: dict[str, Callable[..., Any]] = {
    ".shape": _sizes_of, "size": _size, "__len__": lambda r, x: int(x.shape[0]), "__bool__": _truth,
    "equal": _equal, "allclose": _equal, "is_nonzero": _equal, "is_signed": lambda r, x: x.is_signed(),
    "element_size": lambda r, x: x.element_size(), "is_inference": lambda r, x: False, "is_conj": lambda r, x: False,
    "item": _item, "tolist": _list,
    "__float__": lambda r, x: float(_item(r, x)), "__int__": lambda r, x: int(_item(r, x)),
    "__index__": lambda r, x: int(_item(r, x)), "numpy": _numpy,
    "dim": lambda r, x: x.dim(), ".ndim": lambda r, x: x.dim(), "ndimension": lambda r, x: x.dim(),
    ".dtype": lambda r, x: x.dtype, ".device": lambda r, x: torch.device("cpu"), ".is_cuda": lambda r, x: False,
    ".requires_grad": lambda r, x: False, "is_contiguous": lambda r, x, **_: True, ".is_nested": lambda r, x: False,
    "is_floating_point": lambda r, x: x.dtype.is_floating_point, "is_complex": lambda r, x: False,
    "numel": lambda r, x: _sizes_of(r, x).numel(), "nelement": lambda r, x: _sizes_of(r, x).numel(),
    "get_device": lambda r, x: -1, "requires_grad_": _same, "detach_": _same, ".is_meta": lambda r, x: False,
    "__hash__": lambda r, x: id(x), ".grad": lambda r, x: None, ".layout": lambda r, x: torch.strided,
    ".is_sparse": lambda r, x: False, ".is_quantized": lambda r, x: False, ".is_mkldnn": lambda r, x: False,
    "__repr__": lambda r, x, **_: f"<tensor {list(x.shape)}>", "__format__": lambda r, x, spec: f"<{list(x.shape)}>",
    ".is_leaf": lambda r, x: True, ".grad_fn": lambda r, x: None, "is_tensor": lambda r, x: True,
    ".is_cpu": lambda r, x: True, ".names": lambda r, x: (None,) * x.dim(), "flatten_parameters": _same,
    "is_same_size": lambda r, x, y: x.shape == y.shape, "__iter__": _iterate, ".itemsize": lambda r, x: x.itemsize,
    "stride": lambda r, x, *given: x.stride(*given),
}  # fmt: skip
"""Calls that give something else than tensors."""
