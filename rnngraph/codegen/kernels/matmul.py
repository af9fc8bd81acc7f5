"""Kernels with matrix products: register tiles of rows x columns, and an epilogue on the same registers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from ...ir.graph import Node
from ...ir.types import ITEM_BYTES
from ..analysis.node_kinds import label_of, starts_of
from ..analysis.padding import nonzero_range
from ..buffers.packing import MAX_DOT_WIDTH, Panel, PanelForm
from ..buffers.transposing import Transposition
from ..cost_model.register_tiles import OPEN_ROWS, sum_block
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Buffer, Condition, Contract, Destination, Index, Literal, Operand, Place, Store, Value
from ..machine.alignment import ALIGNMENT
from .kernel_plan import KernelPlan
from .loop_nests import LastVector, VectorGroup, WorkerSlice, groups
from .product_plan import Contraction
from .region import Region, over_axes
from .right_operands import RightOperands
from .tile_rows import Epilogue, TileLoops, TileRows
from .values import Coordinate, Coordinates, Strip, Time, ValueEmitter, aligned, place

MIN_FUSED_K = 48
"""Minimum ``k`` for fusing chained products into one loop."""


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
        self.right_operands = RightOperands(self.memory, self.width, self.lanes, self.plan.group)
        self.epilogue = Epilogue(region, plan, share)

    def emit(self) -> None:
        """Write the kernel: loops over groups of units and over rows, with a register tile and its epilogue inside.

        The loop over groups of blocks contains the loops over rows, so that the weights of a group stay in cache. Only
        loops over the plan's ``outside`` axes contain the loop over groups.
        """
        share = self.share if self.units_shared else None

        masked = LastVector.MASKED if self.region.target.has_masks else LastVector.SEPARATE
        last = masked if self.plan.masked else LastVector.PADDED

        def each_group(block: Block, at: list[Coordinate]) -> None:
            for inner, vectors in groups(
                block, self.width, self.lanes, self.tile.blocks, last, share, self._traversal_direction
            ):
                if not self.plan.by_matrix:
                    self._pack(inner, [], vectors)
                self._rows(inner, at, vectors)

        outside = self.plan.outside
        over_axes(self.region, self.block, self.shape, outside, [0] * len(self.shape), each_group, self.share)

    def _rows(self, block: Block, outer: list[Coordinate], vectors: VectorGroup) -> None:
        """Write the register tiles of all rows for one group of units (``vectors``).

        ``outer`` has the coordinates of the loops that contain the loop over groups.
        """
        axis = self.plan.row_axis
        looped = (axis, *self.plan.outside, *([0] if self.plan.merges else []))
        inside = [other for other in range(len(self.shape) - 1) if other not in looped]

        def tiles(nested: Block, at: list[Coordinate]) -> None:
            if self.plan.by_matrix:
                self._pack(nested, at[:-2], vectors)
            if axis is None:
                self._tile(nested, TileRows(1, lambda _, number: at[:-1]), at[:-1], vectors)
                return
            others = [] if self.plan.merges else [*at[:axis], *at[axis + 1 : -1]]

            def tile(inner: Block, rows: TileRows) -> None:
                self._tile(inner, rows, others, vectors)

            TileLoops(self.region, self.kernel, self.plan, self.share, tile).emit(nested, at)

        over_axes(self.region, block, self.shape, inside, outer, tiles, self.share)

    def _pack(self, block: Block, matrix: list[Coordinate], vectors: VectorGroup) -> None:
        """Write code that packs a group's columns of right operands in scratch memory, or widens narrow ones."""
        for contraction in self.plan.contractions:
            if contraction.widened:
                self.right_operands.widen(block, contraction, vectors, self._panels[contraction])
            elif contraction.packed:
                self._pack_columns(block, contraction, matrix, vectors)

    def _pack_columns(
        self, block: Block, contraction: Contraction, matrix: list[Coordinate], vectors: VectorGroup
    ) -> None:
        """Write code that copies a group's columns of right operands to scratch memory, in the order of tiles."""
        start, valid = vectors
        panel, base = self._panels[contraction]
        views, lanes = [self.memory.views[node.operands[1]] for node in contraction.products[0]], self.lanes
        depth, per_k = int(str(views[0].shape[-2])), len(views) * len(valid) * lanes
        slices = [
            (view, place(view, (*aligned(view.shape[:-2], tuple(matrix)), 0, start + number * lanes))[0], limit)
            for view in views
            for number, limit in enumerate(valid)
        ]
        if depth >= lanes and all(view.strides[-2] == 1 for view in views):
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
        """Map from products to their scratch memory for packed right operands: (buffer, first index of this worker)."""
        panels: dict[Contraction, tuple[Buffer, Index]] = {}
        for contraction in self.plan.contractions:
            if contraction.in_scratch:
                node = contraction.products[0][0]
                depth = int(str(node.operands[1].shape[-2]))
                room = depth * len(contraction.products[0]) * self.tile.blocks * self.lanes
                parts, part = (1, 0) if self.share is None else (self.share.parts, self.share.part)
                panels[contraction] = self.memory.scratch("panel", node.dtype, room * parts), part * room
        return panels

    def _tile(self, block: Block, rows: TileRows, others: Sequence[Coordinate], vectors: VectorGroup) -> None:
        """Write one register tile and its epilogue. ``others`` are coordinates that all rows of the tile share."""
        start, valid = vectors
        strips = tuple(Strip(start + number * self.lanes, self.lanes, limit) for number, limit in enumerate(valid))
        emitter = ValueEmitter(
            block, self.memory.views, computed=lambda node: node in self.members, at=(*others, *strips)
        )
        outer = [rows.at(block, number) for number in range(rows.count)]
        cells = [[(*row, strip) for strip in strips] for row in outer]
        done: set[Node] = set()
        ahead = self._prefetch_distances(block, rows, others)
        for contraction in self.plan.contractions:
            self._contract(emitter, contraction, outer, cells, vectors, ahead.get(contraction))
            done.update(node for products in contraction.products for node in products)
            if contraction is not self.plan.contractions[-1] and self.plan.parts > 1:
                self._join_parts(emitter, cells, done)
        self.epilogue.emit(emitter, rows, strips, cells)

    def _join_parts(self, emitter: ValueEmitter, cells: list[list[Coordinates]], done: set[Node]) -> None:
        """Write code for the values whose products are all in ``done``, which frees the registers of their sums."""
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
        """Write the register tile of one contraction (products over one k), joined with the previous tile if possible.

        Args:
            emitter: Emitter of values in the tile's block.
            contraction: The products.
            rows: Coordinates of each row, without units.
            cells: Coordinates of each row and vector.
            vectors: Vectors of units.
            ahead: Distance in elements from the weights to those that the tile prefetches; None for no prefetch.
        """
        block, lanes, first_left = emitter.block, self.lanes, contraction.lefts[0]
        results, starts, lefts = list[tuple[Value, ...]](), list[tuple[Operand, ...]](), []
        for outer, row in zip(rows, cells, strict=True):
            for left, products in zip(contraction.lefts, contraction.products, strict=True):
                view = self.memory.views[left]
                index, _, _ = place(view, (*aligned(left.shape[:-1], tuple(outer)), 0))
                lefts.append((view.buffer, index))
                row_results, row_starts = [], []
                for node in products:
                    for at in row:
                        row_starts.append(self._initial_sum(emitter, node, at))
                        result = Value(block.fresh(label_of(node)), node.dtype, lanes)
                        row_results.append(result)
                        emitter.known[node, aligned(node.shape, at)] = result
                results.append(tuple(row_results))
                starts.append(tuple(row_starts))
        operands = self.right_operands
        packed = self._panels[contraction] if contraction.in_scratch else None
        right = operands.columns(contraction, tuple(rows[0][:-1]), vectors, packed)
        scales = operands.scales(contraction.products[0], rows, vectors)
        every = [node for products in contraction.products for node in products]
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
            steps_per_lane=right.steps_per_lane,
            destination=self._destination(cells),
            scales=scales,
            conditions=self._conditions(contraction, rows[0]),
            origin=every[0].where,
            columns=tuple(node.where for node in contraction.products[0] for _ in vectors.valid),
        )
        before = block.statements[-1] if block.statements else None
        if isinstance(before, Contract) and self._continue_private_sums(every) and (joined := before.then(tile)):
            block.statements[-1] = joined
        else:
            block.add(tile)

    def _destination(self, cells: Sequence[Sequence[Coordinates]]) -> Destination | None:
        """Return the memory of a tile's results, which the tile prefetches; None if L2 probably holds that memory.

        A tile stores all its results at once. If the stores miss L2, loads of the next tile's operands wait for them.
        Nothing is prefetched for tiles of one row, in loops over time, or if pitches of rows differ or are symbolic.
        """
        target, lanes = self.region.target, self.lanes
        if len(cells) == 1 or self.region.time is not None or not target.has_second_cache:
            return None
        stored = [(node, view) for node in self.kernel.members for view in self.memory.stores.get(node, ())]
        if sum(node.tensor.bytes_at(OPEN_ROWS) for node, _ in stored) < target.second_cache // 4:
            return None
        lines: list[Place] = []
        pitches: set[Index] = set()
        for node, view in stored:
            first, second = ([place(view, at)[0] for at in row] for row in cells[:2])
            pitches.add(second[0] - first[0])
            vectors_per_line = max(1, ALIGNMENT // (lanes * ITEM_BYTES[node.dtype]))
            lines += [(view.buffer, index) for index in first[::vectors_per_line]]
        pitch, *others = pitches
        return Destination(tuple(lines), pitch) if isinstance(pitch, int) and not others else None

    def _conditions(self, contraction: Contraction, row: Sequence[Coordinate]) -> tuple[Condition, ...]:
        """Return at most one condition (coordinate, first, end) outside of which a tile's left operand is zero.

        The result is empty if the left operand has no known padding.
        """
        left, *others = contraction.lefts
        if others or len(left.shape) != len(self.shape):
            return ()
        for axis, at in enumerate(row):
            if axis == self.plan.row_axis or isinstance(at, Time | Strip):
                continue
            inner = nonzero_range(left, axis)
            if inner is not None and inner != (0, left.shape[axis]):
                return ((at, *inner),)
        return ()

    def _initial_sum(self, emitter: ValueEmitter, node: Node, at: Coordinates) -> Operand:
        """Return the initial value of a sum: zero, or the operand to which the product is added."""
        if len(node.operands) != 3:
            return Literal(0 if node.dtype == "int32" else 0.0, node.dtype, self.lanes)
        return emitter.spread(emitter.value(node.operands[2], at), self.lanes)

    def _prefetch_distances(
        self, block: Block, rows: TileRows, others: Sequence[Coordinate]
    ) -> dict[Contraction, Index]:
        """Return {products: distance in elements from a tile's weights to the weights that it prefetches}.

        If ``_are_fetched``, each tile of several rows prefetches a share of the next group's weights. Otherwise, the
        result is empty.
        """
        if rows.count == 1 or not self._are_fetched:
            return {}
        names: dict[Index, Index] = {}
        distances = {}
        for contraction, panel in self._packed_ahead.items():
            group = self.tile.blocks * self.lanes * panel.elements_per_unit
            line = ALIGNMENT // ITEM_BYTES[panel.buffer.dtype]
            fetched = panel.depth // contraction.dot_width // self.tile.unroll * line
            per_row = fetched // rows.count
            distance = self._rows_before(rows, others) * per_row + group - 2 * group * self._traversal_direction
            if distance not in names:
                names[distance] = block.let_index("ahead", "min", distance, 2 * group)
            distances[contraction] = names[distance]
        return distances

    @property
    def _traversal_direction(self) -> Index:
        """Traversal direction of groups of blocks: 0 from the first group, 1 from the last.

        For weights that exceed L1, consecutive steps alternate the direction, so that half of the weights are cached.
        """
        return 0 if self.region.target.fits_first_cache(self._weight_bytes) else self.region.parity

    @property
    def _are_fetched(self) -> bool:
        """True if tiles of several rows prefetch the weights of the next group, because L2 may not hold all weights.

        The weights must fill a quarter of L2. Prefetching pays only on some processors, or if the parameters exceed all
        caches.
        """
        prefetches = self.region.target.prefetches or (
            self.memory.panels.are_cold and self.region.target.has_second_cache
        )
        return prefetches and self._weight_bytes >= self.region.target.second_cache // 4

    @property
    def _weight_bytes(self) -> int:
        """Bytes of all panels that are packed before calls."""
        return sum(panel.bytes for panel in self._packed_ahead.values())

    @cached_property
    def _packed_ahead(self) -> dict[Contraction, Panel]:
        """Map from products to their weights that are packed before calls."""
        panels = {}
        for contraction in self.plan.contractions:
            views = tuple(self.memory.views[node.operands[1]] for node in contraction.products[0])
            if all(map(self.memory.panels.packs, views)):
                assert isinstance(self.width, int), "weights of symbolic width can't be packed before calls"
                form = PanelForm(views, self.width, self.lanes, self.plan.group, contraction.lane_width)
                panels[contraction], _ = self.memory.panels.panel(form)
        return panels

    def _rows_before(self, rows: TileRows, others: Sequence[Coordinate]) -> Index:
        """Return the number of rows that are computed before those of a tile, over all axes but units."""
        if self.plan.merges:
            return rows.first
        axes = [axis for axis in range(len(self.shape) - 1) if axis != self.plan.row_axis]
        before: Index = 0
        for axis, at in zip(axes, others, strict=True):
            number = at.local if isinstance(at, Time) else at.start if isinstance(at, Strip) else at
            before = before * self.region.extent(self.shape, axis) + number
        if self.plan.row_axis is not None:
            before = before * self.region.extent(self.shape, self.plan.row_axis)
        return before + rows.first

    def _continue_private_sums(self, products: Sequence[Node]) -> bool:
        """True if only ``products`` read the sums to which they are added, and k is large enough to fuse the loops."""
        depth = products[0].operands[0].shape[-1]
        if isinstance(depth, int) and depth < MIN_FUSED_K:
            return False
        starts = {node for product in products for node in starts_of(product)}
        reads = [item for node in self.kernel.members for item in node.operands if item in starts]
        return len(reads) == len(starts) and not any(map(self.memory.stores.get, starts))
