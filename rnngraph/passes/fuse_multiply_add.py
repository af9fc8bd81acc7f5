"""fuse_multiply_add: turn a product whose only use is a sum into a fused multiply-add.

This includes sums over an axis of a product with a matrix that a loop carries. The pass does not depend on tiles,
unrolling or threads, so that all executions of a graph round in the same way.

Law: values are unchanged up to the rounding that an fma saves.
"""

from __future__ import annotations

from collections.abc import Set

from ..ir.graph import Graph, Node, make, rewrite, with_body
from ..ir.ops import OPS
from ..ir.scan import histories_read
from ..ir.types import FLOATS
from ..support.records import dataclass


@dataclass(frozen=True)
class FuseMultiplyAdd:
    """Fuse a product of floats whose only use is a sum or a difference into an fma.

    Law: values are unchanged up to the rounding that an fma saves.
    """

    name: str = "fuse_multiply_add"

    def __call__(self, graph: Graph) -> Graph:
        return _fuse(_in_bodies(graph), frozenset())


def _in_bodies(graph: Graph) -> Graph:
    """Fuse the products and sums in the body of every scan, innermost first."""

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "scan":
            return None
        inner = _in_bodies(node["body"])
        body = _fuse(inner, _matrices(inner, node))
        return None if body is node["body"] else with_body(node, operands, body)

    return rewrite(graph, rule)


def _matrices(body: Graph, scan: Node) -> Set[Node]:
    """Return the matrix states that a loop carries or reads, and values of their shape computed elementwise from them.

    A matrix state has rank 3 or more. A loop may read the states of another loop at all steps.
    """
    carried, histories = body.inputs[: scan["carries"]], histories_read(scan)
    read = [new for new, old in zip(body.inputs, scan["body"].inputs, strict=True) if old in histories]
    matrices = {node for node in (*carried, *read) if node.tensor.rank > 2}
    for node in body.nodes:
        is_entrywise = OPS[node.op].kind == "elementwise"
        if is_entrywise and any(item in matrices and item.shape == node.shape for item in node.operands):
            matrices.add(node)
    return matrices


def _fuse(graph: Graph, matrices: Set[Node]) -> Graph:
    """Fuse the products and sums of one graph. Sums over axes are fused if the product is one of ``matrices``."""
    users = graph.users()
    outputs = {node for _, node in graph.outputs}

    def is_fusible(node: Node) -> bool:
        """True for an elementwise product that exactly one op reads and that is no output."""
        return node.op == "mul" and len(users[node]) == 1 and node not in outputs

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "reduce_sum" and node.operands[0] in matrices and is_fusible(node.operands[0]):
            return _fused_sum(node, operands[0])
        if node.op not in ("add", "sub") or node.dtype not in FLOATS:
            return None
        first, second = node.operands
        a, b = operands
        if is_fusible(first) and a.op == "mul":
            c = make("neg", b, where=node.where) if node.op == "sub" else b
            return make("fma", *a.operands, c, where=node.where, name=node.name)
        if is_fusible(second) and b.op == "mul":
            x, y = b.operands
            x = make("neg", x, where=node.where) if node.op == "sub" else x
            return make("fma", x, y, a, where=node.where, name=node.name)
        return None

    return rewrite(graph, rule)


def _fused_sum(node: Node, products: Node) -> Node | None:
    """Return a sum of products marked as a chain of multiply-adds.

    Return None if the values are no floats, the last axis has a symbolic size, or the first axis is summed.
    """
    is_plain = products.op == "mul" and node.dtype in FLOATS and 0 not in node["axes"]
    if not is_plain or not isinstance(products.shape[-1], int):
        return None
    return make(
        "reduce_sum",
        products,
        where=node.where,
        name=node.name,
        axes=node["axes"],
        keepdims=node["keepdims"],
        fused=True,
    )
