"""Time axes that torch cuts to the longest row. Here they keep all steps of the input."""

from __future__ import annotations

from dataclasses import dataclass

from ....ir.graph import Node
from ....support.errors import Where


@dataclass(frozen=True)
class Cut:
    """A time axis that ``pad_packed_sequence`` cuts.

    Attributes:
        size: Name of the axis' size, if it has a size of its own.
        lengths: Name of the input that holds the rows' lengths; None if the lengths are computed.
        rows: The rows, if a call checks how long they are.
        where: Line that unpacks the rows.
    """

    size: str
    lengths: str | None
    rows: Node | None
    where: Where | None


@dataclass(frozen=True)
class CutAxes:
    """Treatment of axes that torch cuts. Axes are numbered in the order of a run.

    Attributes:
        checked: Axes whose length each call checks.
        as_inputs: True if the others are inputs with sizes of their own, so that a graph shows what depends on them.
    """

    checked: frozenset[int] = frozenset()
    as_inputs: bool = False


UNCHECKED = CutAxes()
"""Every axis keeps all steps of the input, and no call checks that torch would keep as many."""
