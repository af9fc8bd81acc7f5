"""trailing_ones: values of a loop's step with a last axis of one are computed without it.

Cells that keep a matrix write vectors as columns, ``[rows, heads, keys, 1]``, so that they broadcast. What is computed
of columns alone then runs over ``[rows, heads, keys]``, in vectors of keys; where a column meets a matrix, a reshape,
which moves nothing, gives it its axis again.
Law: values unchanged, bit for bit, but for the order of sums over the axis that becomes the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.graph import Graph, Node, make, map_bodies, rewrite
from ...ir.ops import OPS

FEWEST_AXES = 4
"""Of a value that is a column of a matrix for each of several things: rows of fewer axes stay what they are."""


@dataclass(frozen=True)
class TrailingOnes:
    """Law: values unchanged, bit for bit, but for the order of sums over the axis that becomes the last one."""

    name: str = "trailing_ones"

    def __call__(self, graph: Graph) -> Graph:
        return map_bodies(graph, lambda body: rewrite(body, _Rule()))


class _Rule:
    """Columns that are computed of reshapes: by ops on what is reshaped."""

    def __init__(self) -> None:
        self._rows: dict[Node, Node] = {}  # columns without their last axis

    def __call__(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        kind = OPS[node.op].kind
        if kind == "elementwise" and not OPS[node.op].random and _is_column(node):
            parts = [self._row(item) if item.tensor.rank else item for item in operands]
        elif kind == "reduction" and _is_column(operands[0]) and operands[0].tensor.rank - 1 not in node["axes"]:
            parts = [self._row(operands[0])]
        else:
            return None
        if not any(item.op == "reshape" for item in operands):
            return None
        row = make(node.op, *parts, where=node.where, name=node.name, **dict(node.attributes))
        return make("reshape", row, where=node.where, name=node.name, shape=node.shape)

    def _row(self, column: Node) -> Node:
        if column not in self._rows:
            source = column.operands[0] if column.op == "reshape" else column
            shape = column.shape[:-1]
            if source.shape != shape:
                source = make("reshape", source, where=column.where, name=column.name, shape=shape)
            self._rows[column] = source
        return self._rows[column]


def _is_column(node: Node) -> bool:
    return node.tensor.rank >= FEWEST_AXES and node.shape[-1] == 1
