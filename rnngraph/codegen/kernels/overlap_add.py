"""Sum of overlapping windows, the gradient of windows of a sequence.

Each element is the sum over the windows that contain it, in order, however the work is divided.
"""

from __future__ import annotations

from ...ir.graph import Node
from ..cost_model.register_tiles import lanes_for
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Index, Literal
from .loop_nests import WorkerSlice, loop, strips
from .region import Region, over_axes
from .values import Coordinate, Coordinates, ValueEmitter, absolute


def overlap_add(region: Region, block: Block, node: Node, share: WorkerSlice | None) -> None:
    """Write ``node`` as the sum of all windows of the operand, from zeros. ``share`` is a range of an outer axis."""
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
    """Write the addition of one window, whose entries have coordinates between ``leading`` and ``trailing``."""
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
