"""Products that leave out blocks of zeros of their weights.

Sums of a row lie in memory, not in registers: a loop over the blocks that are left adds each to those of its columns.
Blocks come in the order of k, so neighbours add to different sums and don't wait for each other. Where packing found too
few zeros, tiles compute all of it as if there were none.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..analysis.node_kinds import label_of
from ..buffers.sparse_packing import DENSE, FIRST, LAST, ROW, SparseLayout, SparsePanel
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Contract, Index, Literal, Operand, Place, Store, Value, When
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice, loop, strips
from .matmul import Tiles
from .region import Region, over_axes
from .values import Coordinate, ValueEmitter, aligned, place


def sparse_product(
    region: Region, block: Block, plan: KernelPlan, layout: SparseLayout, share: WorkerSlice | None
) -> None:  # fmt: skip
    """The product of a kernel, by blocks or by tiles, as packing found."""
    memory, (node,) = region.memory, plan.kernel.members
    panel = memory.panels.sparse.panel(memory.views[node.operands[1]], layout)
    is_dense = block.read_index("dense", panel.numbers, DENSE)
    by_blocks, by_tiles = block.nested(), block.nested()
    _Blocks(region, plan, layout, panel, share).emit(by_blocks)
    block.add(When(is_dense, 0, 1, tuple(by_blocks.statements)))
    Tiles(region, by_tiles, plan, share).emit()
    block.add(When(is_dense, 1, 2, tuple(by_tiles.statements)))


@dataclass(frozen=True)
class _Sums:
    """Where the sums of a row lie: of each accumulator, and, where sums begin anew after some k, what they add up to."""

    buffer: Buffer
    accumulators: tuple[Index, ...]
    total: Index | None


class _Blocks:
    """Writes the product by blocks, row after row."""

    def __init__(
        self, region: Region, plan: KernelPlan, layout: SparseLayout, panel: SparsePanel, share: WorkerSlice | None
    ) -> None:
        self.region, self.memory, self.plan, self.layout, self.panel = region, region.memory, plan, layout, panel
        (self.node,), self.shape, self.share = plan.kernel.members, plan.kernel.shape, share
        self.units = share if share is not None and share.axis == len(self.shape) - 1 else None
        self.sums = self._memory_of_sums()

    def emit(self, block: Block) -> None:
        axes = range(len(self.shape) - 1)
        over_axes(self.region, block, self.shape, axes, [0] * len(self.shape), self._row, self.share)

    def _memory_of_sums(self) -> _Sums:
        layout, share = self.layout, self.share
        room = -(-layout.room // self.plan.lanes) * self.plan.lanes
        copies = max(layout.accumulators, 2 if layout.segments > 1 else 1)
        parts, part = (1, 0) if share is None else (share.parts, share.part)
        buffer = self.memory.scratch("sums", self.node.dtype, room * copies * parts)
        begin = part * (room * copies)
        accumulators = tuple(begin + layout.room * number for number in range(layout.accumulators))
        return _Sums(buffer, accumulators, begin + room if layout.segments > 1 else None)

    def _row(self, block: Block, at: list[Coordinate]) -> None:
        """One row: its sums begin, are added to, and go where the product's value is wanted."""
        self._begin(block, at)
        loop(block, "segment", self.layout.segments, lambda inner, segment: self._segment(inner, at, segment))
        self._end(block, at)

    def _begin(self, block: Block, at: list[Coordinate]) -> None:
        node, sums = self.node, self.sums
        for inner, strip in strips(block, self.shape[-1], self.plan.lanes, self.units):
            emitter = ValueEmitter(inner, self.memory.views)
            zero: Operand = Literal(0 if node.dtype == "int32" else 0.0, node.dtype, strip.lanes)
            value = zero
            if len(node.operands) == 3:
                start = node.operands[2]
                value = emitter.spread(emitter.value(start, aligned(start.shape, (*at[:-1], strip))), strip.lanes)
            first, *others = sums.accumulators
            inner.add(Store(value, sums.buffer, first + strip.start, strip.valid))
            for other in others:
                inner.add(Store(zero, sums.buffer, other + strip.start, strip.valid))
            if sums.total is not None:  # -0.0 adds nothing to any number, itself among them
                nothing = Literal(-0.0, node.dtype, strip.lanes)
                inner.add(Store(nothing, sums.buffer, sums.total + strip.start, strip.valid))

    def _end(self, block: Block, at: list[Coordinate]) -> None:
        node, sums = self.node, self.sums
        for inner, strip in strips(block, self.shape[-1], self.plan.lanes, self.units):
            places = sums.accumulators if sums.total is None else (sums.total,)
            first, *others = (
                inner.load(label_of(node), sums.buffer, first + strip.start, strip.lanes, strip.valid)
                for first in places
            )
            value: Operand = first
            for other in others:
                value = inner.let("add", [value, other], node.dtype, strip.lanes)
            for view in self.memory.stores[node]:
                ValueEmitter(inner, self.memory.views).store(value, view, (*at[:-1], strip))

    def _segment(self, block: Block, at: list[Coordinate], segment: Index) -> None:
        """The blocks of k that are summed together."""
        layout, sums, part = self.layout, self.sums, 0 if self.units is None else self.units.part
        for number, height in enumerate(layout.heights):
            numbers = self.panel.numbers
            begin = layout.range_of(part, segment, number)
            first, last, row = (block.read_index("range", numbers, begin + item) for item in (FIRST, LAST, ROW))
            steps = -(-height // layout.dot_width)

            def one(inner: Block, entry: Index, height: int = height, row: Index = row - first * steps) -> None:
                self._block(inner, at, entry, row + entry * -(-height // layout.dot_width), height)

            loop(block, "entry", last, one, first)
        if sums.total is None:
            return
        for inner, strip in strips(block, self.shape[-1], self.plan.lanes, self.units):
            here = sums.accumulators[0] + strip.start, sums.total + strip.start
            part_sum, total = (
                inner.load(name, sums.buffer, place, strip.lanes, strip.valid)
                for name, place in zip(("part", "total"), here, strict=True)
            )
            value = inner.let("add", [total, part_sum], self.node.dtype, strip.lanes)
            inner.add(Store(value, sums.buffer, here[1], strip.valid))
            inner.add(Store(Literal(0.0, self.node.dtype, strip.lanes), sums.buffer, here[0], strip.valid))

    def _block(self, block: Block, at: list[Coordinate], entry: Index, row: Index, height: int) -> None:
        """Adds one block to the sums of its columns. row: the first of its rows, of those of all blocks."""
        layout, panel, left = self.layout, self.panel, self.node.operands[0]
        numbers = layout.list_begin + 2 * entry
        k, column = (block.read_index(name, panel.numbers, numbers + item) for item, name in enumerate(("k", "column")))
        view = self.memory.views[left]
        index, _, _ = place(view, (*aligned(left.shape[:-1], tuple(at[:-1])), 0))
        stride = view.strides[-1]
        steps = -(-height // layout.dot_width)
        split = layout.accumulators if steps > 1 else 1
        for number in range(split):
            target: Place = (self.sums.buffer, self.sums.accumulators[number] + column)
            before = block.load("sum", *target, layout.lanes)
            after = Value(block.fresh(label_of(self.node)), self.node.dtype, layout.lanes)
            block.add(
                Contract(
                    ((after,),), ((before,),), ((view.buffer, index + (k + number) * stride),),
                    stride * layout.dot_width * split, height // split,
                    ((panel.blocks, (row + number) * layout.row),), layout.row * split, 1, (None,),
                    steps, "", layout.dot_width,
                )
            )  # fmt: skip
            block.add(Store(after, *target))
