"""Removal of pairs of transposes that cancel, although elementwise ops, slices or a product lie between them.

Code that convolves along the last axis transposes a sequence, convolves, and transposes the result back. Each transpose
would copy, because it moves the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from heapq import heappop, heappush

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.node import inverse_order, is_scalar_broadcast, permuted_bounds
from ...ir.ops import OPS


def without_pairs(graph: Graph) -> Graph:
    """Remove transposes that undo an earlier move of the last axis. Ops between the two then run untransposed.

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
        reached, pending, queued = {last}, [-self.places[last]], {last}
        while pending:  # the last node first, so that all readers of a node are known
            node = self.nodes[-heappop(pending)]
            if node is last or (node not in self.outputs and reached.issuperset(self.users[node])):
                reached.add(node)
                for operand in node.operands:
                    if operand not in queued:
                        queued.add(operand)
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
        pending = [node]
        while pending:  # an explicit stack, because chains of ops may exceed Python's recursion limit
            item = pending[-1]
            missing = [] if item in self.new else [operand for operand in self._read(item) if operand not in self.new]
            if missing:
                pending += missing
                continue
            pending.pop()
            if item not in self.new:
                self.new[item] = self._computed(item)
        return self.new[node]

    def _read(self, node: Node) -> Sequence[Node]:
        """Return the operands from whose transposes the transpose of a value is computed; empty if there are none."""
        is_known = node.op in ("matmul", "slice") or OPS[node.op].kind == "elementwise"
        if not is_known or node.tensor.rank != len(self.order) or node not in self.nodes:
            return ()
        return node.operands[1:2] if node.op == "matmul" else node.operands

    def _computed(self, node: Node) -> Node | None:
        """Return the transpose of a value from those of the operands that it reads; None if that is impossible."""
        if not node.tensor.rank:
            return node
        if node.tensor.rank != len(self.order):
            return None
        if node.op == "transpose":
            return node.operands[0] if node["order"] == inverse_order(self.order) else None
        if is_scalar_broadcast(node):
            shape = tuple(node.shape[axis] for axis in self.order)
            return make("broadcast", node.operands[0], where=node.where, name=node.name, shape=shape)
        operands = [self.new[item] for item in self._read(node)]
        if not operands:
            return None
        if node.op == "matmul":
            return self._transposed_product(node, *node.operands)
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
        x = self.new[right] if self.order == (*range(rank - 2), rank - 1, rank - 2) and not starts else None
        if x is None or not is_weight:
            return None
        weight = make("transpose", left.operands[0], where=left.where, name=left.name, order=(1, 0))
        return make("matmul", x, weight, where=node.where, name=node.name)
