"""cut_axes: rewrite reshapes that cut the time axis into pieces of fixed size, or join pieces, for streams.

A reshape from ``[rows, steps // 3, 24]`` to ``[rows, steps // 6, 48]`` is valid only if 6 divides the number of steps,
which is known only at run time. A stream reads whole pieces of 6 steps, so the reshape is valid there. It becomes
non-overlapping windows over time. The reshape back becomes one that splits each entry.

Law: values are unchanged, bit for bit, wherever the reshape is valid.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.axes.by_size import axis_of_names, counts
from ...ir.graph import Graph, Node, make, rewrite
from ...ir.sizes.polynomial import Dim, floor_divide, product, quotient, symbols_of


def cut_axes(graph: Graph, lengths: Set[str]) -> Graph:
    """Return the graph with reshapes that cut or join time rewritten; the same graph if there are none.

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
    """Replace a reshape that groups entries along time by windows, or reshapes that split entries by one reshape.

    Return None for other nodes. ``lengths`` are the names of sizes that count steps.
    """
    source = operand
    while source.op in ("reshape", "ensure_shape"):
        source = source.operands[0]
    axis = axis_of_names(source.shape, lengths)
    if axis is None or axis_of_names(node.shape, lengths) != axis or node.shape[:axis] != source.shape[:axis]:
        return None
    before, after = source.shape[axis:], node.shape[axis:]
    if not symbols_of(before[0]) <= lengths:
        return None  # ``separate_steps`` handles steps that are merged with rows.
    if any(counts(dim, lengths) for dim in (*before[1:], *after[1:])):
        return None
    count = quotient(product(after[1:]), product(before[1:]))
    if isinstance(count, int) and count > 1:
        return _windows(node, source, axis, count)
    split = quotient(product(before[1:]), product(after[1:]))
    if isinstance(split, int) and source is not operand:
        return _joined(node, source, axis, split)
    return None


def _windows(node: Node, source: Node, axis: int, count: int) -> Node | None:
    """Return windows of ``count`` entries of ``source``; None if ``node`` has another number of pieces."""
    if node.shape[axis] != floor_divide(source.shape[axis], count):
        return None
    pieces = make("windows", source, where=node.where, axis=axis, size=count, step=count, apart=1)
    return make("reshape", pieces, where=node.where, name=node.name, shape=node.shape)


def _joined(node: Node, source: Node, axis: int, split: int) -> Node | None:
    """Return a reshape that splits each entry of ``source`` into ``split`` entries.

    Return None if ``node`` does not have a multiple of that many entries.
    """
    pieces = quotient(node.shape[axis], split)
    if pieces is None:
        return None
    checked = make("ensure_shape", source, where=node.where, shape=_with_axis(source.shape, axis, pieces))
    return make("reshape", checked, where=node.where, name=node.name, shape=node.shape)


def _with_axis(shape: Sequence[Dim], axis: int, dim: Dim) -> tuple[Dim, ...]:
    return (*shape[:axis], dim, *shape[axis + 1 :])
