"""Tensors without values, and their sizes."""

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
"""Names of the dtypes that are read."""
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
    """A tensor without values, which stands for a value of the script or a lazy one."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    value: Value | Lazy
    memory: Memory
    writes: int
    """Writes to the memory that ``value`` includes."""
    origin: tuple[Traced, Any] | None
    """The tensor that this one is an indexed part of, and the index; None if it is no such part."""

    @staticmethod
    def of(value: Value | Lazy, like: torch.Tensor) -> Traced:
        """Return a tensor for a value, with the shape and dtype of ``like``."""
        traced: Traced = torch.Tensor._make_subclass(Traced, like)
        traced.value, traced.memory, traced.writes, traced.origin = value, Memory(), 0, None
        return traced

    @property
    def is_overwritten(self) -> bool:
        """True if it was changed in place through another tensor, such as a view of it."""
        return self.writes != self.memory.writes

    def share(self, other: Traced) -> None:
        """Note that this is a view of another tensor."""
        self.memory, self.writes = other.memory, other.writes

    def write(self, value: Value | Lazy, where: Where | None) -> None:
        """Replace the value, by a write in place at the line ``where``."""
        self.value, self.memory.where = value, where
        self.memory.writes += 1
        self.writes = self.memory.writes


class Shape(tuple[Any, ...]):
    """The sizes of a tensor: numbers, some of which are ``Extent``s."""

    def numel(self) -> Any:
        """Return the product of the sizes."""
        total: Any = 1
        for size in self:
            total = size * total
        return total


def is_part(part: object, whole: object, index: object) -> bool:
    """True if ``part`` is the current content of ``whole`` at an index."""
    if not isinstance(part, Traced) or part.origin is None or part.is_overwritten or part.origin[0] is not whole:
        return False
    return repr(part.origin[1]) == repr(index)
