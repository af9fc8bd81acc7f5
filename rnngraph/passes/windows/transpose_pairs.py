"""Removal of pairs of transposes that cancel, although elementwise ops, slices or a product lie between them.

Code that convolves along the last axis transposes a sequence, convolves, and transposes the result back. Each transpose
would copy, because it moves the last axis.
"""

from __future__ import annotations

from functools import cached_property
from heapq import heappop, heappush

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
    changed, readers = dict[Node, Node](), _Readers(graph)
    for node in last:
        if (value := _Between(readers, node).transposed(node.operands[0])) is not None:
            changed[node] = value
    return rewrite(graph, lambda node, _: changed.get(node))


class _Readers:
    """Readers of each value of a graph.

    Attributes:
        nodes: All nodes, in the graph's order.
        places: Position of each node.
        users: Nodes that read each node.
        outputs: Nodes whose values the graph returns.
    """

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        self.places = {node: number for number, node in enumerate(graph.nodes)}
        self.users, self.outputs = graph.users(), {node for _, node in graph.outputs}

    def only_read_by(self, last: Node) -> set[Node]:
        """Return ``last``, and the ops that only it reads, directly or through other ops."""
        reached, pending = {last}, [-self.places[last]]
        while pending:  # the last node first, so that all readers of a node are known
            node = self.nodes[-heappop(pending)]
            if node is last or (node not in self.outputs and reached.issuperset(self.users[node])):
                reached.add(node)
                for operand in {*node.operands}:
                    heappush(pending, -self.places[operand])
        return reached


class _Between:
    """Ops between an earlier transpose and a later one, whose results nothing else reads.

    Attributes:
        order: Permutation of the later transpose.
        new: The transpose of each value, computed without a transpose; None if there is no such form.
    """

    def __init__(self, readers: _Readers, transpose: Node) -> None:
        self.order, self._readers, self._last = transpose["order"], readers, transpose
        self.new = dict[Node, Node | None]()

    @cached_property
    def nodes(self) -> set[Node]:
        """The later transpose, and the ops that only it reads, directly or through other ops."""
        return self._readers.only_read_by(self._last)

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
        if node.op != "matmul" and node.op != "slice" and OPS[node.op].kind != "elementwise":
            return None
        if node not in self.nodes:
            return None
        if node.op == "matmul":
            return self._transposed_product(node, *node.operands)
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
