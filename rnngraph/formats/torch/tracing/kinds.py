"""Types of what torch's functions take and what meanings give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch

from ...steps import Value
from .values import Lazy

Number: TypeAlias = int | float | bool
"""A number of Python's, an open size among them."""
Axes: TypeAlias = int | Sequence[int] | None
"""One axis, several, or all."""
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
