"""Arguments of calls: what stands in lists, tuples, dicts and slices, however deep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .tensors import Shape


def flat(item: Any) -> list[Any]:
    """All that stands in nested arguments."""
    if isinstance(item, dict):
        return [found for part in item.values() for found in flat(part)]
    if isinstance(item, list | tuple):
        return [found for part in item for found in flat(part)]
    if isinstance(item, slice):
        return [item.start, item.stop, item.step]
    return [item]


def mapped(item: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(item, dict):
        return {key: mapped(part, function) for key, part in item.items()}
    if isinstance(item, slice):
        return slice(*(function(part) for part in (item.start, item.stop, item.step)))
    if isinstance(item, Shape | torch.Size):
        return tuple(mapped(part, function) for part in item)
    if isinstance(item, list | tuple):
        parts = [mapped(part, function) for part in item]
        return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)
    return function(item)
