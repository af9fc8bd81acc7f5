"""cut_padding: remove padding at the end of an axis that the net cuts off later.

Nets pad a sequence to a multiple of some length, compute entry by entry, and return the entries of the sequence. The
number of padded entries depends on the length of the whole sequence, which no chunk of a stream knows.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.axes.walk import kept_at
from ...ir.build import entries_read
from ...ir.graph import Graph, Node, make, rewrite
from ...ir.ops import OPS
from ...ir.types import Dim

MAX_DEPTH = 100
"""Maximum ops between padding and the slice that cuts it off, because the search for padding recurses."""


def cut_padding(graph: Graph) -> Graph:
    """Return the graph without padding of which no entry is read; the same graph if there is none."""
    return rewrite(graph, _rule)


def _rule(node: Node, operands: Sequence[Node]) -> Node | None:
    if node.op == "gather" and operands[1].op == "iota":
        return _start_of(operands[0], 0, operands[1]["size"])
    part = entries_read(node)
    return None if part is None or part.first != 0 else _start_of(operands[0], part.axis, part.last)


def _start_of(node: Node, axis: int, count: Dim, depth: int = 0) -> Node | None:
    """Return the first ``count`` entries along an axis, computed without padding; None if nothing else follows them."""
    if node.shape[axis] == count:
        return node if depth else None
    if depth > MAX_DEPTH:
        return None
    if node.op == "concat":
        first = node.operands[0]
        return _start_of(first, axis, count, depth + 1) if node["axis"] == axis else None
    if node.op != "transpose" and OPS[node.op].kind != "elementwise":
        return None
    operands = []
    for number, item in enumerate(node.operands):
        axes = [other for other in range(item.tensor.rank) if kept_at(node, number, other) == axis]
        operand = _start_of(item, axes[0], count, depth + 1) if axes else item
        if operand is None:
            return None
        operands.append(operand)
    return make(node.op, *operands, where=node.where, name=node.name, **dict(node.attributes))
