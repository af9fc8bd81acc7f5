"""Sums of outer products over rows: what weights receive in training.

The result is tiled over its rows and blocks of columns; k runs over time and batch. In a stage that runs in chunks
of time the result stays in memory and every chunk adds to it, so the order of summation, one step after the other
in the stage's direction, does not depend on where chunks are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..ir.graph import Node
from ..ir.types import Dim, product
from .evaluate import Evaluator, Run
from .loops import Block, Contract, Index, Literal, Operand, Value
from .nests import Region, lanes_for, loop, runs
from .tiles import TileShape, balanced, tile_shape
from .views import View

TYPICAL_DEPTH = 256  # k of one chunk, as far as the shape of tiles is concerned


def outer_sum(region: Region, block: Block, node: Node) -> None:
    """``node`` = sum over k of left[k]^T right[k], added to what is there where the region runs in chunks."""
    left, right = (_flat(region, operand) for operand in node.operands)
    if left is not None and right is not None:
        _Sum(region, node).emit(block, left, right)
        return
    # Rows that do not lie at one distance: step by step, each over the rows of its batch.
    views = [_within(region, operand) for operand in node.operands]
    whole = views[0].shape[0]

    def step(inner: Block, t: Index) -> None:
        at = whole - 1 - t if region.reverse else t
        parts = [view.first_axis(at) for view in views]
        flats = [part.reshape((product(part.shape[:-1]), part.shape[-1])) for part in parts]
        left_rows, right_rows = flats
        assert left_rows is not None, "rows of a step lie at one distance"
        assert right_rows is not None, "rows of a step lie at one distance"
        _Sum(region, node, adds=True).emit(inner, left_rows, right_rows)

    if region.length is None:
        _clear(region, block, node)
    loop(block, "t", whole, step)


def _clear(region: Region, block: Block, node: Node) -> None:
    lanes = lanes_for(region.target, [node], node.shape[-1])

    def row(inner: Block, i: Index) -> None:
        for nested, run in runs(inner, node.shape[-1], lanes):
            for view in region.stores[node]:
                Evaluator(nested, region.views).store(Literal(0.0, node.dtype, 1), view, (i, run))

    loop(block, "i", node.shape[0], row)


def _within(region: Region, node: Node) -> View:
    """The operand's view with its time axis cut to the present chunk."""
    view = region.views[node]
    if not region.is_time(node.shape, 0):
        return view
    offset = view.offset if view.local else view.offset + view.strides[0] * region.start
    return replace(view, offset=offset, shape=(region.steps, *view.shape[1:]), local=False)


def _flat(region: Region, node: Node) -> View | None:
    """All leading axes as one, where rows lie at one distance."""
    view = _within(region, node)
    return view.reshape((product(view.shape[:-1]), view.shape[-1]))


class _Sum:
    def __init__(self, region: Region, node: Node, adds: bool = False) -> None:
        self.region, self.node = region, node
        self.adds = adds or region.length is not None
        self.rows, self.width = (int(str(dim)) for dim in node.shape)
        self.lanes = lanes_for(region.target, [node], self.width)
        self.blocks = -(-self.width // self.lanes)
        self.tile: TileShape = tile_shape(region.target, 1, self.blocks, self.rows, TYPICAL_DEPTH)

    def emit(self, block: Block, left: View, right: View) -> None:
        """Tiles over the result; ``left`` and ``right`` are [k, rows] and [k, width]."""
        lanes, edge = self.lanes, self.width % self.lanes
        span = self.tile.blocks * lanes
        whole = (self.blocks - (1 if edge else 0)) // self.tile.blocks

        def group(inner: Block, start: Index) -> None:
            self._rows(inner, left, right, start, [None] * self.tile.blocks)

        loop(block, "u", whole * span, group, 0, span)
        first = whole * self.tile.blocks
        while first < self.blocks:
            count = min(self.tile.blocks, self.blocks - first)
            valid: list[int | None] = [None] * count
            if edge and first + count == self.blocks:
                valid[-1] = edge
            self._rows(block, left, right, first * lanes, valid)
            first += count

    def _rows(self, block: Block, left: View, right: View, start: Index, valid: Sequence[int | None]) -> None:
        offset = 0
        for height, number in balanced(self.rows, self.tile.rows):

            def body(inner: Block, row: Index, height: int = height) -> None:
                self._tile(inner, left, right, [row + extra for extra in range(height)], start, valid)

            loop(block, "r", offset + height * number, body, offset, height)
            offset += height * number

    def _tile(
        self, block: Block, left: View, right: View, rows: Sequence[Index], start: Index, valid: Sequence[int | None]
    ) -> None:
        node, lanes = self.node, self.lanes
        place = self.region.stores[node][0]
        evaluator = Evaluator(block, {node: place})
        cells = [
            [(row, Run(start + number * lanes, lanes, limit)) for number, limit in enumerate(valid)] for row in rows
        ]
        zero: Operand = Literal(0.0, node.dtype, lanes)
        starts = tuple(tuple(evaluator.value(node, at) if self.adds else zero for at in row) for row in cells)
        results = tuple(tuple(Value(block.fresh("sum"), node.dtype, lanes) for _ in row) for row in cells)
        depth, turn = left.shape[0], -1 if self.region.reverse else 1
        last: Dim = depth - 1 if self.region.reverse else 0
        right_base = right.offset + right.strides[0] * last
        columns = tuple(
            (right.buffer, right_base + (start + number * lanes) * right.strides[1]) for number in range(len(valid))
        )
        roomy = right.room is not None and right.room >= self.blocks * lanes and right.strides[1] == 1
        block.add(
            Contract(
                results,
                starts,
                tuple((left.buffer, left.offset + left.strides[0] * last + left.strides[1] * row) for row in rows),
                left.strides[0] * turn,
                depth,
                columns,
                right.strides[0] * turn,
                right.strides[1],
                tuple(None if roomy else limit for limit in valid),
                self.tile.unroll,
                f"outer products of {node.operands[1].where}",
            )
        )
        for row, values in zip(cells, results, strict=True):
            for at, value in zip(row, values, strict=True):
                for view in self.region.stores[node]:
                    evaluator.store(value, view, at)
