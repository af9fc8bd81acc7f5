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
            graph = simplify(_squeezed_once(graph))
        return graph


def _squeezed_once(graph: Graph) -> Graph:
    """``graph`` whose reshapes that drop a leading 1 stand in front of the elementwise ops and products behind which
    they stood, however many of these there are.
    """
    wanted = _wanted_without_axis(graph)
    squeezed: dict[Node, Node] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node in wanted and _passes_on(node):
            parts = [
                _without_axis(new, squeezed.get(old)) if old.tensor.rank == node.tensor.rank else new
                for old, new in zip(node.operands, operands, strict=True)
            ]
            squeezed[node] = make(node.op, *parts, where=node.where, name=node.name, **dict(node.attributes))
        return squeezed.get(node.operands[0]) if _drops_axis(node) else None

    return rewrite(graph, rule)


def _wanted_without_axis(graph: Graph) -> set[Node]:
    """The values of which something needs only the form without the leading axis of one."""
    wanted: set[Node] = set()
    for node in reversed(graph.nodes):
        if _drops_axis(node):
            wanted.add(node.operands[0])
        if node in wanted and _passes_on(node):
            wanted.update(operand for operand in node.operands if operand.tensor.rank == node.tensor.rank)
    return wanted


def _drops_axis(node: Node) -> bool:
    """True for a reshape that drops a leading 1 of something that computes without it, too."""
    if node.op != "reshape" or not _passes_on(node.operands[0]):
        return False
    shape = node.operands[0].shape
    return shape[0] == 1 and node.shape == shape[1:]


def _passes_on(node: Node) -> bool:
    """True if the leading axis of one of a result is that of the operands that have as many axes."""
    return (OPS[node.op].kind == "elementwise" or node.op == "matmul") and node.tensor.rank >= 3


def _without_axis(node: Node, squeezed: Node | None) -> Node:
    return make("reshape", node, where=node.where, shape=node.shape[1:]) if squeezed is None else squeezed
