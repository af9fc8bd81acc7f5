"""Reductions: sums, maxima and minima over axes, each in one fixed order.

Units are the positions on the last axis, along which vectors run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.graph import Node
from ...ir.ops import OPS
from ...ir.types import FLOATS, Dim
from ...support.records import dataclass
from ..analysis.node_kinds import pieces_of
from ..buffers.views import View
from ..cost_model.register_tiles import lanes_for
from ..loop_ir.builder import Block, loop
from ..loop_ir.nodes import Index, Literal, Operand
from .loop_nests import WorkerSlice, fold, folds, strip_groups
from .region import Region, over_axes
from .values import Coordinate, Coordinates, Strip, ValueEmitter, absolute, aligned

FOLDED_AT_ONCE = 8
"""Number of vectors of units that are reduced concurrently, to hide the latency of additions."""
LOWEST = {"float32": float("-inf"), "float64": float("-inf"), "int32": -(2**31), "int64": -(2**63)}
HIGHEST = {"float32": float("inf"), "float64": float("inf"), "int32": 2**31 - 1, "int64": 2**63 - 1}


def with_value(emitter: ValueEmitter, node: Node, source: Node, at: Coordinates, before: Operand) -> Operand:
    """Write code that reduces the value of ``source`` at ``at`` into the accumulator ``before``. Return the new one.

    A product that a ``fused`` sum reads is added by a multiply-add.
    """
    if node.get("fused") and source.op == "mul":
        factors = [
            emitter.spread(emitter.value(item, aligned(item.shape, at)), before.lanes) for item in source.operands
        ]
        return emitter.block.let("fma", [*factors, before], node.dtype, before.lanes)
    value = emitter.spread(emitter.value(source, at), before.lanes)
    return emitter.block.let(combining_op(node), [before, value], node.dtype, before.lanes)


def interleaved_vectors(full: int) -> int:
    """Return the number of vector accumulators for a row of ``full`` vectors: 4, or at most 2 if there are fewer.

    Several accumulators hide the latency of ops.
    """
    return 4 if full >= 4 else min(full, 2)


def masks_remainder(node: Node, lanes: int) -> bool:
    """True if the units after the last whole vector are summed as a masked vector, and not one by one.

    The result is True for sums of multiply-adds, which occur only in scans whose states are matrices.
    """
    return lanes > 1 and bool(node.get("fused"))


def with_valid_lanes(emitter: ValueEmitter, node: Node, strip: Strip, before: Operand, value: Operand) -> Operand:
    """Write code that selects ``value`` in a strip's valid lanes and ``before`` in others. Return the result."""
    if strip.valid is None:
        return value
    block, lanes = emitter.block, strip.lanes
    units = block.let("unit", (), "int64", lanes, index=0)
    count = emitter.spread(block.let("index", (), "int64", 1, index=strip.valid), lanes)
    exists = block.let("less", [units, count], "bool", lanes)
    return block.let("select", [exists, value, before], node.dtype, lanes)


def combining_op(node: Node) -> str:
    """Return the binary op by which a reduction combines values."""
    return {"reduce_sum": "add", "reduce_max": "maximum", "reduce_min": "minimum"}[node.op]


def neutral_of(node: Node) -> float | int:
    """Return the neutral element of a reduction: 0 for a sum, else an infinity or the limit of an integer dtype."""
    neutral = {"reduce_sum": 0, "reduce_max": LOWEST[node.dtype], "reduce_min": HIGHEST[node.dtype]}[node.op]
    return float(neutral) if node.dtype in FLOATS else neutral


def reduce(region: Region, block: Block, node: Node, share: WorkerSlice | None = None) -> None:
    """Write the loops of a reduction. Operands of a concatenation that is not in memory are reduced one by one."""
    pieces, stores = pieces_of(node.operands[0], region.memory.views), region.memory.stores[node]
    if len(pieces) == 1:
        _Reduction(region, block, node, pieces[0], stores, share).emit()
        return
    offset = 0
    for piece in pieces:
        width = int(str(piece.shape[-1]))
        start, stop = ((*(0 for _ in node.shape[:-1]), offset), (*node.shape[:-1], offset + width))
        views = [replace(view.slice(start, stop, (1,) * node.tensor.rank), room=None) for view in stores]
        _Reduction(region, block, node, piece, views, share).emit()
        offset += width


