"""Loop nests for the steps of a region: phases over register tiles, reductions, joins and copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..ir.graph import Node
from ..ir.types import FLOATS, ITEM_BYTES, Dim, Shape, Size, size
from .evaluate import Coordinate, Coordinates, Evaluator, Run, Time, aligned, label_of, place, through
from .loops import Block, Buffer, Contract, Fold, For, Index, LetIndex, Literal, Operand, Value, When
from .panels import Panels
from .phases import Step
from .target import Target
from .tiles import balanced, tile_shape
from .views import View

OPEN_DEPTH = 256  # what is assumed of a number of k that is known at run time only
LOWEST = {"float32": float("-inf"), "float64": float("-inf"), "int32": -(2**31), "int64": -(2**63)}
HIGHEST = {"float32": float("inf"), "float64": float("inf"), "int32": 2**31 - 1, "int64": 2**63 - 1}


@dataclass
class Region:
    """Where kernels are generated: what lies in memory, and what the first axis means.

    length: the size of the time axis if the region runs in chunks of time; ``start`` and ``steps`` are then
    the chunk's first step and its number of steps. stores: every place a value must be written to.
    """

    target: Target
    panels: Panels
    views: dict[Node, View]
    stores: dict[Node, list[View]] = field(default_factory=dict)
    length: Dim | None = None
    start: Index = 0
    steps: Index = 0

    def is_time(self, shape: Shape, axis: int) -> bool:
        return self.length is not None and axis == 0 and len(shape) > 1 and shape[0] == self.length


Rows = list[Coordinates]
Emit = Callable[[Block, Coordinates], None]


def _fresh(block: Block, name: str) -> str:
    return block.fresh(name).replace(".", "")


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
    variable, inner = _fresh(block, name), block.nested()
    body(inner, size(variable))
    block.add(For(variable, start, stop, step, tuple(inner.statements), comment))


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
    sizes = [ITEM_BYTES[node.dtype] for node in nodes if node.dtype in FLOATS] or [8]
    if not isinstance(width, int):
        return 1
    lanes = target.lanes(min(sizes))
    while lanes > 1 and lanes // 2 >= width:
        lanes //= 2
    return lanes


# Phases ---------------------------------------------------------------------------------------------


def emit_step(region: Region, block: Block, step: Step) -> None:
    match step.kind:
        case "phase":
            _phase(region, block, step)
        case "reduce":
            _reduce(region, block, step.members[0])
        case "concat":
            _concat(region, block, step.members[0])
        case "copy":
            _copy(region, block, step.members[0])
        case _:
            raise AssertionError(step.kind)


def _phase(region: Region, block: Block, step: Step) -> None:
    members = set(step.members)
    products = [node for node in step.members if node.op == "matmul"]
    shape = step.shape
    width = shape[-1] if shape else 1
    lanes = lanes_for(region.target, step.members, width)
    if any(node.op == "gather" and node.operands[0].tensor.rank == 1 for node in step.members):
        lanes = 1
    if not products:
        elementwise(region, block, shape, lanes, step.members, lambda node: node in members)
        return
    _Tiles(region, block, step, products, lanes).emit()


def elementwise(
    region: Region,
    block: Block,
    shape: Shape,
    lanes: int,
    nodes: Sequence[Node],
    computed: Callable[[Node], bool],
) -> None:
    """A phase without products: row after row, block after block."""

    def row(inner: Block, at: list[Coordinate]) -> None:
        for nested, run in runs(inner, shape[-1] if shape else None, lanes):
            evaluator = Evaluator(nested, region.views, computed=computed)
            where: Coordinates = (*at[:-1], run) if shape else ()
            values = [(node, evaluator.value(node, where)) for node in nodes if node in region.stores]
            for node, value in values:
                for view in region.stores[node]:
                    evaluator.store(value, view, where)

    over_axes(region, block, shape, range(len(shape) - 1), [0] * len(shape), row)


def runs(block: Block, width: Dim | None, lanes: int) -> Iterator[tuple[Block, Run]]:
    """Runs of units that cover ``width``: a loop over full ones, then the rest."""
    if width is None:
        yield block, Run(0, 1)
        return
    if not isinstance(width, int):
        variable, inner = _fresh(block, "u"), block.nested()
        yield inner, Run(size(variable), 1)
        block.add(For(variable, 0, width, 1, tuple(inner.statements)))
        return
    full = width // lanes
    if full == 1:
        yield block, Run(0, lanes)
    elif full > 1:
        variable, inner = _fresh(block, "u"), block.nested()
        yield inner, Run(size(variable), lanes)
        block.add(For(variable, 0, full * lanes, lanes, tuple(inner.statements)))
    if width % lanes:
        yield block, Run(full * lanes, lanes, width - full * lanes)


@dataclass
class _Group:
    """Products that one loop over k computes: they share their left operand and its depth."""

    left: Node
    products: list[Node]


class _Tiles:
    """A phase with products, over tiles of rows x blocks of units x gates."""

    def __init__(self, region: Region, block: Block, step: Step, products: list[Node], lanes: int) -> None:
        self.region, self.block, self.step, self.lanes = region, block, step, lanes
        self.products = products
        self.members = set(step.members)
        self.shape = step.shape
        self.width = int(str(step.shape[-1]))
        self.groups = self._grouped()
        starts = {node.operands[2] for node in products if len(node.operands) == 3}
        gates = max(1, sum(node not in starts for node in products))
        self.row_axis = self._row_axis()
        rows = self._extent(self.row_axis) if self.row_axis is not None else 1
        padded_blocks = -(-self.width // lanes)
        depths = [dim for node in products if isinstance(dim := node.operands[0].shape[-1], int)]
        self.tile = tile_shape(region.target, gates, padded_blocks, rows, max(depths, default=OPEN_DEPTH))

    def _extent(self, axis: int) -> Dim:
        return self.region.steps if self.region.is_time(self.shape, axis) else self.shape[axis]

    def _row_axis(self) -> int | None:
        """The axis that tiles run along: the last one with several rows, else the open one."""
        outer = range(len(self.shape) - 1)
        several = [axis for axis in outer if isinstance(dim := self._extent(axis), int) and dim > 1]
        open_axes = [axis for axis in outer if isinstance(self._extent(axis), Size)]
        return several[-1] if several else open_axes[-1] if open_axes else None

    def _grouped(self) -> list[_Group]:
        """Products in an order in which each starts from what is there."""
        depth: dict[Node, int] = {}
        in_phase = set(self.products)

        def after(node: Node) -> int:
            """The turn after which a value of this phase is known."""
            if node not in self.members:
                return 0
            if node not in depth:
                if node in in_phase:
                    depth[node] = 1 + max([after(item) for item in node.operands[2:]], default=0)
                else:
                    depth[node] = max([after(item) for item in node.operands], default=0)
            return depth[node]

        groups: dict[object, _Group] = {}
        for node in sorted(self.products, key=after):
            view = self.region.views[node.operands[0]]
            right = self.region.views[node.operands[1]]
            form = None if self.region.panels.packs(right) else right.strides
            key = (after(node), view, node.operands[0].shape[-1], form)
            groups.setdefault(key, _Group(node.operands[0], [])).products.append(node)
        return list(groups.values())

    def emit(self) -> None:
        lanes, tile = self.lanes, self.tile
        edge = self.width % lanes if self._has_edge() else 0
        blocks = -(-self.width // lanes)
        whole = (blocks - (1 if edge else 0)) // tile.blocks  # groups that one loop can cover
        span = tile.blocks * lanes

        def group(nested: Block, start: Index) -> None:
            self._rows(nested, start, tile.blocks, [None] * tile.blocks, 0)

        loop(self.block, "u", whole * span, group, 0, span)
        first = whole * tile.blocks
        while first < blocks:
            count = min(tile.blocks, blocks - first)
            valid: list[int | None] = [None] * count
            if edge and first + count == blocks:
                valid[-1] = edge
            self._rows(self.block, first * lanes, count, valid, first)
            first += count

    def _has_edge(self) -> bool:
        """Whether some memory that the phase touches ends where the units end, without padding."""
        if self.width % self.lanes == 0:
            return False
        padded = -(-self.width // self.lanes) * self.lanes
        touched = [view for node in self.step.members for view in self.region.stores.get(node, [])]
        for node in self.step.members:
            for operand in node.operands:
                view = self.region.views.get(operand)
                is_left = node.op == "matmul" and operand is node.operands[0]
                if (
                    view is not None
                    and operand not in self.members
                    and view.shape[-1:] == (self.width,)
                    and not is_left
                ):
                    if node.op == "matmul" and operand is node.operands[1] and self.region.panels.packs(view):
                        continue
                    touched.append(view)
                elif view is None and operand not in self.members:
                    return True  # computed in place from memory of its own; stay careful
        return any(view.room is None or view.room < padded for view in touched)

    def _rows(self, block: Block, start: Index, blocks: int, valid: list[int | None], first: int) -> None:
        """Tiles over all rows for one group of blocks of units."""
        axis = self.row_axis
        others = [other for other in range(len(self.shape) - 1) if other != axis]

        def tiles(nested: Block, at: list[Coordinate]) -> None:
            if axis is None:
                self._tile(nested, [at[:-1]], start, blocks, valid, first)
                return
            extent = self._extent(axis)
            if isinstance(extent, int):
                offset = 0
                for height, number in balanced(extent, self.tile.rows):
                    self._row_loop(
                        nested,
                        at,
                        axis,
                        offset,
                        offset + height * number,
                        height,
                        start,
                        blocks,
                        valid,
                        first,
                    )
                    offset += height * number
                return
            height = self.tile.rows
            whole: Index = 0
            if height > 1:
                name = _fresh(nested, "whole")
                nested.add(LetIndex(name, "floor", extent, height))
                whole = size(name)
                self._row_loop(nested, at, axis, 0, whole, height, start, blocks, valid, first)
            self._row_loop(nested, at, axis, whole, extent, 1, start, blocks, valid, first)

        over_axes(self.region, block, self.shape, others, [0] * len(self.shape), tiles)

    def _row_loop(
        self, block: Block, at: list[Coordinate], axis: int, begin: Index, end: Index, height: int,
        start: Index, blocks: int, valid: list[int | None], first: int,
    ) -> None:  # fmt: skip
        def body(nested: Block, row: Index) -> None:
            rows = []
            for offset in range(height):
                index = row + offset
                coordinate: Coordinate = index
                if self.region.is_time(self.shape, axis):
                    coordinate = Time(index, self.region.start + index)
                rows.append([*at[:axis], coordinate, *at[axis + 1 : -1]])
            self._tile(nested, rows, start, blocks, valid, first)

        loop(block, "r", end, body, begin, height)

    def _tile(
        self, block: Block, rows: Sequence[Sequence[Coordinate]], start: Index, blocks: int,
        valid: list[int | None], first: int,
    ) -> None:  # fmt: skip
        region, lanes = self.region, self.lanes
        evaluator = Evaluator(block, region.views, computed=lambda node: node in self.members)
        cells = [
            [(*row, Run(start + number * lanes, lanes, valid[number])) for number in range(blocks)] for row in rows
        ]
        for group in self.groups:
            self._contract(evaluator, group, rows, cells, start, blocks, valid, first)
        for row in cells:
            for at in row:
                stored = [node for node in self.step.members if node in region.stores]
                for node in stored:
                    value = evaluator.value(node, at)
                    for view in region.stores[node]:
                        evaluator.store(value, view, at)

    def _contract(
        self, evaluator: Evaluator, group: _Group, rows: Sequence[Sequence[Coordinate]],
        cells: list[list[Coordinates]], start: Index, blocks: int, valid: list[int | None], first: int,
    ) -> None:  # fmt: skip
        block, lanes = evaluator.block, self.lanes
        left = self.region.views[group.left]
        dtype = group.products[0].dtype
        results: list[tuple[Value, ...]] = []
        starts: list[tuple[Operand, ...]] = []
        for row in cells:
            row_results, row_starts = [], []
            for node in group.products:
                for at in row:
                    begin: Operand = Literal(0.0, dtype, lanes)
                    if len(node.operands) == 3:
                        source = node.operands[2]
                        begin = evaluator.spread(evaluator.value(source, aligned(source.shape, at)), lanes)
                    result = Value(block.fresh(label_of(node)), dtype, lanes)
                    row_starts.append(begin)
                    row_results.append(result)
                    evaluator.given[node, aligned(node.shape, at)] = result
            results.append(tuple(row_results))
            starts.append(tuple(row_starts))
        lefts = []
        for outer in rows:
            index, _, _ = place(left, (*aligned(group.left.shape[:-1], tuple(outer)), 0))
            lefts.append((left.buffer, index))
        depth = group.left.shape[-1]
        right, right_stride, lane_stride, limits = self._right(group, start, blocks, valid, first, depth)
        block.add(
            Contract(
                tuple(results), tuple(starts), tuple(lefts), left.strides[-1], depth, right, right_stride,
                lane_stride, limits, self.tile.unroll,
                " and ".join(dict.fromkeys(str(node.where) for node in group.products)),
            )
        )  # fmt: skip

    def _right(
        self, group: _Group, start: Index, blocks: int, valid: list[int | None], first: int, depth: Dim
    ) -> tuple[tuple[tuple[Buffer, Index], ...], Index, Index, tuple[int | None, ...]]:
        """Where the right operands' columns lie: in a packed panel, or in rows as they are."""
        region, lanes = self.region, self.lanes
        views = [region.views[node.operands[1]] for node in group.products]
        if all(map(region.panels.packs, views)):
            panel = region.panels.panel(tuple(views), self.width, lanes, self.tile.blocks)
            base = start * (panel.depth * len(views))  # each unit takes depth x gates elements
            places = tuple(
                (panel.buffer, base + (gate * blocks + number) * lanes)
                for gate in range(len(views))
                for number in range(blocks)
            )
            return places, len(views) * blocks * lanes, 1, (None,) * len(places)
        columns: list[tuple[Buffer, Index]] = []
        limits: list[int | None] = []
        for view in views:
            for number in range(blocks):
                columns.append((view.buffer, view.offset + (start + number * lanes) * view.strides[1]))
                roomy = view.room is not None and view.room >= -(-self.width // lanes) * lanes
                limits.append(None if roomy else valid[number])
        right_stride, lane_stride = views[0].strides
        return tuple(columns), right_stride, lane_stride, tuple(limits)


# Reductions, joins and copies ---------------------------------------------------------------------


def _reduce(region: Region, block: Block, node: Node) -> None:
    source = node.operands[0]
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

    def folded(inner: Block, at: list[Coordinate], remaining: list[int], begin: Operand) -> Operand:
        """``begin`` combined with everything under ``remaining`` axes, in order."""
        if not remaining:
            if last in axes:
                return across_units(inner, at, begin)
            evaluator = Evaluator(inner, region.views)
            value = evaluator.spread(evaluator.value(source, tuple(at)), begin.lanes)
            return inner.let(op, [begin, value], node.dtype, begin.lanes)
        axis, rest = remaining[0], remaining[1:]
        is_time = region.is_time(shape, axis)

        def turn(nested: Block, index: Index, carried: Operand) -> Operand:
            here: Coordinate = Time(index, region.start + index) if is_time else index
            return folded(nested, [*at[:axis], here, *at[axis + 1 :]], rest, carried)

        return fold(inner, begin, region.steps if is_time else shape[axis], 1, turn)

    def across_units(inner: Block, at: list[Coordinate], begin: Operand) -> Operand:
        width = shape[last]
        lanes = lanes_for(region.target, [node, source], width)
        full = width // lanes if isinstance(width, int) and lanes > 1 and width >= lanes else 0

        def element(nested: Block, run: Coordinate, carried: Operand) -> Operand:
            evaluator = Evaluator(nested, region.views)
            value = evaluator.spread(evaluator.value(source, (*at[:-1], run)), carried.lanes)
            return nested.let(op, [carried, value], node.dtype, carried.lanes)

        if full:
            start = Literal(neutral, node.dtype, lanes)
            lanewise = fold(inner, start, full * lanes, lanes, lambda n, i, c: element(n, Run(i, lanes), c))
            total = inner.let("across", [lanewise], node.dtype, 1, combine=op)
            begin = inner.let(op, [begin, total], node.dtype, 1)
        rest = full * lanes
        if isinstance(width, int) and rest == width:
            return begin
        return fold(inner, begin, width, 1, lambda n, i, c: element(n, i, c), start=rest)

    def at_kept(inner: Block, at: list[Coordinate]) -> None:
        if last in axes or last < 0:
            value = folded(inner, at, reduced, Literal(neutral, node.dtype, 1))
            _store_all(region, inner, node, value, result_at(at))
            return
        lanes = lanes_for(region.target, [node], shape[last])
        for nested, run in runs(inner, shape[last], lanes):
            here = [*at[:-1], run]
            value = folded(nested, here, reduced, Literal(neutral, node.dtype, run.lanes))
            _store_all(region, nested, node, value, result_at(here))

    over_axes(region, block, shape, kept, [0] * (last + 1), at_kept)


def fold(
    block: Block,
    begin: Operand,
    stop: Index,
    step: int,
    body: Callable[[Block, Index, Operand], Operand],
    start: Index = 0,
) -> Operand:
    """A loop that carries one value."""
    variable, inner = _fresh(block, "i"), block.nested()
    carried = Value(block.fresh("acc"), begin.dtype, begin.lanes)
    result = Value(block.fresh("total"), begin.dtype, begin.lanes)
    after = body(inner, size(variable), carried)
    block.add(Fold((result,), (carried,), (begin,), variable, start, stop, step, tuple(inner.statements), (after,)))
    return result


def _store_all(region: Region, block: Block, node: Node, value: Operand, at: Coordinates) -> None:
    evaluator = Evaluator(block, region.views)
    for view in region.stores[node]:
        evaluator.store(value, view, at)


def _concat(region: Region, block: Block, node: Node) -> None:
    axis, offset = node["axis"], 0
    for piece in node.operands:
        start = tuple(offset if a == axis else 0 for a in range(node.tensor.rank))
        stop = tuple(offset + piece.shape[axis] if a == axis else dim for a, dim in enumerate(node.shape))
        views = [
            replace(view.slice(start, stop, (1,) * node.tensor.rank), room=None, local=view.local)
            for view in region.stores[node]
        ]
        copy_to(region, block, piece, views)
        offset = offset + piece.shape[axis]


def copy_to(region: Region, block: Block, node: Node, views: Sequence[View]) -> None:
    """Writes a value, from memory or computed in place, to ``views``."""
    lanes = lanes_for(region.target, [node], node.shape[-1] if node.shape else 1)
    part = Region(
        region.target,
        region.panels,
        region.views,
        {node: list(views)},
        region.length,
        region.start,
        region.steps,
    )
    elementwise(part, block, node.shape, lanes, [node], lambda item: False)


def _copy(region: Region, block: Block, node: Node) -> None:
    """A movement op that strides can't express, or the one step that is picked out of a sequence."""
    source = node.operands[0]
    if node.op == "slice" and region.length is not None and node.shape[0] == 1:
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

        over_axes(region, inner, node.shape, range(1, node.tensor.rank - 1), [0] * node.tensor.rank, body)
        block.add(When(step, region.start, region.start + region.steps, tuple(inner.statements)))
        return
    if node.op == "reshape":
        views = [View.contiguous(view.buffer, source.shape) for view in region.stores[node]]
        copy_to(region, block, source, views)
        return
    lanes = lanes_for(region.target, [node], node.shape[-1])
    elementwise(region, block, node.shape, lanes, [node], lambda item: item is node)
