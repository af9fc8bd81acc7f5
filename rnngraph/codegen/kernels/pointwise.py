"""Kernels of elementwise ops, concatenations, and copies for movement ops that views cannot express."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.graph import Node
from ...ir.types import Shape, TensorType
from ..analysis.node_kinds import permutes_units, picks_step
from ..buffers.views import View, common_refinement, parts_of
from ..cost_model.register_tiles import lanes_for
from ..loop_ir.builder import Block
from ..loop_ir.iterations import side_by_side
from ..loop_ir.nodes import When
from .loop_nests import WorkerSlice, strips
from .region import Region, over_axes
from .values import Coordinate, Coordinates, Time, ValueEmitter, through


def elementwise(
    region: Region,
    block: Block,
    shape: Shape,
    lanes: int,
    nodes: Sequence[Node],
    computed: Callable[[Node], bool],
    share: WorkerSlice | None = None,
) -> None:
    """Write loops that compute and store ``nodes`` at all positions of ``shape``, row by row and vector by vector.

    ``computed`` is True for values that the loops compute, and False for values that they read.
    """
    units = share if share is not None and share.axis == len(shape) - 1 else None
    whole = ValueEmitter(block, region.memory.views, computed=computed)

    def row(inner: Block, at: list[Coordinate]) -> None:
        by_row = whole.within(inner, tuple(at[:-1]))
        for nested, strip in strips(inner, shape[-1] if shape else None, lanes, units):
            emitter = by_row.within(nested)
            where: Coordinates = (*at[:-1], strip) if shape else ()
            values = [(node, emitter.value(node, where)) for node in nodes if node in region.memory.stores]
            for node, value in values:
                with nested.at(node.where):
                    for view in region.memory.stores[node]:
                        emitter.store(value, view, where)

    over_axes(region, block, shape, range(len(shape) - 1), [0] * len(shape), row, share)


def concat(region: Region, block: Block, node: Node, share: WorkerSlice | None) -> None:
    """Write loops that copy a concatenation's operands to the result, unless they are in place already."""
    memory, copies = region.memory, list[Block]()
    places = zip(*(parts_of(node, view) for view in memory.stores[node]), strict=True)
    for piece, parts in zip(node.operands, places, strict=True):
        present = memory.views.get(piece)
        views = [replace(part, room=None) for part in parts if present is None or not present.lies_at(part)]
        if views:
            copies.append(block.nested())
            write(region, copies[-1], piece, views, share)
    block.statements += side_by_side([item.statements for item in copies])


def write(region: Region, block: Block, node: Node, views: Sequence[View], share: WorkerSlice | None) -> None:
    """Write loops that store ``node``, which is in memory or computed on the fly, to all of ``views``."""
    lanes = lanes_for(region.target, [node], node.shape[-1] if node.shape else 1)
    inside = replace(region, memory=replace(region.memory, stores={node: views}))
    elementwise(inside, block, node.shape, lanes, [node], lambda item: False, share)


def _copy_reshaped(region: Region, block: Block, node: Node, view: View) -> None:
    """Write loops that copy the operand of a reshape, which is in memory, to ``view`` of the result.

    The loops run over a shape in which strides express both the source and the result.
    """
    source = node.operands[0]
    stored, shape = region.memory.views[source], node.shape
    if stored.reshape(shape) is None:
        refined = common_refinement(source.shape, shape)
        assert refined is not None, f"strides can't express {node} in the memory of its operand and of its result"
        shape = refined
    read, written = stored.reshape(shape), view.reshape(shape)
    assert read is not None, f"strides can't split the axes of {source}"
    assert written is not None, f"strides can't split the axes of {node}"
    item = Node("reshape", (source,), TensorType(node.dtype, shape), (("shape", shape),), node.where, node.name)
    memory = replace(region.memory, views={**region.memory.views, item: read})
    write(replace(region, memory=memory), block, item, [replace(written, local=view.local)], None)


def copy(region: Region, block: Block, node: Node, share: WorkerSlice | None) -> None:
    """Write loops that copy a movement op's operand to its result, or one step that it slices from a sequence."""
    source = node.operands[0]
    time = region.time
    if time is not None and picks_step(node, time.length):
        step = node["start"][0]
        inner = block.nested()
        lanes = 1 if permutes_units(node) else lanes_for(region.target, [node], node.shape[-1])

        def body(nested: Block, at: list[Coordinate]) -> None:
            for deeper, strip in strips(nested, node.shape[-1], lanes):
                emitter = ValueEmitter(deeper, region.memory.views)
                moved = through(node, (0, *at[1:-1], strip))[1:]
                value = emitter.value(source, (Time(step - time.start, step), *moved))
                for view in region.memory.stores[node]:
                    emitter.store(value, view, (0, *at[1:-1], strip))

        over_axes(region, inner, node.shape, range(1, node.tensor.rank - 1), [0] * node.tensor.rank, body, share)
        block.add(When(step, time.start, time.start + time.steps, tuple(inner.statements)))
        return
    if node.op == "reshape":
        for view in region.memory.stores[node]:
            place = view.reshape(source.shape) or view.as_contiguous(source.shape)
            if place is not None:
                write(region, block, source, [replace(place, room=None, local=view.local)], None)
                continue
            _copy_reshaped(region, block, node, view)
        return
    lanes = lanes_for(region.target, [node], node.shape[-1])
    elementwise(region, block, node.shape, lanes, [node], lambda item: item is node, share)
