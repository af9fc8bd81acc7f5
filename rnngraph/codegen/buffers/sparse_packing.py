"""Packing of sparse weights: the nonzero blocks one after another, and a list of their positions.

A block is a few steps of k by ``lanes`` columns. The list has a header, and then the first k and the first column of
each block. Blocks are in order of k, so that each column is summed in the order of dense tiles. Packing locates the
nonzero blocks whenever parameters change, so that code does not depend on their positions.

Packing also chooses the height of blocks, whichever needs fewer cycles. Dense tiles are used if no block is zero; for
integers, also if only few blocks are zero. For floats, skipping a block of zeros changes the propagation of NaN.
Whether a block is skipped must therefore not depend on the number of other zero blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.types import ITEM_BYTES
from ...support.errors import Where
from ...support.records import dataclass
from ..loop_ir.builder import Block, loop
from ..loop_ir.functions import Function
from ..loop_ir.nodes import Buffer, Call, Index, Literal, Operand, Store, When
from .lane_order import side_by_side
from .views import View

TALL = 4
"""Steps of k of a tall block. Its sums are loaded and stored once, instead of once for each low block."""
DENSE, BLOCKS, ROWS, TALL_BLOCKS, LOW_BLOCKS, LAST_BLOCKS, TALL_END, HEAD = range(8)
"""Indices of the header's fields, after which the ranges of blocks follow:

- ``DENSE``: 1 if dense tiles are used.
- ``BLOCKS``, ``ROWS``: number of blocks, and of rows of these blocks, that are packed so far.
- ``TALL_BLOCKS``: number of nonzero tall blocks.
- ``LOW_BLOCKS``: number of nonzero low blocks, if low blocks replace the tall ones.
- ``LAST_BLOCKS``: number of nonzero low blocks after the tall ones.
- ``TALL_END``: first k after the tall blocks.

``HEAD`` is the number of fields.
"""
FIRST, LAST, ROW, RANGE = range(4)
"""Indices of the fields of a range of blocks: first block, block after the last, first row. ``RANGE`` counts them."""


def block_cost(steps: int) -> int:
    """Estimate the cycles of a block of ``steps`` dot products, including loads and stores of its sums."""
    return 5 + 2 * steps


@dataclass(frozen=True)
class SparseLayout:
    """Division of a matrix of ``depth`` x ``width`` into blocks.

    Attributes:
        lanes: Columns of a block.
        dot_width: Rows, of consecutive k, that one step multiplies.
        accumulators: Number of partial sums of each result.
        sums: Rows after which sums restart at 0; 0 if they never do.
        limit: For integers, the percentage of nonzero blocks above which dense tiles are used; None for floats.
        bounds: First column of each worker's part, followed by the width.
    """

    depth: int
    width: int
    lanes: int
    dot_width: int
    accumulators: int
    sums: int
    limit: int | None
    bounds: tuple[int, ...]

    @property
    def room(self) -> int:
        """Columns, rounded up to whole blocks."""
        return -(-self.width // self.lanes) * self.lanes

    @property
    def segments(self) -> int:
        """Number of segments of rows. Sums restart at 0 in each segment."""
        return -(-self.depth // self.sums) if self.sums else 1

    @property
    def whole(self) -> int:
        """Rows, rounded down to whole steps."""
        return self.depth // self.dot_width * self.dot_width

    @property
    def has_tall(self) -> bool:
        """True if there are tall blocks, which are higher than one step."""
        return self.dot_width < TALL

    @property
    def heights(self) -> tuple[int, ...]:
        """Rows of each kind of block, in the order of k: tall blocks, low blocks, and a shorter last block."""
        tall = (TALL,) if self.has_tall else ()
        rest = (self.depth - self.whole,) if self.whole < self.depth else ()
        return (*tall, self.dot_width, *rest)

    def range_of(self, part: int | Index, segment: Index, number: int) -> Index:
        """Return the index in the list of counts and positions at which a range of blocks is described.

        The range has the blocks of a worker's part, of a segment of rows, and of the height ``heights[number]``.
        """
        return HEAD + ((part * self.segments + segment) * len(self.heights) + number) * RANGE

    @property
    def list_begin(self) -> int:
        """Index at which the positions of blocks begin, after the header and the ranges."""
        return int(str(self.range_of(len(self.bounds) - 1, 0, 0)))

    @property
    def max_blocks(self) -> int:
        """Maximum number of nonzero blocks: the number of blocks if none is zero and all are low."""
        return -(-self.depth // self.dot_width) * (self.room // self.lanes)

    @property
    def row(self) -> int:
        """Elements of a block that one step multiplies."""
        return self.lanes * self.dot_width


@dataclass(frozen=True)
class SparsePanel:
    """Packed nonzero ``blocks``, and ``numbers``, the int32 list with the header and the blocks' positions."""

    layout: SparseLayout
    blocks: Buffer
    numbers: Buffer