class _Reduction:
    """Writer of one reduction: over outer axes, in order, and then over the last axis."""

    def __init__(
        self, region: Region, block: Block, node: Node, source: Node, stores: Sequence[View], share: WorkerSlice | None
    ) -> None:
        self.region, self.block, self.node, self.source, self.stores = region, block, node, source, stores
        self.share, self.axes, self.last = share, node["axes"], source.tensor.rank - 1
        self.kept = [axis for axis in range(self.last) if axis not in self.axes]
        self.reduced = [axis for axis in self.axes if axis != self.last]
        self.op, self.neutral = combining_op(node), neutral_of(node)
        self.everywhere = ValueEmitter(block, region.memory.views)
        width = source.shape[-1] if source.tensor.rank else None
        self.units_kept = source.tensor.rank > 0 and self.last not in self.axes
        lanes = lanes_for(region.target, [node, source], width) if width is not None and not self.units_kept else 1
        self.lanes = lanes_for(region.target, [node], width) if width is not None and self.units_kept else 1
        self.units = _Units(node, source, self.op, self.neutral, lanes, self._read, self._with_value)

    def emit(self) -> None:
        """Write loops over the axes that remain, with the reduction of one position, or of several rows, inside."""
        shape, kept, origin = self.source.shape, self.kept, [0] * (self.last + 1)
        is_several = kept and self.units_kept
        count = _side_by_side(self.region, self.source, kept[-1], self.lanes) if is_several else 1
        if count == 1:
            over_axes(self.region, self.block, shape, kept, [*origin], self._reduce_at, self.share)
            return

        def rows(inner: Block, at: list[Coordinate]) -> None:
            self._rows(inner, at, count)

        over_axes(self.region, self.block, shape, kept[:-1], [*origin], rows, self.share)

    # Coordinates ---------------------------------------------------------------------------------

    def _result_at(self, at: list[Coordinate]) -> Coordinates:
        """Return the coordinates in the result for the coordinates ``at`` in the operand."""
        axes = range(self.last + 1)
        if self.node["keepdims"]:
            return tuple(0 if axis in self.axes else at[axis] for axis in axes)
        return tuple(at[axis] for axis in axes if axis not in self.axes)

    def _with_unit(self, at: Sequence[Coordinate], row: Coordinate | None, unit: Coordinate) -> list[Coordinate]:
        """Return the coordinates ``at`` with another ``unit``.

        If several rows are reduced concurrently, ``row`` replaces the index on the last kept axis.
        """
        place = [*at[:-1], unit]
        if row is not None:
            place[self.kept[-1]] = row
        return place

    def _reduce_at(self, inner: Block, at: list[Coordinate], rows: Sequence[Coordinate | None] = (None,)) -> None:
        """Write the reduction to the result at ``at``, or at several ``rows`` of the last axis that remains."""
        if not self.units_kept:
            result = self._result_at(at)
            start = self._start(inner, result, 1)
            (value,) = self._combine(inner, at, [(None, at[-1] if at else 0)], self.reduced, [start])
            self._store(inner, value, result)
            return
        share = self.share if self.share and self.share.axis == self.last else None
        for nested, strips in strip_groups(inner, self.source.shape[-1], self.lanes, FOLDED_AT_ONCE, share):
            here = [(row, strip) for row in rows for strip in strips]
            results = [self._result_at(self._with_unit(at, row, strip)) for row, strip in here]
            starts = [self._start(nested, item, strip.lanes) for item, (_, strip) in zip(results, here, strict=True)]
            totals = self._combine(nested, at, here, self.reduced, starts)
            for value, item in zip(totals, results, strict=True):
                self._store(nested, value, item)

    def _rows(self, inner: Block, at: list[Coordinate], together: int) -> None:
        """Write loops over the last axis that remains, which reduce ``together`` rows at a time, then single rows."""
        axis, share = self.kept[-1], self.share
        extent = self.region.extent(self.source.shape, axis)
        begin, end = share.range(inner, extent) if share and share.axis == axis else (0, extent)
        count = end - begin
        if isinstance(count, int):
            whole = begin + count // together * together
        else:
            whole = begin + inner.let_index("whole", "floor", count, together)

        def some(nested: Block, row: Index, count: int) -> None:
            self._reduce_at(nested, at, [row + number for number in range(count)])

        loop(inner, "b", whole, lambda nested, row: some(nested, row, together), begin, together)
        loop(inner, "b", end, lambda nested, row: some(nested, row, 1), whole)

    # Folding -------------------------------------------------------------------------------------

    def _start(self, inner: Block, at: Coordinates, lanes: int) -> Operand:
        """Return the accumulator's initial value: the result for earlier chunks of time, or the neutral element."""
        if not (self.region.is_time(self.source.shape, 0) and 0 in self.axes):
            return Literal(self.neutral, self.node.dtype, lanes)
        emitter = ValueEmitter(inner, {self.node: self.stores[0]})
        return emitter.spread(emitter.value(self.node, at), lanes)

    def _combine(
        self,
        inner: Block,
        at: list[Coordinate],
        here: Sequence[tuple[Coordinate | None, Coordinate]],
        remaining: list[int],
        starts: Sequence[Operand],
    ) -> list[Operand]:
        """Write loops that reduce along ``remaining`` axes, from the values ``starts``. Return one result for each.

        Args:
            inner: Block to which statements are added.
            at: Coordinates of the surrounding loops.
            here: Row and units of each result. A row of None is that of ``at``.
            remaining: Reduced axes, without the last axis, over which no surrounding loop runs.
            starts: Initial value of each result.
        """
        region, shape = self.region, self.source.shape
        # The loop below reduces the first axis, because it may be the time axis of a chunk.
        if self.last in self.axes and 0 not in remaining:
            total = self.units.all(self.everywhere.within(inner), at, remaining)
            return [inner.let(self.op, [starts[0], total], self.node.dtype, 1)]
        if not remaining:
            emitter = self.everywhere.within(inner)
            places = [tuple(self._with_unit(at, *item)) if shape else () for item in here]
            # Load all rows first, so that their latencies overlap. A multiply-add loads its own factors.
            if not self.node.get("fused"):
                for place in places:
                    emitter.value(self.source, place)
            return [self._with_value(emitter, place, start) for place, start in zip(places, starts, strict=True)]
        axis, rest = remaining[0], remaining[1:]
        is_time, extent = region.is_time(shape, axis), region.extent(shape, axis)

        def iterate(nested: Block, index: Index, carried: Sequence[Operand]) -> list[Operand]:
            if is_time and region.reverse:
                index = extent - 1 - index
            now = region.at(shape, axis, index)
            return self._combine(nested, [*at[:axis], now, *at[axis + 1 :]], here, rest, carried)

        return folds(inner, starts, extent, 1, iterate)

    def _with_value(self, emitter: ValueEmitter, at: Coordinates, before: Operand) -> Operand:
        """Write code that reduces the source at ``at`` into ``before``, unless the row has ended. Return the result."""
        if self.region.active is None or 0 not in self.axes:
            return with_value(emitter, self.node, self.source, at, before)
        value = self._read(emitter, at, before.lanes)
        return emitter.block.let(self.op, [before, value], self.node.dtype, before.lanes)

    def _read(self, emitter: ValueEmitter, at: Coordinates, lanes: int) -> Operand:
        """Write code for the source's value at ``at``, or the neutral element if the row has ended. Return it."""
        value, active = emitter.spread(emitter.value(self.source, at), lanes), self.region.active
        if active is None or 0 not in self.axes:
            return value
        is_active = emitter.spread(active.table.is_active(emitter.block, absolute(at[0]), absolute(at[1])), lanes)
        neutral = Literal(self.neutral, self.node.dtype, lanes)
        return emitter.block.let("select", [is_active, value, neutral], self.node.dtype, lanes)

    def _store(self, block: Block, value: Operand, at: Coordinates) -> None:
        emitter = ValueEmitter(block, self.region.memory.views)
        for view in self.stores:
            emitter.store(value, view, at)


