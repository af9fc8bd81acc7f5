"""Functions of ``tf.cond`` and ``tf.case`` while they are declared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...declare.functions import basic as functions
from ...declare.nest import flatten
from ...declare.tensor import Tensor
from ...ir.graph import Node
from ...ir.types import FLOATS


class Branch:
    """Branch of ``tf.cond``. Gradients leave it only if it is taken, so that the other branch adds no NaN.

    Both branches are computed, and one is selected. Where the other one divides by 0, its gradient is 0 * infinity.
    Tensors from outside are therefore read through a selection: its value is the Tensor, its gradient 0 elsewhere.
    Variables that are matrices are read directly, so that products and look-ups keep their forms.

    Args:
        taken: True where the branch is taken.
        depth: Number of traced steps around the branch. Steps of a loop inside the branch read directly.
    """

    def __init__(self, is_taken: Tensor, depth: int) -> None:
        self.is_taken, self.depth = is_taken, depth
        self._own: set[Node] = set()
        self._read: dict[Node, Tensor] = {}

    def reads(self, values: Iterable[Any]) -> list[Any]:
        """Return the operands of an operation of the branch, with those from outside read through the selection."""
        return [self._through(value) for value in values]

    def _through(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(self.reads(value))
        if not isinstance(value, Tensor) or value.type.dtype not in FLOATS:
            return value
        if value.node.op == "parameter" and value.rank > 1:
            return value
        node = value.node
        if node in self._own or node.op == "constant" or node.get("gradient") is not None:
            return value
        if node not in self._read:
            self._read[node] = functions.where(self.is_taken, value, functions.stop_gradient(value))
        return self._read[node]

    def owns(self, result: Any) -> None:
        """Record the results of an operation of the branch."""
        if isinstance(result, Tensor):
            self._own.add(result.node)
        elif isinstance(result, list | tuple):
            self._own.update(item.node for item in flatten(result) if isinstance(item, Tensor))
