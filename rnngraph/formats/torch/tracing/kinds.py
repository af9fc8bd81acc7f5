"""Types of the arguments and results of handlers, and ``Declaring``, the interface of ``Tracer``."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from ....ir.types import Dim
from ....support.errors import Where
from ...script import Script
from ...steps import Value
from .calls import Arguments as Arguments
from .calls import Function as Function
from .calls import Keywords as Keywords
from .sizes import Sizes
from .values import Lazy

Number: TypeAlias = int | float | bool
"""Python number, which may be computed from symbolic sizes."""
Axes: TypeAlias = int | Sequence[int] | None
"""One axis, several, or None for all."""
Extents: TypeAlias = int | Sequence[int]
"""One number for all axes of a window, or one for each."""
Operand: TypeAlias = Value | Lazy | torch.Tensor
"""Tensor argument of a handler: a value of the script, a lazy value, or a parameter of the module."""
Argument: TypeAlias = Operand | Number
"""A tensor or a number."""
Operands: TypeAlias = Sequence[Operand]
Result: TypeAlias = Operand | Number | Operands
"""Result of a handler."""
Tensors: TypeAlias = Sequence[torch.Tensor]
Index: TypeAlias = Any
"""Index of a tensor: numbers, slices, tensors, lists, ``None``, ``...``, or a tuple of these."""


class Declaring(Protocol):
    """Interface of ``Tracer``, for the modules of this package that ``tracer`` imports."""

    script: Script
    sizes: Sizes
    cached: dict[Hashable, Value]
    problems: list[tuple[str, Where | None]]

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Value:
        """Call a function of ``rg`` in the script."""

    def value(self, item: Operand, dtype: str | None = None) -> Value:
        """Return an operand as a value of the script."""

    def cast(self, value: Any, dtype: str) -> Any:
        """Return a declared or only described value in another dtype."""

    def declared(self, path: str, array: np.ndarray, trainable: bool = True) -> Value:
        """Declare a parameter outside of layers."""

    def on_time(self, dim: Dim) -> None:
        """Record that a size is a number of time steps."""

    def rewrites_branch(self) -> bool:
        """Rewrite the function that currently branches on values. Return False if that is impossible."""

    def problem(self, what: str) -> None:
        """Record an unsupported operation as a problem, with the current line."""
