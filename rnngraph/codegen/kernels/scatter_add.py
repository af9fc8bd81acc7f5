"""Rows added to the rows of a table that indices name: what the table of an embedding receives in training.

They are added one after the other, in the stage's direction over time and then in the order of the other axes. Zeros of
rows that have ended are not added. In a
stage that runs in chunks of time the table stays in memory and every chunk adds to it, so the order of summation
does not depend on where chunks are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...ir.graph import Node
from ...ir.types import Shape, size
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Index, LetIndex, Literal, When
from .loop_nests import Region, fresh_index, lanes_for, loop, over_axes, runs
from .values import Coordinate, Coordinates, Evaluator, Run, Time, absolute


def scatter_add(region: Region, block: Block, node: Node) -> None:
    """``node`` = zeros with every row of the updates added, or what is there where the region runs in chunks."""
    indices, updates = node.operands
    rank = indices.tensor.rank

    def row(inner: Block, at: list[Coordinate]) -> None:
        _add(region, inner, node, tuple(at))

    if region.length is None:
        _clear(region, block, node)
        over_axes(region, block, updates.shape, range(rank), [0] * rank, row)
        return

    everywhere, running = replace(region, running=None), region.running

    def where_it_runs(inner: Block, at: list[Coordinate]) -> None:
        if running is None:
            row(inner, at)
            return
        some = inner.nested()
        row(some, at)
        limit = running.tables.limit_of(inner, absolute(at[1]))
        inner.add(When(absolute(at[0]), 0, limit, tuple(some.statements)))

    def step(inner: Block, t: Index) -> None:
        local = region.steps - 1 - t if region.reverse else t
        now = Time(local, region.start + local)
        over_axes(everywhere, inner, updates.shape, range(1, rank), [now, *[0] * (rank - 1)], where_it_runs)

    loop(block, "t", region.steps, step)


def _add(region: Region, block: Block, node: Node, at: Coordinates) -> None:
    """One row of the updates, added to the row of the table that its index names."""
    indices, updates = node.operands
    index = Evaluator(block, region.views).value(indices, at)
    row, table = fresh_index(block, "row"), region.stores[node]
    block.add(LetIndex(row, "of", 0, node.shape[0], index))

    def units(inner: Block, run: Run, inside: Coordinates) -> None:
        evaluator = Evaluator(inner, region.views)
        place = (size(row), *inside)
        before = Evaluator(inner, {node: table[0]}).value(node, place)
        part = evaluator.spread(evaluator.value(updates, (*at, *inside)), run.lanes)
        after = inner.let("add", [before, part], node.dtype, run.lanes)
        for view in table:
            evaluator.store(after, view, place)

    _over_units(region, block, node, node.shape[1:], units)


def _clear(region: Region, block: Block, node: Node) -> None:
    def units(inner: Block, run: Run, at: Coordinates) -> None:
        for view in region.stores[node]:
            Evaluator(inner, region.views).store(Literal(0.0, node.dtype, run.lanes), view, at)

    _over_units(region, block, node, node.shape, units)


def _over_units(
    region: Region, block: Block, node: Node, shape: Shape, body: Callable[[Block, Run, Coordinates], None]
) -> None:
    """Loops over all of ``shape``, which has no time axis, in runs of its last axis."""
    plain = Region(region.target, region.panels, region.scratch, region.views)
    lanes = lanes_for(region.target, [node], shape[-1] if shape else 1)

    def row(inner: Block, at: list[Coordinate]) -> None:
        for nested, run in runs(inner, shape[-1] if shape else None, lanes):
            body(nested, run, (*at[:-1], run) if shape else ())

    over_axes(plain, block, shape, range(len(shape) - 1), [0] * len(shape), row)
