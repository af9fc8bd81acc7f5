"""What a phase with matrix products computes besides them: on a tile's sums, row after row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...ir.graph import Node
from ...ir.node import FUNCTION
from ...ir.ops import OPS
from ..analysis.kernel_fusion import Step
from ..cost_model.register_tiles import TileShape
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Index, Store, When
from .loop_nests import Region, Share, loop
from .values import Coordinate, Coordinates, Evaluator, Run, aligned, label_of

MOST_WRITTEN_OUT = 64
"""Instructions, about, up to which the rest is written out for every row of a tile."""
OF_A_FUNCTION = 25
"""Instructions, about."""


@dataclass(frozen=True)
class TileRows:
    """The rows of a tile. at: the coordinates of row ``number``, but for its units. running: how many rows run, in an
    order in which the tile's stand from ``first`` on; of the others nothing is stored. None: all run.
    """

    count: int
    at: Callable[[Block, Index], list[Coordinate]]
    first: Index = 0
    running: Index | None = None


class Rest:
    """What follows from the ``products`` of a phase.

    by_a_loop: whether it may be a loop over a tile's rows, which find their sums in memory. Registers don't hold all
    sums beside what the rest needs, so most go through memory in any case; written out for every row the rest would be
    most of a phase's code, and most of the time to compile.
    """

    def __init__(
        self, region: Region, step: Step, products: Sequence[Node], tile: TileShape, lanes: int, share: Share | None,
        by_a_loop: bool,
    ) -> None:  # fmt: skip
        self.region, self.step, self.products = region, step, products
        self.tile, self.lanes, self.share, self.by_a_loop = tile, lanes, share, by_a_loop
        self.members = set(step.members)

    def emit(
        self, evaluator: Evaluator, rows: TileRows, runs: tuple[Run, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        """runs: the units of a row of the tile. cells: the coordinates of all, at which ``evaluator`` has the sums."""
        if self._loops(rows.count, len(runs)):
            self._loop(evaluator, rows, runs, cells)
            return
        block = evaluator.block
        for number, row in enumerate(cells):
            if rows.running is None or number == 0:  # the first row runs
                self._store(evaluator, row)
                continue
            inner = block.nested()
            self._store(evaluator.beside(inner), row)
            block.add(When(rows.first + number, 0, rows.running, tuple(inner.statements)))

    def _store(self, evaluator: Evaluator, row: Sequence[Coordinates]) -> None:
        """All is computed before anything is written: it may be written over what something else reads."""
        stored = [node for node in self.step.members if node in self.region.stores]
        for at in row:
            values = [(node, evaluator.value(node, at)) for node in stored]
            for node, value in values:
                for view in self.region.stores[node]:
                    evaluator.store(value, view, at)

    # By a loop over rows --------------------------------------------------------------------------

    def _loops(self, rows: int, blocks: int) -> bool:
        sums, cost = self._found
        alike = len({node.dtype for node in sums}) == 1  # so that they have one memory
        return self.by_a_loop and alike and rows > 1 and cost * rows * blocks > MOST_WRITTEN_OUT

    def _loop(
        self, evaluator: Evaluator, rows: TileRows, runs: tuple[Run, ...], cells: Sequence[Sequence[Coordinates]]
    ) -> None:
        block = evaluator.block

        def places(row: Sequence[Coordinates], number: Index) -> Iterator[tuple[tuple[Node, Coordinates], Index]]:
            """The sums of a row, and where they lie."""
            for position, (node, at) in enumerate((node, at) for node in self._sums for at in row):
                yield (node, aligned(node.shape, at)), self._base + number * self._pitch + position * self.lanes

        for number, row in enumerate(cells):
            for key, index in places(row, number):
                block.add(Store(evaluator.given[key], self._memory, index))

        def one(inner: Block, number: Index) -> None:
            outer = rows.at(inner, number)
            row = [(*outer, run) for run in runs]
            deeper = inner if rows.running is None else inner.nested()
            rest = evaluator.within(deeper)
            for (node, at), index in places(row, number):
                rest.given[node, at] = deeper.load(label_of(node), self._memory, index, self.lanes)
            self._store(rest, row)
            if rows.running is not None:
                inner.add(When(rows.first + number, 0, rows.running, tuple(deeper.statements)))

        loop(block, "i", rows.count, one)

    @cached_property
    def _found(self) -> tuple[set[Node], int]:
        """The products that it reads, and about how many instructions it has for a vector."""
        products, cost = set(self.products), 0
        found: set[Node] = set()
        pending = [node for node in self.step.members if node in self.region.stores]
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
        return node in self.members or node not in self.region.views

    @cached_property
    def _sums(self) -> list[Node]:
        found, _ = self._found
        return [node for node in self.products if node in found]

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
        return self.region.scratch("sums", self._sums[0].dtype, self.tile.rows * self._pitch * parts)
