"""Search for loops whose state has a matrix for each row, and rewriting of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

from ...ir.graph import Graph, Node, rewrite, with_body
from ...ir.ops import OPS
from ...ir.types import product
from ..loops.large_values import is_large_value


def change_steps(graph: Graph, change: Callable[[Graph, int], Graph], only_matrix_states: bool = True) -> Graph:
    """Return the graph with changed bodies of loops, innermost first.

    Args:
        graph: The graph.
        change: Function from a body, and the number of states among its first inputs, to the new body.
        only_matrix_states: True to leave loops without a matrix state, and all loops in their steps, unchanged.
    """

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "scan" or (only_matrix_states and not has_matrix_state(node)):
            return None
        body = change(change_steps(node["body"], change, only_matrix_states), node["carries"])
        return None if body is node["body"] else with_body(node, operands, body)

    return rewrite(graph, rule)


def has_matrix_state(scan: Node) -> bool:
    """True if a loop carries a matrix for each row, perhaps as a flat state that steps reshape."""
    return any(map(is_large_value, state_values(scan["body"], scan["body"].inputs[: scan["carries"]])))


def state_values(body: Graph, carries: Iterable[Node]) -> Set[Node]:
    """Return some carries of a loop, and the values of the same size that are computed from them entry by entry."""
    states = {*carries}

    def has_entries(node: Node) -> bool:
        return any(item in states and product(item.shape) == product(node.shape) for item in node.operands)

    for node in body.nodes:
        is_entrywise = OPS[node.op].kind == "elementwise" or node.op in ("reshape", "transpose")
        if is_entrywise and has_entries(node):
            states.add(node)
    return states
