"""fuse_multiply_add: a product that is only added becomes one fused multiply-add.

The rule looks at the graph alone, never at tiles, unrolling or threads, so every way of running a graph
rounds alike.
Law: values unchanged, up to the one rounding that an fma saves.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, make, map_bodies, rewrite
from ..ir.types import FLOATS


@dataclass(frozen=True)
class FuseMultiplyAdd:
    """Law: values unchanged, up to the one rounding that an fma saves."""

    name: str = "fuse_multiply_add"

    def __call__(self, graph: Graph) -> Graph:
        return _fuse(map_bodies(graph, _fuse))


def _fuse(graph: Graph) -> Graph:
    users = graph.users()
    outputs = {node for _, node in graph.outputs}

    def product(node: Node) -> bool:
        return node.op == "mul" and len(users[node]) == 1 and node not in outputs

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op not in ("add", "sub") or node.dtype not in FLOATS:
            return None
        first, second = node.operands
        a, b = operands
        if product(first) and a.op == "mul":
            c = make("neg", b, where=node.where) if node.op == "sub" else b
            return make("fma", *a.operands, c, where=node.where, name=node.name)
        if product(second) and b.op == "mul":
            x, y = b.operands
            x = make("neg", x, where=node.where) if node.op == "sub" else x
            return make("fma", x, y, a, where=node.where, name=node.name)
        return None

    return rewrite(graph, rule)
