"""Kernels for the steps of a region: phases, reductions, joins and copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.graph import Node
from ...ir.types import Shape
from ..analysis.kernel_fusion import Step
from ..analysis.node_kinds import picks_step
from ..buffers.views import View
from ..cost_model.work_sharing import cut_of
from ..loop_ir.builder import Block
from ..loop_ir.nodes import When
from .loop_nests import Region, Share, by_one, each_part, lanes_for, over_axes, runs
from .matmul import Tiles
from .outer_products import outer_sum
from .reductions import reduce
from .scatter_add import scatter_add
from .values import Coordinate, Coordinates, Evaluator, Time, through


def emit_step(region: Region, block: Block, step: Step) -> None:
    """The loop nest of one step: cut into parts for workers, or done by one of them."""
    cut = cut_of(region, step)
    if cut.axis is None:
        by_one(region, block, lambda inner: _emit(replace(region, parts=1), inner, step, None))
    else:
        each_part(region, block, cut.axis, lambda inner, share: _emit(region, inner, step, share))


def _emit(region: Region, block: Block, step: Step, share: Share | None) -> None:
    match step.kind:
        case "phase":
            _phase(region, block, step, share)
        case "reduce":
            reduce(region, block, step.members[0], share)
        case "outer_sum":
            outer_sum(region, block, step.members[0])
        case "scatter_add":
            scatter_add(region, block, step.members[0])
        case "concat":
            _concat(region, block, step.members[0], share)
        case "copy":
            _copy(region, block, step.members[0], share)
        case _:
            raise AssertionError(step.kind)


def _phase(region: Region, block: Block, step: Step, share: Share | None) -> None:
    members = set(step.members)
    products = [node for node in step.members if node.op == "matmul"]
    shape = step.shape
    width = shape[-1] if shape else 1
    lanes = lanes_for(region.target, step.members, width)
    if any(node.op == "gather" and node.operands[0].tensor.rank == 1 for node in step.members):
        lanes = 1
    if not products:
        elementwise(region, block, shape, lanes, step.members, lambda node: node in members, share)
        return
    Tiles(region, block, step, products, lanes, share).emit()


def elementwise(
    region: Region,
    block: Block,
    shape: Shape,
    lanes: int,
    nodes: Sequence[Node],
    computed: Callable[[Node], bool],
    share: Share | None = None,
) -> None:
    """A phase without products: row after row, block after block."""
    units = share if share is not None and share.axis == len(shape) - 1 else None
    whole = Evaluator(block, region.views, computed=computed)

    def row(inner: Block, at: list[Coordinate]) -> None:
        by_row = whole.within(inner, tuple(at[:-1]))
        for nested, run in runs(inner, shape[-1] if shape else None, lanes, units):
            evaluator = by_row.within(nested)
            where: Coordinates = (*at[:-1], run) if shape else ()
            values = [(node, evaluator.value(node, where)) for node in nodes if node in region.stores]
            for node, value in values:
                for view in region.stores[node]:
                    evaluator.store(value, view, where)

    over_axes(region, block, shape, range(len(shape) - 1), [0] * len(shape), row, share)


def _concat(region: Region, block: Block, node: Node, share: Share | None) -> None:
    axis, offset = node["axis"], 0
    for piece in node.operands:
        start = tuple(offset if a == axis else 0 for a in range(node.tensor.rank))
        stop = tuple(offset + piece.shape[axis] if a == axis else dim for a, dim in enumerate(node.shape))
        views = [
            replace(view.slice(start, stop, (1,) * node.tensor.rank), room=None, local=view.local)
            for view in region.stores[node]
        ]
        _write(region, block, piece, views, share)
        offset = offset + piece.shape[axis]


def copy_to(region: Region, block: Block, node: Node, views: Sequence[View]) -> None:
    """Writes a value, from memory or computed in place, to ``views``."""
    cut = cut_of(region, Step(0, "phase", node.shape, [node]))
    if cut.axis is None:
        by_one(region, block, lambda inner: _write(region, inner, node, views, None))
    else:
        each_part(region, block, cut.axis, lambda inner, share: _write(region, inner, node, views, share))


def _write(region: Region, block: Block, node: Node, views: Sequence[View], share: Share | None) -> None:
    lanes = lanes_for(region.target, [node], node.shape[-1] if node.shape else 1)
    inside = replace(region, stores={node: list(views)})
    elementwise(inside, block, node.shape, lanes, [node], lambda item: False, share)


def _dense(view: View, shape: Shape) -> View | None:
    """A place without gaps in another shape, whatever its sizes are."""
    whole = View.contiguous(view.buffer, view.shape)
    if view.strides != whole.strides:
        return None
    return replace(View.contiguous(view.buffer, shape), offset=view.offset)


def _copy(region: Region, block: Block, node: Node, share: Share | None) -> None:
    """A movement op that strides can't express, or the one step that is picked out of a sequence."""
    source = node.operands[0]
    if picks_step(node, region.length):
        step = node["start"][0]
        inner = block.nested()
        lanes = lanes_for(region.target, [node], node.shape[-1])

        def body(nested: Block, at: list[Coordinate]) -> None:
            for deeper, run in runs(nested, node.shape[-1], lanes):
                evaluator = Evaluator(deeper, region.views)
                moved = through(node, (0, *at[1:-1], run))[1:]
                value = evaluator.value(source, (Time(step - region.start, step), *moved))
                for view in region.stores[node]:
                    evaluator.store(value, view, (0, *at[1:-1], run))

        over_axes(region, inner, node.shape, range(1, node.tensor.rank - 1), [0] * node.tensor.rank, body, share)
        block.add(When(step, region.start, region.start + region.steps, tuple(inner.statements)))
        return
    if node.op == "reshape":
        for view in region.stores[node]:
            place = view.reshape(source.shape) or _dense(view, source.shape)
            if place is not None:
                _write(region, block, source, [replace(place, room=None, local=view.local)], None)
                continue
            there = region.views[source].reshape(node.shape)
            assert there is not None, f"{node} fits neither what it reads nor where it goes"
            _write(replace(region, views={**region.views, node: there}), block, node, [view], None)
        return
    lanes = lanes_for(region.target, [node], node.shape[-1])
    elementwise(region, block, node.shape, lanes, [node], lambda item: item is node, share)
