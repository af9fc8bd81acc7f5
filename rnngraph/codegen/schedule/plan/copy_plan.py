"""Copies of values to other locations, such as initial values of scans."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from ....ir.graph import Node
from ....support.records import NamedTuple, dataclass
from ...analysis.node_kinds import is_view
from ...buffers.carried_state import State
from ...buffers.views import View
from ...cost_model.work_sharing import SERIAL, Partition
from ...kernels.active_rows import MaskTable
from ...kernels.region import Region
from ...loop_ir.nodes import Index

BY_ROWS = Partition(0, 0.0, 0.0, by_rows=True)


class Parity(NamedTuple):
    """Name of a size with the parity of a position, which selects one of two locations of a double-buffered value."""

    name: str
    position: Index


@dataclass(frozen=True)
class CopyPlan:
    """Copy of a value to another location.

    Attributes:
        what: Description.
        partition: Division between workers.
        owner: Node for which the value is copied, if not for itself.
        parity: Parity on which the location depends, if any.
        as_row: True for a fill of contiguous memory, which the code fills as one row of a variable size, so that fills
            of all sizes share a function.
    """

    what: str
    partition: Partition
    value: Node
    place: View
    owner: Node | None = None
    parity: Parity | None = None
    as_row: bool = False


@dataclass(frozen=True)
class RowwiseCopyPlan:
    """Copy of a carry whose rows have different numbers of steps.

    If ``to`` is None, each row of ``value`` is copied to the carry's location after that row's last step. Otherwise,
    ``value`` is the carry, and each row is copied from its location after the row's last step to position ``to``.
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
        """Return the division of the rows between a scan's workers."""
        return BY_ROWS if by_rows else SERIAL


AnyCopyPlan = CopyPlan | RowwiseCopyPlan


def before_loops(region: Region) -> Region:
    """Return a loop's region for the statements that precede the loop.

    The region has no chunk of time, and no locations of values that the loop writes. Other parts of the same buffer may
    hold values that are already computed: an output may join an initial state and the states of the loop.
    """
    memory = region.memory
    known = {node: view for node, view in memory.views.items() if not _is_written(node, memory.stores)}
    return replace(region, memory=replace(memory, views=known, stores={}), time=None)


def _is_written(node: Node, stores: Container[Node]) -> bool:
    """True if ``node`` is among ``stores``, or is a view of one of them."""
    while node not in stores and is_view(node):
        node = node.operands[0]
    return node in stores
