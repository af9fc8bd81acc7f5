"""Computes shapes and dtypes of results by torch's device ``meta``, which has no values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from .calls import name_of
from .kinds import Arguments, Function, Keywords
from .names import FACTORIES
from .nests import flat, mapped
from .registry import UnreadableError
from .tensors import Traced
from .values import Unknown


def meta_result(function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Return torch's result of a call on the device ``meta``."""

    def on_meta(item: Any) -> Any:
        if isinstance(item, Traced):
            return item.as_subclass(torch.Tensor)
        if isinstance(item, torch.Tensor):
            return item.detach().to("meta")
        return torch.device("meta") if isinstance(item, torch.device) or item in ("cpu", "cuda") else item

    args, kwargs = mapped(args, on_meta), mapped(kwargs, on_meta)
    if "device" in kwargs or name_of(function) in FACTORIES:
        kwargs = {**kwargs, "device": "meta"}
    return args[0] if name_of(function) in ("cpu", "cuda") else function(*args, **kwargs)


def guessed_result(called: Any, args: Arguments, kwargs: Keywords) -> Any:
    """Return torch's result on ``meta`` for an unsupported call, so that later calls can be read. None if torch fails.

    Args:
        called: The function or module.
    """
    try:
        is_module = isinstance(called, torch.nn.Module)
        function = copy.deepcopy(called).to("meta").forward if is_module else called
        return meta_result(function, args, kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError, AttributeError):  # listed by the call
        return None


def unknown_result(expected: Any, args: Arguments, kwargs: Keywords) -> Any:
    """Return a placeholder result whose tensors are ``Unknown``. Its structure is ``expected``'s, or one tensor."""
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
