"""Rows of register tiles: the loops over them, and the elementwise ops that a kernel applies to a tile's sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise

from ...ir.graph import Node
from ...ir.node import FUNCTION
from ...ir.ops import OPS
from ...support.records import NamedTuple, dataclass
from ..analysis.kernel_fusion import Kernel
from ..analysis.node_kinds import label_of
from ..cost_model.register_tiles import balanced
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Buffer, Index, Store, When
from .active_rows import ActiveRows
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice
from .product_plan import ProductPlan
from .region import Region
from .values import Coordinate, Coordinates, Strip, ValueEmitter, aligned

HEIGHT_STEP = 2
"""Difference between consecutive heights of overlapping tiles over a symbolic number of rows.

A tile overlaps the one before it by fewer rows than this number.
"""
MAX_REMAINDER = 8
"""A remainder tile has fewer rows than this number, because each height of remainder tiles needs separate code."""

MIDDLE_HEIGHT = 4
"""Rows of the tiles between the highest tiles and single rows. They hide latency, for which a single row waits."""


class RowRange(NamedTuple):
    """Rows ``begin`` to ``end - 1``, which tiles of one ``height`` compute.

    Attributes:
        active: Position after the last active row, from which on rows are not stored; None if all rows are active.
        last: First row of the last tile, which may overlap the tile before; None if tiles must not overlap.
    """

    begin: Index
    end: Index
    height: int
    active: Index | None = None
    last: Index | None = None


class TileLoops:
    """Writer of the loops over the tiles of rows, for one group of vectors of units.

    Args:
        region: Region of the kernel.
        kernel: The kernel.
        plan: Its register tiles.
        share: Part of the kernel for one worker; None for all of it.
        tile: Function that writes one tile.
    """

    def __init__(
        self,
        region: Region,
        kernel: Kernel,
        plan: ProductPlan,
        share: WorkerSlice | None,
        tile: Callable[[Block, TileRows], None],
    ) -> None:
        assert plan.row_axis is not None
        self.region, self.memory, self.shape, self.members = region, region.memory, kernel.shape, set(kernel.members)
        self.plan, self.axis, self.height, self.share, self.tile = plan, plan.row_axis, plan.tile.rows, share, tile
        self.rows_shared = share is not None and share.axis == plan.row_axis

    def emit(self, block: Block, at: list[Coordinate]) -> None:
        """Write loops over the rows, with a register tile inside. ``at`` has the coordinates on all other axes."""
        axis, height = self.axis, self.height
        extent = self.region.extent(self.shape, axis)
        if self.plan.merges:
            extent = extent * self.region.extent(self.shape, 0)
        active = self.region.active
        if active is not None and active.cuts(self.shape, axis):
            self._active_rows(active, block, at)
            return
        if isinstance(extent, int):
            share = self.share if self.rows_shared else None
            self._known_rows(block, extent, share, lambda inner, rows: self._row_loop(inner, at, rows))
            return
        begin: Index = 0
        end: Index = extent
        if self.share is not None and self.rows_shared:
            begin, end = self.share.range(block, extent, height)
        if height > 1 and self.share is None and self.plan.overlaps and not self._overwrites:
            self._overlapping(block, at, begin, end)
            return
        whole = begin
        if height > 1:
            whole = begin + block.let_index("whole", "floor", end - begin, height)
            self._row_loop(block, at, RowRange(begin, whole, height))
        if height > 1 and self.region.has_static_lengths and not self.region.is_time(self.shape, axis):
            self._remainder_tiles(block, at, whole, end)
            return
        if height > MIDDLE_HEIGHT + 1:
            middle = whole + block.let_index("middle", "floor", end - whole, MIDDLE_HEIGHT)
            self._row_loop(block, at, RowRange(whole, middle, MIDDLE_HEIGHT))
            whole = middle
        self._row_loop(block, at, RowRange(whole, end, 1))

    def _active_rows(self, active: ActiveRows, block: Block, at: list[Coordinate]) -> None:
        """Write loops over the rows that have not ended, with a register tile inside.

        If the last tile has more rows than are left, it computes the last row repeatedly, and stores it once.
        """
        share = self.share if self.rows_shared else None

        def part(nested: Block, own: WorkerSlice, low: Index, high: Index) -> None:
            def tiles(inner: Block, rows: RowRange) -> None:
                behind = inner.let_index("behind", "min", high, rows.end)
                self._row_loop(inner, at, rows._replace(end=behind, active=high))

            if share is not None and own.parts == 1:
                tiles(nested, RowRange(low, high, self.height))
            else:
                self._known_rows(nested, active.table.mask.rows, own if own.parts > 1 else None, tiles)

        active.each_range(block, at, share, part)

    def _known_rows(
        self, block: Block, count: int, share: WorkerSlice | None, tiles: Callable[[Block, RowRange], None]
    ) -> None:
        """Write loops of tiles over ``count`` rows, a fixed number, with heights as equal as possible.

        The parts of workers differ by at most one row.
        """

        def tiles_of(inner: Block, begin: Index, rows: int) -> None:
            for height, number in balanced(rows, self.height):
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

    @cached_property
    def _overwrites(self) -> bool:
        """True if the kernel may read memory that it writes, so that no row may be computed twice."""
        written = {view.buffer for node in self.members for view in self.memory.stores.get(node, ())}
        outside = {item for node in self.members for item in node.operands if item not in self.members}
        return any(view.buffer in written for item in outside if (view := self.memory.views.get(item)) is not None)

    def _overlapping(self, block: Block, at: list[Coordinate], begin: Index, end: Index) -> None:
        """Write loops of tiles over a symbolic number of rows, in several heights, the highest first.

        Tiles of one height follow each other as long as the remaining rows exceed the next smaller height. The last
        tile of a height may overlap the one before it, and then computes some rows again.
        """
        extent, heights = end - begin, [*dict.fromkeys((*range(self.height, 1, -HEIGHT_STEP), 1))]
        for height, smaller in pairwise([*heights, 0]):
            count = block.let_index("rows", "floor", end - begin + (height - smaller - 1), height)
            if height > 1:  # a tile must not have more rows than there are in all
                fits = block.let_index("fits", "min", block.let_index("fits", "divide", extent, height), 1)
                count = count * fits
            tiles = RowRange(begin, begin + count, height, last=end - height if height > 1 else None)
            self._row_loop(block, at, tiles)
            begin = block.let_index("next", "min", begin + count, end)

    def _remainder_tiles(self, block: Block, at: list[Coordinate], begin: Index, end: Index) -> None:
        """Write a loop of tiles of at most ``MAX_REMAINDER`` rows, then one remainder tile for each possible height.

        Calls with few rows may run the remainder tile only.
        """
        maximum = min(self.height, MAX_REMAINDER)
        if self.height > maximum:
            whole = begin + block.let_index("whole", "floor", end - begin, maximum)
            self._row_loop(block, at, RowRange(begin, whole, maximum))
            begin = whole
        for rows in range(1, maximum):
            inner = block.nested()
            self._row_loop(inner, at, RowRange(begin, begin + rows, rows))
            block.add(When(end - begin, rows, rows + 1, tuple(inner.statements)))

    def _row_loop(self, block: Block, at: list[Coordinate], rows: RowRange) -> None:
        """Write a loop of tiles of one height over the rows from ``rows.begin`` to ``rows.end``."""
        begin, end, height, active, last = rows
        axis = self.axis

        def body(nested: Block, row: Index) -> None:
            if last is not None:
                row = nested.let_index("row", "min", row, last)

            def coordinates(inner: Block, number: Index) -> list[Coordinate]:
                index = row + number
                if active is not None and self.region.active is not None:
                    if number != 0:  # do not read ended rows: their memory may contain denormals, which are slow
                        index = inner.let_index("active", "min", index, active - 1)
                    index = self.region.active.table.row(inner, index)
                if self.plan.merges:
                    rows_of_step = self.region.extent(self.shape, axis)
                    step = inner.let_index("step", "divide", index, rows_of_step)
                    return [self.region.at(self.shape, 0, step), index - step * rows_of_step]
                return [*at[:axis], self.region.at(self.shape, axis, index), *at[axis + 1 : -1]]

            self.tile(nested, TileRows(height, coordinates, row, active))

        loop(block, "r", end, body, begin, height)


MAX_UNROLLED = 64
"""Maximum estimated number of instructions of an epilogue that is unrolled over a tile's rows."""
FUNCTION_INSTRUCTIONS = 25
"""Estimated number of instructions of an elementary function."""


