"""Kernels with matrix products: register tiles of rows x columns, and an epilogue on the same registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from ...ir.graph import Node
from ...ir.types import ITEM_BYTES, size
from ..analysis.node_kinds import label_of, starts_of
from ..buffers.packing import MAX_DOT_WIDTH, Panel, PanelForm
from ..buffers.transposing import Transposition
from ..cost_model.register_tiles import balanced, sum_block
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Contract, Index, LetIndex, Literal, Operand, Store, Value, When
from ..machine.alignment import ALIGNMENT
from .active_rows import ActiveRows
from .epilogue import Epilogue, TileRows
from .kernel_plan import KernelPlan
from .loop_nests import VectorGroup, WorkerSlice, groups, loop
from .product_plan import Contraction
from .region import Region, over_axes
from .right_operands import RightOperands
from .values import Coordinate, Coordinates, Strip, Time, ValueEmitter, aligned, place

MIN_FUSED_K = 48
"""Minimum ``k`` for fusing chained products into one loop."""
MAX_REMAINDER = 8
"""Maximum rows of a remainder tile, because each smaller height needs separate code."""


class RowRange(NamedTuple):
    """Rows that tiles of one height compute.

    Attributes:
        active: Number of active rows, which come first; others are not stored. None if all are active.
    """

    begin: Index
    end: Index
    height: int
    active: Index | None = None


class Tiles:
    """Writer of a kernel with matrix products, over tiles of rows x blocks of units x gates."""

    def __init__(self, region: Region, block: Block, plan: KernelPlan, share: WorkerSlice | None = None) -> None:
        assert plan.products is not None
        self.region, self.memory, self.block, self.kernel = region, region.memory, block, plan.kernel
        self.plan, self.lanes, self.share = plan.products, plan.lanes, share
        self.members = set(plan.kernel.members)
        self.shape = plan.kernel.shape
        self.width = self.shape[-1]
        self.tile = self.plan.tile
        self.units_shared = share is not None and share.axis == len(self.shape) - 1
        self.rows_shared = share is not None and share.axis == self.plan.row_axis
        self.right_operands = RightOperands(self.memory, self.width, self.lanes, self.plan.group)
        self.epilogue = Epilogue(region, plan, share)

    def emit(self) -> None:
        """Write all tiles.

        The outer loop is over groups of blocks, so that the weights of a group stay in cache for all rows. If each
        matrix has its own right operand, the outer loop is over matrices.
        """
        share = self.share if self.units_shared else None

        def each_group(block: Block, at: list[Coordinate] | None = None) -> None:
            for inner, vectors in groups(
                block, self.width, self.lanes, self.tile.blocks, self.plan.masked, share, self._parity
            ):
                if not self.plan.by_matrix:
                    self._pack(inner, [], vectors)
                self._rows(inner, at, vectors)

        if self.plan.by_matrix:
            self._over_matrices(self.block, each_group)
        else:
            each_group(self.block)

    def _over_matrices(self, block: Block, body: Callable[[Block, list[Coordinate]], None]) -> None:
        """Write ``body`` at all positions of the axes other than rows and units."""
        others = [axis for axis in range(len(self.shape) - 1) if axis != self.plan.row_axis]
        over_axes(self.region, block, self.shape, others, [0] * len(self.shape), body, self.share)

    def _rows(self, block: Block, matrix: list[Coordinate] | None, vectors: VectorGroup) -> None:
        """Write the tiles over all rows for one group of vectors of units.

        ``matrix`` has the leading coordinates of one matrix; None for all.
        """
        axis = self.plan.row_axis

        def tiles(nested: Block, at: list[Coordinate]) -> None:
            if self.plan.by_matrix:
                self._pack(nested, at[:-2], vectors)
            if axis is None:
                self._tile(nested, TileRows(1, lambda _, number: at[:-1]), at[:-1], vectors)
                return
            extent, height = self.region.extent(self.shape, axis), self.tile.rows
            active = self.region.active
            if active is not None and active.cuts(self.shape, axis):
                self._active_rows(active, nested, at, axis, vectors)
                return
            if isinstance(extent, int):
                share = self.share if self.rows_shared else None
                self._known_rows(
                    nested,
                    extent,
                    share,
                    lambda inner, rows: self._row_loop(inner, at, axis, rows, vectors),
                )
                return
            begin: Index = 0
            end: Index = extent
            if self.share is not None and self.rows_shared:
                begin, end = self.share.range(nested, extent, height)
            whole = begin
            if height > 1:
                name = nested.fresh_index("whole")
                nested.add(LetIndex(name, "floor", end - begin, height))
                whole = begin + size(name)
                self._row_loop(nested, at, axis, RowRange(begin, whole, height), vectors)
            if height > 1 and self.region.has_static_lengths and not self.region.is_time(self.shape, axis):
                self._remainder_tiles(nested, at, axis, whole, end, vectors)
                return
            self._row_loop(nested, at, axis, RowRange(whole, end, 1), vectors)

        if matrix is None:
            self._over_matrices(block, tiles)
        else:
            tiles(block, matrix)

    def _pack(self, block: Block, matrix: list[Coordinate], vectors: VectorGroup) -> None:
        """Write the packing of computed right operands. ``matrix`` has the leading coordinates."""
        for contraction in self.plan.contractions:
            if contraction.widened:
                self.right_operands.widen(block, contraction, vectors, self._panels[contraction])
            elif contraction.packed:
                self._pack_columns(block, contraction, matrix, vectors)

    def _pack_columns(
        self, block: Block, contraction: Contraction, matrix: list[Coordinate], vectors: VectorGroup
    ) -> None:
        start, valid = vectors
        panel, base = self._panels[contraction]
        views, lanes = [self.memory.views[node.operands[1]] for node in contraction.products[0]], self.lanes
        depth, per_k = int(str(views[0].shape[-2])), len(views) * len(valid) * lanes
        slices = [
            (view, place(view, (*aligned(view.shape[:-2], tuple(matrix)), 0, start + number * lanes))[0], limit)
            for view in views
            for number, limit in enumerate(valid)
        ]
        if all(view.strides[-2] == 1 for view in views):
            for number, (view, source, limit) in enumerate(slices):
                target, count = (panel, base + number * lanes), lanes if limit is None else limit
                move = Transposition((view.buffer, source), target, view.strides[-1], per_k, lanes, count, depth)
                self.memory.panels.transposing.transpose(block, move)
            return

        def row(inner: Block, k: Index) -> None:
            for number, (view, source, limit) in enumerate(slices):
                first, distance = source + k * view.strides[-2], view.strides[-1]
                value = inner.load("packed", view.buffer, first, lanes, limit, distance)
                inner.add(Store(value, panel, base + k * per_k + number * lanes))

        loop(block, "k", depth, row)

    @cached_property
    def _panels(self) -> dict[Contraction, tuple[Buffer, Index]]:
        """Buffers for packed right operands, with the first index of this worker's part."""
        panels: dict[Contraction, tuple[Buffer, Index]] = {}
        for contraction in self.plan.contractions:
            if contraction.in_scratch:
                node = contraction.products[0][0]
                depth = int(str(node.operands[1].shape[-2]))
                room = depth * len(contraction.products[0]) * self.tile.blocks * self.lanes
                parts, part = (1, 0) if self.share is None else (self.share.parts, self.share.part)
                panels[contraction] = self.memory.scratch("panel", node.dtype, room * parts), part * room
        return panels

    def _active_rows(
        self, active: ActiveRows, block: Block, at: list[Coordinate], axis: int, vectors: VectorGroup
    ) -> None:
        """Write the tiles over the active rows.

        The last tile may have more rows than are left. It then computes the last row repeatedly, and stores it once.
        """
        share = self.share if self.rows_shared else None

        def part(nested: Block, own: WorkerSlice, low: Index, high: Index) -> None:
            def tiles(inner: Block, rows: RowRange) -> None:
                name = inner.fresh_index("behind")
                inner.add(LetIndex(name, "min", high, rows.end))
                self._row_loop(inner, at, axis, rows._replace(end=size(name), active=high), vectors)

            if share is not None and own.parts == 1:
                tiles(nested, RowRange(low, high, self.tile.rows))
            else:
                self._known_rows(nested, active.table.mask.rows, own if own.parts > 1 else None, tiles)

        active.each_range(block, at, share, part)

    def _known_rows(
        self, block: Block, count: int, share: WorkerSlice | None, tiles: Callable[[Block, RowRange], None]
    ) -> None:
        """Write the tiles over a fixed number of rows, with heights as equal as possible.

        Parts differ by at most one row.
        """

        def tiles_of(inner: Block, begin: Index, rows: int) -> None:
            for height, number in balanced(rows, self.tile.rows):
                tiles(inner, RowRange(begin, begin + height * number, height))
                begin = begin + height * number

        if share is None:
            tiles_of(block, 0, count)
            return
        begin, end = share.range(block, count)
        minimum, uneven = divmod(count, share.parts)
        if not uneven:
            tiles_of(block, begin, minimum)
            return
        for rows in (minimum, minimum + 1):
            inner = block.nested()
            tiles_of(inner, begin, rows)
            block.add(When(end - begin, rows, rows + 1, tuple(inner.statements)))

    def _remainder_tiles(
        self,
        block: Block,
        at: list[Coordinate],
        axis: int,
        begin: Index,
        end: Index,
        vectors: VectorGroup,
    ) -> None:
        """Write the remainder tiles, one for each height. Calls with few rows may run only these."""
        maximum = min(self.tile.rows, MAX_REMAINDER)
        if self.tile.rows > maximum:
            name = block.fresh_index("whole")
            block.add(LetIndex(name, "floor", end - begin, maximum))
            self._row_loop(block, at, axis, RowRange(begin, begin + size(name), maximum), vectors)
            begin = begin + size(name)
        for rows in range(1, maximum):
            inner = block.nested()
            self._row_loop(inner, at, axis, RowRange(begin, begin + rows, rows), vectors)
            block.add(When(end - begin, rows, rows + 1, tuple(inner.statements)))

    def _row_loop(self, block: Block, at: list[Coordinate], axis: int, rows: RowRange, vectors: VectorGroup) -> None:
        """Write a loop over tiles of one height."""
        begin, end, height, active = rows

        def body(nested: Block, row: Index) -> None:
            def coordinates(inner: Block, number: Index) -> list[Coordinate]:
                index = row + number
                if active is not None and self.region.active is not None:
                    if number != 0:  # do not read ended rows, whose memory may have denormals, which are slow
                        index = inner.let_index("active", "min", index, active - 1)
                    index = self.region.active.table.row(inner, index)
                return [*at[:axis], self.region.at(self.shape, axis, index), *at[axis + 1 : -1]]

            others = [*at[:axis], *at[axis + 1 : -1]]
            self._tile(nested, TileRows(height, coordinates, row, active), others, vectors)

        loop(block, "r", end, body, begin, height)

    def _tile(self, block: Block, rows: TileRows, others: Sequence[Coordinate], vectors: VectorGroup) -> None:
        """Write one tile. ``others`` are coordinates that all rows share."""
        start, valid = vectors
        strips = tuple(Strip(start + number * self.lanes, self.lanes, limit) for number, limit in enumerate(valid))
        emitter = ValueEmitter(
            block, self.memory.views, computed=lambda node: node in self.members, at=(*others, *strips)
        )
        outer = [rows.at(block, number) for number in range(rows.count)]
        cells = [[(*row, strip) for strip in strips] for row in outer]
        done: set[Node] = set()
        ahead = self._ahead(block, rows, others)
        for contraction in self.plan.contractions:
            self._contract(emitter, contraction, outer, cells, vectors, ahead.get(contraction))
            done.update(node for products in contraction.products for node in products)
            if contraction is not self.plan.contractions[-1] and self.plan.parts > 1:
                self._join_parts(emitter, cells, done)
        self.epilogue.emit(emitter, rows, strips, cells)

    def _join_parts(self, emitter: ValueEmitter, cells: list[list[Coordinates]], done: set[Node]) -> None:
        """Write the computation of values that depend only on products in ``done``, which frees registers of sums."""
        sources: dict[Node, set[Node]] = {node: {node} for node in self.plan.products}
        for node in self.kernel.members:
            if node in sources or node.shape != self.shape:
                continue
            sources[node] = {product for item in node.operands for product in sources.get(item, ())}
            if sources[node] and sources[node] <= done:
                for row in cells:
                    for at in row:
                        emitter.value(node, at)

    def _contract(
        self,
        emitter: ValueEmitter,
        contraction: Contraction,
        rows: Sequence[Sequence[Coordinate]],
        cells: list[list[Coordinates]],
        vectors: VectorGroup,
        ahead: Index | None,
    ) -> None:
        block, lanes, first_left = emitter.block, self.lanes, contraction.lefts[0]
        results: list[tuple[Value, ...]] = []
        starts: list[tuple[Operand, ...]] = []
        lefts = []
        for outer, row in zip(rows, cells, strict=True):
            for left, products in zip(contraction.lefts, contraction.products, strict=True):
                view = self.memory.views[left]
                index, _, _ = place(view, (*aligned(left.shape[:-1], tuple(outer)), 0))
                lefts.append((view.buffer, index))
                row_results, row_starts = [], []
                for node in products:
                    for at in row:
                        row_starts.append(self._begin(emitter, node, at))
                        result = Value(block.fresh(label_of(node)), node.dtype, lanes)
                        row_results.append(result)
                        emitter.in_registers[node, aligned(node.shape, at)] = result
                results.append(tuple(row_results))
                starts.append(tuple(row_starts))
        operands = self.right_operands
        packed = self._panels[contraction] if contraction.in_scratch else None
        right = operands.columns(contraction, tuple(rows[0][:-1]), vectors, packed)
        scales = operands.scales(contraction.products[0], rows, vectors)
        every = [node for products in contraction.products for node in products]
        # A step of k multiplies one word of a row. A vector of 4-bit weights has two steps.
        dot_width = min(contraction.dot_width, MAX_DOT_WIDTH)
        tile = Contract(
            tuple(results),
            tuple(starts),
            tuple(lefts),
            self.memory.views[first_left].strides[-1] * dot_width,
            first_left.shape[-1],
            right.places,
            right.right_stride,
            right.lane_stride,
            right.valid,
            self.tile.unroll,
            " and ".join(dict.fromkeys(str(node.where) for node in every)),
            dot_width,
            contraction.accumulators,
            0 if scales else sum_block(first_left.shape[-1], every[0].dtype),
            ahead=ahead,
            prefetched=right.prefetched,
            scales=scales,
            origin=every[0].where,
            columns=tuple(node.where for node in contraction.products[0] for _ in vectors.valid),
        )
        before = block.statements[-1] if block.statements else None
        if isinstance(before, Contract) and self._continue_private_sums(every) and (joined := before.then(tile)):
            block.statements[-1] = joined
        else:
            block.add(tile)

    def _begin(self, emitter: ValueEmitter, node: Node, at: Coordinates) -> Operand:
        """Return the initial value of a sum: zero, or the operand to which the product is added."""
        if len(node.operands) != 3:
            return Literal(0 if node.dtype == "int32" else 0.0, node.dtype, self.lanes)
        source = node.operands[2]
        return emitter.spread(emitter.value(source, aligned(source.shape, at)), self.lanes)

    def _ahead(self, block: Block, rows: TileRows, others: Sequence[Coordinate]) -> dict[Contraction, Index]:
        """Return, by contraction, the distance from a tile's weights to those that the tile prefetches.

        If the weights do not fit in L2, each tile of rows prefetches a share of the next group's weights. Otherwise,
        the result is empty.
        """
        if rows.count == 1 or not self._are_fetched:
            return {}
        names: dict[Index, Index] = {}
        distances = {}
        for contraction, panel in self._packed_ahead.items():
            group = self.tile.blocks * self.lanes * panel.elements_per_unit
            line = ALIGNMENT // ITEM_BYTES[panel.buffer.dtype]
            asked = panel.depth // contraction.dot_width // self.tile.unroll * line
            distance = self._rows_before(rows, others) * (asked // rows.count) + group - 2 * group * self._parity
            if distance not in names:
                names[distance] = block.let_index("ahead", "min", distance, 2 * group)
            distances[contraction] = names[distance]
        return distances

    @property
    def _parity(self) -> Index:
        """Traversal direction of groups of blocks.

        For weights that exceed L1, consecutive steps alternate the direction, so that half of the weights are cached.
        """
        return 0 if self.region.target.fits_first_cache(self._weight_bytes) else self.region.parity

    @property
    def _are_fetched(self) -> bool:
        """True if tiles of several rows prefetch the weights of the next group."""
        return self.region.target.prefetches and self._weight_bytes >= self.region.target.second_cache // 4

    @property
    def _weight_bytes(self) -> int:
        return sum(panel.bytes for panel in self._packed_ahead.values())

    @cached_property
    def _packed_ahead(self) -> dict[Contraction, Panel]:
        """Panels of right operands that are packed before calls, by contraction."""
        panels = {}
        for contraction in self.plan.contractions:
            views = tuple(self.memory.views[node.operands[1]] for node in contraction.products[0])
            if all(map(self.memory.panels.packs, views)):
                assert isinstance(self.width, int), "what is packed ahead has sizes that are known"
                form = PanelForm(views, self.width, self.lanes, self.plan.group, contraction.dot_width)
                panels[contraction], _ = self.memory.panels.panel(form)
        return panels

    def _rows_before(self, rows: TileRows, others: Sequence[Coordinate]) -> Index:
        """Return the number of rows before those of a tile, over all axes."""
        axes = [axis for axis in range(len(self.shape) - 1) if axis != self.plan.row_axis]
        before: Index = 0
        for axis, at in zip(axes, others, strict=True):
            number = at.local if isinstance(at, Time) else at.start if isinstance(at, Strip) else at
            before = before * self.region.extent(self.shape, axis) + number
        if self.plan.row_axis is not None:
            before = before * self.region.extent(self.shape, self.plan.row_axis)
        return before + rows.first

    def _continue_private_sums(self, products: Sequence[Node]) -> bool:
        """True if the sums that these products continue have no other reader, and k is large enough for fusion."""
        depth = products[0].operands[0].shape[-1]
        if isinstance(depth, int) and depth < MIN_FUSED_K:
            return False
        starts = {node for product in products for node in starts_of(product)}
        asked = [item for node in self.kernel.members for item in node.operands if item in starts]
        return len(asked) == len(starts) and not any(map(self.memory.stores.get, starts))
