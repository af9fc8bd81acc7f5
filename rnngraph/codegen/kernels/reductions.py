"""Reductions: sums, largest and smallest over some axes, folded in one fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...ir.graph import Node
from ...ir.ops import OPS
from ...ir.types import FLOATS, Dim
from ..analysis.node_kinds import pieces_of
from ..buffers.views import View
from ..cost_model.register_tiles import lanes_for
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Index, Literal, Operand
from .loop_nests import WorkerSlice, fold, folds, loop, strip_groups
from .region import Region, over_axes
from .values import Coordinate, Coordinates, Strip, ValueEmitter, absolute

FOLDED_AT_ONCE = 8
"""Vectors of units that are folded side by side: what an operation takes until its result is there would bound one."""
LOWEST = {"float32": float("-inf"), "float64": float("-inf"), "int32": -(2**31), "int64": -(2**63)}
HIGHEST = {"float32": float("inf"), "float64": float("inf"), "int32": 2**31 - 1, "int64": 2**63 - 1}


def reduce(region: Region, block: Block, node: Node, share: WorkerSlice | None = None) -> None:
    """Folds a value over ``axes``; a mere join of columns is folded piece by piece."""
    pieces = pieces_of(node.operands[0], region.memory.views)
    if len(pieces) == 1:
        _reduce(region, block, node, pieces[0], region.memory.stores[node], share)
        return
    offset = 0
    for piece in pieces:
        width = int(str(piece.shape[-1]))
        start, stop = ((*(0 for _ in node.shape[:-1]), offset), (*node.shape[:-1], offset + width))
        views = [view.slice(start, stop, (1,) * node.tensor.rank) for view in region.memory.stores[node]]
        _reduce(region, block, node, piece, [replace(view, room=None) for view in views], share)
        offset += width


def _reduce(
    region: Region, block: Block, node: Node, source: Node, stores: Sequence[View], share: WorkerSlice | None
) -> None:  # fmt: skip
    """Outer axes in order, then the units, lane by lane and across the lanes."""
    shape, axes, last = source.shape, node["axes"], source.tensor.rank - 1
    kept = [axis for axis in range(last) if axis not in axes]
    reduced = [axis for axis in axes if axis != last]
    op = {"reduce_sum": "add", "reduce_max": "maximum", "reduce_min": "minimum"}[node.op]
    neutral = {"add": 0, "maximum": LOWEST[node.dtype], "minimum": HIGHEST[node.dtype]}[op]
    if node.dtype in FLOATS:
        neutral = float(neutral)

    def result_at(at: list[Coordinate]) -> Coordinates:
        if node["keepdims"]:
            return tuple(0 if axis in axes else at[axis] for axis in range(last + 1))
        return tuple(at[axis] for axis in range(last + 1) if axis not in axes)

    def read(emitter: ValueEmitter, at: Coordinates, lanes: int) -> Operand:
        """What is added. Of a sum over rows those that have ended are zeros, whatever lies there."""
        value, active = emitter.spread(emitter.value(source, at), lanes), region.active
        if active is None or 0 not in axes:
            return value
        strips = emitter.spread(active.table.is_active(emitter.block, absolute(at[0]), absolute(at[1])), lanes)
        return emitter.block.let("select", [strips, value, Literal(neutral, node.dtype, lanes)], node.dtype, lanes)

    everywhere = ValueEmitter(block, region.memory.views)
    lanes = lanes_for(region.target, [node, source], shape[last]) if last in axes else 1
    units_kept = last >= 0 and last not in axes
    lanes_of_units = lanes_for(region.target, [node], shape[last]) if units_kept else 1
    units = _Units(node, source, op, neutral, lanes, read)

    side_by_side = _side_by_side(region, source, kept[-1], lanes_of_units) if kept and units_kept else 1

    def placed(at: Sequence[Coordinate], row: Coordinate | None, unit: Coordinate) -> list[Coordinate]:
        """Where units are. row: on the last axis that is kept, if several of it are folded side by side."""
        place = [*at[:-1], unit]
        if row is not None:
            place[kept[-1]] = row
        return place

    def folded(
        inner: Block, at: list[Coordinate], here: Sequence[tuple[Coordinate | None, Coordinate]], remaining: list[int],
        begins: Sequence[Operand],
    ) -> list[Operand]:  # fmt: skip
        """``begins`` combined with everything under ``remaining`` axes, in order. here: the row and units of each."""
        if last in axes and 0 not in remaining:  # each index of the first axis apart: it may be time, cut in chunks
            found = units.all(everywhere.within(inner), at, remaining)
            return [inner.let(op, [begins[0], found], node.dtype, 1)]
        if not remaining:
            emitter = everywhere.within(inner)
            places = [tuple(placed(at, *item)) if last >= 0 else () for item in here]
            values = [read(emitter, place, begin.lanes) for place, begin in zip(places, begins, strict=True)]
            pairs = zip(begins, values, strict=True)
            return [inner.let(op, [begin, value], node.dtype, begin.lanes) for begin, value in pairs]
        axis, rest = remaining[0], remaining[1:]
        is_time, extent = region.is_time(shape, axis), region.extent(shape, axis)

        def turn(nested: Block, index: Index, carried: Sequence[Operand]) -> list[Operand]:
            if is_time and region.reverse:
                index = extent - 1 - index
            now = region.at(shape, axis, index)
            return folded(nested, [*at[:axis], now, *at[axis + 1 :]], here, rest, carried)

        return folds(inner, begins, extent, 1, turn)

    def begin_at(inner: Block, at: Coordinates, lanes: int) -> Operand:
        """Where folding starts: from what earlier chunks of time have summed, if there are any."""
        if not (region.is_time(shape, 0) and 0 in axes):
            return Literal(neutral, node.dtype, lanes)
        emitter = ValueEmitter(inner, {node: stores[0]})
        return emitter.spread(emitter.value(node, at), lanes)

    def at_kept(inner: Block, at: list[Coordinate], rows: Sequence[Coordinate | None] = (None,)) -> None:
        if not units_kept:
            (value,) = folded(inner, at, [(None, at[-1] if at else 0)], reduced, [begin_at(inner, result_at(at), 1)])
            _store_all(region, inner, stores, value, result_at(at))
            return
        mine = share if share and share.axis == last else None
        for nested, strips in strip_groups(inner, shape[last], lanes_of_units, FOLDED_AT_ONCE, mine):
            here = [(row, strip) for row in rows for strip in strips]
            results = [result_at(placed(at, row, strip)) for row, strip in here]
            begins = [begin_at(nested, item, strip.lanes) for item, (_, strip) in zip(results, here, strict=True)]
            found = folded(nested, at, here, reduced, begins)
            for value, item in zip(found, results, strict=True):
                _store_all(region, nested, stores, value, item)

    def at_rows(inner: Block, at: list[Coordinate]) -> None:
        """Rows of the last axis that is kept, several of them at a time, then the rest one by one."""
        extent = region.extent(shape, kept[-1])
        begin, end = share.range(inner, extent) if share and share.axis == kept[-1] else (0, extent)
        count = end - begin
        if isinstance(count, int):
            whole = begin + count // side_by_side * side_by_side
        else:
            whole = begin + inner.let_index("whole", "floor", count, side_by_side)

        def some(nested: Block, row: Index, count: int) -> None:
            at_kept(nested, at, [row + number for number in range(count)])

        loop(inner, "b", whole, lambda nested, row: some(nested, row, side_by_side), begin, side_by_side)
        loop(inner, "b", end, lambda nested, row: some(nested, row, 1), whole)

    if side_by_side > 1:
        over_axes(region, block, shape, kept[:-1], [0] * (last + 1), at_rows, share)
    else:
        over_axes(region, block, shape, kept, [0] * (last + 1), at_kept, share)


def _side_by_side(region: Region, source: Node, axis: int, lanes: int) -> int:
    """How many rows of an axis are folded side by side: several where what is folded is computed of a value that is the
    same at all of them, such as a depthwise kernel at all steps, which is then loaded once.
    """
    views, width = region.memory.views, source.shape[-1]
    if source in views or OPS[source.op].kind != "elementwise" or not isinstance(width, int):
        return 1
    if region.time is not None or region.active is not None:
        return 1
    if not any(_repeats(item, source, axis, views.get(item)) for item in source.operands):
        return 1
    most = FOLDED_AT_ONCE * (2 if region.target.registers > 16 else 1)
    return min(4, max(1, most // -(-width // lanes)))


def _repeats(node: Node, user: Node, axis: int, view: View | None) -> bool:
    """Whether units of an operand are the same all along an axis of what reads it."""
    position = axis - (user.tensor.rank - node.tensor.rank)
    if not node.tensor.rank or node.shape[-1] != user.shape[-1]:
        return False
    return position < 0 or node.shape[position] == 1 or (view is not None and view.strides[position] == 0)


@dataclass(frozen=True)
class _Units:
    """Folds ``source`` over its last axis, and others around it, in several vectors at once: what one operation
    takes until its result is there would bound a single one. How many there are follows from the shape alone. Units
    that fill no vector are folded one by one, or, where their number is known at run time only, as a part of one.
    """

    node: Node
    source: Node
    op: str
    neutral: float
    lanes: int
    read: Callable[[ValueEmitter, Coordinates, int], Operand]

    def all(self, emitter: ValueEmitter, at: list[Coordinate], axes: list[int]) -> Operand:
        """Everything under ``axes`` and the last one, as one number."""
        block, count = emitter.block, self._count()
        vectors: list[Operand] = [Literal(self.neutral, self.node.dtype, self.lanes)] * count
        rest = [Literal(self.neutral, self.node.dtype, 1)] if self._rest() != 0 else []
        found = self._over(emitter, at, axes, [*vectors, *rest])
        while count > 1:
            count //= 2
            pairs = zip(found[:count], found[count : 2 * count], strict=True)
            found = [*(self._fold(block, x, y) for x, y in pairs), *found[2 * count :]]
        if count:
            total = block.let("across", [found[0]], self.node.dtype, 1, combine=self.op)
            found = [total, *found[1:]]
        if not found:  # a row without units
            return Literal(self.neutral, self.node.dtype, 1)
        return found[0] if len(found) == 1 else self._fold(block, found[0], found[1])

    def _fold(self, block: Block, x: Operand, y: Operand) -> Operand:
        return block.let(self.op, [x, y], self.node.dtype, x.lanes)

    def _full(self) -> int:
        """Whole vectors of a row."""
        width = self.source.shape[-1]
        return width // self.lanes if isinstance(width, int) and self.lanes > 1 else 0

    def _rest(self) -> Dim:
        """Units of a row that are folded one by one."""
        return 0 if self._is_open() else self.source.shape[-1] - self._full() * self.lanes

    def _is_open(self) -> bool:
        """Whether there are vectors, and it is known at run time only how many."""
        return self.lanes > 1 and not isinstance(self.source.shape[-1], int)

    def _count(self) -> int:
        return 4 if self._full() >= 4 or self._is_open() else min(self._full(), 2)

    def _over(
        self, emitter: ValueEmitter, at: list[Coordinate], axes: list[int], carried: Sequence[Operand]
    ) -> list[Operand]:
        if not axes:
            return self._row(emitter.within(emitter.block, tuple(at[:-1])), at, carried)
        axis, rest = axes[0], axes[1:]

        def turn(nested: Block, index: Index, inner: Sequence[Operand]) -> list[Operand]:
            return self._over(emitter.within(nested), [*at[:axis], index, *at[axis + 1 :]], rest, inner)

        return folds(emitter.block, carried, self.source.shape[axis], 1, turn)

    def _row(self, emitter: ValueEmitter, at: list[Coordinate], carried: Sequence[Operand]) -> list[Operand]:
        block, lanes, count, full = emitter.block, self.lanes, self._count(), self._full()

        def element(nested: Block, strip: Coordinate, before: Operand) -> Operand:
            inner = emitter.within(nested)
            return self._fold(nested, before, self.read(inner, (*at[:-1], strip), before.lanes))

        def turn(nested: Block, index: Index, before: Sequence[Operand]) -> list[Operand]:
            return [element(nested, Strip(index + i * lanes, lanes), item) for i, item in enumerate(before)]

        def part(nested: Block, index: Index, before: Operand) -> Operand:
            """The last units, fewer than a vector has; the other lanes are left as they are."""
            inner, width = emitter.within(nested), self.source.shape[-1]
            value = inner.spread(self.read(inner, (*at[:-1], Strip(index, lanes, width - index)), lanes), lanes)
            units = nested.let("unit", (), "int64", lanes, index=index)
            behind = inner.spread(nested.let("index", (), "int64", 1, index=width), lanes)
            exists = nested.let("less", [units, behind], "bool", lanes)
            neutral = Literal(self.neutral, self.node.dtype, lanes)
            value = nested.let("select", [exists, value, neutral], self.node.dtype, lanes)
            return self._fold(nested, before, value)

        vectors, rest = list(carried[:count]), list(carried[count:])
        if self._is_open():
            width = self.source.shape[-1]
            several = block.let_index("several", "floor", width, count * lanes)
            whole = block.let_index("whole", "floor", width, lanes)
            first, *others = folds(block, vectors, several, count * lanes, turn)
            first = fold(block, first, whole, lanes, lambda *now: turn(now[0], now[1], [now[2]])[0], several)
            return [fold(block, first, width, lanes, part, whole), *others]
        if count:
            whole = full // count * count
            vectors = folds(block, vectors, whole * lanes, count * lanes, turn)
            for i in range(full - whole):
                vectors[i] = element(block, Strip((whole + i) * lanes, lanes), vectors[i])
        if rest:
            start = full * lanes
            rest = [fold(block, rest[0], self.source.shape[-1], 1, element, start=start)]
        return [*vectors, *rest]


def _store_all(region: Region, block: Block, stores: Sequence[View], value: Operand, at: Coordinates) -> None:
    emitter = ValueEmitter(block, region.memory.views)
    for view in stores:
        emitter.store(value, view, at)
