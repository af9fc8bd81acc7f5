"""``Cut``: a time axis that torch cuts to the longest row. The reader keeps all steps of the input."""

from __future__ import annotations

from dataclasses import dataclass

from ....ir.graph import Node
from ....support.errors import Where


@dataclass(frozen=True)
class Cut:
    """Time axis that ``pad_packed_sequence`` cuts.

    Attributes:
        size: Name of the axis's size, if the axis is an input with a symbolic size.
        lengths: Name of the input that has the rows' lengths; None if the lengths are computed.
        rows: Node of the rows, if it is checked at run time that the longest row has all steps; else None.
        where: Source line that unpacks the rows.
    """

    size: str
    lengths: str | None
    rows: Node | None
    where: Where | None


@dataclass(frozen=True)
class CutAxes:
    """Treatment of the axes that torch cuts, which have indices in the order of the calls in a run.

    Attributes:
        checked: Indices of the axes whose length is checked at run time.
        as_inputs: True if the rows of the other axes become inputs, each with its own symbolic number of steps. The
            graph then shows which outputs depend on these sizes.
    """

    checked: frozenset[int] = frozenset()
    as_inputs: bool = False


UNCHECKED = CutAxes()
"""Treatment without run-time checks: every axis keeps all steps of the input."""
