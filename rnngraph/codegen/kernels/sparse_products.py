"""Products that skip blocks of zero weights.

The sums of a row are in memory. A loop over the nonzero blocks adds the products of each block to the sums of its
columns. Blocks are in order of k, so that consecutive blocks add to different sums, without waiting for each other.
Several rows share a loop. If the weights have few zeros, tiles compute the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...ir.graph import Node
from ...support.records import dataclass
from ..analysis.node_kinds import label_of
from ..buffers.sparse_packing import DENSE, FIRST, LAST, ROW, SparseLayout, SparsePanel
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Buffer, Contract, Index, Literal, Operand, Store, Value, When
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice, strips
from .matmul import Tiles
from .region import Region, over_axes
from .values import Coordinate, Strip, ValueEmitter, aligned, place

MAX_ROWS = 4
"""Maximum rows that share a loop over blocks, so that a block's weights stay in registers."""


def sparse_product(
    region: Region, block: Block, plan: KernelPlan, layout: SparseLayout, share: WorkerSlice | None
) -> None:
    """Write a product twice: by nonzero blocks and by dense tiles. At run time, the packed weights select one."""
    memory = region.memory
    panel = memory.panels.sparse.panel(memory.views[plan.kernel.first.operands[1]], layout)
    is_dense = block.read_index("dense", panel.numbers, DENSE)
    by_blocks, by_tiles = block.nested(), block.nested()
    _Blocks(region, plan, layout, panel, share).emit(by_blocks)
    block.add(When(is_dense, 0, 1, tuple(by_blocks.statements)))
    with memory.panels.needed_if_dense(panel.numbers):
        Tiles(region, by_tiles, plan, share).emit()
    block.add(When(is_dense, 1, 2, tuple(by_tiles.statements)))


@dataclass(frozen=True)
class _Sums:
    """Memory of one row's sums.

    Attributes:
        node: The product.
        at: Coordinates of the row.
        buffer: Buffer of the sums.
        accumulators: Index of the first column's sum, for each accumulator.
        total: Index of the first column's total, if partial sums restart after a segment of k; else None.
    """

    node: Node
    at: tuple[Coordinate, ...]
    buffer: Buffer
    accumulators: tuple[Index, ...]
    total: Index | None


