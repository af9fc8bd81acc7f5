"""Removal of pairs of transposes that cancel, although elementwise ops, slices or a product lie between them.

Code that convolves along the last axis transposes a sequence, convolves, and transposes the result back. Each transpose
would copy, because it moves the last axis.
"""

from __future__ import annotations

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.node import inverse_order, is_scalar_broadcast, permuted_bounds
from ...ir.ops import OPS


def without_pairs(graph: Graph) -> Graph:
    """Remove transposes of the last axis that undo earlier transposes.

    Law: values are unchanged, bit for bit, up to the order of sums in a product between two transposes.
    """
    last = [node for node in graph.nodes if node.op == "transpose" and node["order"][-1] != node.tensor.rank - 1]
    if len(last) < 2:
        return graph
    changed = dict[Node, Node]()
    for node in last:
        if (value := _Between(graph, node).transposed(node.operands[0])) is not None:
            changed[node] = value
    return rewrite(graph, lambda node, _: changed.get(node))


class _Between:
    """Ops between an earlier transpose and a later one, whose results nothing else reads.

    Attributes:
        order: Permutation of the later transpose.
        new: The transpose of each value, computed without a transpose; None if there is no such form.
        nodes: The later transpose, and the ops that only it reads, directly or through other ops.
    """

    def __init__(self, graph: Graph, transpose: Node) -> None:
        self.order = transpose["order"]
        self.new = dict[Node, Node | None]()
        self.nodes, users, outputs = {transpose}, graph.users(), {node for _, node in graph.outputs}
        for node in reversed(graph.nodes):
            if users[node] and self.nodes.issuperset(users[node]) and node not in outputs:
                self.nodes.add(node)

    def transposed(self, node: Node) -> Node | None:
        """Return the transpose of a value, computed without a transpose op; None if that is impossible."""
        if node not in self.new:
            self.new[node] = self._computed(node)
        return self.new[node]

    def _computed(self, node: Node) -> Node | None:
        """Return the transpose of a value, computed from the transposes of its operands; None if that is impossible."""
        if not node.tensor.rank:
            return node
        shape = tuple(node.shape[axis] for axis in self.order) if node.tensor.rank == len(self.order) else None
        if shape is None:
            return None
        if node.op == "transpose":
            return node.operands[0] if node["order"] == inverse_order(self.order) else None
        if is_scalar_broadcast(node):
            return make("broadcast", node.operands[0], where=node.where, name=node.name, shape=shape)
        if node not in self.nodes:
            return None
        if node.op == "matmul":
            return self._transposed_product(node, *node.operands)
        if OPS[node.op].kind != "elementwise" and node.op != "slice":
            return None
        operands = [self.transposed(item) for item in node.operands]
        kept = [item for item in operands if item is not None]
        if len(kept) < len(operands) or OPS[node.op].random:
            return None
        if node.op != "slice":
            return remake(node, kept)
        return make("slice", *kept, where=node.where, name=node.name, **permuted_bounds(node, self.order))

    def _transposed_product(self, node: Node, left: Node, right: Node, *starts: Node) -> Node | None:
        """Return the transpose of ``weight @ x`` as ``x.T @ weight.T``; None for other products."""
        rank = node.tensor.rank
        is_weight = left.op == "broadcast" and left.operands[0].tensor.rank == 2
        x = self.transposed(right) if self.order == (*range(rank - 2), rank - 1, rank - 2) and not starts else None
        if x is None or not is_weight:
            return None
        weight = make("transpose", left.operands[0], where=left.where, name=left.name, order=(1, 0))
        return make("matmul", x, weight, where=node.where, name=node.name)
