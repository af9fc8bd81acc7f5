"""accumulate: a sum of products becomes one chain of products, each starting from what came before.

The order is one for all of a graph: terms that no carried value reaches first (biases, then products), then
products of carried values; what is left is added at the end. So an element's value is the same whether its
input half is computed for all steps beforehand or step by step.
Law: values unchanged, up to the rounding of a sum in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..ir.graph import Graph, Node, make, remake, rewrite
from ..ir.types import FLOATS


@dataclass(frozen=True)
class Accumulate:
    """Law: values unchanged, up to the rounding of a sum in another order."""

    name: str = "accumulate"

    def __call__(self, graph: Graph) -> Graph:
        return _accumulate(_bodies(graph), set())


def _bodies(graph: Graph) -> Graph:
    """Every scan's body accumulated, with its own carries as what comes late."""

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "scan":
            return None
        body = _bodies(node["body"])
        body = _accumulate(body, _reached(body, body.inputs[: node["carries"]]))
        if body is node["body"]:
            return None
        attributes = dict(node.attributes) | {"body": body}
        return make("scan", *operands, where=node.where, name=node.name, **attributes)

    return rewrite(graph, rule)


def _reached(graph: Graph, roots: Iterable[Node]) -> set[Node]:
    late = set(roots)
    for node in graph.nodes:
        if any(operand in late for operand in node.operands):
            late.add(node)
    return late


def _accumulate(graph: Graph, late: set[Node]) -> Graph:
    users = graph.users()
    outputs = {node for _, node in graph.outputs}

    def single(node: Node) -> bool:
        return len(users[node]) == 1 and node not in outputs

    def inner(node: Node) -> bool:
        """An add that is only a part of a longer sum of the same shape."""
        return single(node) and users[node][0].op == "add" and users[node][0].type == node.type

    def terms(node: Node) -> list[Node]:
        if node.op == "add" and (node is root or (inner(node) and node.type == root.type)):
            return [term for operand in node.operands for term in terms(operand)]
        return [node]

    chains: dict[Node, list[Node]] = {}
    for root in graph.nodes:
        if root.op == "add" and root.dtype in FLOATS and not inner(root):
            found = terms(root)
            if any(_product(term, root) and single(term) for term in found):
                chains[root] = found
    if not chains:
        return graph
    new: dict[Node, Node] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        result = _chain(node, chains[node], new, late, single) if node in chains else None
        if result is None:
            result = remake(node, operands)
        new[node] = result
        return result

    return rewrite(graph, rule)


def _product(term: Node, root: Node) -> bool:
    return term.op == "matmul" and term.type == root.type


def _chain(
    root: Node, found: list[Node], new: dict[Node, Node], late: set[Node], single: Callable[[Node], bool]
) -> Node:
    products = [term for term in found if _product(term, root) and single(term)]
    others = [term for term in found if term not in products]
    starts = [term.operands[2] for term in products if len(term.operands) == 3]
    early = [new[term] for term in (*others, *starts) if term not in late]
    after = [new[term] for term in (*others, *starts) if term in late]
    total: Node | None = None
    for term in early:
        total = term if total is None else make("add", total, term, where=root.where)
    ordered = sorted(products, key=lambda term: term in late)
    for term in ordered:
        left, right = new[term.operands[0]], new[term.operands[1]]
        name = root.name if term is ordered[-1] and not after else term.name
        total = make("matmul", left, right, *([total] if total else []), where=term.where, name=name)
    assert total is not None
    for term in after:
        total = make("add", total, term, where=root.where, name=root.name)
    return total
