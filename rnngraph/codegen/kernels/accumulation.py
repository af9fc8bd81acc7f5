"""Sums at positions that indices or windows select: the gradients of gathers and of sliding windows.

``scatter_add`` adds rows to a table one after another, in the direction of the loop over time. Within a step, it adds
rows in the order of the other axes. Rows that have ended are not added. The table stays in memory between chunks of
time, so that the order of summation does not depend on the chunks.

``overlap_add`` sums, for each element, over the windows that contain it. The order of summation does not depend on the
division of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...ir.graph import Node
from ...ir.types import Shape, size
from ..cost_model.register_tiles import lanes_for
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Index, LetIndex, Literal, When
from .loop_nests import WorkerSlice, strips
from .region import Region, over_axes
from .values import Coordinate, Coordinates, Strip, Time, ValueEmitter, absolute


def scatter_add(region: Region, block: Block, node: Node) -> None:
    """Write code that adds each row of updates to the row of a table that an index selects.

    The table starts as zeros. In a region that runs in chunks of time, rows are added to the table's current value.
    """
    indices, updates = node.operands
    rank = indices.tensor.rank

    def row(inner: Block, at: list[Coordinate]) -> None:
        _add(region, inner, node, tuple(at))

    time = region.time
    if time is None:
        _clear(region, block, node)
        over_axes(region, block, updates.shape, range(rank), [0] * rank, row)
        return

    everywhere, active = replace(region, active=None), region.active

    def where_it_runs(inner: Block, at: list[Coordinate]) -> None:
        if active is None:
            row(inner, at)
            return
        some = inner.nested()
        row(some, at)
        limit = active.table.length_of(inner, absolute(at[1]))
        inner.add(When(absolute(at[0]), 0, limit, tuple(some.statements)))

    def step(inner: Block, t: Index) -> None:
        local = time.steps - 1 - t if time.reverse else t
        now = Time(local, time.start + local)
        over_axes(everywhere, inner, updates.shape, range(1, rank), [now, *[0] * (rank - 1)], where_it_runs)

    loop(block, "t", time.steps, step)


def _add(region: Region, block: Block, node: Node, at: Coordinates) -> None:
    """Write code that adds the row ``at`` of the updates of a ``scatter_add`` to its row of the table."""
    indices, updates = node.operands
    index = ValueEmitter(block, region.memory.views).value(indices, at)
    row, table = block.fresh_index("row"), region.memory.stores[node]
    block.add(LetIndex(row, "of", 0, node.shape[0], index))

    def units(inner: Block, strip: Strip, inside: Coordinates) -> None:
        emitter = ValueEmitter(inner, region.memory.views)
        place = (size(row), *inside)
        before = ValueEmitter(inner, {node: table[0]}).value(node, place)
        part = emitter.spread(emitter.value(updates, (*at, *inside)), strip.lanes)
        after = inner.let("add", [before, part], node.dtype, strip.lanes)
        for view in table:
            emitter.store(after, view, place)

    _over_units(region, block, node, node.shape[1:], units)


def _clear(region: Region, block: Block, node: Node) -> None:
    """Write stores of zeros to a table."""

    def units(inner: Block, strip: Strip, at: Coordinates) -> None:
        for view in region.memory.stores[node]:
            ValueEmitter(inner, region.memory.views).store(Literal(0.0, node.dtype, strip.lanes), view, at)

    _over_units(region, block, node, node.shape, units)


def _over_units(
    region: Region, block: Block, node: Node, shape: Shape, body: Callable[[Block, Strip, Coordinates], None]
) -> None:
    """Write loops over ``shape``, which has no time axis, with ``body`` for each vector of the last axis."""
    plain = Region(region.target, region.memory)
    lanes = lanes_for(region.target, [node], shape[-1] if shape else 1)

    def row(inner: Block, at: list[Coordinate]) -> None:
        for nested, strip in strips(inner, shape[-1] if shape else None, lanes):
            body(nested, strip, (*at[:-1], strip) if shape else ())

    over_axes(plain, block, shape, range(len(shape) - 1), [0] * len(shape), row)


def overlap_add(region: Region, block: Block, node: Node, share: WorkerSlice | None) -> None:
    """Write code that adds windows of the operand at overlapping positions to a result that starts as zeros.

    ``share`` is one worker's range of an axis before that of the windows; None if one worker computes all.
    """
    windows, axis = node.operands[0], node["axis"]
    last = windows.tensor.rank - 1
    lanes = lanes_for(region.target, [node, windows], node.shape[-1])

    def clear(inner: Block, at: list[Coordinate]) -> None:
        for nested, strip in strips(inner, node.shape[-1], lanes):
            for view in region.memory.stores[node]:
                zeros = Literal(0.0, node.dtype, strip.lanes)
                ValueEmitter(nested, region.memory.views).store(zeros, view, (*at[:-1], strip))

    def add(inner: Block, at: list[Coordinate]) -> None:
        if axis + 1 == last:
            _add_window(region, inner, node, (*at[:last],), ())
            return
        for nested, strip in strips(inner, windows.shape[last], lanes):
            _add_window(region, nested, node, (*at[: axis + 1],), (*at[axis + 2 : last], strip))

    over_axes(region, block, node.shape, range(node.tensor.rank - 1), [0] * node.tensor.rank, clear, share)
    outer = [*range(axis + 1), *range(axis + 2, last)]
    over_axes(region, block, windows.shape, outer, [0] * windows.tensor.rank, add, share)


def _add_window(region: Region, block: Block, node: Node, leading: Coordinates, trailing: Coordinates) -> None:
    """Write a loop that adds the elements of one window to their positions in the result.

    Args:
        region: Context of the kernel.
        block: Block to which statements are added.
        node: The ``overlap_add``.
        leading: Coordinates before the axis of a window's elements.
        trailing: Coordinates after that axis.
    """
    windows, axis, stores = node.operands[0], node["axis"], region.memory.stores[node]
    by_window = ValueEmitter(block, region.memory.views).within(block, (*leading, *trailing))

    def add(inner: Block, k: Index) -> None:
        emitter = by_window.within(inner)
        place = (*leading[:-1], absolute(leading[-1]) * node["step"] + k * node["apart"], *trailing)
        before = ValueEmitter(inner, {node: stores[0]}).value(node, place)
        part = emitter.spread(emitter.value(windows, (*leading, k, *trailing)), before.lanes)
        after = inner.let("add", [before, part], node.dtype, before.lanes)
        for view in stores:
            emitter.store(after, view, place)

    loop(block, "k", windows.shape[axis + 1], add)
