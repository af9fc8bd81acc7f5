"""Removal of ``straight_through`` from graphs of which no derivative is taken any more."""

from __future__ import annotations

from ..ir.graph import Graph, Node, make, map_bodies, rewrite


def value_of(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Return the value of a ``straight_through``, without the operand that gets the adjoint; None for other nodes."""
    if node.op != "straight_through":
        return None
    value = operands[1]
    return value if value.type == node.type else make("broadcast", value, where=node.where, shape=node.shape)


def values_alone(graph: Graph) -> Graph:
    """Replace every ``straight_through`` of a graph and of its scans by its value."""
    return rewrite(map_bodies(graph, lambda body: rewrite(body, value_of)), value_of)
