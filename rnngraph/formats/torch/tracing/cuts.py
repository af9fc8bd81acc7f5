"""Time axes that torch cuts to the longest row. The reader keeps all steps of the input."""

from __future__ import annotations

from dataclasses import dataclass

from ....ir.graph import Node
from ....support.errors import Where


@dataclass(frozen=True)
class Cut:
    """Time axis that ``pad_packed_sequence`` cuts.

    Attributes:
        size: Name of the axis's size, if the axis is an input with a symbolic size.
        lengths: Name of the input that holds the rows' lengths; None if the lengths are computed.
        rows: Node of the rows, if a run-time check requires the longest row to have all steps.
        where: Source line that unpacks the rows.
    """

    size: str
    lengths: str | None
    rows: Node | None
    where: Where | None


@dataclass(frozen=True)
class CutAxes:
    """Treatment of the axes that torch cuts. Axes are numbered in the order of the calls in a run.

    Attributes:
        checked: Axes whose length is checked at run time.
        as_inputs: True if the other axes are inputs with symbolic sizes, so that the graph shows which outputs depend
            on them.
    """

    checked: frozenset[int] = frozenset()
    as_inputs: bool = False


UNCHECKED = CutAxes()
"""Treatment without run-time checks: every axis keeps all steps of the input."""
