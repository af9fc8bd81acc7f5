"""Building blocks of kernels: slices of work for workers, loops, and strips of units.

Units are the positions on the last axis. A strip has the units of one vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from ...ir.types import Dim, size
from ...support.records import NamedTuple, dataclass
from ..loop_ir.builder import Block
from ..loop_ir.iterations import Mask, with_iteration
from ..loop_ir.nodes import Fold, For, Index, Operand, Valid, Value, When
from ..loop_ir.worker_names import WORKER, WORKERS
from .values import Strip


@dataclass(frozen=True)
class WorkerSlice:
    """Part ``part`` of a kernel that is split into ``parts`` parts along an axis of its shape."""

    part: Index
    parts: int
    axis: int

    def range(self, block: Block, extent: Index, grain: int = 1) -> tuple[Index, Index]:
        """Return the first index and the end of a worker's slice of an axis of size ``extent``.

        Parts begin and end at multiples of ``grain``; the last part ends at ``extent``.
        """
        grains = -(-extent // grain) if isinstance(extent, int) else extent
        if grain > 1 and not isinstance(extent, int):
            grains = block.let_index("share", "divide", extent + (grain - 1), grain)
        low = block.let_index("share", "divide", grains * self.part, self.parts) * grain
        high = block.let_index("share", "divide", grains * self.part + grains, self.parts) * grain
        return low, block.let_index("share", "min", high, extent) if grain > 1 else high


def each_slice(parts: int, block: Block, axis: int, body: Callable[[Block, WorkerSlice], None]) -> None:
    """Write ``body`` in a loop in which each worker runs its parts: worker w of n the parts w, w + n and so on.

    A single part is written without a loop.
    """
    if parts == 1:
        body(block, WorkerSlice(0, 1, axis))
        return
    variable, inner = block.fresh_index("part"), block.nested()
    body(inner, WorkerSlice(size(variable), parts, axis))
    block.add(For(variable, WORKER, parts, WORKERS, tuple(inner.statements)))


def single(parts: int, block: Block, body: Callable[[Block], None]) -> None:
    """Write ``body``. If there are several workers, only the first one runs it."""
    if parts == 1:
        body(block)
        return
    inner = block.nested()
    body(inner)
    block.add(When(WORKER, 0, 1, tuple(inner.statements)))


def fold(
    block: Block,
    begin: Operand,
    stop: Index,
    step: int,
    body: Callable[[Block, Index, Operand], Operand],
    start: Index = 0,
) -> Operand:
    """Write a loop that passes one value from iteration to iteration, by ``body``. Return its final value."""
    return folds(block, [begin], stop, step, lambda inner, index, carried: [body(inner, index, carried[0])], start)[0]


def folds(
    block: Block,
    begins: Sequence[Operand],
    stop: Index,
    step: int,
    body: Callable[[Block, Index, Sequence[Operand]], Sequence[Operand]],
    start: Index = 0,
) -> list[Operand]:
    """Write a loop that passes values from iteration to iteration, by ``body``. Return their final values."""
    trips = stop - start
    if isinstance(trips, int) and 0 < trips <= step:
        return list(body(block, start, begins))
    variable, inner = block.fresh_index("i"), block.nested()
    carried = tuple(Value(block.fresh("acc"), item.dtype, item.lanes) for item in begins)
    results = tuple(Value(block.fresh("total"), item.dtype, item.lanes) for item in begins)
    after = tuple(body(inner, size(variable), carried))
    block.add(Fold(results, carried, tuple(begins), variable, start, stop, step, tuple(inner.statements), after))
    return list(results)


def strips(
    block: Block, width: Dim | None, lanes: int, share: WorkerSlice | None = None
) -> Iterator[tuple[Block, Strip]]:
    """Write loops over ``width`` units by vectors. Yield (block for the body, vector): full ones, then the remainder.

    Args:
        block: Block to which the loops are added. The yielded blocks are the loops' bodies.
        width: Number of units; None for one scalar.
        lanes: Units of a full vector.
        share: Slice of the full vectors for one worker, if the width is fixed. The last slice also has the remainder.
    """
    if share is not None:
        yield from _sliced_strips(block, width, lanes, share)
        return
    if width is None:
        yield block, Strip(0, 1)
        return
    if not isinstance(width, int):
        for nested, group in _open_groups(block, width, lanes, 1):
            yield nested, Strip(group.start, lanes, group.valid[0])
        return
    full = width // lanes
    if full == 1:
        yield block, Strip(0, lanes)
    elif full > 1:
        variable, inner = block.fresh_index("u"), block.nested()
        yield inner, Strip(size(variable), lanes)
        block.add(For(variable, 0, full * lanes, lanes, tuple(inner.statements)))
    if width % lanes:
        rest = block.nested()
        yield rest, Strip(full * lanes, lanes, width - full * lanes)
        add_remainder(block, rest)


def strip_groups(
    block: Block, width: Dim | None, lanes: int, group_size: int, share: WorkerSlice | None = None
) -> Iterator[tuple[Block, list[Strip]]]:
    """Write loops over units. Yield (block for the body, its vectors), up to ``group_size`` at a time to hide latency.

    With a ``share``, a symbolic width or less than two vectors, each group has one strip.
    """
    if share is not None or not isinstance(width, int) or width < 2 * lanes:
        yield from ((nested, [strip]) for nested, strip in strips(block, width, lanes, share))
        return
    full = width // lanes
    groups, remainder = divmod(full, group_size)
    if groups == 1:
        yield block, [Strip(number * lanes, lanes) for number in range(group_size)]
    elif groups > 1:
        variable, inner = block.fresh_index("u"), block.nested()
        yield inner, [Strip(size(variable) + number * lanes, lanes) for number in range(group_size)]
        block.add(For(variable, 0, groups * group_size * lanes, group_size * lanes, tuple(inner.statements)))
    last = [Strip((full - remainder + number) * lanes, lanes) for number in range(remainder)]
    if width % lanes:
        last.append(Strip(full * lanes, lanes, width - full * lanes))
    if last:
        yield block, last


def _sliced_strips(block: Block, width: Dim | None, lanes: int, share: WorkerSlice) -> Iterator[tuple[Block, Strip]]:
    """Write loops over a worker's slice of the units. Yield (block for the body, vector)."""
    assert isinstance(width, int)
    full = width // lanes
    low, high = share.range(block, full)
    variable, inner = block.fresh_index("u"), block.nested()
    yield inner, Strip(size(variable), lanes)
    block.add(For(variable, low * lanes, high * lanes, lanes, tuple(inner.statements)))
    if width % lanes:
        rest = block.nested()
        yield rest, Strip(full * lanes, lanes, width - full * lanes)
        block.add(When(share.part, share.parts - 1, share.parts, tuple(rest.statements)))