@dataclass(frozen=True)
class TileRows:
    """Rows of a register tile.

    Attributes:
        count: Number of rows.
        at: Function (block, index of a row in the tile) that returns the coordinates of the row, without units.
        first: Index of the tile's first row among all rows; if some have ended, its position in the table of rows.
        active: Position after the last active row, from which on rows are not stored; None if all rows are active.
    """

    count: int
    at: Callable[[Block, Index], list[Coordinate]]
    first: Index = 0
    active: Index | None = None


class Epilogue:
    """Elementwise ops of a kernel that follow its products.

    A long epilogue is a loop over the tile's rows, which reads the sums of a row from memory. Unrolled over all rows,
    it would be most of a kernel's code and compile time. Storing the sums costs little: the registers do not suffice
    for all sums and the epilogue's operands, so that most sums are spilled in any case.
    """

    def __init__(self, region: Region, plan: KernelPlan, share: WorkerSlice | None) -> None:
        assert plan.products is not None
        self.region, self.memory, self.kernel, self.plan = region, region.memory, plan.kernel, plan.products
        self.tile, self.lanes, self.share = plan.products.tile, plan.lanes, share
        self.members = set(plan.kernel.members)

    def emit(
        self, emitter: ValueEmitter, rows: TileRows, strips: tuple[Strip, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        """Write code that applies the kernel's elementwise ops to a tile's sums, and stores the results.

        Args:
            emitter: Emitter of values, which has all sums in registers.
            rows: Rows of the tile.
            strips: Strips of a row of the tile.
            cells: For each row, the coordinates of all strips.
        """
        if self._loops(rows.count, len(strips)):
            self._loop(emitter, rows, strips, cells)
            return
        block = emitter.block
        for number, row in enumerate(cells):
            if rows.active is None or number == 0:  # the first row of a tile is always active
                self._store(emitter, row)
                continue
            inner = block.nested()
            self._store(emitter.branch(inner), row)
            block.add(When(rows.first + number, 0, rows.active, tuple(inner.statements)))

    def _store(self, emitter: ValueEmitter, row: Sequence[Coordinates]) -> None:
        """Write code that computes all values of a row, and then stores them, because stores may overwrite operands."""
        stored = [node for node in self.kernel.members if node in self.memory.stores]
        for at in row:
            values = [(node, emitter.value(node, at)) for node in stored]
            for node, value in values:
                with emitter.block.at(node.where):
                    for view in self.memory.stores[node]:
                        emitter.store(value, view, at)

    # Loop over rows -------------------------------------------------------------------------------

    def _loops(self, rows: int, blocks: int) -> bool:
        """True if the epilogue is a loop over rows."""
        sums, cost = self._sums_and_cost
        same_dtype = len({node.dtype for node in sums}) == 1  # so that one buffer can hold all sums
        return self.plan.parts == 1 and same_dtype and rows > 1 and cost * rows * blocks > MAX_UNROLLED

    def _loop(
        self, emitter: ValueEmitter, rows: TileRows, strips: tuple[Strip, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        """Write code that stores a tile's sums to memory, and a loop over rows that reads them for elementwise ops."""
        block = emitter.block

        def places(row: Sequence[Coordinates], number: Index) -> Iterator[tuple[tuple[Node, Coordinates], Index]]:
            """Yield the products of a row and the memory locations of their sums."""
            for position, (node, at) in enumerate((node, at) for node in self._sums for at in row):
                yield (node, aligned(node.shape, at)), self._base + number * self._pitch + position * self.lanes

        for number, row in enumerate(cells):
            for key, index in places(row, number):
                block.add(Store(emitter.known[key], self._memory, index))

        def one(inner: Block, number: Index) -> None:
            outer = rows.at(inner, number)
            row = [(*outer, strip) for strip in strips]
            deeper = inner if rows.active is None else inner.nested()
            inside = emitter.within(deeper)
            for (node, at), index in places(row, number):
                inside.known[node, at] = deeper.load(label_of(node), self._memory, index, self.lanes)
            self._store(inside, row)
            if rows.active is not None:
                inner.add(When(rows.first + number, 0, rows.active, tuple(deeper.statements)))

        loop(block, "i", rows.count, one)

    @cached_property
    def _sums_and_cost(self) -> tuple[set[Node], int]:
        """Set of products that the epilogue reads, and estimated number of its instructions for one vector."""
        products, cost = set(self.plan.products), 0
        read_products: set[Node] = set()
        pending = [node for node in self.kernel.members if node in self.memory.stores]
        visited = set(pending)
        while pending:
            node = pending.pop()
            if node in products:
                read_products.add(node)
                continue
            cost += FUNCTION_INSTRUCTIONS if OPS[node.op].cost == FUNCTION else 1
            needed = [item for item in node.operands if item not in visited and self._is_computed(item)]
            visited.update(needed)
            pending += needed
        return read_products, cost

    def _is_computed(self, node: Node) -> bool:
        """True if the epilogue computes a value instead of loading it."""
        return node in self.members or node not in self.memory.views

    @cached_property
    def _sums(self) -> list[Node]:
        """Products whose sums the epilogue reads."""
        read_products, _ = self._sums_and_cost
        return [node for node in self.kernel.members if node in read_products]

    @property
    def _pitch(self) -> int:
        """Buffer elements for the sums of one row."""
        return len(self._sums) * self.tile.blocks * self.lanes

    @property
    def _base(self) -> Index:
        """Index of the first buffer element for the sums of a worker."""
        return 0 if self.share is None else self.share.part * (self.tile.rows * self._pitch)

    @cached_property
    def _memory(self) -> Buffer:
        """Scratch buffer for the sums of one tile of each worker."""
        parts = 1 if self.share is None else self.share.parts
        return self.memory.scratch("sums", self._sums[0].dtype, self.tile.rows * self._pitch * parts)
