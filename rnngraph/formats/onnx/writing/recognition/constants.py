"""``Constants``: computes the values of nodes that depend on parameters and numbers only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .....ir.graph import Graph, Node, symbols_of_node
from .....ir.interpreter import interpret
from .....ir.types import product

MAX_ELEMENTS = 1 << 28
"""Maximum elements of an array that is folded while a file is written."""


class Constants:
    """Computes the values of nodes that depend on constants and parameters alone, each once.

    Args:
        parameters: The program's arrays by name.
    """

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self._parameters = parameters
        self._known: dict[Node, bool] = {}
        self._values: dict[Node, np.ndarray] = {}

    def has(self, node: Node) -> bool:
        """True if a node depends on no input, symbolic size or scan, and is small enough to fold."""
        pending = [node]
        while pending:
            current = pending[-1]
            if current in self._known:
                pending.pop()
                continue
            missing = [item for item in current.operands if item not in self._known]
            if missing:
                pending += missing
                continue
            self._known[current] = self._is_constant(current)
            pending.pop()
        return self._known[node]

    def _is_constant(self, node: Node) -> bool:
        """True if a node is constant and small enough to fold. ``_known`` must have its operands."""
        if node.op in ("input", "scan", "get") or any(symbols_of_node(node)):
            return False
        elements = product(node.shape)
        is_small = node.op == "parameter" or (isinstance(elements, int) and elements <= MAX_ELEMENTS)
        return is_small and all(self._known[item] for item in node.operands)

    def value(self, node: Node) -> np.ndarray:
        """Return the array of a constant node."""
        if node not in self._values:
            self._values[node] = interpret(Graph.of("constant", [("value", node)]), self._parameters)["value"]
        return self._values[node]

    def labels(self, node: Node) -> list[str]:
        """Return the names of the parameters on which a node depends."""
        return [str(item["label"]) for item in Graph.of("constant", [("value", node)]).inputs]
