"""What all kernels are written with: the region they run in, and loops over axes and over runs of units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ...ir.graph import Node
from ...ir.types import FLOATS, ITEM_BYTES, NARROW, Dim, Shape, size
from ..analysis.row_independence import Rowwise
from ..buffers.packing import Panels
from ..buffers.views import View
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Buffer, Fold, For, Index, LetIndex, Operand, Value, When
from ..loop_ir.workers import WORKER, WORKERS
from ..machine.target import Target
from .values import Coordinate, Run, Time

if TYPE_CHECKING:
    from .active_rows import Rows


@dataclass
class Region:
    """Where kernels are generated: what lies in memory, and what the first axis means.

    length: the size of the time axis if the region runs in chunks of time; ``start`` and ``steps`` are then
    the chunk's first step and its number of steps, ``longest`` at most; ``reverse``: the last chunk comes first.
    stores: every place a value must be written to. tracks: all values of a scan's carry, by scan and index, where
    they are kept: one more than there are steps. scratch: memory of one kernel's own, by name, dtype and
    number of elements; what the kernel before left there is lost. parts: into how many a kernel is cut for workers;
    rowwise: tells what is computed row by row, where kernels are cut by rows. running: which rows are computed, where
    not all are.
    """

    target: Target
    panels: Panels
    scratch: Callable[[str, str, Dim], Buffer]
    views: dict[Node, View]
    stores: dict[Node, list[View]] = field(default_factory=dict)
    length: Dim | None = None
    start: Index = 0
    steps: Index = 0
    reverse: bool = False
    longest: int = 0
    tracks: dict[tuple[Node, int], View] = field(default_factory=dict)
    parts: int = 1
    rowwise: Rowwise | None = None
    running: Rows | None = None

    def is_time(self, shape: Shape, axis: int) -> bool:
        return self.length is not None and axis == 0 and len(shape) > 1 and shape[0] == self.length

    def within(self, steps: Index, running: Rows | None) -> Region:
        """The region with fewer steps, and of them only the rows that run."""
        return replace(self, steps=steps, running=running)

    def extent(self, shape: Shape, axis: int) -> Dim:
        return self.steps if self.is_time(shape, axis) else shape[axis]


@dataclass(frozen=True)
class Share:
    """One of ``parts`` parts of a kernel's work, cut along an axis of its shape."""

    part: Index
    parts: int
    axis: int

    def range(self, block: Block, extent: Index, grain: int = 1) -> tuple[Index, Index]:
        """From where to where of ``extent`` this part reaches, in whole ``grain``s but for the end of the last one."""
        turns = -(-extent // grain) if isinstance(extent, int) else extent
        if grain > 1 and not isinstance(extent, int):
            turns = named_index(block, "share", "divide", extent + (grain - 1), grain)
        low = named_index(block, "share", "divide", turns * self.part, self.parts) * grain
        high = named_index(block, "share", "divide", turns * self.part + turns, self.parts) * grain
        return low, named_index(block, "share", "min", high, extent) if grain > 1 else high


def named_index(block: Block, word: str, op: str, base: Index, factor: Index) -> Index:
    """``op(base, factor)`` under a fresh name."""
    name = fresh_index(block, word)
    block.add(LetIndex(name, op, base, factor))
    return size(name)


def each_part(region: Region, block: Block, axis: int, body: Callable[[Block, Share], None]) -> None:
    """``body`` for every part that is the worker's: of n workers the one with number w takes w, w + n and so on."""
    if region.parts == 1:
        body(block, Share(0, 1, axis))
        return
    variable, inner = fresh_index(block, "part"), block.nested()
    body(inner, Share(size(variable), region.parts, axis))
    block.add(For(variable, WORKER, region.parts, WORKERS, tuple(inner.statements)))


def by_one(region: Region, block: Block, body: Callable[[Block], None]) -> None:
    """``body``, done by the first worker alone where there may be several."""
    if region.parts == 1:
        body(block)
        return
    inner = block.nested()
    body(inner)
    block.add(When(WORKER, 0, 1, tuple(inner.statements)))


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
    share: Share | None = None,
) -> None:
    """Loops over ``axes`` of ``shape``, outermost first; ``at`` is filled in. share: what to do of one of the axes."""
    if not axes:
        body(block, at)
        return
    axis, rest = axes[0], axes[1:]

    def inner(nested: Block, index: Index) -> None:
        coordinate: Coordinate = index
        if region.is_time(shape, axis):
            coordinate = Time(index, region.start + index)
        over_axes(region, nested, shape, rest, [*at[:axis], coordinate, *at[axis + 1 :]], body, share)

    first: Index = 0
    stop: Index = region.extent(shape, axis)
    running = region.running
    if running is not None and running.cuts(shape, axis):
        row = running.tables.row
        running.each_range(
            block, at, share if share is not None and share.axis == axis else None,
            lambda nested, _, low, high: loop(nested, "i", high, lambda one, i: inner(one, row(one, i)), low),
        )  # fmt: skip
        return
    if share is not None and share.axis == axis:
        first, stop = share.range(block, stop)
    loop(block, "tbijk"[min(axis, 4)] if region.is_time(shape, axis) or axis else "b", stop, inner, first)


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