class _Blocks:
    """Writer of products that skip blocks of zero weights."""

    def __init__(
        self, region: Region, plan: KernelPlan, layout: SparseLayout, panel: SparsePanel, share: WorkerSlice | None
    ) -> None:
        self.region, self.memory, self.plan, self.layout, self.panel = region, region.memory, plan, layout, panel
        self.nodes, self.shape, self.share = plan.kernel.members, plan.kernel.shape, share
        self.units = share if share is not None and share.axis == len(self.shape) - 1 else None
        self.axis = self._axis_of_rows()
        extent = 1 if self.axis is None else region.extent(self.shape, self.axis)
        self.together = max(1, min(MAX_ROWS, extent)) if isinstance(extent, int) else MAX_ROWS
        self.copies = max(layout.accumulators, 2 if layout.segments > 1 else 1)
        self.room = -(-layout.room // plan.lanes) * plan.lanes
        parts = 1 if share is None else share.parts
        rows = self.together * parts
        self.buffers = [self.memory.scratch("sums", node.dtype, self.room * self.copies * rows) for node in self.nodes]

    def _axis_of_rows(self) -> int | None:
        """Return the axis whose rows are computed several at a time; None for one row at a time."""
        assert self.plan.products is not None
        axis, active = self.plan.products.row_axis, self.region.active
        return None if axis is None or (active is not None and active.cuts(self.shape, axis)) else axis

    def emit(self, block: Block) -> None:
        """Write loops over all axes but units and rows, with the products of all rows inside."""
        axes = [axis for axis in range(len(self.shape) - 1) if axis != self.axis]
        over_axes(self.region, block, self.shape, axes, [0] * len(self.shape), self._tiles, self.share)

    def _tiles(self, block: Block, at: list[Coordinate]) -> None:
        """Write loops over the row axis that compute several rows at a time, then single rows."""
        axis, together = self.axis, self.together
        if axis is None:
            self._rows(block, [at])
            return

        def tile(inner: Block, first: Index, count: int) -> None:
            places = (self.region.at(self.shape, axis, first + number) for number in range(count))
            self._rows(inner, [[*at[:axis], row, *at[axis + 1 :]] for row in places])

        begin: Index = 0
        end = self.region.extent(self.shape, axis)
        if self.share is not None and self.share.axis == axis:
            begin, end = self.share.range(block, end)
        count = end - begin
        whole = begin + block.let_index("whole", "floor", count, together)
        if isinstance(count, int):
            whole = begin + count // together * together
        loop(block, "r", whole, lambda inner, row: tile(inner, row, together), begin, together)
        if together > 1:
            loop(block, "r", end, lambda inner, row: tile(inner, row, 1), whole)

    def _rows(self, block: Block, places: Sequence[Sequence[Coordinate]]) -> None:
        """Write the sparse products of several rows: initialise their sums, add all blocks, and store the results."""
        rows = [sums for number, at in enumerate(places) for sums in self._sums(number, at)]
        for inner, strip in self._strips(block):
            for sums in rows:
                self._begin(inner, sums, strip)
        loop(block, "segment", self.layout.segments, lambda inner, segment: self._segment(inner, rows, segment))
        for inner, strip in self._strips(block):
            for sums in rows:
                self._end(inner, sums, strip)

    def _sums(self, number: int, at: Sequence[Coordinate]) -> Iterator[_Sums]:
        """Yield, for each product, the memory of a row's sums. ``number`` is the row's index among those at a time."""
        layout, part = self.layout, 0 if self.share is None else self.share.part
        begin = (part * self.together + number) * (self.room * self.copies)
        accumulators = tuple(begin + layout.room * copy for copy in range(layout.accumulators))
        total = begin + self.room if layout.segments > 1 else None
        for node, buffer in zip(self.nodes, self.buffers, strict=True):
            yield _Sums(node, tuple(at[:-1]), buffer, accumulators, total)

    def _strips(self, block: Block) -> Iterator[tuple[Block, Strip]]:
        """Write loops over this worker's units of a row. Yield (block for the body, vector of units)."""
        return strips(block, self.shape[-1], self.plan.lanes, self.units)

    def _begin(self, block: Block, sums: _Sums, strip: Strip) -> None:
        """Write code that sets one vector of a row's sums to their initial values."""
        node, (first, *others) = sums.node, sums.accumulators
        zero: Operand = Literal(0 if node.dtype == "int32" else 0.0, node.dtype, strip.lanes)
        value = zero
        if len(node.operands) == 3:
            emitter, start = ValueEmitter(block, self.memory.views), node.operands[2]
            value = emitter.spread(emitter.value(start, aligned(start.shape, (*sums.at, strip))), strip.lanes)
        block.add(Store(value, sums.buffer, first + strip.start, strip.valid))
        for other in others:
            block.add(Store(zero, sums.buffer, other + strip.start, strip.valid))
        if sums.total is not None:  # -0.0 is the exact neutral element of addition
            nothing = Literal(-0.0, node.dtype, strip.lanes)
            block.add(Store(nothing, sums.buffer, sums.total + strip.start, strip.valid))

    def _end(self, block: Block, sums: _Sums, strip: Strip) -> None:
        """Write code that adds up one vector of a row's partial sums and stores it as the result."""
        node = sums.node
        first, *others = (
            block.load(label_of(node), sums.buffer, place_of_sum + strip.start, strip.lanes, strip.valid)
            for place_of_sum in (sums.accumulators if sums.total is None else (sums.total,))
        )
        value: Operand = first
        for other in others:
            value = block.let("add", [value, other], node.dtype, strip.lanes)
        for view in self.memory.stores[node]:
            ValueEmitter(block, self.memory.views).store(value, view, (*sums.at, strip))

    def _segment(self, block: Block, rows: Sequence[_Sums], segment: Index) -> None:
        """Write loops over the nonzero blocks of one range (segment) of k that add their products to all rows' sums."""
        layout, numbers, part = self.layout, self.panel.numbers, 0 if self.units is None else self.units.part
        for number, height in enumerate(layout.heights):
            begin, steps = layout.range_of(part, segment, number), -(-height // layout.dot_width)
            first, last, row = (block.read_index("range", numbers, begin + item) for item in (FIRST, LAST, ROW))
            first_row = row - first * steps

            def one(
                inner: Block, entry: Index, height: int = height, row: Index = first_row, steps: int = steps
            ) -> None:
                self._block(inner, rows, entry, row + entry * steps, height)

            loop(block, "entry", last, one, first)
        for inner, strip in self._strips(block) if layout.segments > 1 else ():
            for sums in rows:
                _add_up(inner, sums, strip)

    def _block(self, block: Block, rows: Sequence[_Sums], entry: Index, row: Index, height: int) -> None:
        """Write code that adds the products of one nonzero block of weights to the sums of its columns."""
        layout, panel = self.layout, self.panel
        numbers = layout.list_begin + 2 * entry
        k, column = (block.read_index(name, panel.numbers, numbers + item) for item, name in enumerate(("k", "column")))
        steps = -(-height // layout.dot_width)
        split = layout.accumulators if steps > 1 else 1
        lefts = [self._left_row(sums) for sums in rows]
        # Loads limit the speed of a single row, so its operands are broadcast from a register. For several rows, or
        # widened weights, the shuffles for these broadcasts would take longer than loads.
        alone = len(rows) == 1 and panel.blocks.dtype == rows[0].node.dtype and lefts[0][2] == 1
        spread = alone and layout.lanes > 1 and steps > split == 1
        for number in range(split):
            targets = [(sums.buffer, sums.accumulators[number] + column) for sums in rows]
            befores = [(block.load("sum", *target, layout.lanes),) for target in targets]
            afters = [(Value(block.fresh(label_of(sums.node)), sums.node.dtype, layout.lanes),) for sums in rows]
            block.add(
                Contract(
                    tuple(afters),
                    tuple(befores),
                    tuple((buffer, index + (k + number) * stride) for buffer, index, stride in lefts),
                    lefts[0][2] * layout.dot_width * split,
                    height // split,
                    ((panel.blocks, (row + number) * layout.row),),
                    layout.row * split,
                    1,
                    (None,),
                    steps,
                    "",
                    layout.dot_width,
                    spread=spread,
                )
            )
            for (after,), target in zip(afters, targets, strict=True):
                block.add(Store(after, *target))

    def _left_row(self, sums: _Sums) -> tuple[Buffer, Index, Index]:
        """Return the buffer and index of a row of the left operand, and the stride of its elements."""
        left = sums.node.operands[0]
        view = self.memory.views[left]
        index, _, _ = place(view, (*aligned(left.shape[:-1], sums.at), 0))
        return view.buffer, index, view.strides[-1]


def _add_up(block: Block, sums: _Sums, strip: Strip) -> None:
    """Write code that adds one vector of partial sums to the totals, and sets the partial sums to zero."""
    assert sums.total is not None
    dtype, lanes, place_of_sum = sums.node.dtype, strip.lanes, sums.accumulators[0] + strip.start
    total = block.load("total", sums.buffer, sums.total + strip.start, lanes, strip.valid)
    part = block.load("part", sums.buffer, place_of_sum, lanes, strip.valid)
    value = block.let("add", [total, part], dtype, lanes)
    block.add(Store(value, sums.buffer, sums.total + strip.start, strip.valid))
    block.add(Store(Literal(0.0, dtype, lanes), sums.buffer, place_of_sum, strip.valid))