class SparsePanels:
    """Packed sparse weights. Kernels with equal weights share them.

    Args:
        place: Function that allocates a buffer of a number of elements, and returns its bytes.
    """

    def __init__(self, place: Callable[[Buffer, int], int]) -> None:
        self._place = place
        self._panels: dict[tuple[View, SparseLayout], SparsePanel] = {}
        self._fillers: dict[tuple[View, SparseLayout], Function] = {}
        self._filled: set[Buffer] = set()

    def panel(self, view: View, layout: SparseLayout) -> SparsePanel:
        """Return the panel with the packed blocks of a right operand. The first call allocates the panel."""
        key = (view, layout)
        if key not in self._panels:
            number = len(self._panels)
            blocks, numbers = Buffer(f"blocks{number}", view.buffer.dtype), Buffer(f"numbers{number}", "int32")
            self._place(blocks, layout.max_blocks * layout.row)
            self._place(numbers, layout.list_begin + 2 * layout.max_blocks)
            self._panels[key] = SparsePanel(layout, blocks, numbers)
        return self._panels[key]

    def pack(self, block: Block, origin: Callable[[Buffer], Where | None]) -> None:
        """Add calls to ``block`` that pack the nonzero blocks of all sparse weights that are not packed yet.

        Matrices with equal layouts share a function.

        Args:
            block: Block to which the calls are added.
            origin: Function that returns the declaration line of a parameter.
        """
        for (view, layout), panel in self._panels.items():
            if panel.blocks in self._filled:
                continue
            self._filled.add(panel.blocks)
            param = replace(view, buffer=Buffer("m0", view.buffer.dtype), offset=0)
            key, where = (param, layout), origin(view.buffer)
            if key in self._fillers:
                self._fillers[key] = self._fillers[key].called_for(where)
            else:
                blocks, numbers = Buffer("m1", panel.blocks.dtype), Buffer("m2", "int32")
                inner = Block(origin=where)
                _Packing(inner, param, SparsePanel(layout, blocks, numbers)).pack()
                self._fillers[key] = Function(
                    f"gather{len(self._fillers)}",
                    (param.buffer, blocks, numbers),
                    (),
                    tuple(inner.statements),
                    "gathers blocks that are not zero",
                )
            places = ((view.buffer, view.offset), (panel.blocks, 0), (panel.numbers, 0))
            block.add(Call(self._fillers[key].name, places, (), origin=where))

    def used_bytes(self, content: bytes, offset: Callable[[Buffer], int]) -> tuple[dict[str, int], set[Buffer]]:
        """Return {buffer's name: bytes at its start that kernels read}, and position lists of weights used as dense.

        Args:
            content: Memory that packing has filled.
            offset: Function that returns the offset of a buffer in this memory.
        """
        used, dense = dict[str, int](), set[Buffer]()
        for panel in self._panels.values():
            header, layout = struct.unpack_from(f"<{HEAD}i", content, offset(panel.numbers)), panel.layout
            used[panel.numbers.name] = (layout.list_begin + 2 * header[BLOCKS]) * ITEM_BYTES["int32"]
            used[panel.blocks.name] = header[ROWS] * layout.row * ITEM_BYTES[panel.blocks.dtype]
            if header[DENSE]:
                dense.add(panel.numbers)
        return used, dense

    @property
    def functions(self) -> tuple[Function, ...]:
        """Functions that ``pack`` calls."""
        return tuple(self._fillers.values())


