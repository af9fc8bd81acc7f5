"""large_transposes: compute the matrices of a loop's step without transposing them.

``einsum`` may declare an outer product as the transpose of another one. It transposes a state whose axes are in another
order than those of the result. The pass transposes vectors and the results of sums instead, because a transposed matrix
would need memory of its own.

Law: values are unchanged up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.build import merged_transposes, reduced_before_transpose
from ...ir.graph import Graph, Node, make, rewrite
from ...ir.node import inverse_order, moves_only_ones
from ...ir.ops import OPS
from ...ir.types import TensorType
from ...support.records import dataclass
from ..loops.large_values import MIN_RATIO, entries, is_large
from .matrix_states import change_steps

Order = Sequence[int]


@dataclass(frozen=True)
class LargeTransposes:
    """Compute the matrices of a loop's step without transposing them.

    Law: values are unchanged up to the order of sums.
    """

    name: str = "large_transposes"

    def __call__(self, graph: Graph) -> Graph:
        return change_steps(graph, without_large_transposes)


def without_large_transposes(body: Graph, _: int = 0) -> Graph:
    """Return a loop's body with transposes moved from matrices to vectors and to results, where possible."""
    if not any(map(is_large_transpose, body.nodes)):
        return body
    previous, rule = None, _Rule()
    while body is not previous:
        previous, body = body, rewrite(body, rule)
    return body


def is_large_transpose(node: Node) -> bool:
    """True for a transpose that changes the order in memory of a matrix for each row."""
    return node.op == "transpose" and is_large(node.shape) and not moves_only_ones(node)


class _Rule:
    """Rewrite rule that moves transposes of matrices to vectors and to results.

    The transpose of each matrix is built once, because several ops may read the matrix.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Node, tuple[int, ...]], Node | None] = {}

    def __call__(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "transpose" and is_large(node.shape):
            return merged_transposes(node, operands[0]) or self._of_vectors(operands[0], node["order"])
        if OPS[node.op].kind == "elementwise" and not OPS[node.op].random:
            return self._before_transpose(node, operands)
        if OPS[node.op].kind == "reduction" and is_large_transpose(operands[0]):
            return reduced_before_transpose(node, operands[0].operands[0], operands[0]["order"])
        return None

    def _of_vectors(self, value: Node, order: Order) -> Node | None:
        """Return the transpose of a matrix computed from vectors, as a matrix computed from the transposed vectors.

        Return None for other values.
        """
        if OPS[value.op].kind != "elementwise" or OPS[value.op].random:
            return None
        key = value, tuple(order)
        if key not in self._known:
            parts = [_transposed_vector(item, value, order) or self._of_vectors(item, order) for item in value.operands]
            self._known[key] = _with_operands(value, parts)
        return self._known[key]

    def _before_transpose(self, node: Node, operands: Sequence[Node]) -> Node | None:
        """Move a transpose after an op: ``op(transpose(matrix), vector) → transpose(op(matrix, transposed vector))``.

        Return None for other ops.
        """
        transposes = [item for item in operands if is_large_transpose(item) and item.shape == node.shape]
        if not transposes:
            return None
        order = transposes[0]["order"]
        parts, back = list[Node | None](), inverse_order(order)
        for item in operands:
            if item.op == "transpose" and item["order"] == order:
                parts.append(item.operands[0])
            else:
                parts.append(_transposed_vector(item, node, back) or self._of_vectors(item, back))
        inner = _with_operands(node, parts)
        return inner and make("transpose", inner, where=node.where, name=node.name, order=order)


def _with_operands(node: Node, parts: Sequence[Node | None]) -> Node | None:
    """Return an op with other operands; None if one of them is None."""
    known = [item for item in parts if item is not None]
    if len(known) < len(parts):
        return None
    return make(node.op, *known, where=node.where, name=node.name, **dict(node.attributes))


def _transposed_vector(item: Node, matrix: Node, order: Order) -> Node | None:
    """Return the transpose of an operand that is much smaller than a matrix; None for other operands.

    A scalar is returned unchanged.
    """
    if not isinstance(item.type, TensorType) or not item.tensor.rank:
        return item
    if item.tensor.rank != len(order) or entries(item.shape) * MIN_RATIO > entries(matrix.shape):
        return None
    transposed = make("transpose", item, where=item.where, order=tuple(order))
    if not moves_only_ones(transposed):
        return transposed
    return make("reshape", item, where=item.where, name=item.name, shape=transposed.shape)
