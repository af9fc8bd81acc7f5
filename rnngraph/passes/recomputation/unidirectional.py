"""Rematerialisation of recurrences in one direction, together with all values computed step by step from them.

    early    values needed before the derivative starts: the recurrences, their operands, and values without a time
             axis that every step of the derivative reads, such as the divisor of a mean
    late     all other values. They are computed in the loop of the derivative, from recomputed steps.

Early values with a time axis are computed twice. Sums over time are late unless an early value needs them.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...ir.axes.walk import reads_whole
from ...ir.graph import Graph, Node, make, remake, topological
from ...ir.scan import is_final, split_inputs
from ...ir.types import Dim
from ..simplify import drop_dead
from .blocks import has_steps, is_much_smaller, is_recomputed, recomputed_blocks, with_checkpoints


class Unidirectional:
    """Rewriter of a graph with recurrences in one direction.

    Attributes:
        forward: The scans over one length that are differentiated.
        backward: The derivatives of these scans, in the opposite direction.
        dependencies: For each value, the scans over this length on which it depends.
        new_early: Rewritten early values.
        new_late: Values as the derivative's loop reads them: late values, and recomputed or saved early values.
    """

    def __init__(
        self, graph: Graph, length: Dim, steps: int, forward: set[Node], dependencies: Mapping[Node, frozenset[Node]]
    ) -> None:
        self.graph, self.length, self.steps, self.dependencies = graph, length, steps, dependencies
        self.forward = [node for node in graph.nodes if node in forward]
        self.backward = frozenset.union(*dependencies.values()) - forward
        self.new_early: dict[Node, Node] = {}
        self.new_late: dict[Node, Node] = {}

    def build(self) -> Graph:
        """Return the rewritten graph."""
        self.early = self._early_values()
        for node in self.graph.nodes:
            if node in self.early and node not in self.new_early:
                self._add_early(node)
        outputs = [
            (name, self.new_early[node] if node in self.early else self._late_form(node))
            for name, node in self.graph.outputs
        ]
        return drop_dead(Graph.of(self.graph.name, outputs, self.graph.inputs, self.graph.comments))

    # Early values -------------------------------------------------------------------------------

    def _early_values(self) -> set[Node]:
        """Return the values that are computed before the derivative starts."""
        gets = [node for node in self.graph.nodes if node.op == "get" and node.operands[0] in self.forward]
        early = set(topological([*self.forward, *(get for get in gets if is_final(get) or is_much_smaller(get))]))
        pending = True
        while pending:
            more: set[Node] = set()
            for node in self.graph.nodes:
                if node not in early and self._runs_along(node):
                    more.update(
                        item for item in self._operands_read_whole(node) if item not in early and self._is_ready(item)
                    )
            early.update(topological(more, known=early))
            pending = bool(more)
        return early.union(self.graph.inputs)

    def _is_ready(self, node: Node) -> bool:
        """True if a value depends on forward scans, and on no derivative."""
        return bool(self.dependencies[node]) and self.dependencies[node].isdisjoint(self.backward)

    def _has_steps(self, node: Node) -> bool:
        return has_steps(node, self.length)

    def _runs_along(self, node: Node) -> bool:
        """True if a value is computed step by step, or is a sum over the steps."""
        if node.op == "scan":
            return bool(node["length"] == self.length)
        if node.op == "get":
            return self._has_steps(node) and self._runs_along(node.operands[0])
        return any(map(self._has_steps, node.operands))

    def _operands_read_whole(self, node: Node) -> list[Node]:
        """Return the operands that a step reads as a whole, not one entry a step, such as states and invariants."""
        whole = [item for item in node.operands if not (self._has_steps(item) and self._runs_along(item))]
        if node.op == "scan":
            initial, _, invariants = split_inputs(node, node.operands)
            return [*whole, *initial, *invariants]
        if node.op == "get":
            return []
        return [*whole, *(item for item in node.operands if self._has_steps(item) and reads_whole(node, item))]

    # Saved and recomputed values -----------------------------------------------------------------

    def _add_early(self, node: Node) -> None:
        operands = [self.new_early[item] for item in node.operands]
        is_recurrence = node in self.forward
        self.new_early[node] = with_checkpoints(node, operands, self.steps) if is_recurrence else remake(node, operands)

    def _late_form(self, root: Node) -> Node:
        """Return the node that the derivative's loop reads for a value. Nodes of its dependencies are built first."""
        for node in topological([root], known=self.new_late):
            self.new_late[node] = self._build_late(node)
        return self.new_late[root]

    def _build_late(self, node: Node) -> Node:
        """Return the node by which the backward pass reads a value: recomputed, saved, or computed only there.

        A late value is computed from these nodes. An early value is recomputed from them, or read as saved.
        """
        operands = [self.new_late[item] for item in node.operands]
        if node not in self.early:
            return remake(node, operands)
        if node in self.forward:
            return recomputed_blocks(node, operands, self.new_early[node], self.steps)
        if not is_recomputed(node, self.length) or (node.op == "get" and is_final(node)):
            return self.new_early[node]
        return make(node.op, *operands, where=node.where, name=node.name, **dict(node.attributes))
