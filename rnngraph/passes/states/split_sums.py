"""split_sums: split a sum over heads and a matrix of each head into two sums.

The gradient of a key that several heads share is a sum over heads and values. A loop that sums over heads must compute
all heads of a step together. A separate sum over heads moves out of the loop, which can then run all steps of one head
before the next.

Law: values are unchanged up to the order of sums.
"""

from __future__ import annotations

from ...ir.graph import Graph, Node, make, rewrite
from ...support.records import dataclass
from ..loops.large_values import is_large
from .matrix_states import change_steps

MATRIX_AXES = 2
"""Number of axes of a matrix. They come last, after rows and heads."""


@dataclass(frozen=True)
class SplitSums:
    """Split a sum over heads and a matrix of each head into a sum for each head and a sum over heads.

    Law: values are unchanged up to the order of sums.
    """

    name: str = "split_sums"

    def __call__(self, graph: Graph) -> Graph:
        return change_steps(graph, lambda body, _: rewrite(body, _split_sum))


def _split_sum(node: Node, operands: tuple[Node, ...]) -> Node | None:
    """Rewrite a sum over heads and over axes of matrices as two sums; None for other nodes."""
    if node.op != "reduce_sum" or not is_large(operands[0].shape):
        return None
    first = operands[0].tensor.rank - MATRIX_AXES
    heads, own = ([axis for axis in node["axes"] if (axis < first) == is_head] for is_head in (True, False))
    if not heads or not own:
        return None
    value = operands[0]
    for axes in (own, heads):
        value = make("reduce_sum", value, where=node.where, name=node.name, axes=tuple(axes), keepdims=node["keepdims"])
    return value
