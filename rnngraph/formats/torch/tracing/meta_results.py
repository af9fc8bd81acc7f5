"""Computes shapes and dtypes of results by torch's device ``meta``, which has no values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch

from .calls import name_of
from .kinds import Arguments, Function, Keywords
from .names import FACTORIES
from .registry import UnreadableError
from .tensors import Traced, flat, mapped
from .values import Unknown

COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne")
CACHED = frozenset(
    {"add", "sub", "mul", "div", "true_divide", "rsub", "neg", "abs", "exp", "log", "sqrt", "square", "reciprocal"}
    | {"rsqrt", "log1p", "expm1", "erf", "sin", "cos", "sign", "maximum", "minimum", "pow", "masked_fill", "where"}
    | {"tanh", "sigmoid", "relu", "relu6", "leaky_relu", "elu", "softplus", "logsigmoid", "silu", "gelu", "clamp"}
    | {"linear", "mean", "log_softmax", "layer_norm", "group_norm"}
    | {f"__{side}{name}__" for side in ("", "r") for name in ("add", "sub", "mul", "truediv")}
    | {"__neg__", "__pow__", *COMPARISONS, *(f"__{name}__" for name in COMPARISONS)}
)
"""Functions whose results are cached. Shape, strides and dtype depend on the operands and the default dtype only."""
PLAIN = (int, float, bool, str, type(None), torch.dtype)
"""Types of operands without a shape that a cached result may depend on."""
JOINS = ("cat", "concat", "concatenate", "stack")
MAX_COMPUTED = 2**20
"""Maximum number of elements of operands on which torch computes a cached result."""


def meta_result(function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Return torch's result of a call on the device ``meta``."""
    if name_of(function) in CACHED:
        described = [*map(_description, args)], {key: _description(item) for key, item in kwargs.items()}
        if None not in described[0] and None not in described[1].values():
            with suppress(RuntimeError):  # The call on ``meta`` below accepts other dtypes, or raises the error.
                size, stride, dtype = _cached_result(torch.get_default_dtype(), function, *described[0], **described[1])
                return torch.empty_strided(size, stride, dtype=dtype, device="meta")

    def on_meta(item: Any) -> Any:
        if isinstance(item, Traced):
            return item.as_subclass(torch.Tensor)
        if isinstance(item, torch.Tensor):
            return item.detach().to("meta")
        if isinstance(item, str) and item.endswith("Tensor"):  # a type, such as torch.FloatTensor
            item = getattr(torch, item.rpartition(".")[2], item)
        if isinstance(item, type(torch.FloatTensor)):
            return item.dtype
        return torch.device("meta") if isinstance(item, torch.device) or item in ("cpu", "cuda") else item

    args, kwargs = mapped(args, on_meta), mapped(kwargs, on_meta)
    if name_of(function) in JOINS and kwargs.keys() <= {"dim", "axis"}:
        result = _joined(name_of(function) == "stack", *args, *kwargs.values())
        if result is not None:
            return result
    if "device" in kwargs or name_of(function) in FACTORIES:
        kwargs = {**kwargs, "device": "meta"}
    return args[0] if name_of(function) in ("cpu", "cuda") else function(*args, **kwargs)


def _joined(is_stack: bool, tensors: Sequence[torch.Tensor], axis: int = 0) -> torch.Tensor | None:
    """Return the result of ``torch.cat`` or ``stack``; None for operands that torch itself should handle or refuse."""
    if not isinstance(tensors, list | tuple) or not tensors:
        return None
    first = tensors[0]
    rank = first.dim() + is_stack
    axis += rank if axis < 0 else 0
    shapes = [[*tensor.shape[:axis], *([1] if is_stack else []), *tensor.shape[axis:]] for tensor in tensors]
    sizes = [shape.pop(axis) for shape in shapes if 0 <= axis < len(shape) == rank]
    is_plain = all(tensor.is_contiguous() and tensor.dtype == first.dtype for tensor in tensors)
    if not is_plain or len(sizes) < len(shapes) or any(shape != shapes[0] for shape in shapes):
        return None
    return torch.empty((*shapes[0][:axis], sum(sizes), *shapes[0][axis:]), dtype=first.dtype, device="meta")


def _description(item: Any) -> tuple[Any, ...] | None:
    """Return a tensor's shape, strides and dtype, or a plain value with its type; None for other operands."""
    if isinstance(item, torch.Tensor):
        return item.shape, item.stride(), item.dtype
    is_shape = type(item) in (tuple, list, torch.Size) and all(type(entry) is int for entry in item)
    return (type(item), tuple(item) if is_shape else item) if is_shape or type(item) in PLAIN else None


@lru_cache(4096)
def _cached_result(
    default: torch.dtype, function: Function, *described: Any, **keywords: Any
) -> tuple[torch.Size, tuple[int, ...], torch.dtype]:
    """Return the shape, strides and dtype of a result, for operands with these ``_description``s.

    torch computes it for small operands, because the first such call on ``meta`` imports torch's compiler. Autocast is
    switched off, as it has no effect on ``meta``.

    Args:
        default: torch's default dtype, which is part of the cache's key.
        function: The function.
        described: Descriptions of the positional arguments.
        keywords: Descriptions of the keyword arguments.
    """
    count = max(item[0].numel() for item in (*described, *keywords.values()) if len(item) == 3)
    device = "cpu" if count <= MAX_COMPUTED else "meta"

    def operand(item: tuple[Any, ...]) -> Any:
        if len(item) < 3:
            return item[1]
        size, stride, dtype = item
        count = 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) if size.numel() else 0
        return torch.ones(count, dtype=dtype, device=device).as_strided(size, stride)

    with torch.autocast("cpu", enabled=False):
        result = function(*map(operand, described), **{key: operand(item) for key, item in keywords.items()})
    return result.shape, result.stride(), result.dtype


def guessed_result(called: Any, args: Arguments, kwargs: Keywords) -> Any:
    """Return torch's result on ``meta`` for an unsupported call, so that later calls can be read; None for an error.

    Args:
        called: The function or module.
    """
    try:
        is_module = isinstance(called, torch.nn.Module)
        function = copy.deepcopy(called).to("meta").forward if is_module else called
        return meta_result(function, args, kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError, AttributeError):  # The caller lists the problem.
        return None


def unknown_result(expected: Any, args: Arguments, kwargs: Keywords) -> Any:
    """Return tensors in the form of ``expected``, without values, in place of an unsupported call's result.

    Args:
        expected: Result whose nested structure the placeholder gets; None for one like the first tensor argument.
        args: Arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    first = next((item for item in flat((args, kwargs)) if isinstance(item, torch.Tensor)), None)

    def unknown(item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        plain = torch.empty(item.shape, dtype=item.dtype, device="meta")
        return Traced.of(Unknown(tuple(item.shape), "float32"), plain)

    return mapped(first if expected is None else expected, unknown)


def check_shape(ours: Sequence[int], theirs: Sequence[int]) -> None:
    """Raise ``UnreadableError`` if the shape of a handler's result differs from torch's."""
    if tuple(ours) != tuple(theirs):
        raise UnreadableError(
            f"its result has shape {list(theirs)} in torch and {list(ours)} here; compute it with other functions"
        )
