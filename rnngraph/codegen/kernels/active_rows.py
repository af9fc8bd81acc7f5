"""Which rows run at which steps, as loop IR: tables of a mask ``t < length``, and loops over the rows that they name.

The rows, or those of each part where workers share them, stand in the order of their lengths, the longest first. So
those that run at a step are the first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...ir.graph import Node
from ...ir.scan import ScanParts
from ...ir.types import Dim, Shape, size
from ..analysis.kernel_fusion import Step, cut_body
from ..analysis.row_independence import Rowwise
from ..analysis.row_lengths import Limit, Limits
from ..buffers.packing import Panels
from ..buffers.views import View
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, For, Index, LetIndex, Literal, Operand, Store
from ..machine.target import Target
from .loop_nests import Region, Share, by_one, each_part, fold, fresh_index, loop
from .values import Coordinate, Evaluator, Time


@dataclass(frozen=True)
class Tables:
    """What is known of a mask during a call. span: steps from the first one on of which some row runs.

    parts: of the rows. limits: int64, steps that each row runs. order: the rows of one part after the other, by their
    limits, the largest first. counts: for each part and step, how many rows run. These three are None where all rows
    run as long as one of them does.
    """

    limit: Limit
    span: Index
    parts: int = 1
    limits: Buffer | None = None
    order: Buffer | None = None
    counts: Buffer | None = None

    @property
    def by_rows(self) -> bool:
        return self.counts is not None

    def row(self, block: Block, position: Index) -> Index:
        """The row at a position of the order."""
        assert self.order is not None
        return named(block, "row", self.limit.rows, block.load("row", self.order, position, 1))

    def limit_of(self, block: Block, row: Index) -> Index:
        """The steps that a row runs."""
        assert self.limits is not None
        return named(block, "limit", self.limit.length + 1, block.load("limit", self.limits, row, 1))

    def runs(self, block: Block, step: Index, row: Index) -> Operand:
        """Whether a row runs at a step, as a bool."""
        assert self.limits is not None
        now = block.let("index", (), "int64", 1, index=step)
        return block.let("less", [now, block.load("limit", self.limits, row, 1)], "bool", 1)


@dataclass(frozen=True)
class Rows:
    """Of a kernel: it computes only the rows that run; ``ended``: the others. step: at which all of it is; None where
    its first axis is time.
    """

    tables: Tables
    step: Index | None = None
    ended: bool = False

    def cuts(self, shape: Shape, axis: int) -> bool:
        """Whether an axis holds the rows."""
        return axis == len(shape) - 2 and shape[axis] == self.tables.limit.rows

    def each_range(
        self, block: Block, at: Sequence[Coordinate], share: Share | None,
        body: Callable[[Block, Share, Index, Index], None],
    ) -> None:  # fmt: skip
        """``body`` for each part, or for the one that ``share`` is: which it is, from where and to where in the order
        those of its rows stand that are computed.
        """
        tables, step = self.tables, self.step
        if step is None:
            assert isinstance(at[0], Time)
            step = at[0].absolute
        here: Index = step

        def part(inner: Block, own: Share) -> None:
            assert tables.counts is not None
            low, high = own.range(inner, tables.limit.rows) if tables.parts > 1 else (0, tables.limit.rows)
            found = inner.load("count", tables.counts, (tables.limit.length + 1) * own.part + here, 1)
            behind = low + named(inner, "count", tables.limit.rows + 1, found)
            first, stop = (behind, high) if self.ended else (low, behind)
            if share is not None and tables.parts == 1:  # what is computed now is cut, wherever it stands
                begin, end = share.range(inner, stop - first)
                first, stop = first + begin, first + end
            body(inner, own, first, stop)

        if tables.parts == 1:
            part(block, Share(0, 1, 0))
        elif share is not None:
            part(block, share)
        else:
            loop(block, "part", tables.parts, lambda inner, index: part(inner, Share(index, tables.parts, 0)))


def named(block: Block, name: str, below: Dim, value: Operand) -> Index:
    """A number that was computed or loaded, as a size from 0 to less than ``below``."""
    fresh = fresh_index(block, name)
    block.add(LetIndex(fresh, "of", 0, below, value))
    return size(fresh)


def value_of(limit: Limit, block: Block, views: Mapping[Node, View], row: Index) -> Index:
    """The steps that a row runs, from the graph."""
    at: tuple[Coordinate, ...] = (*(0,) * (limit.limit.tensor.rank - 2), row, 0)
    return named(block, "limit", limit.length + 1, Evaluator(block, views).value(limit.limit, at))


def longest(limit: Limit, block: Block, views: Mapping[Node, View]) -> Operand:
    """The largest limit of all rows."""

    def larger(inner: Block, row: Index, before: Operand) -> Operand:
        mine = inner.let("index", (), "int64", 1, index=value_of(limit, inner, views, row))
        return inner.let("maximum", [before, mine], "int64", 1)

    return fold(block, Literal(0, "int64", 1), limit.rows, 1, larger)


def fill(tables: Tables, cursor: Buffer, block: Block, views: Mapping[Node, View], share: Share) -> None:
    """Sorts the rows of a part by counting: how many have each limit, then how many have larger ones, which is where
    they begin.

    cursor: scratch memory, of as many numbers as ``counts``.
    """
    limits, order, counts = tables.limits, tables.order, tables.counts
    assert limits is not None
    assert order is not None
    assert counts is not None
    limit, zero, one = tables.limit, Literal(0, "int64", 1), Literal(1, "int64", 1)
    most = limit.length + 1
    base = most * share.part
    low, high = share.range(block, limit.rows) if tables.parts > 1 else (0, limit.rows)

    def each(first: Index, stop: Index, body: Callable[[Block, Index], None]) -> None:
        variable, inner = fresh_index(block, "i"), block.nested()
        body(inner, size(variable))
        block.add(For(variable, first, stop, 1, tuple(inner.statements)))

    def add_one(inner: Block, buffer: Buffer, index: Index) -> Operand:
        before = inner.load("count", buffer, index, 1)
        inner.add(Store(inner.let("add", [before, one], "int64", 1), buffer, index))
        return before

    def counted(inner: Block, row: Index) -> None:
        mine = value_of(limit, inner, views, row)
        inner.add(Store(inner.let("index", (), "int64", 1, index=mine), limits, row))
        add_one(inner, counts, base + mine)

    def above(inner: Block, turn: Index, total: Operand) -> Operand:
        place = base + limit.length - turn
        here = inner.load("count", counts, place, 1)
        inner.add(Store(total, counts, place))
        inner.add(Store(total, cursor, place))
        return inner.let("add", [total, here], "int64", 1)

    def placed(inner: Block, row: Index) -> None:
        place = named(inner, "place", limit.rows, add_one(inner, cursor, base + tables.limit_of(inner, row)))
        inner.add(Store(inner.let("index", (), "int64", 1, index=row), order, low + place))

    each(base, base + most, lambda inner, place: inner.add(Store(zero, counts, place)))
    each(low, high, counted)
    fold(block, zero, most, 1, above)
    each(low, high, placed)


def row_by_row(scan: Node, limit: Limit) -> bool:
    """Whether all that a scan computes is computed for each row apart, of two axes."""
    body = scan["body"]
    varying = {item for item in body.inputs if item.tensor.rank > 1 and item.shape[-2] == limit.rows}
    parts = ScanParts.of(scan)
    if not all(carry.inside in varying and carry.inside.tensor.rank == 2 for carry in parts.carries):
        return False
    whole = {*dict(parts.invariants), *(set(body.inputs) - varying)}
    rowwise = Rowwise(limit.rows, lambda item: item in whole or item.op in ("constant", "parameter", "iota"))
    outputs = [value for _, value in body.outputs]
    return all(value.tensor.rank == 2 and value.shape[0] == limit.rows for value in outputs) and all(
        map(rowwise.step, cut_body(body).steps)
    )


class Entry(Protocol):
    """What is asked of the schedule of an entry."""

    target: Target
    panels: Panels
    views: dict[Node, View]
    block: Block
    parts: int
    since: str
    rowwise: Rowwise | None

    def barrier(self) -> None: ...

    def scratch(self, name: str, dtype: str, elements: Dim) -> Buffer: ...

    def kernel(self, emit: Callable[[Block], None], comment: str, by_rows: bool = False) -> None: ...


Running = Mapping[Limit, tuple[Tables, str]]
"""By mask: what is known of it, and the name of how many steps of the present chunk have a row that runs."""


class Masks:
    """Tables of a graph's masks, written into an entry before the first stage that needs them."""

    def __init__(self, entry: Entry, limits: Limits) -> None:
        self.entry, self.limits = entry, limits
        self.tables: dict[Limit, Tables] = {}

    def of_stage(self, number: int, steps: Sequence[Step]) -> Running:
        """The masks of what runs in a stage."""
        found: dict[Limit, tuple[Tables, str]] = {}
        for step in steps:
            limit = self.limit_of(step)
            if limit is not None and limit not in found and (limit in self.tables or self._is_there(limit.limit)):
                found[limit] = self._table(limit), f"run{number}_{len(found)}"
        return found

    def limit_of(self, step: Step) -> Limit | None:
        """The mask that says which rows a kernel need not compute, if there is one."""
        first = step.members[0]
        if first.op == "scan" or first in self.limits.sums:
            return self.limits.scans.get(first) or self.limits.sums.get(first)
        found = {self.limits.unread.get(node) if node.tensor.rank == 3 else None for node in step.members}
        return found.pop() if len(found) == 1 else None

    def part_of(self, region: Region, step: Step, running: Running) -> Region:
        """The part of a region that a kernel computes."""
        limit = self.limit_of(step)
        if limit is None or limit not in running:
            return region
        tables, run = running[limit]
        return region.within(size(run), Rows(tables) if tables.by_rows else None)

    def _is_there(self, node: Node) -> bool:
        """Whether a value can be computed from what lies in memory before a stage."""
        pending, seen = [node], set[Node]()
        while pending:
            item = pending.pop()
            if item in seen or item in self.entry.views:
                continue
            if item.op == "scan" or not (item.operands or not item.tensor.rank):
                return False
            seen.add(item)
            pending += item.operands
        return True

    def _table(self, limit: Limit) -> Tables:
        if limit not in self.tables:
            self.tables[limit] = self._written(limit)
        return self.tables[limit]

    def _written(self, limit: Limit) -> Tables:
        entry, span = self.entry, f"span_{len(self.tables)}"
        if entry.since and entry.parts > 1:
            entry.barrier()
        entry.block.add(LetIndex(span, "of", 0, limit.length + 1, longest(limit, entry.block, entry.views)))
        scans = [node for node, other in self.limits.scans.items() if other == limit]
        if limit.rows == 1 or not all(row_by_row(scan, limit) for scan in scans):
            return Tables(limit, size(span))
        parts = entry.parts if entry.rowwise is not None and entry.rowwise.rows == limit.rows else 1
        steps = (limit.length + 1) * parts
        limits = entry.scratch("limits", "int64", limit.rows)
        order = entry.scratch("order", "int64", limit.rows + entry.target.registers)  # tiles look behind the last row
        counts, cursor = (entry.scratch(name, "int64", steps) for name in ("counts", "cursor"))
        tables = Tables(limit, size(span), parts, limits, order, counts)
        region = Region(entry.target, entry.panels, entry.scratch, entry.views, parts=entry.parts)

        def sort(block: Block) -> None:
            if parts == 1:
                by_one(region, block, lambda inner: fill(tables, cursor, inner, entry.views, Share(0, 1, 0)))
            else:
                each_part(region, block, 0, lambda inner, share: fill(tables, cursor, inner, entry.views, share))

        entry.kernel(sort, "rows in the order of their lengths", by_rows=parts > 1)
        return tables