def runs(block: Block, width: Dim | None, lanes: int, share: Share | None = None) -> Iterator[tuple[Block, Run]]:
    """Runs of units that cover ``width``: a loop over full ones, then the rest. share: a part of the full ones, and
    of the parts the last one takes the rest.
    """
    if share is not None:
        yield from _shared_runs(block, width, lanes, share)
        return
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


def runs_together(
    block: Block, width: Dim | None, lanes: int, most: int, share: Share | None = None
) -> Iterator[tuple[Block, list[Run]]]:
    """Runs as ``runs`` gives them, up to ``most`` in one block, for what has to wait for its own results."""
    if share is not None or not isinstance(width, int) or width < 2 * lanes:
        yield from ((nested, [run]) for nested, run in runs(block, width, lanes, share))
        return
    full = width // lanes
    groups, behind = divmod(full, most)
    if groups == 1:
        yield block, [Run(number * lanes, lanes) for number in range(most)]
    elif groups > 1:
        variable, inner = fresh_index(block, "u"), block.nested()
        yield inner, [Run(size(variable) + number * lanes, lanes) for number in range(most)]
        block.add(For(variable, 0, groups * most * lanes, most * lanes, tuple(inner.statements)))
    last = [Run((full - behind + number) * lanes, lanes) for number in range(behind)]
    if width % lanes:
        last.append(Run(full * lanes, lanes, width - full * lanes))
    if last:
        yield block, last


def _shared_runs(block: Block, width: Dim | None, lanes: int, share: Share) -> Iterator[tuple[Block, Run]]:
    assert isinstance(width, int)
    full = width // lanes
    low, high = share.range(block, full)
    variable, inner = fresh_index(block, "u"), block.nested()
    yield inner, Run(size(variable), lanes)
    block.add(For(variable, low * lanes, high * lanes, lanes, tuple(inner.statements)))
    if width % lanes:
        rest = block.nested()
        yield rest, Run(full * lanes, lanes, width - full * lanes)
        block.add(When(share.part, share.parts - 1, share.parts, tuple(rest.statements)))


def groups(
    block: Block, width: int, lanes: int, blocks: int, masked: bool, share: Share | None = None
) -> Iterator[tuple[Block, Index, list[int | None]]]:
    """Groups of ``blocks`` vectors that cover ``width``: a loop over full ones, then the rest, each with its start and,
    of each vector, how many of its lanes exist, None for all. masked: whether that is to be known of the last vector.
    share: a part of the groups, of which the last part has the rest.
    """
    count, span = -(-width // lanes), blocks * lanes
    edge = width % lanes if masked else 0
    full = (count - bool(edge)) // blocks
    behind = count - full * blocks
    low: Index = 0
    high: Index = full
    if share is not None:
        low, high = share.range(block, full + bool(behind))
        if behind:
            high = named_index(block, "share", "min", high, full)
    if share is None and full == 1:
        yield block, 0, [None] * blocks
    elif share is not None or full > 1:
        variable, inner = fresh_index(block, "u"), block.nested()
        yield inner, size(variable), [None] * blocks
        block.add(For(variable, low * span, high * span, span, tuple(inner.statements)))
    if not behind:
        return
    valid: list[int | None] = [None] * behind
    valid[-1] = edge or None
    if share is None:
        yield block, full * span, valid
        return
    rest = block.nested()
    yield rest, full * span, valid
    block.add(When(share.part, share.parts - 1, share.parts, tuple(rest.statements)))
