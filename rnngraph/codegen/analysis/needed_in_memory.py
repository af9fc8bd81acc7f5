"""Values that need memory of their own because of how their readers access them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...ir.graph import Graph, Node, symbols_of_node
from ...ir.node import is_batched_product
from ...ir.scan import split_inputs
from .node_kinds import contracted, is_view

Users = Mapping[Node, Sequence[Node]]


def read_many_times(graph: Graph, users: Users) -> set[Node]:
    """Return the nodes that must be in memory, because a reader reads their elements many times or in another order."""
    materialized: set[Node] = set()
    for node in reversed(graph.nodes):
        if any(contracted(node, user) or (is_view(user) and user in materialized) for user in users[node]):
            materialized.add(node)
    return materialized


def transposed_weights(graph: Graph, users: Users) -> set[Node]:
    """Return transposes of parameters that batched products read as right operands, such as attention heads' weights.

    Their units are not adjacent in the parameter. A product would rearrange them in each call, or in each step of a
    loop, whereas copies are computed when parameters change.
    """
    return {
        node
        for node in graph.nodes
        if node.op == "transpose"
        and node.operands[0].op == "parameter"
        and node["order"][-1] != len(node["order"]) - 1
        and not any(symbols_of_node(node))
        and _multiplies_batches(node, users)
    }


def _multiplies_batches(node: Node, users: Users) -> bool:
    """True if a batched product, in a loop or not, reads ``node`` or a view of it as its right operand."""
    for user in users[node]:
        if is_batched_product(user) and user.operands[1] is node:
            return True
        if is_view(user) and _multiplies_batches(user, users):
            return True
        if user.op == "scan":
            body: Graph = user["body"]
            params = split_inputs(user, body.inputs)[2]
            fed = split_inputs(user, user.operands)[2]
            inner = body.users()
            if any(_multiplies_batches(param, inner) for param, item in zip(params, fed, strict=True) if item is node):
                return True
    return False
