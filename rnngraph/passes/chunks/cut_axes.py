"""cut_axes: rewrite a reshape that cuts the time axis into pieces of fixed size as non-overlapping windows over time.

A reshape from ``[rows, steps, 8]`` to ``[rows, steps // 64, 512]`` is valid only if 64 divides the number of steps,
which is known only at run time. A stream reads whole pieces of 64 steps, so the reshape is valid there.

Law: values are unchanged, bit for bit, wherever the reshape is valid.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.axes.by_size import axis_of_names, counts
from ...ir.graph import Graph, Node, make, rewrite
from ...ir.sizes.polynomial import Dim, floor_divide, product, quotient


def cut_axes(graph: Graph, lengths: Set[str]) -> Graph:
    """Return the graph with windows in place of reshapes that cut time; the same graph if there are none.

    Args:
        graph: Graph to rewrite.
        lengths: Names of the sizes that count steps.
    """

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op != "reshape":
            return None
        return _cut(node, operands[0], lengths)

    return rewrite(graph, rule)


def _cut(node: Node, operand: Node, lengths: Set[str]) -> Node | None:
    """Return windows in place of a reshape that cuts time into pieces; None for other nodes.

    ``lengths`` are the names of sizes that count steps.
    """
    source = operand
    while source.op in ("reshape", "ensure_shape"):
        source = source.operands[0]
    axis = axis_of_names(source.shape, lengths)
    if axis is None or axis_of_names(node.shape, lengths) != axis or node.shape[:axis] != source.shape[:axis]:
        return None
    count = _piece_steps(source.shape[axis:], node.shape[axis:], lengths)
    if count is None:
        return None
    pieces = make("windows", source, where=node.where, axis=axis, size=count, step=count, apart=1)
    if pieces.shape[axis] != node.shape[axis]:
        return None
    return make("reshape", pieces, where=node.where, name=node.name, shape=node.shape)


def _piece_steps(before: Sequence[Dim], after: Sequence[Dim], lengths: Set[str]) -> int | None:
    """Return the number of steps in a piece; None unless ``after`` is ``before`` with its first axis cut in pieces.

    ``lengths`` are the names of sizes that count steps.
    """
    if any(counts(dim, lengths) for dim in (*before[1:], *after[1:])):
        return None
    count = quotient(product(after[1:]), product(before[1:]))
    if not isinstance(count, int) or count < 2 or after[0] != floor_divide(before[0], count):
        return None
    return count
