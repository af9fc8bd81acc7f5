"""squeeze: remove the leading axis of size 1 of a single step.

A step's input product and its recurrent product then have the same rows, and become one kernel.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from ..ir.graph import Graph, Node, make, rewrite
from ..ir.ops import OPS
from ..support.records import dataclass
from .simplify import to_fixed_point


@dataclass(frozen=True)
class Squeeze:
    """Remove the leading axis of size 1 of a single step.

    Law: values are unchanged, bit for bit.
    """

    name: str = "squeeze"

    def __call__(self, graph: Graph) -> Graph:
        return to_fixed_point(graph, _squeezed_once, between=True)


def _squeezed_once(graph: Graph) -> Graph:
    """Move reshapes that drop a leading axis of size 1 in front of elementwise ops and products."""
    squeezable = _squeezable_values(graph)
    squeezed: dict[Node, Node] = {}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node in squeezable and _keeps_leading_axis(node):
            parts = [
                _without_axis(new, squeezed.get(old)) if old.tensor.rank == node.tensor.rank else new
                for old, new in zip(node.operands, operands, strict=True)
            ]
            squeezed[node] = make(node.op, *parts, where=node.where, name=node.name, **dict(node.attributes))
            # other readers get a view, so that the value is not computed twice
            return make("reshape", squeezed[node], where=node.where, shape=node.shape)
        return squeezed.get(node.operands[0]) if _drops_axis(node) else None

    return rewrite(graph, rule)


def _squeezable_values(graph: Graph) -> set[Node]:
    """Return the values that at least one reader reads without the leading axis of size 1, directly or through ops."""
    squeezable: set[Node] = set()
    for node in reversed(graph.nodes):
        if _drops_axis(node):
            squeezable.add(node.operands[0])
        if node in squeezable and _keeps_leading_axis(node):
            squeezable.update(operand for operand in node.operands if operand.tensor.rank == node.tensor.rank)
    return squeezable


def _drops_axis(node: Node) -> bool:
    """True for a reshape that drops a leading axis of size 1 from the result of an op that can run without it."""
    if node.op != "reshape" or not _keeps_leading_axis(node.operands[0]):
        return False
    shape = node.operands[0].shape
    return shape[0] == 1 and node.shape == shape[1:]


def _keeps_leading_axis(node: Node) -> bool:
    """True for an op of rank 3 or more whose leading axis is the leading axis of its operands."""
    return (OPS[node.op].kind == "elementwise" or node.op == "matmul") and node.tensor.rank >= 3


def _without_axis(node: Node, squeezed: Node | None) -> Node:
    """Return ``squeezed``, the form of a value without its leading axis; if it is None, a reshape of the value."""
    return make("reshape", node, where=node.where, shape=node.shape[1:]) if squeezed is None else squeezed
