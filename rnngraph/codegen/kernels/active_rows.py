"""Active rows of a mask ``t < length``: tables that list them by step, and loops over them.

Rows are sorted by length, longest first, so that the active rows of a step are the first rows. If workers share the
rows, the rows of each worker are sorted separately.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...ir.graph import Node
from ...ir.types import Shape, size
from ...support.records import dataclass
from ..analysis.row_lengths import LengthMask
from ..buffers.views import View
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Buffer, Index, Literal, Operand, Store
from .loop_nests import WorkerSlice, fold
from .values import Coordinate, Time, ValueEmitter


@dataclass(frozen=True)
class MaskTable:
    """Tables of one mask, which are filled in each call.

    ``lengths``, ``order`` and ``counts`` are None if kernels compute all rows at each step of the span.

    Attributes:
        mask: The mask.
        span: Number of steps, from the first one, at which some row is active.
        parts: Number of parts into which rows are split.
        lengths: Number of steps at which each row is active, int64 [rows].
        order: Indices of rows, part by part, the longest rows of a part first.
        counts: Number of active rows for each part and step.
    """

    mask: LengthMask
    span: Index
    parts: int = 1
    lengths: Buffer | None = None
    order: Buffer | None = None
    counts: Buffer | None = None

    @property
    def by_rows(self) -> bool:
        """True if kernels compute only the active rows of a step."""
        return self.counts is not None

    def row(self, block: Block, position: Index) -> Index:
        """Return the row at a position of ``order``."""
        assert self.order is not None
        return block.bounded_index("row", self.mask.rows, block.load("row", self.order, position, 1))

    def length_of(self, block: Block, row: Index) -> Index:
        """Return the number of steps at which a row is active."""
        assert self.lengths is not None
        return block.bounded_index("limit", self.mask.length + 1, block.load("limit", self.lengths, row, 1))

    def is_active(self, block: Block, step: Index, row: Index) -> Operand:
        """Return a bool value: True if a row is active at a step."""
        assert self.lengths is not None
        now = block.let("index", (), "int64", 1, index=step)
        return block.let("less", [now, block.load("limit", self.lengths, row, 1)], "bool", 1)


@dataclass(frozen=True)
class ActiveSteps:
    """Steps of a chunk at which some row is active. ``name`` is the name of the size with their number."""

    table: MaskTable
    name: str

    @property
    def size(self) -> Index:
        """Number of steps of the chunk at which some row is active."""
        return size(self.name)


@dataclass(frozen=True)
class ActiveRows:
    """Rows that a kernel computes.

    Attributes:
        table: Tables of the mask.
        step: Step that the kernel computes; None if its first axis is time.
        ended: False for the active rows, True for the rows that have ended.
    """

    table: MaskTable
    step: Index | None = None
    ended: bool = False

    def cuts(self, shape: Shape, axis: int) -> bool:
        """True for the row axis: the axis after time, or in a single step the axis before the last.

        The size alone does not identify the axis, because other axes may have the same size.
        """
        return axis == (1 if self.step is None else len(shape) - 2) and shape[axis] == self.table.mask.rows

    def each_range(
        self,
        block: Block,
        at: Sequence[Coordinate],
        share: WorkerSlice | None,
        body: Callable[[Block, WorkerSlice, Index, Index], None],
    ) -> None:
        """Write ``body`` once for each part of the rows, with the range of its rows that are active, or have ended.

        Args:
            block: Block to which statements are added.
            at: Coordinates, of which the first is the step if the kernel's first axis is time.
            share: Slice of the rows for one worker; None to visit all parts.
            body: Function of (block, part, first position, end), with positions in the table's ``order``.
        """
        table, step = self.table, self.step
        if step is None:
            assert isinstance(at[0], Time)
            step = at[0].absolute
        here: Index = step

        def part(inner: Block, own: WorkerSlice) -> None:
            assert table.counts is not None
            low, high = own.range(inner, table.mask.rows) if table.parts > 1 else (0, table.mask.rows)
            count = inner.load("count", table.counts, (table.mask.length + 1) * own.part + here, 1)
            limit = low + inner.bounded_index("count", table.mask.rows + 1, count)
            first, stop = (limit, high) if self.ended else (low, limit)
            if share is not None and table.parts == 1:  # all workers share one table, so they split its active rows
                begin, end = share.range(inner, stop - first)
                first, stop = first + begin, first + end
            body(inner, own, first, stop)

        if table.parts == 1:
            part(block, WorkerSlice(0, 1, 0))
        elif share is not None:
            part(block, share)
        else:
            loop(block, "part", table.parts, lambda inner, index: part(inner, WorkerSlice(index, table.parts, 0)))


def row_length(mask: LengthMask, block: Block, views: Mapping[Node, View], row: Index) -> Index:
    """Write the computation of a row's length. Return it as an index, clamped to 0..``mask.length``."""
    at: tuple[Coordinate, ...] = (*(0,) * (mask.lengths.tensor.rank - 2), row, 0)
    return block.bounded_index("limit", mask.length + 1, ValueEmitter(block, views).value(mask.lengths, at))


def longest(mask: LengthMask, block: Block, views: Mapping[Node, View]) -> Operand:
    """Write the computation of the maximum length of all rows. Return the maximum."""

    def larger(inner: Block, row: Index, before: Operand) -> Operand:
        own_steps = inner.let("index", (), "int64", 1, index=row_length(mask, inner, views, row))
        return inner.let("maximum", [before, own_steps], "int64", 1)

    return fold(block, Literal(0, "int64", 1), mask.rows, 1, larger)


def fill(table: MaskTable, cursor: Buffer, block: Block, views: Mapping[Node, View], share: WorkerSlice) -> None:
    """Write code that fills a mask's tables for one part of the rows, sorted by length, the longest first.

    ``cursor`` is scratch memory of the size of ``counts``. It has the next free position for each length.
    """
    lengths, order, counts = table.lengths, table.order, table.counts
    assert lengths is not None
    assert order is not None
    assert counts is not None
    mask, zero, one = table.mask, Literal(0, "int64", 1), Literal(1, "int64", 1)
    row_pitch = mask.length + 1
    base = row_pitch * share.part
    low, high = share.range(block, mask.rows) if table.parts > 1 else (0, mask.rows)

    def add_one(inner: Block, buffer: Buffer, index: Index) -> Operand:
        before = inner.load("count", buffer, index, 1)
        inner.add(Store(inner.let("add", [before, one], "int64", 1), buffer, index))
        return before

    def counted(inner: Block, row: Index) -> None:
        own_steps = row_length(mask, inner, views, row)
        inner.add(Store(inner.let("index", (), "int64", 1, index=own_steps), lengths, row))
        add_one(inner, counts, base + own_steps)

    def above(inner: Block, behind: Index, total: Operand) -> Operand:
        place = base + mask.length - behind
        here = inner.load("count", counts, place, 1)
        inner.add(Store(total, counts, place))
        inner.add(Store(total, cursor, place))
        return inner.let("add", [total, here], "int64", 1)

    def placed(inner: Block, row: Index) -> None:
        place = inner.bounded_index("place", mask.rows, add_one(inner, cursor, base + table.length_of(inner, row)))
        inner.add(Store(inner.let("index", (), "int64", 1, index=row), order, low + place))

    loop(block, "i", base + row_pitch, lambda inner, place: inner.add(Store(zero, counts, place)), base)
    loop(block, "i", high, counted, low)
    fold(block, zero, row_pitch, 1, above)
    loop(block, "i", high, placed, low)
