"""Branches of ``tf.cond`` and ``tf.case`` while their functions declare Tensors."""

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
        is_selected: Boolean scalar, True if the branch is selected.
        depth: Number of nested loop steps that are being traced around the branch. Steps of loops inside the branch
            read outer Tensors directly.
    """

    def __init__(self, is_selected: Tensor, depth: int) -> None:
        self.is_selected, self.depth = is_selected, depth
        self._own: set[Node] = set()
        self._read: dict[Node, Tensor] = {}

    def reads(self, values: Iterable[Any]) -> list[Any]:
        """Return an operation's operands, with outer float Tensors read through a ``where`` that blocks gradients."""
        return [self._read_through_where(value) for value in values]

    def _read_through_where(self, value: Any) -> Any:
        """Return an operand; for an outer float Tensor, a ``where`` that blocks gradients of an unselected branch.

        Matrix variables, constants and gradients are read directly.
        """
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
        """Record the results of an operation as the branch's own Tensors, which it reads directly."""
        if isinstance(result, Tensor):
            self._own.add(result.node)
        elif isinstance(result, list | tuple):
            self._own.update(item.node for item in flatten(result) if isinstance(item, Tensor))
