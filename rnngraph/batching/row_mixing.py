"""Test whether the result of one row depends on other rows of the batch."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ..ir.axes.by_size import counts
from ..ir.axes.walk import AxisUse, walk_axes
from ..ir.axis_maps import Bound, Indexed, Kept, Merged
from ..ir.graph import Graph, Node
from ..ir.scan import ends_of_loop
from ..ir.types import Size


def mixes_rows(graph: Graph, batch: Set[str]) -> bool:
    """True if a result of one row may depend on other rows, because the graph reduces or permutes rows.

    The end of a loop, when all rows have stopped, does not count. Neither does batch normalization, which mixes rows
    only in the training graph.

    Args:
        graph: Graph to walk.
        batch: Names of the sizes that count rows.
    """
    return any(_joins(node, uses, batch) for node, uses in walk_axes(graph, batch, ends_of_loop))


def _joins(node: Node, uses: Sequence[AxisUse], batch: Set[str]) -> bool:
    """True if an entry of a node's value may depend on a row other than its own row."""
    if node.op == "scan" and counts(node["length"], batch):
        return True
    places = set[int]()
    for number, axis, fate in uses:
        match fate:
            case Kept(place):
                places.add(place)
            case Merged() | Bound():
                pass
            case Indexed() if not _is_rows(node, number, axis, batch):
                pass  # allowed: rows are merged with another axis, and the index contains the row number
            case _:
                return True
    return len(places) > 1


def _is_rows(node: Node, number: int, axis: int, batch: Set[str]) -> bool:
    """True if an axis counts rows and nothing else."""
    dim = node.operands[number].shape[axis]
    return isinstance(dim, Size) and dim.symbol in batch
