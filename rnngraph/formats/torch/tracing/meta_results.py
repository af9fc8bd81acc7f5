"""Results as torch computes them on the device ``meta``: shapes and dtypes without values."""

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
    """Return what torch returns for a call, with tensors on ``meta``."""

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
    """Return torch's result for a call that can't be read, so that the calls after it can be; None if torch has none.

    called: a function, or a module.
    """
    try:
        is_module = isinstance(called, torch.nn.Module)
        function = copy.deepcopy(called).to("meta").forward if is_module else called
        return meta_result(function, args, kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError, AttributeError):  # the call itself is listed already
        return None


def unknown_result(expected: Any, args: Arguments, kwargs: Keywords) -> Any:
    """Return a result of the expected structure, by default one tensor, whose tensors stand for ``Unknown``."""
    first = next((item for item in flat((args, kwargs)) if isinstance(item, torch.Tensor)), None)

    def unknown(item: Any) -> Any:
        if not isinstance(item, torch.Tensor):
            return item
        plain = torch.empty(item.shape, dtype=item.dtype, device="meta")
        return Traced.of(Unknown(tuple(item.shape), "float32"), plain)

    return mapped(first if expected is None else expected, unknown)


def check_shape(ours: Sequence[int], theirs: Sequence[int]) -> None:
    """Raise ``UnreadableError`` if a result does not have torch's shape."""
    if tuple(ours) != tuple(theirs):
        raise UnreadableError(
            f"its result has shape {list(theirs)} in torch and {list(ours)} here; compute it with other functions"
        )
