"""Nested arguments of calls: lists, tuples, dicts and slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .tensors import Shape


def flat(item: object) -> list[Any]:
    """Return the leaves of nested arguments."""
    if isinstance(item, dict):
        return [leaf for part in item.values() for leaf in flat(part)]
    if isinstance(item, list | tuple):
        return [leaf for part in item for leaf in flat(part)]
    if isinstance(item, slice):
        return [item.start, item.stop, item.step]
    return [item]


def mapped(item: Any, function: Callable[[Any], Any]) -> Any:
    """Return nested arguments with a function applied to each leaf; sizes become tuples."""
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
