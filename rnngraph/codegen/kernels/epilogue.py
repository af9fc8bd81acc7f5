"""Epilogue of matrix products: the elementwise ops that a kernel applies to a tile's sums, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from ...ir.graph import Node
from ...ir.node import FUNCTION
from ...ir.ops import OPS
from ...support.records import dataclass
from ..analysis.node_kinds import label_of
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Index, Store, When
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice, loop
from .region import Region
from .values import Coordinate, Coordinates, Strip, ValueEmitter, aligned

MAX_UNROLLED = 64
"""Maximum number of instructions, as estimated, of an epilogue that is unrolled over a tile's rows."""
FUNCTION_INSTRUCTIONS = 25
"""Estimated number of instructions of an elementary function."""


@dataclass(frozen=True)
class TileRows:
    """Rows of a register tile.

    Attributes:
        at: Function that returns the coordinates of a row, without its units, from its number in the tile.
        first: Index of the tile's first row among all rows.
        active: Number of active rows, which come first; rows after them are not stored. None if all are active.
    """

    count: int
    at: Callable[[Block, Index], list[Coordinate]]
    first: Index = 0
    active: Index | None = None


class Epilogue:
    """Elementwise ops of a kernel that follow its products.

    A long epilogue is a loop over the tile's rows, which reads their sums from memory. Unrolled over all rows, it would
    be most of a kernel's code and compile time. Storing the sums costs little: there are not enough registers for all
    sums and the epilogue's operands, so that most sums are spilled in any case.
    """

    def __init__(self, region: Region, plan: KernelPlan, share: WorkerSlice | None) -> None:
        assert plan.products is not None
        self.region, self.memory, self.kernel, self.plan = region, region.memory, plan.kernel, plan.products
        self.tile, self.lanes, self.share = plan.products.tile, plan.lanes, share
        self.members = set(plan.kernel.members)

    def emit(
        self, emitter: ValueEmitter, rows: TileRows, strips: tuple[Strip, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        """Write the epilogue.

        Args:
            emitter: Writer of values, which has the sums of all elements.
            rows: Rows of the tile.
            strips: Units of a row of the tile.
            cells: Coordinates of all elements, by row.
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
        """Write a row's values. All are computed before any is stored, because a store may overwrite an operand."""
        stored = [node for node in self.kernel.members if node in self.memory.stores]
        for at in row:
            values = [(node, emitter.value(node, at)) for node in stored]
            for node, value in values:
                with emitter.block.at(node.where):
                    for view in self.memory.stores[node]:
                        emitter.store(value, view, at)

    # Loop over rows -------------------------------------------------------------------------------

    def _loops(self, rows: int, blocks: int) -> bool:
        sums, cost = self._sums_and_cost
        same_dtype = len({node.dtype for node in sums}) == 1  # so that one buffer can hold all sums
        return self.plan.parts == 1 and same_dtype and rows > 1 and cost * rows * blocks > MAX_UNROLLED

    def _loop(
        self, emitter: ValueEmitter, rows: TileRows, strips: tuple[Strip, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        block = emitter.block

        def places(row: Sequence[Coordinates], number: Index) -> Iterator[tuple[tuple[Node, Coordinates], Index]]:
            """Yield the products of a row and the memory locations of their sums."""
            for position, (node, at) in enumerate((node, at) for node in self._sums for at in row):
                yield (node, aligned(node.shape, at)), self._base + number * self._pitch + position * self.lanes

        for number, row in enumerate(cells):
            for key, index in places(row, number):
                block.add(Store(emitter.in_registers[key], self._memory, index))

        def one(inner: Block, number: Index) -> None:
            outer = rows.at(inner, number)
            row = [(*outer, strip) for strip in strips]
            deeper = inner if rows.active is None else inner.nested()
            inside = emitter.within(deeper)
            for (node, at), index in places(row, number):
                inside.in_registers[node, at] = deeper.load(label_of(node), self._memory, index, self.lanes)
            self._store(inside, row)
            if rows.active is not None:
                inner.add(When(rows.first + number, 0, rows.active, tuple(deeper.statements)))

        loop(block, "i", rows.count, one)

    @cached_property
    def _sums_and_cost(self) -> tuple[set[Node], int]:
        """Products that the epilogue reads, and the estimated number of its instructions per vector."""
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
        return node in self.members or node not in self.memory.views

    @cached_property
    def _sums(self) -> list[Node]:
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
        parts = 1 if self.share is None else self.share.parts
        return self.memory.scratch("sums", self._sums[0].dtype, self.tile.rows * self._pitch * parts)
