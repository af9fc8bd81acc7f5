"""Sums of outer products over rows: the gradients of weights.

The result is divided into register tiles; k runs over time and batch. Both operands are packed, one block of k after
another, so that a tile reads them sequentially. The left operand is packed, with its pieces concatenated, as
[tile][k][row]. The right operand is packed as [k][lanes] for each group of columns. If each step has one row,
contiguous pieces of the left operand are read in place.

The result stays in memory, and each block of k and chunk of time adds to it. Steps are added one by one in the loop's
direction, so that the order of summation does not depend on the division into blocks and chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from ...ir.graph import Node
from ...ir.types import Dim, Shape, Size, size
from ...support.records import dataclass
from ..analysis.node_kinds import pieces_of
from ..buffers.outer_operands import KBlock, LeftOperand, TileArguments, row_offset
from ..buffers.views import View
from ..cost_model.register_tiles import balanced, lanes_for
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import (
    Buffer,
    Call,
    Contract,
    Index,
    LetIndex,
    Literal,
    Load,
    Operand,
    Prefetch,
    Store,
    Valid,
    Value,
)
from .active_rows import MaskTable
from .kernel_plan import KernelPlan
from .loop_nests import LastVector, WorkerSlice, fold, groups, strips
from .region import Region
from .values import Strip, ValueEmitter, place

Body = Callable[[Block, list[Index], Index], None]
"""Function (block, coordinates of a step of k, its index in the block of k) that writes the code of the step."""


WriteKernel = Callable[[Block, Callable[[Block], None]], Call | None]
"""Function that adds statements to a block, either directly or as a call of a function that equal statements share.

It returns the call, which may be repeated with other arguments; None if the statements were added directly.
"""


def _in_place(block: Block, emit: Callable[[Block], None]) -> None:
    """Add statements to a block directly: the default ``WriteKernel``."""
    emit(block)


def outer_sum(region: Region, block: Block, plan: KernelPlan) -> None:
    """Write code for the sum over k of left[k]^T right[k], added to the current value in a loop over chunks of time."""
    if region.time is None:
        clear(region, block, plan.kernel.first)
    add_outer_sum(region, block, plan)


def add_outer_sum(
    region: Region, block: Block, plan: KernelPlan, kernel: WriteKernel = _in_place, share: WorkerSlice | None = None
) -> None:
    """Write code that adds the sum over k of left[k]^T right[k] to the result, or to a worker's columns (``share``)."""
    if 0 not in plan.kernel.first.shape:
        _Sum(region, plan, kernel, share).emit(block)


def clear(region: Region, block: Block, node: Node) -> None:
    """Write a loop that sets the result of a sum of outer products to zeros."""
    lanes = lanes_for(region.target, [node], node.shape[-1])

    def row(inner: Block, i: Index) -> None:
        for nested, strip in strips(inner, node.shape[-1], lanes):
            for view in region.memory.stores[node]:
                ValueEmitter(nested, region.memory.views).store(Literal(0.0, node.dtype, 1), view, (i, strip))

    loop(block, "i", node.shape[0], row)


def _in_chunk(region: Region, node: Node) -> View:
    """Return the memory of an operand's current chunk of time, or of the whole operand if it has no time axis."""
    view = region.memory.views[node]
    if region.time is None or not region.is_time(node.shape, 0):
        return view
    offset = view.offset if view.local else view.offset + view.strides[0] * region.time.start
    return replace(view, offset=offset, shape=(region.time.steps, *view.shape[1:]), local=False)


@dataclass(frozen=True)
class _Tiles:
    """Register tiles of one height, for the rows ``first`` to ``stop - 1``."""

    first: int
    height: int
    stop: int


def _tiles(rows: int, max_height: int) -> list[_Tiles]:
    """Divide rows into tiles of at most ``max_height`` rows, one item for each height."""
    tiles, first = [], 0
    for height, number in balanced(rows, max_height):
        tiles.append(_Tiles(first, height, first := first + height * number))
    return tiles


