"""The epilogue of matrix products: what a kernel computes besides them, on a tile's sums, row after row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...ir.graph import Node
from ...ir.node import FUNCTION
from ...ir.ops import OPS
from ..analysis.node_kinds import label_of
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Index, Store, When
from .kernel_plan import KernelPlan
from .loop_nests import WorkerSlice, loop
from .region import Region
from .values import Coordinate, Coordinates, Strip, ValueEmitter, aligned

MOST_WRITTEN_OUT = 64
"""Instructions, about, up to which the epilogue is written out for every row of a tile."""
OF_A_FUNCTION = 25
"""Instructions, about."""


@dataclass(frozen=True)
class TileRows:
    """The rows of a tile.

    at: the coordinates of row ``number``, but for its units. active: how many rows are, in an order in which the tile's
    stand from ``first`` on; of the others nothing is stored. None: all are.
    """

    count: int
    at: Callable[[Block, Index], list[Coordinate]]
    first: Index = 0
    active: Index | None = None


class Epilogue:
    """What follows from the products of a kernel.

    Where narrow numbers make no parts of a product, it may be a loop over a tile's rows, which find their sums in
    memory. Registers don't hold all sums beside what the epilogue needs, so most go through memory in any case; written
    out for every row the epilogue would be most of a kernel's code, and most of the time to compile.
    """

    def __init__(self, region: Region, plan: KernelPlan, share: WorkerSlice | None) -> None:
        assert plan.products is not None
        self.region, self.memory, self.kernel, self.plan = region, region.memory, plan.kernel, plan.products
        self.tile, self.lanes, self.share = plan.products.tile, plan.lanes, share
        self.members = set(plan.kernel.members)

    def emit(
        self, emitter: ValueEmitter, rows: TileRows, strips: tuple[Strip, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        """strips: the units of a row of the tile. cells: the coordinates of all, at which ``emitter`` has the sums."""
        if self._loops(rows.count, len(strips)):
            self._loop(emitter, rows, strips, cells)
            return
        block = emitter.block
        for number, row in enumerate(cells):
            if rows.active is None or number == 0:  # the first row is active
                self._store(emitter, row)
                continue
            inner = block.nested()
            self._store(emitter.beside(inner), row)
            block.add(When(rows.first + number, 0, rows.active, tuple(inner.statements)))

    def _store(self, emitter: ValueEmitter, row: Sequence[Coordinates]) -> None:
        """All is computed before anything is written: it may be written over what something else reads."""
        stored = [node for node in self.kernel.members if node in self.memory.stores]
        for at in row:
            values = [(node, emitter.value(node, at)) for node in stored]
            for node, value in values:
                with emitter.block.at(node.where):
                    for view in self.memory.stores[node]:
                        emitter.store(value, view, at)

    # By a loop over rows --------------------------------------------------------------------------

    def _loops(self, rows: int, blocks: int) -> bool:
        sums, cost = self._found
        alike = len({node.dtype for node in sums}) == 1  # so that they have one memory
        return self.plan.parts == 1 and alike and rows > 1 and cost * rows * blocks > MOST_WRITTEN_OUT

    def _loop(
        self, emitter: ValueEmitter, rows: TileRows, strips: tuple[Strip, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        block = emitter.block

        def places(row: Sequence[Coordinates], number: Index) -> Iterator[tuple[tuple[Node, Coordinates], Index]]:
            """The sums of a row, and where they lie."""
            for position, (node, at) in enumerate((node, at) for node in self._sums for at in row):
                yield (node, aligned(node.shape, at)), self._base + number * self._pitch + position * self.lanes

        for number, row in enumerate(cells):
            for key, index in places(row, number):
                block.add(Store(emitter.given[key], self._memory, index))

        def one(inner: Block, number: Index) -> None:
            outer = rows.at(inner, number)
            row = [(*outer, strip) for strip in strips]
            deeper = inner if rows.active is None else inner.nested()
            inside = emitter.within(deeper)
            for (node, at), index in places(row, number):
                inside.given[node, at] = deeper.load(label_of(node), self._memory, index, self.lanes)
            self._store(inside, row)
            if rows.active is not None:
                inner.add(When(rows.first + number, 0, rows.active, tuple(deeper.statements)))

        loop(block, "i", rows.count, one)

    @cached_property
    def _found(self) -> tuple[set[Node], int]:
        """The products that it reads, and about how many instructions it has for a vector."""
        products, cost = set(self.plan.products), 0
        found: set[Node] = set()
        pending = [node for node in self.kernel.members if node in self.memory.stores]
        seen = set(pending)
        while pending:
            node = pending.pop()
            if node in products:
                found.add(node)
                continue
            cost += OF_A_FUNCTION if OPS[node.op].cost == FUNCTION else 1
            needed = [item for item in node.operands if item not in seen and self._is_computed(item)]
            seen.update(needed)
            pending += needed
        return found, cost

    def _is_computed(self, node: Node) -> bool:
        return node in self.members or node not in self.memory.views

    @cached_property
    def _sums(self) -> list[Node]:
        found, _ = self._found
        return [node for node in self.kernel.members if node in found]

    @property
    def _pitch(self) -> int:
        """Elements of a row's sums."""
        return len(self._sums) * self.tile.blocks * self.lanes

    @property
    def _base(self) -> Index:
        """Where the sums of a share's part lie: several are computed at once."""
        return 0 if self.share is None else self.share.part * (self.tile.rows * self._pitch)

    @cached_property
    def _memory(self) -> Buffer:
        parts = 1 if self.share is None else self.share.parts
        return self.memory.scratch("sums", self._sums[0].dtype, self.tile.rows * self._pitch * parts)
