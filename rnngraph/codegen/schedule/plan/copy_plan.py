"""Values that are written to other places, such as initial values of scans and results that are copied at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ....ir.graph import Node
from ...buffers.carried_state import State
from ...buffers.views import View
from ...cost_model.work_sharing import SERIAL, Partition
from ...kernels.active_rows import MaskTable
from ...kernels.region import Region
from ...loop_ir.nodes import Index

BY_ROWS = Partition(0, 0.0, 0.0, by_rows=True)


class Parity(NamedTuple):
    """The parity of a position, under a name: which of two places in turn holds a value."""

    name: str
    position: Index


@dataclass(frozen=True)
class CopyPlan:
    """A value that is written to another place.

    what: in words. partition: between workers. owner: the node for which it is copied, where that is not the value's
    own. parity: what the place needs.
    """

    what: str
    partition: Partition
    value: Node
    place: View
    owner: Node | None = None
    parity: Parity | None = None


@dataclass(frozen=True)
class RowwiseCopyPlan:
    """A carried value of rows that end at steps of their own.

    Each row of ``value`` goes where its row's end is; or what lies there goes ``to`` where all rows' end is.
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
        """How rows are cut between workers of a scan whose steps are cut by rows, or are not."""
        return BY_ROWS if by_rows else SERIAL


AnyCopyPlan = CopyPlan | RowwiseCopyPlan


def before_loops(region: Region) -> Region:
    """The region before its loop over chunks, whose values are not there yet: an index that it stores is computed
    again.
    """
    memory = region.memory
    later = {view.buffer for views in memory.stores.values() for view in views}
    known = {node: view for node, view in memory.views.items() if view.buffer not in later}
    return replace(region, memory=replace(memory, views=known, stores={}), time=None)
