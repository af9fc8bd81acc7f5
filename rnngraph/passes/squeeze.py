"""squeeze: an axis of one, as a single step leaves it in front, disappears from what computes on it.

Then a step's input product and its recurrent product run over the same rows, and become one kernel.
Law: values unchanged, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.graph import Graph, Node, make, rewrite
from ..ir.ops import OPS
from .simplify import Simplify


@dataclass(frozen=True)
class Squeeze:
    """Law: values unchanged, bit for bit."""

    name: str = "squeeze"

    def __call__(self, graph: Graph) -> Graph:
        previous, simplify = None, Simplify()
        while graph is not previous:
            previous = graph
            graph = simplify(rewrite(graph, _rule))
        return graph


def _rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """A reshape that drops a leading 1 moves inward, through elementwise ops and products."""
    if node.op != "reshape":
        return None
    source = operands[0]
    rank = source.tensor.rank
    if rank < 3 or source.shape[0] != 1 or node.shape != source.shape[1:]:
        return None
    if OPS[source.op].kind != "elementwise" and source.op != "matmul":
        return None

    def dropped(item: Node) -> Node:
        if item.tensor.rank < rank:
            return item
        return make("reshape", item, where=item.where, shape=item.shape[1:])

    parts = [dropped(item) for item in source.operands]
    return make(source.op, *parts, where=source.where, name=source.name, **dict(source.attributes))
