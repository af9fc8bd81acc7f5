"""Test whether each row of a graph's outputs depends only on the same row of its inputs.

Rows are the entries of the axis whose size is one of the given names. Ops without a rule are assumed to mix rows.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...ir.axes.by_size import counts
from ...ir.axes.walk import AxisUse, is_alike, walk_axes
from ...ir.axis_maps import Bound, Kept
from ...ir.graph import Graph, Node
from ...ir.ops import OPS
from ...ir.scan import step_condition
from ...ir.types import Dim, Size


def rows_are_independent(graph: Graph, names: Set[str]) -> bool:
    """True if every value has at most one row axis, and each row depends only on the same row of its operands.

    ``names`` are the sizes that count rows.
    """
    return all(_keeps_rows_separate(node, uses, names) for node, uses in walk_axes(graph, names))


def row_axis(shape: Sequence[Dim], names: Set[str]) -> int | None:
    """Return the only axis whose size is the number of rows; None if there is not exactly one such axis."""
    axis = _row_axis(shape, names)
    return None if axis is None or axis < 0 else axis


def _keeps_rows_separate(node: Node, uses: Sequence[AxisUse], names: Set[str]) -> bool:
    """True if a node has at most one row axis, and each row depends only on the same row of its operands."""
    if node.op == "scan":
        when = step_condition(node)
        is_for_all = when is None or not when.tensor.rank
        return is_for_all and not counts(node["length"], names) and all(isinstance(use.fate, Bound) for use in uses)
    axis = _row_axis(node.shape, names)
    if axis is None or node.op == "get":
        return axis is not None
    if not uses:
        is_number = node.op in ("dimension", "iota") and counts(node["size"], names)
        return not is_number if axis < 0 else node.op == "input" or is_alike(node, axis)
    return not OPS[node.op].random and all(use.fate == Kept(axis) for use in uses)


def _row_axis(shape: Sequence[Dim], names: Set[str]) -> int | None:
    """Return the row axis; -1 if there is none; None if there are several, or a size is derived from the row count."""
    axes = [axis for axis, dim in enumerate(shape) if counts(dim, names)]
    if len(axes) > 1 or any(not isinstance(dim := shape[axis], Size) or dim.symbol not in names for axis in axes):
        return None
    return axes[0] if axes else -1
