"""What all kernels are written with: the region they run in, and loops over axes and over runs of units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..ir.graph import Node
from ..ir.types import FLOATS, ITEM_BYTES, NARROW, Dim, Shape, size
from .evaluate import Coordinate, Run, Time
from .loops import Block, Buffer, Fold, For, Index, Operand, Value
from .panels import Panels
from .target import Target
from .views import View


@dataclass
class Region:
    """Where kernels are generated: what lies in memory, and what the first axis means.

    length: the size of the time axis if the region runs in chunks of time; ``start`` and ``steps`` are then
    the chunk's first step and its number of steps, ``longest`` at most; ``reverse``: the last chunk comes first.
    stores: every place a value must be written to. tracks: all values of a scan's carry, by scan and index, where
    they are kept: one more than there are steps. scratch: memory of one kernel's own, by name, dtype and
    number of elements; what the kernel before left there is lost.
    """

    target: Target
    panels: Panels
    scratch: Callable[[str, str, int], Buffer]
    views: dict[Node, View]
    stores: dict[Node, list[View]] = field(default_factory=dict)
    length: Dim | None = None
    start: Index = 0
    steps: Index = 0
    reverse: bool = False
    longest: int = 0
    tracks: dict[tuple[Node, int], View] = field(default_factory=dict)

    def is_time(self, shape: Shape, axis: int) -> bool:
        return self.length is not None and axis == 0 and len(shape) > 1 and shape[0] == self.length


def fresh_index(block: Block, name: str) -> str:
    """A fresh name for a loop variable or a size."""
    return block.fresh_index(name)


def loop(
    block: Block,
    name: str,
    stop: Index,
    body: Callable[[Block, Index], None],
    start: Index = 0,
    step: int = 1,
    comment: str = "",
) -> None:
    """``for`` over a fresh variable; no loop at all where it would turn once."""
    turns = stop - start
    if isinstance(turns, int) and turns <= 0:
        return
    if isinstance(turns, int) and turns <= step:
        body(block, start)
        return
    variable, inner = fresh_index(block, name), block.nested()
    body(inner, size(variable))
    block.add(For(variable, start, stop, step, tuple(inner.statements), comment))


def fold(
    block: Block,
    begin: Operand,
    stop: Index,
    step: int,
    body: Callable[[Block, Index, Operand], Operand],
    start: Index = 0,
) -> Operand:
    """A loop that carries one value."""
    return folds(block, [begin], stop, step, lambda inner, index, carried: [body(inner, index, carried[0])], start)[0]


def folds(
    block: Block,
    begins: Sequence[Operand],
    stop: Index,
    step: int,
    body: Callable[[Block, Index, Sequence[Operand]], Sequence[Operand]],
    start: Index = 0,
) -> list[Operand]:
    """A loop that carries values; no loop at all where it would turn once."""
    turns = stop - start
    if isinstance(turns, int) and 0 < turns <= step:
        return list(body(block, start, begins))
    variable, inner = fresh_index(block, "i"), block.nested()
    carried = tuple(Value(block.fresh("acc"), item.dtype, item.lanes) for item in begins)
    results = tuple(Value(block.fresh("total"), item.dtype, item.lanes) for item in begins)
    after = tuple(body(inner, size(variable), carried))
    block.add(Fold(results, carried, tuple(begins), variable, start, stop, step, tuple(inner.statements), after))
    return list(results)


def over_axes(
    region: Region,
    block: Block,
    shape: Shape,
    axes: Sequence[int],
    at: list[Coordinate],
    body: Callable[[Block, list[Coordinate]], None],
) -> None:
    """Loops over ``axes`` of ``shape``, outermost first; ``at`` is filled in."""
    if not axes:
        body(block, at)
        return
    axis, rest = axes[0], axes[1:]

    def inner(nested: Block, index: Index) -> None:
        coordinate: Coordinate = index
        if region.is_time(shape, axis):
            coordinate = Time(index, region.start + index)
        over_axes(region, nested, shape, rest, [*at[:axis], coordinate, *at[axis + 1 :]], body)

    stop = region.steps if region.is_time(shape, axis) else shape[axis]
    loop(block, "tbijk"[min(axis, 4)] if region.is_time(shape, axis) or axis else "b", stop, inner)


def lanes_for(target: Target, nodes: Sequence[Node], width: Dim) -> int:
    """Lanes of a vector: the narrowest float decides; no more than the units need."""
    sizes = [ITEM_BYTES[node.dtype] for node in nodes if node.dtype in FLOATS]
    sizes += [4 for node in nodes if node.dtype in NARROW]  # computed in 32 bits
    sizes = sizes or [8]
    if not isinstance(width, int):
        return 1
    lanes = target.lanes(min(sizes))
    while lanes > 1 and lanes // 2 >= width:
        lanes //= 2
    return lanes


def runs(block: Block, width: Dim | None, lanes: int) -> Iterator[tuple[Block, Run]]:
    """Runs of units that cover ``width``: a loop over full ones, then the rest."""
    if width is None:
        yield block, Run(0, 1)
        return
    if not isinstance(width, int):
        variable, inner = fresh_index(block, "u"), block.nested()
        yield inner, Run(size(variable), 1)
        block.add(For(variable, 0, width, 1, tuple(inner.statements)))
        return
    full = width // lanes
    if full == 1:
        yield block, Run(0, lanes)
    elif full > 1:
        variable, inner = fresh_index(block, "u"), block.nested()
        yield inner, Run(size(variable), lanes)
        block.add(For(variable, 0, full * lanes, lanes, tuple(inner.statements)))
    if width % lanes:
        yield block, Run(full * lanes, lanes, width - full * lanes)
