"""Tensors without values, and their sizes."""

from __future__ import annotations

from typing import Any

import torch

from ...steps import Value
from .values import Lazy

DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.int32: "int32", torch.int64: "int64", torch.bool: "bool",
}  # fmt: skip


class Traced(torch.Tensor):  # type: ignore[misc, unused-ignore]
    """A tensor without values, which stands for something in the script."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    value: Value | Lazy

    @staticmethod
    def of(value: Value | Lazy, like: torch.Tensor) -> Traced:
        """like: of the shape and dtype of the example's."""
        found: Traced = torch.Tensor._make_subclass(Traced, like)
        found.value = value
        return found


class Shape(tuple[Any, ...]):
    """A tensor's sizes, of which some are open."""

    def numel(self) -> Any:
        total: Any = 1
        for size in self:
            total = size * total
        return total
