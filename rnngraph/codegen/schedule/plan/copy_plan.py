"""Copies of values to other locations, such as initial values of scans."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ....ir.graph import Node
from ....support.records import dataclass
from ...buffers.carried_state import State
from ...buffers.views import View
from ...cost_model.work_sharing import SERIAL, Partition
from ...kernels.active_rows import MaskTable
from ...kernels.region import Region
from ...loop_ir.nodes import Index

BY_ROWS = Partition(0, 0.0, 0.0, by_rows=True)


class Parity(NamedTuple):
    """Parity of a position, with its name. It selects one of two locations of a value."""

    name: str
    position: Index


@dataclass(frozen=True)
class CopyPlan:
    """Copy of a value to another location.

    Attributes:
        what: Description.
        partition: Division between workers.
        owner: Node for which it is copied, if not the value itself.
        parity: Parity on which the place depends.
    """

    what: str
    partition: Partition
    value: Node
    place: View
    owner: Node | None = None
    parity: Parity | None = None


@dataclass(frozen=True)
class RowwiseCopyPlan:
    """Copy of a carry whose rows end at different steps.

    Each row of ``value`` is copied to the location where the row ends; or, with ``to``, from there to the common end.
    """

    what: str
    partition: Partition
    value: Node
    table: MaskTable
    state: State
    owner: Node
    to: Index | None = None

    @staticmethod
    def partition_of(by_rows: bool) -> Partition:
        """Return the division of the rows between the workers of a scan."""
        return BY_ROWS if by_rows else SERIAL


AnyCopyPlan = CopyPlan | RowwiseCopyPlan


def before_loops(region: Region) -> Region:
    """Return the region without a chunk of time, for statements that precede the loop."""
    memory = region.memory
    later = {view.buffer for views in memory.stores.values() for view in views}
    known = {node: view for node, view in memory.views.items() if view.buffer not in later}
    return replace(region, memory=replace(memory, views=known, stores={}), time=None)
