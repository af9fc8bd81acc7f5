"""Tensors without values, and their sizes."""

from __future__ import annotations

from typing import Any

import torch

from ...steps import Value
from .values import Lazy

DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.int32: "int32", torch.int64: "int64", torch.bool: "bool",
}  # fmt: skip


class Memory:
    """What a tensor and its views share. writes: how often it was written to in place."""

    def __init__(self) -> None:
        self.writes = 0


class Traced(torch.Tensor):  # type: ignore[misc, unused-ignore]
    """A tensor without values, which stands for something in the script."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    value: Value | Lazy
    memory: Memory
    writes: int
    """Of the memory, that ``value`` knows of."""
    origin: tuple[Traced, Any] | None
    """The tensor that it is a part of, and the index; None where it is none, or a view of another kind."""

    @staticmethod
    def of(value: Value | Lazy, like: torch.Tensor) -> Traced:
        """like: of the shape and dtype of the example's."""
        found: Traced = torch.Tensor._make_subclass(Traced, like)
        found.value, found.memory, found.writes, found.origin = value, Memory(), 0, None
        return found

    @property
    def is_overwritten(self) -> bool:
        """Whether it was changed in place through another tensor, such as a view of it."""
        return self.writes != self.memory.writes

    def share(self, other: Traced) -> None:
        """Notes that this is a view of another one."""
        self.memory, self.writes = other.memory, other.writes

    def write(self, value: Value | Lazy) -> None:
        """Puts another value in its place."""
        self.value = value
        self.memory.writes += 1
        self.writes = self.memory.writes


class Shape(tuple[Any, ...]):
    """A tensor's sizes, of which some are open."""

    def numel(self) -> Any:
        total: Any = 1
        for size in self:
            total = size * total
        return total