class _Sum:
    """Writer of a sum of outer products.

    Attributes:
        left: Pieces of the left operand, restricted to the chunk of time.
        right: Pieces of the right operand, restricted to the chunk of time.
        leading: Sizes of the axes over which k runs.
        axis: Axis of ``leading`` along which k is divided into blocks.
        inner: Product of the sizes after ``axis``.
        is_far: True if L2 may not hold all sums of the loop, so that tiles prefetch the result.
        left_lanes: Elements of a vector by which the left operand is packed.
        pitch: Elements of the left panel for each row.
    """

    def __init__(self, region: Region, plan: KernelPlan, kernel: WriteKernel, share: WorkerSlice | None) -> None:
        assert plan.outer_sum is not None
        node, memory = plan.kernel.first, region.memory
        self.region, self.node, self.kernel, self.share = region, node, kernel, share
        self.plan, self.lanes, self.max_depth = plan.outer_sum, plan.outer_sum.lanes, plan.outer_sum.max_depth
        left, right = ([_in_chunk(region, piece) for piece in pieces_of(item, memory.views)] for item in node.operands)
        self.left, self.right = left, right
        self.leading: Shape = left[0].shape[:-1]
        self.rows = int(str(node.shape[0]))
        sums = [node] if region.time is None else [item for item in memory.stores if item.op == "outer_sum"]
        self.is_far = sum(item.tensor.bytes_at(1) for item in sums) > region.target.second_cache // 4
        parts = 1 if share is None else share.parts
        self._cut()
        # an ended row is packed, too, and overwritten by the next active row
        spare_rows = 0 if region.active is None else 1
        max_rows = self.max_depth + spare_rows
        self.tiles = _tiles(self.rows, self.plan.tile.rows)
        self.left_lanes = lanes_for(region.target, [node], self.tiles[0].height)
        # a vector that is stored for the last step of k may extend beyond the tile
        self.pitch = max_rows + -(-self.left_lanes // self.tiles[-1].height)
        in_place = self._in_place()
        self.lefts = in_place or [LeftOperand(0, self.rows, self.plan.tile)]
        blocks = max(item.tile.blocks for item in self.lefts)
        left_room, right_room = self.rows * self.pitch + self.left_lanes, max_rows * blocks * self.lanes
        part = 0 if share is None else share.part
        self.left_base, self.right_base = part * left_room, part * right_room
        self.left_panel = None if in_place else memory.scratch("left", node.dtype, left_room * parts)
        self.right_panel = memory.scratch("right", node.dtype, right_room * parts)

    def _in_place(self) -> list[LeftOperand]:
        """Return the left operand's concatenated parts if tiles can read all of them unpacked; else an empty list."""
        pieces: list[LeftOperand] = []
        if self.region.active is not None or self.axis or self.inner != 1:
            return pieces
        for view, tile in zip(self.left, self.plan.piece_tiles, strict=True):
            first, rows = sum(item.rows for item in pieces), int(str(view.shape[-1]))
            if view.strides[-1] != 1 or rows < self.plan.tile.rows:
                return []
            stride = view.strides[0] * -1 if self.region.reverse else view.strides[0]
            pieces.append(LeftOperand(first, rows, tile, view, stride))
        return pieces

    def _cut(self) -> None:
        """Set ``axis`` to the axis along which k is divided into blocks, and ``inner`` to the steps of k after it."""
        inner = 1
        self.axis = len(self.leading) - 1
        while self.axis and isinstance(dim := self.leading[self.axis], int) and inner * dim <= self.max_depth:
            inner *= dim
            self.axis -= 1
        self.inner = inner

    # Blocks of k ---------------------------------------------------------------------------------

    def emit(self, block: Block) -> None:
        """Write code that adds the outer products of all steps of k to the result."""
        if 0 not in self.leading:  # otherwise, the sum is empty
            self._outer(block, [])

    def _outer(self, block: Block, at: list[Index]) -> None:
        """Write loops over axes before ``self.axis`` and over blocks of k along it, with the sum of a block inside."""
        axis = len(at)
        extent = self.leading[axis]
        if axis < self.axis:

            def one(inner: Block, index: Index) -> None:
                self._outer(inner, [*at, extent - 1 - index if self.region.reverse else index])

            loop(block, "outer", extent, one)
            return
        steps = max(1, self.max_depth // self.inner)

        def some(inner: Block, begin: Index) -> None:
            count = extent - begin
            if not isinstance(extent, int) or extent % steps:
                if not isinstance(count, int) or count > steps:
                    name = inner.fresh_index("places")
                    inner.add(LetIndex(name, "min", count, steps))
                    count = size(name)
            else:
                count = min(steps, extent)
            self._block(inner, KBlock(at, extent - begin - count if self.region.reverse else begin, count))

        loop(block, "block", extent, some, 0, steps)

    def _block(self, block: Block, ks: KBlock) -> None:
        """Write code that packs one block of k of both operands, and adds its outer products to the result."""

        def pack(inner: Block) -> None:
            self._each_row(inner, ks, self._pack_left)

        if self.left_panel is not None:
            self.kernel(block, pack)
        start = ks.first + ks.count - 1 if self.region.reverse else ks.first
        begin = [*ks.at, start, *[0] * (len(self.leading) - 1 - self.axis)]
        calls: dict[Hashable, tuple[TileArguments, Call]] = {}
        for left in [left.of_block(block, begin) for left in self.lefts]:
            offset = 0
            for view in self.right:
                column: Index = offset
                if len(self.right) > 1:  # variables instead of constants, so that all pieces share a function
                    column = block.let_index("column", "max", offset, 0)
                    view = replace(view, offset=block.let_index("piece", "max", view.offset, 0))

                def tiles(inner: Block, left: LeftOperand = left, view: View = view, column: Index = column) -> None:
                    self._columns(inner, ks, left, view, column)

                arguments = self._arguments(left, view, column)
                if (known_call := calls.get(arguments.work)) is not None:
                    block.add(arguments.substitute(*known_call))
                elif (call := self.kernel(block, tiles)) is not None:
                    calls[arguments.work] = arguments, call
                offset += int(str(view.shape[-1]))

    def _arguments(self, left: LeftOperand, view: View, column: Index) -> TileArguments:
        """Return buffers, indices and a key of the work on one left and one right part, by which calls share code."""
        shared = [self.right_panel, *(store.buffer for store in self.region.memory.stores[self.node])]
        if left.view is None:
            assert self.left_panel is not None
            buffers = (self.left_panel, view.buffer)
        else:
            buffers = (left.view.buffer, view.buffer)
        indices = left.first, left.place, view.offset, column
        aliases = tuple([*shared, *buffers].index(buffer) for buffer in (*shared, *buffers))
        forms = tuple("name" if isinstance(index, Size) and index.symbol else index for index in indices)
        layouts = [
            piece and replace(piece, buffer=piece.buffer._replace(name=""), offset=0) for piece in (left.view, view)
        ]
        return TileArguments(buffers, indices, (left.rows, left.stride, *layouts, forms, aliases))

    def _each_row(self, block: Block, ks: KBlock, body: Body) -> Index:
        """Write a loop with ``body`` for each step of k of a block, in order. Return the number of steps."""
        last = self.region.reverse
        if self.region.active is not None:
            return self._each_active(block, ks, body, self.region.active.table)

        def outermost(inner: Block, index: Index) -> None:
            place = [*ks.at, ks.first + (ks.count - 1 - index if last else index)]
            self._each_inner_row(inner, place, index, body)

        loop(block, "k", ks.count, outermost)
        return ks.count * self.inner

    def _each_inner_row(self, block: Block, place: list[Index], number: Index, body: Body) -> None:
        """Write loops with ``body`` over the leading axes that follow those of ``place``, whose row is ``number``."""
        axis = len(place)
        if axis == len(self.leading):
            body(block, place, number)
            return
        extent, last = self.leading[axis], self.region.reverse

        def one(nested: Block, index: Index) -> None:
            here = [*place, extent - 1 - index if last else index]
            self._each_inner_row(nested, here, number * extent + index, body)

        loop(block, "b", extent, one)

    def _each_active(self, block: Block, ks: KBlock, body: Body, table: MaskTable) -> Index:
        """Write a loop that runs ``body`` for each row of a block of k. Return the number of active rows.

        ``body`` gets the index of a row among the active rows. A row that has ended gets the index of the next active
        row, which overwrites it.
        """
        assert self.region.time is not None
        last, start = self.region.reverse, self.region.time.start

        def nest(inner: Block, place: list[Index], number: Operand, low: Index, extent: Index) -> Operand:
            def one(nested: Block, index: Index, before: Operand) -> Operand:
                here = [*place, low + (extent - 1 - index if last else index)]
                if len(here) < len(self.leading):
                    return nest(nested, here, before, 0, self.leading[len(here)])
                body(nested, here, nested.bounded_index("taken", self.max_depth + 1, before))
                is_active = table.is_active(nested, start + here[0], here[1])
                return nested.let("add", [before, nested.let("cast", [is_active], "int64", 1)], "int64", 1)

            return fold(inner, number, extent, 1, one)

        total = nest(block, ks.at, Literal(0, "int64", 1), ks.first, ks.count)
        return block.bounded_index("depth", self.max_depth + 1, total)

    # Packing -------------------------------------------------------------------------------------

    def _left_offset(self, row: Index) -> Index:
        """Return the offset in the left panel of the tile whose first row is ``row``."""
        return self.left_base + row * self.pitch

    def _pack_left(self, block: Block, at: list[Index], number: Index) -> None:
        """Write code that copies one step of k of the left operand to the packed operand, in whole vectors.

        A vector may extend beyond the tile's rows. The next step overwrites the excess; that of the last step lies
        after the tile.
        """
        first = 0
        for view in self.left:
            width = int(str(view.shape[-1]))
            for tiles in self.tiles:
                self._pack_piece(block, view, row_offset(view, at), number, first, width, tiles)
            first += width

    def _pack_piece(
        self, block: Block, view: View, source: Index, number: Index, first: int, width: int, tiles: _Tiles
    ) -> None:
        """Write code that packs one step of k of one concatenated part (``view``), for tiles of one height.

        Args:
            block: Block to which statements are added.
            view: The piece.
            source: Element of the piece's first row.
            number: Index of the step within the block of k.
            first: First row of the piece in the left operand.
            width: Rows of the piece.
            tiles: The tiles.
        """
        assert self.left_panel is not None
        panel, height, lanes = self.left_panel, tiles.height, self.left_lanes

        def copy(inner: Block, row: Index, begin: int, count: int, valid: int) -> None:
            """Write a copy of ``count`` rows of a tile, from row ``begin`` on. Store zeros from row ``valid`` on."""
            for lane in range(0, count, lanes):
                place = self._left_offset(row) + number * height + begin + lane
                start = source + view.strides[-1] * (row - first + begin + lane)
                self._copy(inner, view, start, lanes, min(lanes, valid - lane), panel, place)

        end, reach = first + width, -(-height // lanes) * lanes
        row = tiles.first + max(0, first - tiles.first) // height * height
        if row < min(first, tiles.stop):  # the first tile begins with rows of the previous piece
            copy(block, row, first - row, min(row + height, end) - first, width)
            row += height
        last = min(tiles.stop, end - reach + height)
        if row + height <= last:
            whole = row + (last - row) // height * height
            loop(block, "r", whole, lambda inner, row: copy(inner, row, 0, height, reach), row, height)
            row = whole
        for rest in range(row, min(tiles.stop, end), height):
            copy(block, rest, 0, min(height, end - rest), end - rest)

    def _copy(
        self, block: Block, view: View, source: Index, lanes: int, valid: int, panel: Buffer, place: Index
    ) -> None:
        """Write the copy of one vector of a piece to a panel. Lanes from ``valid`` on are not loaded, and become 0."""
        limit = valid if valid < lanes else None
        value = Value(block.fresh("packed"), self.node.dtype, lanes)
        block.add(Load(value, view.buffer, source, limit, view.strides[-1]))
        block.add(Store(value, panel, place))

    # Tiles ---------------------------------------------------------------------------------------

    def _columns(self, block: Block, ks: KBlock, left: LeftOperand, view: View, column: Index) -> None:
        """Write code that packs each group of columns of ``view``, a part of the right operand, and runs its tiles."""
        width, lanes = int(str(view.shape[-1])), self.lanes
        for inner, (start, valid) in groups(block, width, lanes, left.tile.blocks, LastVector.SEPARATE, self.share):

            def pack(
                nested: Block,
                place: list[Index],
                k: Index,
                start: Index = start,
                valid: Sequence[Valid] = valid,
            ) -> None:
                for number, limit in enumerate(valid):
                    source = row_offset(view, place) + view.strides[-1] * (start + number * lanes)
                    target = self.right_base + k * (len(valid) * lanes) + number * lanes
                    there = limit if isinstance(limit, int) else lanes
                    self._copy(nested, view, source, lanes, there, self.right_panel, target)

            depth = self._each_row(inner, ks, pack)
            self._rows(inner, left, column + start, valid, depth)

    def _rows(self, block: Block, left: LeftOperand, start: Index, valid: Sequence[Valid], depth: Index) -> None:
        """Write the tiles over all rows for one group of columns: a loop for each height of tiles."""
        for tiles in _tiles(left.rows, left.tile.rows):

            def body(inner: Block, row: Index, height: int = tiles.height) -> None:
                self._tile(inner, left, row, height, start, valid, depth)

            loop(block, "r", tiles.stop, body, tiles.first, tiles.height)

    def _tile(
        self, block: Block, left: LeftOperand, row: Index, height: int, start: Index, valid: Sequence[Valid], depth: Dim
    ) -> None:
        """Write one tile: load the result, add the products of ``depth`` steps of k, and store the result."""
        node, lanes = self.node, self.lanes
        emitter = ValueEmitter(block, {node: self.region.memory.stores[node][0]})
        cells = [
            [(left.first + row + extra, Strip(start + at * lanes, lanes, limit)) for at, limit in enumerate(valid)]
            for extra in range(height)
        ]
        starts: tuple[tuple[Operand, ...], ...] = tuple(tuple(emitter.value(node, at) for at in row) for row in cells)
        if self.is_far:
            store = self.region.memory.stores[node][0]
            for extra, strip in itertools.product(range(height), cells[0]):
                after = left.first + row + height + extra
                block.add(Prefetch(store.buffer, place(store, (after, strip[1]))[0]))
        results = tuple(tuple(Value(block.fresh("sum"), node.dtype, lanes) for _ in row) for row in cells)
        buffer = self.left_panel if left.view is None else left.view.buffer
        assert buffer is not None
        begin = self._left_offset(row) if left.view is None else left.place + row
        lefts = tuple((buffer, begin + extra) for extra in range(height))
        stride = height if left.view is None else left.stride
        right = tuple((self.right_panel, self.right_base + number * lanes) for number in range(len(valid)))
        comment = f"outer products of {node.operands[1].where}"
        block.add(
            Contract(
                results,
                starts,
                lefts,
                stride,
                depth,
                right,
                len(valid) * lanes,
                1,
                (None,) * len(valid),
                left.tile.unroll,
                comment,
            )
        )
        for places, values in zip(cells, results, strict=True):
            for at, value in zip(places, values, strict=True):
                for view in self.region.memory.stores[node]:
                    emitter.store(value, view, at)