class _Packing:
    """Writer of the function that packs one sparse matrix."""

    def __init__(self, block: Block, view: View, panel: SparsePanel) -> None:
        self.block, self.view, self.panel, self.layout = block, view, panel, panel.layout

    def pack(self) -> None:
        """Write the body of the function: clear the header, count nonzero blocks, and pack them if they are few."""
        block, layout = self.block, self.layout
        loop(block, "place", layout.list_begin, lambda inner, place: self._set(inner, place, _number(0)))
        self._count()
        packing = block.nested()
        for part in range(len(layout.bounds) - 1):
            self._columns_of_worker(packing, part)
        block.add(When(block.read_index("dense", self.panel.numbers, DENSE), 0, 1, tuple(packing.statements)))

    def _count(self) -> None:
        """Write code that counts nonzero blocks of each height, and stores the best height, or the choice of dense."""
        block, layout = self.block, self.layout
        low, tall = layout.dot_width, layout.heights[0]
        end = layout.whole // tall * tall

        def counted(inner: Block, k: Index, column: Index) -> None:
            rows = [self._row(inner, k + row, column) for row in range(tall)]
            steps = [self._any_nonzero(inner, rows[first : first + low]) for first in range(0, tall, low)]
            self._add(inner, TALL_BLOCKS, self._largest(inner, steps))
            for step in steps:
                self._add(inner, LOW_BLOCKS, step)

        def last(inner: Block, k: Index, column: Index) -> None:
            rows = [self._row(inner, k + row, column) for row in range(low)]
            self._add(inner, LAST_BLOCKS, self._any_nonzero(inner, rows))

        self._over_blocks(block, 0, end, tall, 0, layout.width, counted)
        self._over_blocks(block, end, layout.whole, low, 0, layout.width, last)
        tall_count, low_count, last_count = (
            self._get(block, place) for place in (TALL_BLOCKS, LOW_BLOCKS, LAST_BLOCKS)
        )
        steps, columns = tall // low, layout.room // layout.lanes
        tall_cost, low_cost = (
            block.let("mul", [count, _number(block_cost(high))], "int32", 1)
            for count, high in ((tall_count, steps), (low_count, 1))
        )
        is_tall = block.let("less_equal", [tall_cost, low_cost], "bool", 1)

        def by_height(tall_count: Operand, low_count: Operand) -> Operand:
            return block.let("select", [is_tall, tall_count, low_count], "int32", 1)

        self._set(block, TALL_END, by_height(_number(end), _number(0)))
        total = block.let("add", [by_height(tall_count, low_count), last_count], "int32", 1)
        remaining = (layout.whole - end) // low
        all_counts = [(count + remaining) * columns for count in (end // tall, end // low)]
        if layout.limit is None:
            is_dense = block.let("equal", [total, by_height(*map(_number, all_counts))], "bool", 1)
        else:
            hundredfold = block.let("mul", [total, _number(100)], "int32", 1)
            limit = by_height(*(_number(count * layout.limit) for count in all_counts))
            is_dense = block.let("less", [limit, hundredfold], "bool", 1)
        self._set(block, DENSE, block.let("cast", [is_dense], "int32", 1))

    def _columns_of_worker(self, block: Block, part: int) -> None:
        """Write loops that pack the nonzero blocks of the columns that one worker's tiles read."""
        segments = self.layout.segments
        loop(block, "segment", segments, lambda inner, segment: self._segment(inner, part, segment))

    def _segment(self, block: Block, part: int, segment: Index) -> None:
        """Write loops that pack the nonzero blocks of one worker's columns within one range (segment) of k."""
        layout, begin = self.layout, segment * self.layout.sums
        end: Index = layout.depth
        if layout.segments > 1:
            end = block.let_index("end", "min", begin + layout.sums, layout.depth)
        tall_end = block.read_index("tall", self.panel.numbers, TALL_END)
        limits: list[Index] = [0, *([tall_end] if layout.has_tall else []), layout.whole]
        limits += [layout.depth] if layout.whole < layout.depth else []
        for number, (height, low, high) in enumerate(zip(layout.heights, limits[:-1], limits[1:], strict=True)):
            place = layout.range_of(part, segment, number)
            for numbers, source in ((FIRST, BLOCKS), (ROW, ROWS)):
                self._set(block, place + numbers, self._get(block, source))
            first = block.let_index("first", "max", begin, low)
            last = block.let_index("last", "min", end, high)

            def block_at(inner: Block, k: Index, column: Index, height: int = height) -> None:
                self._block(inner, k, column, height)

            columns = layout.bounds[part], layout.bounds[part + 1]
            self._over_blocks(block, first, last, height, *columns, block_at)
            self._set(block, place + LAST, self._get(block, BLOCKS))

    def _block(self, block: Block, k: Index, column: Index, height: int) -> None:
        """Write code that appends a block of weights and its position. A zero block is overwritten by the next."""
        layout, dot_width = self.layout, self.layout.dot_width
        steps = -(-height // dot_width)
        rows: list[Operand] = [self._row(block, k + row, column) for row in range(height)]
        zero = Literal(0, self.view.buffer.dtype, layout.lanes)
        padded = [*rows, *[zero] * (steps * dot_width - height)]
        number = block.read_index("number", self.panel.numbers, BLOCKS)
        row = block.read_index("row", self.panel.numbers, ROWS)
        for step in range(steps):
            step_rows, first = padded[step * dot_width : (step + 1) * dot_width], (row + step) * layout.row
            if layout.lanes > 1:
                block.add(Store(side_by_side(block, step_rows), self.panel.blocks, first))
                continue
            for number_in_row, value in enumerate(step_rows):
                block.add(Store(value, self.panel.blocks, first + number_in_row))
        entry = layout.list_begin + 2 * number
        target = column
        if layout.accumulators > 1 and steps == 1:  # even and odd k have separate partial sums
            target = column + layout.room * block.let_index("sum", "parity", k, 1)
        for place, index in ((entry, k), (entry + 1, target)):
            self._set(block, place, _cast(block, index))
        is_nonzero = self._any_nonzero(block, rows)
        self._add(block, BLOCKS, is_nonzero)
        self._add(block, ROWS, block.let("mul", [is_nonzero, _number(steps)], "int32", 1))

    def _over_blocks(
        self,
        block: Block,
        first: Index,
        last: Index,
        height: int,
        low: int,
        high: int,
        body: Callable[[Block, Index, Index], None],
    ) -> None:
        """Write loops over blocks of ``height`` rows of k, with ``body`` for each block.

        Blocks lie completely in the rows ``first`` to ``last - 1``, and begin in the columns ``low`` to ``high - 1``.
        """
        lanes = self.layout.lanes

        def row(inner: Block, k: Index) -> None:
            loop(inner, "column", high, lambda one, column: body(one, k, column), low, lanes)

        loop(block, "k", last - (height - 1), row, first, height)

    # Values ----------------------------------------------------------------------------------------

    def _row(self, block: Block, k: Index, column: Index) -> Operand:
        """Return ``lanes`` weights of row ``k`` from ``column`` on, as a vector that is zero after the last column."""
        view, layout = self.view, self.layout
        valid: Index | None = None
        if layout.width % layout.lanes:
            valid = block.let_index("valid", "min", layout.width - column, layout.lanes)
        place = view.offset + k * view.strides[0] + column * view.strides[1]
        return block.load("w", view.buffer, place, layout.lanes, valid, view.strides[1])

    def _any_nonzero(self, block: Block, rows: Sequence[Operand]) -> Operand:
        """Write code for an int32 that is 1 if any number in ``rows`` is nonzero or NaN, else 0. Return the int32."""
        any_nonzero: Operand | None = None
        for row in rows:
            dtype = "float32" if row.dtype == "bfloat16" else row.dtype
            wide = block.let("cast", [row], dtype, row.lanes) if dtype != row.dtype else row
            differs = block.let("not_equal", [wide, Literal(0, dtype, row.lanes)], "bool", row.lanes)
            any_nonzero = differs if any_nonzero is None else block.let("or", [any_nonzero, differs], "bool", row.lanes)
        assert any_nonzero is not None
        numbers = block.let("cast", [any_nonzero], "int32", any_nonzero.lanes)
        return block.let("across", [numbers], "int32", 1, combine="maximum") if any_nonzero.lanes > 1 else numbers

    def _largest(self, block: Block, numbers: Sequence[Operand]) -> Operand:
        """Write code for the maximum of int32 scalars. Return the maximum."""
        largest = numbers[0]
        for number in numbers[1:]:
            largest = block.let("maximum", [largest, number], "int32", 1)
        return largest

    def _get(self, block: Block, place: Index) -> Operand:
        """Write a load of entry ``place`` of the list of counts and positions. Return the entry."""
        return block.load("n", self.panel.numbers, place, 1)

    def _set(self, block: Block, place: Index, value: Operand) -> None:
        """Write a store of entry ``place`` of the list of counts and positions."""
        block.add(Store(value, self.panel.numbers, place))

    def _add(self, block: Block, place: int, value: Operand) -> None:
        """Write code that adds ``value`` to entry ``place`` of the list of counts and positions."""
        self._set(block, place, block.let("add", [self._get(block, place), value], "int32", 1))


def _number(value: int) -> Literal:
    """Return an int32 literal."""
    return Literal(value, "int32", 1)


def _cast(block: Block, index: Index) -> Operand:
    """Write code that converts an index to an int32 scalar. Return the scalar."""
    return block.let("cast", [block.let("index", (), "int64", 1, index=index)], "int32", 1)
