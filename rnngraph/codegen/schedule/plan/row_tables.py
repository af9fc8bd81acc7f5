"""Tables of active rows for a graph's length masks.

Each table is planned with the first fusion group that needs it, and written before that group runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....ir.graph import Node
from ....ir.types import size
from ....support.records import dataclass
from ...analysis.kernel_fusion import Kernel
from ...analysis.row_independence import row_by_row
from ...analysis.row_lengths import LengthMask, RowLengths
from ...buffers.allocation import Allocation
from ...buffers.views import View
from ...cost_model.work_sharing import Workers
from ...kernels.active_rows import ActiveSteps, MaskTable
from ...kernels.values import is_emitted
from ...loop_ir.nodes import Buffer

Active = Mapping[LengthMask, ActiveSteps]
"""For each mask, its table and the steps of the current chunk that have active rows."""


@dataclass(frozen=True)
class TablePlan:
    """Plan of one mask's table of active rows.

    Attributes:
        table: The table.
        span: Name of the size with the number of steps that have active rows.
        views: Memory of the values from which the table is computed.
        cursor: Scratch memory, if rows are skipped individually.
        owner: First scan that needs the table, if rows are skipped individually; else None.
    """

    table: MaskTable
    span: str
    views: Mapping[Node, View]
    cursor: Buffer | None = None
    owner: Node | None = None


class RowTables:
    """Tables of active rows for the masks of a graph."""

    def __init__(self, allocation: Allocation, lengths: RowLengths, workers: Workers) -> None:
        self.allocation, self.lengths, self.workers = allocation, lengths, workers
        self.tables: dict[LengthMask, TablePlan] = {}

    def of_group(self, number: int, kernels: Sequence[Kernel]) -> tuple[Active, tuple[TablePlan, ...]]:
        """Return {length mask: table of active rows} for a group's kernels, and the plans of tables that are new."""
        known, active = len(self.tables), dict[LengthMask, ActiveSteps]()
        for kernel in kernels:
            mask = self.mask_of(kernel)
            if mask is not None and mask not in active and (mask in self.tables or self._is_available(mask.lengths)):
                active[mask] = ActiveSteps(self._table(mask), f"run{number}_{len(active)}")
        return active, tuple(self.tables.values())[known:]

    def mask_of(self, kernel: Kernel) -> LengthMask | None:
        """Return the mask whose ended rows a kernel need not compute; None if there is none.

        A scan or a sum over time has a mask of its own. The members of other kernels must all have the same mask.
        """
        first = kernel.first
        if first.op == "scan" or first in self.lengths.sums:
            return self.lengths.scans.get(first) or self.lengths.sums.get(first)
        masks = {self.lengths.unread.get(node) if node.tensor.rank == 3 else None for node in kernel.members}
        return masks.pop() if len(masks) == 1 else None

    def _is_available(self, node: Node) -> bool:
        """True if a value can be computed on the fly from values that are in memory before a group runs."""
        pending, visited = [node], set[Node]()
        while pending:
            item = pending.pop()
            if item in visited or item in self.allocation.views:
                continue
            if not is_emitted(item):
                return False
            visited.add(item)
            pending += item.operands
        return True

    def _table(self, mask: LengthMask) -> MaskTable:
        """Return the table of active rows of a length mask, and plan it if it is new."""
        if mask not in self.tables:
            self.tables[mask] = self._planned(mask)
        return self.tables[mask].table

    def _planned(self, mask: LengthMask) -> TablePlan:
        """Plan the table of a length mask: the active rows of each step, or only the number of steps that have any.

        Rows are skipped individually if there are several, and all scans of the mask run row by row. Otherwise, kernels
        compute all rows until the longest row ends.
        """
        workers, span, views = self.workers, f"span_{len(self.tables)}", dict(self.allocation.views)
        scans = [node for node, other in self.lengths.scans.items() if other == mask]
        if mask.rows == 1 or not all(row_by_row(scan, mask) for scan in scans):
            return TablePlan(MaskTable(mask, size(span)), span, views)
        parts = workers.parts if workers.rowwise is not None and workers.rowwise.rows == mask.rows else 1
        steps, scratch = (mask.length + 1) * parts, self.allocation.arena.buffer
        lengths = scratch("limits", "int64", mask.rows)
        order = scratch("order", "int64", mask.rows)
        counts, cursor = (scratch(name, "int64", steps) for name in ("counts", "cursor"))
        table = MaskTable(mask, size(span), parts, lengths, order, counts)
        return TablePlan(table, span, views, cursor, scans[0] if scans else None)