def _side_by_side(region: Region, source: Node, axis: int, lanes: int) -> int:
    """Return the number of rows along ``axis`` that are reduced concurrently: up to 4 if they share an operand, else 1.

    An example is a depthwise convolution, whose kernel is then loaded once for several steps. In a loop over time, or
    with ended rows, rows are reduced one by one.
    """
    views, width = region.memory.views, source.shape[-1]
    if source in views or OPS[source.op].kind != "elementwise" or not isinstance(width, int):
        return 1
    if region.time is not None or region.active is not None:
        return 1
    if not any(_repeats(item, source, axis, views.get(item)) for item in source.operands):
        return 1
    max_vectors = FOLDED_AT_ONCE * (2 if region.target.registers > 16 else 1)
    return min(4, max(1, max_vectors // -(-width // lanes)))


def _repeats(node: Node, user: Node, axis: int, view: View | None) -> bool:
    """True if an operand does not vary along an axis of its reader."""
    position = axis - (user.tensor.rank - node.tensor.rank)
    if not node.tensor.rank or node.shape[-1] != user.shape[-1]:
        return False
    return position < 0 or node.shape[position] == 1 or (view is not None and view.strides[position] == 0)


@dataclass(frozen=True)
class _Units:
    """Writer of a reduction over the last axis, in several vector accumulators to hide latency.

    The number of accumulators and the order of the sum depend on the shape and the vector width alone, so that the
    same values give the same bits. The units after the last whole vector are reduced one by one. For a symbolic width
    and for sums of multiply-adds, they are reduced as a masked vector instead.

    Attributes:
        node: The reduction.
        source: Operand of the reduction.
        op: Binary op by which values are combined.
        neutral: Neutral element of ``op``.
        lanes: Units of a vector.
        read: Function (emitter, coordinates, lanes) that returns a value of the source.
        with_value: Function (emitter, coordinates, before) that returns ``before`` combined with a value of the source.
    """

    node: Node
    source: Node
    op: str
    neutral: float
    lanes: int
    read: Callable[[ValueEmitter, Coordinates, int], Operand]
    with_value: Callable[[ValueEmitter, Coordinates, Operand], Operand]

    def all(self, emitter: ValueEmitter, at: list[Coordinate], axes: list[int]) -> Operand:
        """Write code that reduces the source over ``axes`` and the last axis. Return the result, a scalar."""
        block, count = emitter.block, self._count()
        vectors: list[Operand] = [Literal(self.neutral, self.node.dtype, self.lanes)] * count
        rest = [Literal(self.neutral, self.node.dtype, 1)] if self._remainder() != 0 and not self._is_masked() else []
        accumulators = self._over(emitter, at, axes, [*vectors, *rest])
        while count > 1:
            count //= 2
            pairs = zip(accumulators[:count], accumulators[count : 2 * count], strict=True)
            accumulators = [*(self._fold(block, x, y) for x, y in pairs), *accumulators[2 * count :]]
        if count:
            total = block.let("across", [accumulators[0]], self.node.dtype, 1, combine=self.op)
            accumulators = [total, *accumulators[1:]]
        if not accumulators:  # a row without units
            return Literal(self.neutral, self.node.dtype, 1)
        return accumulators[0] if len(accumulators) == 1 else self._fold(block, accumulators[0], accumulators[1])

    def _fold(self, block: Block, x: Operand, y: Operand) -> Operand:
        """Write the op that combines two values by the reduction. Return the result."""
        return block.let(self.op, [x, y], self.node.dtype, x.lanes)

    def _full(self) -> int:
        """Return the number of whole vectors in a row."""
        width = self.source.shape[-1]
        return width // self.lanes if isinstance(width, int) and self.lanes > 1 else 0

    def _remainder(self) -> Dim:
        """Return the number of units after the whole vectors of a row."""
        return 0 if self._is_open() else self.source.shape[-1] - self._full() * self.lanes

    def _is_masked(self) -> bool:
        """True if the units after the whole vectors of a row are reduced as a masked vector."""
        return masks_remainder(self.node, self.lanes)

    def _is_open(self) -> bool:
        """True if the number of vectors in a row is symbolic."""
        return self.lanes > 1 and not isinstance(self.source.shape[-1], int)

    def _count(self) -> int:
        """Return the number of vector accumulators."""
        is_part = self._is_masked() and self._remainder() != 0
        return 4 if self._is_open() else interleaved_vectors(self._full() + is_part)

    def _over(
        self, emitter: ValueEmitter, at: list[Coordinate], axes: list[int], carried: Sequence[Operand]
    ) -> list[Operand]:
        """Write loops that reduce ``axes`` and the last axis into accumulators. Return the accumulators after them."""
        if not axes:
            return self._row(emitter.within(emitter.block, tuple(at[:-1])), at, carried)
        axis, rest = axes[0], axes[1:]

        def iterate(nested: Block, index: Index, inner: Sequence[Operand]) -> list[Operand]:
            return self._over(emitter.within(nested), [*at[:axis], index, *at[axis + 1 :]], rest, inner)

        return folds(emitter.block, carried, self.source.shape[axis], 1, iterate)

    def _row(self, emitter: ValueEmitter, at: list[Coordinate], carried: Sequence[Operand]) -> list[Operand]:
        """Write the reduction of a row (the last axis). Return accumulators: vectors, and a scalar for single units."""
        block, lanes, count, full = emitter.block, self.lanes, self._count(), self._full()

        def element(nested: Block, strip: Coordinate, before: Operand) -> Operand:
            return self.with_value(emitter.within(nested), (*at[:-1], strip), before)

        def iterate(nested: Block, index: Index, before: Sequence[Operand]) -> list[Operand]:
            return [element(nested, Strip(index + i * lanes, lanes), item) for i, item in enumerate(before)]

        def part(nested: Block, index: Index, before: Operand) -> Operand:
            """Write code that reduces a row's last units, after its whole vectors, as a masked vector."""
            inner, width = emitter.within(nested), self.source.shape[-1]
            value = inner.spread(self.read(inner, (*at[:-1], Strip(index, lanes, width - index)), lanes), lanes)
            units = nested.let("unit", (), "int64", lanes, index=index)
            width_of_row = inner.spread(nested.let("index", (), "int64", 1, index=width), lanes)
            exists = nested.let("less", [units, width_of_row], "bool", lanes)
            neutral = Literal(self.neutral, self.node.dtype, lanes)
            value = nested.let("select", [exists, value, neutral], self.node.dtype, lanes)
            return self._fold(nested, before, value)

        vectors, rest = list(carried[:count]), list(carried[count:])
        if self._is_open():
            width = self.source.shape[-1]
            several = block.let_index("several", "floor", width, count * lanes)
            whole = block.let_index("whole", "floor", width, lanes)
            first, *others = folds(block, vectors, several, count * lanes, iterate)
            first = fold(block, first, whole, lanes, lambda *now: iterate(now[0], now[1], [now[2]])[0], several)
            return [fold(block, first, width, lanes, part, whole), *others]
        if count:
            whole = full // count * count
            vectors = folds(block, vectors, whole * lanes, count * lanes, iterate)
            for i in range(full - whole):
                vectors[i] = element(block, Strip((whole + i) * lanes, lanes), vectors[i])
            units, i = self._remainder(), full % count
            if self._is_masked() and isinstance(units, int) and units:
                strip = Strip(full * lanes, lanes, units)
                value = element(block, strip, vectors[i])
                vectors[i] = with_valid_lanes(emitter, self.node, strip, vectors[i], value)
        if rest:
            start = full * lanes
            rest = [fold(block, rest[0], self.source.shape[-1], 1, element, start=start)]
        return [*vectors, *rest]
