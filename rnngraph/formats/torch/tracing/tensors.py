"""Tensors without values, and their sizes."""

from __future__ import annotations

from typing import Any

import torch

from ....support.errors import Where
from ...steps import Value
from .values import Lazy

DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.int32: "int32", torch.int64: "int64", torch.bool: "bool",
}  # fmt: skip


class Memory:
    """What a tensor and its views share. writes: how often it was written to in place."""

    def __init__(self) -> None:
        self.writes = 0
        self.where: Where | None = None
        """The line that wrote to it last."""


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

    def write(self, value: Value | Lazy, where: Where | None) -> None:
        """Puts another value in its place. where: the line that does."""
        self.value, self.memory.where = value, where
        self.memory.writes += 1
        self.writes = self.memory.writes


class Shape(tuple[Any, ...]):
    """A tensor's sizes, of which some are open."""

    def numel(self) -> Any:
        total: Any = 1
        for size in self:
            total = size * total
        return total


def is_part(part: Any, whole: Any, index: Any) -> bool:
    """Whether this is what stands at an index of a tensor, as it is now."""
    if not isinstance(part, Traced) or part.origin is None or part.is_overwritten or part.origin[0] is not whole:
        return False
    return repr(part.origin[1]) == repr(index)
