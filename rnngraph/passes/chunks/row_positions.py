"""Step numbers within chunks. They may differ from row to row, because the rows of a stream may begin at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.graph import Node, make
from ...ir.ops import OPS
from ...ir.sizes.polynomial import Dim
from ...support.errors import GraphError, Where
from ..loops.lifting import lift


class RowPositions:
    """Values that have a row axis in a chunk's graph, but not in the whole graph.

    Attributes:
        plain: For each such value, its form without a row axis.
        rows: Number of rows.
        where: The user's line, for errors.
    """

    def __init__(self, rows: Dim, where: Where | None) -> None:
        self.rows, self.where = rows, where
        self.plain: dict[Node, Node] = {}

    def add(self, value: Node, plain: Node) -> Node:
        """Record a value that differs by row, with its form without a row axis. Return the value."""
        self.plain[value] = plain
        return value

    def check(self, value: Node, what: str) -> Node:
        """Return ``value``, which must not differ by row. Raise ``GraphError`` if it does.

        ``what`` describes the reader of the value in the error message.
        """
        if value in self.plain:
            raise self._error(what, value.where)
        return value

    def build(self, node: Node, operands: Sequence[Node], attributes: dict[str, Any]) -> Node:
        """Build an op some of whose operands have a row axis that the whole graph lacks, in front of the others.

        If the op's result has no row axis in the whole graph, it gets one in front, and is recorded.

        Raises:
            GraphError: The number of rows is an int, or the op cannot be computed for each row.
        """

        def rebuilt(*items: Node) -> Node:
            return make(node.op, *items, where=node.where, name=node.name, **attributes)

        if isinstance(self.rows, int):
            raise GraphError(
                "this graph can't be streamed: running positions differ from row to row in a stream, and the batch has "
                f"the fixed size {self.rows}, declared at {node.where}; declare the batch as None",
                self.where,
            )
        places = [axis for axis, dim in enumerate(node.shape) if dim == self.rows]
        if not places:
            plain = rebuilt(*(self.plain.get(item, item) for item in operands))
            lifted = lift(plain, [(item, item in self.plain) for item in operands], self.rows)
            if lifted is None:
                raise self._error(node.op, node.where)
            return self.add(lifted, plain)
        if len(places) > 1 or (OPS[node.op].kind != "elementwise" and node.op != "broadcast"):
            raise self._error(node.op, node.where)
        rank = node.tensor.rank
        return rebuilt(
            *(self._with_row_axis(item, places[0], rank, node) if item in self.plain else item for item in operands)
        )

    def _with_row_axis(self, value: Node, axis: int, rank: int, node: Node) -> Node:
        """Return an operand with ``rank`` axes, of which ``axis`` is its row axis.

        Raises:
            GraphError: Without its row axis, the operand has another size than 1 along ``axis``.
        """
        plain = self.plain[value]
        shape = (*(1 for _ in range(rank - plain.tensor.rank)), *plain.shape)
        if shape[axis] != 1:
            raise self._error(node.op, node.where)
        value = make("reshape", value, where=value.where, shape=(self.rows, *shape))
        order = (*range(1, axis + 1), 0, *range(axis + 1, rank + 1))
        value = value if axis == 0 else make("transpose", value, where=value.where, order=order)
        return make("reshape", value, where=value.where, shape=(*shape[:axis], self.rows, *shape[axis + 1 :]))

    def _error(self, what: str, where: Where | None) -> GraphError:
        return GraphError(
            f"this graph can't be streamed: {what} reads running positions, which differ from row to row in a stream, "
            f"declared at {where}; give them a row axis first, for example by adding them to a value with rows",
            self.where,
        )
