"""Tensors without values, as a module's code sees them, and their shapes."""

from __future__ import annotations

from typing import Any

import torch

from ....support.errors import Where
from ...steps import Value
from .values import Lazy

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.int32: "int32",
    torch.int64: "int64",
    torch.bool: "bool",
}
"""``rg``'s names of the supported torch dtypes."""
TORCH_DTYPES = {name: dtype for dtype, name in DTYPES.items()}
"""torch's dtypes by the names of ``rg``."""


class Memory:
    """Memory that a tensor and its views share."""

    def __init__(self) -> None:
        self.writes = 0
        """Number of writes in place so far."""
        self.where: Where | None = None
        """Line of the last write."""


class Traced(torch.Tensor):  # type: ignore[misc, unused-ignore]  # without torch installed its base is Any
    """Tensor without values, which stands for a value of the script or a lazy value."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    value: Value | Lazy
    memory: Memory
    writes: int
    """Number of writes to the memory that ``value`` reflects."""
    origin: object
    """How this tensor is a view of another one, a ``View``; None for other tensors."""

    @staticmethod
    def of(value: Value | Lazy, like: torch.Tensor) -> Traced:
        """Wrap a value in a tensor with the shape and dtype of ``like``."""
        traced: Traced = torch.Tensor._make_subclass(Traced, like)
        traced.value, traced.memory, traced.writes, traced.origin = value, Memory(), 0, None
        return traced

    @property
    def is_overwritten(self) -> bool:
        """True if a write in place to another tensor, such as a view, changed this tensor's memory."""
        return self.writes != self.memory.writes

    def share(self, other: Traced) -> None:
        """Make this tensor a view that shares the memory of another tensor."""
        self.memory, self.writes = other.memory, other.writes

    def write(self, value: Value | Lazy, where: Where | None) -> None:
        """Replace the value: a write in place at the line ``where``."""
        self.value, self.memory.where = value, where
        self.memory.writes += 1
        self.writes = self.memory.writes


class Shape(tuple[Any, ...]):
    """Shape of a tensor in the module's code: ints, some of which are ``Extent``s."""

    def numel(self) -> Any:
        """Return the product of the sizes."""
        total: Any = 1
        for size in self:
            total = size * total
        return total
