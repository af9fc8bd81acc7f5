"""accumulate: turn a sum of products into one chain of products, each accumulating onto the previous one.

All sums of a graph use one order: first the terms that depend on no carry (biases, then products), then the products
of carries, then the other terms. Results therefore have the same bits whether input products are hoisted out of the
loop or computed step by step. A ``scatter_add`` of transposed rows adds the rows in memory order, time first.

Law: values are unchanged up to rounding of a reordered sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ..ir.graph import Graph, Node, dependents, make, remake, rewrite, with_body
from ..ir.node import inverse_order
from ..ir.scan import ScanParts
from ..ir.types import FLOATS
from ..support.records import dataclass


@dataclass(frozen=True)
class Accumulate:
    """Turn a sum of products into one chain of products, each accumulating onto the previous one.

    Law: values are unchanged up to rounding of a reordered sum.
    """

    name: str = "accumulate"

    def __call__(self, graph: Graph) -> Graph:
        previous = None
        while graph is not previous:  # repeat, because a term of one chain may be a sum with products, too
            previous = graph
            graph = _accumulate(_accumulated_bodies(rewrite(graph, _in_memory_order)), set())
        return graph


def _in_memory_order(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Rewrite a ``scatter_add`` of transposed rows to add them in memory order; None for other nodes."""
    if node.op != "scatter_add" or operands[1].op != "transpose":
        return None
    indices, order = operands[0], operands[1]["order"]
    rank = indices.tensor.rank
    if order[rank:] != tuple(range(rank, len(order))):
        return None
    moved = make("transpose", indices, where=node.where, order=inverse_order(order[:rank]))
    rows = operands[1].operands[0]
    return make("scatter_add", moved, rows, where=node.where, name=node.name, rows=node["rows"])


def _accumulated_bodies(graph: Graph) -> Graph:
    """Apply the pass to the body of every scan. Within a body, terms that depend on a carry are added last."""

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "scan":
            return None
        body = _accumulated_bodies(node["body"])
        body = _accumulate(body, dependents([carry.inside for carry in ScanParts.of(node).carries], body.nodes))
        return None if body is node["body"] else with_body(node, operands, body)

    return rewrite(graph, rule)


def _accumulate(graph: Graph, late: set[Node]) -> Graph:
    """Turn the sums of one graph into chains. Terms in ``late`` are added last."""
    users = graph.users()
    outputs = {node for _, node in graph.outputs}

    def has_one_reader(node: Node) -> bool:
        return len(users[node]) == 1 and node not in outputs

    def inner(node: Node) -> bool:
        """True for an add whose only reader is an add of the same type, which continues the sum."""
        return has_one_reader(node) and users[node][0].op == "add" and users[node][0].type == node.type

    def collect(chain: _Chain) -> None:
        """Append the terms of a sum to ``chain``, in order. A product follows the value to which it is added."""
        root = chain.root
        # Pairs of a node and a list. The list is None until the node's terms are collected; then the node is appended.
        pending: list[tuple[Node, list[Node] | None]] = [(root, None)]
        while pending:  # an explicit stack, because sums may be longer than Python's recursion limit
            node, place = pending.pop()
            if place is not None:
                place.append(node)
            elif node.op == "add" and (node is root or (inner(node) and node.type == root.type)):
                pending += [(node, chain.sums), *((item, None) for item in reversed(node.operands))]
            elif node.op == "matmul" and node.type == root.type and has_one_reader(node):
                pending += [(node, chain.products), *((item, None) for item in reversed(node.operands[2:]))]
            else:
                chain.others.append(node)

    chains: dict[Node, _Chain] = {}
    for root in graph.nodes:
        if root.op == "add" and root.dtype in FLOATS and not inner(root):
            chain = _Chain(root)
            collect(chain)
            if chain.products:
                chains[root] = chain
    new: dict[Node, Node] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if _starts_with_carry(node, late):
            operands = operands[::-1]
        new[node] = chains[node].total(new, late) if node in chains else remake(node, operands)
        return new[node]

    return rewrite(graph, rule)


def _starts_with_carry(node: Node, late: set[Node]) -> bool:
    """True if only the first of a sum's two terms depends on a carry, so that they must be swapped.

    Equal layers then add in one order, wherever the gradient of their outputs comes from. Two products keep their
    order, because a fused multiply-add rounds only one of them.
    """
    if node.op != "add" or node.dtype not in FLOATS:
        return False
    first, second = node.operands
    return first in late and second not in late and {first.op, second.op} != {"mul"}


@dataclass(frozen=True, eq=False)
class _Chain:
    """Sum of several terms, which nested adds compute.

    Attributes:
        root: Add that computes the whole sum.
        sums: Adds of which the sum consists.
        products: Terms that are matrix products.
        others: All other terms.
    """

    root: Node
    sums: list[Node] = field(default_factory=list)
    products: list[Node] = field(default_factory=list)
    others: list[Node] = field(default_factory=list)
    known: dict[tuple[Node, ...], Node] = field(default_factory=dict)  # adds, by their operands

    def total(self, new: Mapping[Node, Node], late: set[Node]) -> Node:
        """Return the sum as one chain of products. Existing adds are reused.

        Args:
            new: Rewritten nodes, by node of the original graph.
            late: Terms that are added last.
        """
        root, total = self.root, None
        for node in self.sums:
            self.known.setdefault(node.operands, node)
        for term in self.others:
            if term not in late:
                total = new[term] if total is None else self.add(total, new[term])
        after = [new[term] for term in self.others if term in late]
        ordered = sorted(self.products, key=lambda term: term in late)
        for term in ordered:
            operands = (new[term.operands[0]], new[term.operands[1]], *([total] if total else []))
            if term is ordered[-1] and not after:
                return make("matmul", *operands, where=term.where, name=root.name, **dict(term.attributes))
            total = remake(term, operands)
        assert total is not None
        for term in after:
            total = self.add(total, term, root.name)
        return total

    def add(self, a: Node, b: Node, name: str = "") -> Node:
        """Return the sum of two values: an add of the declared sum if it has these operands, else a new one."""
        return self.known.get((a, b)) or make("add", a, b, where=self.root.where, name=name)