def add_remainder(block: Block, rest: Block, mask: Mask | None = None) -> None:
    """Append ``rest`` to ``block``; as one more iteration of the block's last loop if it does the same work.

    ``mask`` is as for ``with_iteration``.
    """
    last = block.statements[-1] if block.statements else None
    longer = with_iteration(last, rest.statements, mask) if isinstance(last, For) else None
    if longer is None:
        block.statements += rest.statements
    else:
        block.statements[-1] = longer


class LastVector(Enum):
    """Treatment of the last vector of units if it has fewer units than lanes."""

    PADDED = "memory has room for whole vectors"
    SEPARATE = "separate code accesses only the units that exist"
    MASKED = "all vectors have masks, which cost nothing"


class VectorGroup(NamedTuple):
    """Adjacent vectors of units that one tile computes.

    Attributes:
        start: First unit.
        valid: Number of valid lanes of each vector; None for all.
    """

    start: Index
    valid: Sequence[Valid]


def groups(
    block: Block,
    width: Dim,
    lanes: int,
    blocks: int,
    last: LastVector,
    share: WorkerSlice | None = None,
    parity: Index = 0,
) -> Iterator[tuple[Block, VectorGroup]]:
    """Write loops over ``width`` units. Yield (block for the body, group of up to ``blocks`` vectors).

    Args:
        block: Block to which the loops are added. The yielded blocks are the loops' bodies.
        width: Number of units, which may be symbolic.
        lanes: Units of a vector.
        blocks: Vectors of a full group.
        last: Treatment of the last vector. If the width is symbolic, it is always separate.
        share: Slice of the groups for one worker, if the width is fixed. The last slice also has the remainder.
        parity: Traversal direction, if the width is fixed: 0 from the first full group to the last, 1 in reverse.
    """
    if not isinstance(width, int):
        assert share is None, "columns of a symbolic number can't be split between workers"
        yield from _open_groups(block, width, lanes, blocks)
        return
    count, span = -(-width // lanes), blocks * lanes
    edge = 0 if last is LastVector.PADDED else width % lanes
    full = (count - bool(edge)) // blocks
    remainder = count - full * blocks
    low: Index = 0
    high: Index = full
    if share is not None:
        low, high = share.range(block, full + bool(remainder))
        if remainder:
            high = block.let_index("share", "min", high, full)
    if share is None and full == 1:
        yield block, VectorGroup(0, [None] * blocks)
    elif share is not None or full > 1:
        variable, inner = block.fresh_index("u"), block.nested()
        start: Index = size(variable)
        if parity != 0:
            start = inner.let_index("group", "max", start + parity * ((low + high - 1) * span - 2 * start), 0)
        yield inner, VectorGroup(start, [None] * blocks)
        block.add(For(variable, low * span, high * span, span, tuple(inner.statements)))
    if not remainder:
        return
    valid: list[Valid] = [None] * remainder
    valid[-1] = edge or None
    rest = block.nested()
    yield rest, VectorGroup(full * span, valid)
    if share is None:
        is_masked = last is LastVector.MASKED and edge and blocks == 1
        add_remainder(block, rest, Mask(block.fresh_index("lanes"), width, lanes) if is_masked else None)
        return
    block.add(When(share.part, share.parts - 1, share.parts, tuple(rest.statements)))


def _open_groups(block: Block, width: Dim, lanes: int, blocks: int) -> Iterator[tuple[Block, VectorGroup]]:
    """Write loops over a symbolic width. Yield (block, vectors): full groups, single vectors, a masked vector."""
    begin: Index = 0
    for count in dict.fromkeys((blocks, 1)):
        end = block.let_index("whole", "floor", width, count * lanes) if count * lanes > 1 else width
        variable, inner = block.fresh_index("u"), block.nested()
        yield inner, VectorGroup(size(variable), [None] * count)
        block.add(For(variable, begin, end, count * lanes, tuple(inner.statements)))
        begin = end
    if lanes > 1:
        rest = block.nested()
        yield rest, VectorGroup(begin, [width - begin])
        block.add(When(width - begin, 1, lanes, tuple(rest.statements)))
