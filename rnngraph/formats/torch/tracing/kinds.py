"""Types of what torch's functions take and what meanings give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from ....ir.types import Dim
from ...script import Script
from ...steps import Value
from .sizes import Sizes
from .values import Lazy

Number: TypeAlias = int | float | bool
"""A number of Python's, an open size among them."""
Axes: TypeAlias = int | Sequence[int] | None
"""One axis, several, or all."""
Extents: TypeAlias = int | Sequence[int]
"""One number for all axes of a window, or one for each."""
Function: TypeAlias = Callable[..., Any]
"""A function of ``rg`` or of torch, whose arguments depend on which it is."""
Operand: TypeAlias = Value | Lazy | torch.Tensor
"""A tensor as a meaning takes it: of the script, left open so far, or a parameter of the module."""
Argument: TypeAlias = Operand | Number
"""A tensor or a number."""
Operands: TypeAlias = Sequence[Operand]
Result: TypeAlias = Operand | Number | Operands
"""What a meaning gives."""
Tensors: TypeAlias = Sequence[torch.Tensor]
Index: TypeAlias = Any
"""An index as Python gives it: numbers, slices, tensors, lists, ``None``, ``...``, and tuples of these."""


class Declaring(Protocol):
    """A tracer as the files need it that it imports itself."""

    script: Script
    sizes: Sizes
    cached: dict[Any, Any]
    has_assumed: bool

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Value:
        """A call of a function of ``rg`` in the script."""

    def value(self, item: Operand, dtype: str | None = None) -> Value:
        """An operand as a value of the script."""

    def cast(self, value: Any, dtype: str) -> Any:
        """A value or a lazy one in another dtype."""

    def declared(self, path: str, array: np.ndarray, trainable: bool = True) -> Value:
        """A parameter that stands by itself."""

    def on_time(self, dim: Dim) -> None:
        """Notes that a size is one of time."""

    def problem(self, what: str) -> None:
        """Notes what can't be read."""
