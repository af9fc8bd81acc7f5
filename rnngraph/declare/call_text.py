"""Text of calls: function names in snake case, and the call that created a cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..support.errors import shown
from .state import is_cell
from .tensor import Tensor


def snake_case(name: str) -> str:
    """Convert BasicLSTMCell to basic_lstm_cell, as in TensorFlow's variable names."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return words.lower()


def call_text(name: str, arguments: Sequence[Any], keywords: dict[str, Any]) -> str:
    """Return a call as text, such as ``GRUCell(8)``. A cell is shown by its class, a list of cells by its length."""
    parts = [_argument_text(value) for value in arguments]
    parts += [f"{key}={_argument_text(value)}" for key, value in keywords.items()]
    return f"{name}({', '.join(parts)})"


def _argument_text(value: Any) -> str:
    """Return an argument of a call as short text: the name of a class, function or Tensor, or the value."""
    if is_cell(value) and not isinstance(value, type):
        return type(value).__name__
    if isinstance(value, list | tuple) and any(map(is_cell, value)):
        return f"[{len(value)} cells]"
    if isinstance(value, Tensor):
        return value.name
    text = getattr(value, "__name__", None) or shown(value)
    return type(value).__name__ if text.startswith("<") else text  # such as <Attention object at 0x…>
