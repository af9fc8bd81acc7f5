"""Time axes that torch cuts to the longest row, and that have all steps of the input here."""

from __future__ import annotations

from dataclasses import dataclass

from ....ir.graph import Node
from ....support.errors import Where


@dataclass(frozen=True)
class Cut:
    """A time axis that ``pad_packed_sequence`` cuts. size: its name, where it has one of its own.

    lengths: the input of the rows' lengths, None where they are computed. rows: the rows, where a call checks how long
    they are. where: the line that unpacks them.
    """

    size: str
    lengths: str | None
    rows: Node | None
    where: Where | None


@dataclass(frozen=True)
class CutAxes:
    """How a run treats axes that torch cuts, which are numbered in the order of the run.

    checked: those whose length each call checks. apart: whether the others are inputs with sizes of their own, so that
    a graph shows what depends on these sizes.
    """

    checked: frozenset[int] = frozenset()
    apart: bool = False


AS_THEY_ARE = CutAxes()
"""Each has all steps of the input, and no call checks that these are as many as torch would have."""
