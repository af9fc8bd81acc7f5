"""trailing_ones: compute values of a loop's step without last axes of size 1.

Cells with matrix states write vectors as columns ``[rows, heads, keys, 1]``, so that they broadcast. The pass computes
ops on columns alone over ``[rows, heads, keys]``, vectorised over keys. Before a column is combined with a matrix, a
reshape restores its axis, without a copy.

Law: values are unchanged, bit for bit, except for the order of sums over the axis that becomes the last one.
"""

from __future__ import annotations

from ...ir.graph import Graph, Node, make, map_bodies, rewrite
from ...ir.ops import OPS
from ...ir.types import TensorType
from ...support.records import dataclass

MIN_AXES = 4
"""Minimum rank of a column: rows, heads, keys and 1. Values of lower rank are unchanged."""


@dataclass(frozen=True)
class TrailingOnes:
    """Compute values of a loop's step without last axes of size 1.

    Law: values are unchanged, bit for bit, except for the order of sums over the axis that becomes the last one.
    """

    name: str = "trailing_ones"

    def __call__(self, graph: Graph) -> Graph:
        return map_bodies(graph, lambda body: rewrite(body, _Rule()))


class _Rule:
    """Rewrite rule: compute ops on columns [..., n, 1] over rows [..., n], and reshape the results to columns."""

    def __init__(self) -> None:
        # rows [..., n] of a column, by (column, number of trailing axes of size 1)
        self._rows: dict[tuple[Node, int], Node] = {}

    def __call__(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        kind, ones = OPS[node.op].kind, _trailing_ones(operands[0] if operands else node)
        if node.op == "reshape" and operands != node.operands and operands[0].op == "reshape":
            return make("reshape", operands[0].operands[0], where=node.where, name=node.name, shape=node.shape)
        if kind == "elementwise" and not OPS[node.op].random and (ones := _trailing_ones(node)):
            parts = [self._row(item, ones) if item.tensor.rank else item for item in operands]
        elif kind == "reduction" and ones and max(node["axes"]) < operands[0].tensor.rank - ones:
            parts = [self._row(operands[0], ones)]
        else:
            return None
        if not any(item.op == "reshape" for item in operands):
            return None
        row = make(node.op, *parts, where=node.where, name=node.name, **dict(node.attributes))
        return make("reshape", row, where=node.where, name=node.name, shape=node.shape)

    def _row(self, column: Node, ones: int) -> Node:
        """Return a column without its last ``ones`` axes."""
        if (column, ones) not in self._rows:
            source = column.operands[0] if column.op == "reshape" else column
            shape = column.shape[:-ones]
            if source.shape != shape:
                source = make("reshape", source, where=column.where, name=column.name, shape=shape)
            self._rows[column, ones] = source
        return self._rows[column, ones]


def _trailing_ones(node: Node) -> int:
    """Return the number of last axes of size 1 that can be removed. The axis of rows and one more must remain."""
    if not isinstance(node.type, TensorType) or node.tensor.rank < MIN_AXES:
        return 0
    ones = 0
    while ones < node.tensor.rank - 2 and node.shape[-1 - ones] == 1:
        ones += 1
    return ones
