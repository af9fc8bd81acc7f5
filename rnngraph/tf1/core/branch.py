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
    """Branch of ``tf.cond``. Only the selected branch passes gradients on, so that the other one adds no NaN.

    Both branches are computed, and one result is selected. If the other branch divides by 0, its gradient would be
    0 * infinity. Each branch therefore reads outer Tensors through a ``where`` that blocks the gradient unless the
    branch is selected.

    Variables that are matrices are read directly, so that the compiler still recognises products and look-ups.

    Args:
        is_selected: Scalar that is True if the branch is selected.
        depth: Number of traced steps around the branch. Steps of a loop inside the branch read directly.
    """

    def __init__(self, is_selected: Tensor, depth: int) -> None:
        self.is_selected, self.depth = is_selected, depth
        self._own: set[Node] = set()
        self._read: dict[Node, Tensor] = {}

    def reads(self, values: Iterable[Any]) -> list[Any]:
        """Return the operands of an operation of the branch. Tensors from outside are read through the ``where``."""
        return [self._through(value) for value in values]

    def _through(self, value: Any) -> Any:
        """Return an operand, read through the ``where`` if it is a float Tensor from outside of the branch."""
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
            self._read[node] = functions.where(self.is_selected, value, functions.stop_gradient(value))
        return self._read[node]

    def owns(self, result: Any) -> None:
        """Record the results of an operation of the branch, which the branch reads directly."""
        if isinstance(result, Tensor):
            self._own.add(result.node)
        elif isinstance(result, list | tuple):
            self._own.update(item.node for item in flatten(result) if isinstance(item, Tensor))
