"""Code that computes a node's value at coordinates, with operands in registers or memory.

There is one coordinate for each axis. The last may be a strip: the units (positions on the last axis) of one vector. A
value that does not vary along the strip is computed as a scalar, and broadcast when it is combined with vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from ...ir.graph import Node
from ...ir.ops import OPS
from ...ir.types import Dim, Shape, size
from ...support.records import NamedTuple, dataclass
from ..analysis.node_kinds import is_strided_view, is_view, label_of
from ..buffers.views import View
from ..loop_ir.builder import Block
from ..loop_ir.nodes import Index, LetIndex, Literal, Operand, Store, Valid, Value


class Strip(NamedTuple):
    """Vector of units along an axis.

    Attributes:
        start: First unit.
        lanes: Number of units.
        valid: Number of units that exist; None if all do.
        spacing: Distance between units. In the source of a view, it may differ from 1, because views may skip or
            reverse units.
    """

    start: Index
    lanes: int
    valid: Valid = None
    spacing: int = 1


class Time(NamedTuple):
    """Index of a time step: ``local`` in the current chunk, ``absolute`` in the sequence."""

    local: Index
    absolute: Index


Coordinate = Index | Strip | Time
Coordinates = tuple[Coordinate, ...]


def absolute(coordinate: Coordinate) -> Index:
    """Return a coordinate other than a strip as an index; for a step, its index in the whole sequence."""
    assert not isinstance(coordinate, Strip)
    return coordinate.absolute if isinstance(coordinate, Time) else coordinate


def is_emitted(node: Node) -> bool:
    """True for values that readers can compute on the fly.

    Such values are scalar constants, and results of views, index arithmetic, gathers and elementwise ops.
    """
    if node.op == "constant":
        return not node.tensor.rank
    return is_view(node) or node.op in ("iota", "dimension", "gather") or OPS[node.op].kind == "elementwise"


@dataclass
class ValueEmitter:
    """Writer of nodes' values at coordinates, in one block of statements.

    Attributes:
        views: Values in memory.
        known: Values that are computed, by this emitter or by other code, such as accumulators.
        computed: Function that is True for nodes that are computed even if they are in memory.
        at: Coordinates that the loops around the block fix.
        outer: Emitter of the enclosing block, to which loop invariants are added; None for the outermost block.
    """

    block: Block
    views: Mapping[Node, View]
    known: dict[tuple[Node, Coordinates], Operand] = field(default_factory=dict)
    computed: Callable[[Node], bool] = lambda node: False
    at: Coordinates = ()
    outer: ValueEmitter | None = None

    def within(self, block: Block, at: Coordinates = ()) -> ValueEmitter:
        """Return an emitter for an inner block, around which loops also fix the coordinates ``at``."""
        return ValueEmitter(block, self.views, computed=self.computed, at=(*self.at, *at), outer=self)

    def branch(self, block: Block) -> ValueEmitter:
        """Return an emitter for an inner block, which can use the values that this emitter has computed."""
        return replace(self, block=block, known=dict(self.known))

    def value(self, node: Node, at: Coordinates) -> Operand:
        """Write code that computes or loads ``node`` at the coordinates ``at``. Return the result."""
        first, outer_origin = aligned(node.shape, at), self.block.origin
        result = self._available(node, first)
        if result is not None:
            return result
        pending = [(node, first, outer_origin)]
        while pending:  # an explicit stack, because long chains of ops would exceed Python's recursion limit
            item, place, reader = pending[-1]
            if self.outer is not None and self.outer.knows(place):
                with self.outer.block.at(reader):
                    result = self.known[item, place] = self.outer.value(item, place)
                pending.pop()
                continue
            in_memory = item in self.views and not self.computed(item)
            # Loads and views have the source line of their reader.
            origin = reader if in_memory or is_view(item) else item.where or reader
            operands: list[Operand] = []
            missing: list[tuple[Node, Coordinates]] = []
            for need in () if in_memory else self._needs(item, place):
                operand = self._available(*need)
                if operand is None:
                    missing.append(need)
                else:
                    operands.append(operand)
            if missing:
                pending += [(*need, origin) for need in reversed(missing)]
                continue
            pending.pop()
            result = self._available(item, place)
            if result is None:
                self.block.origin = origin
                if in_memory:
                    result = self._load(item, self.views[item], place)
                else:
                    result = self._compute(item, place, operands)
                self.known[item, place] = result
        self.block.origin = outer_origin
        assert result is not None
        return result

    def knows(self, at: Coordinates) -> bool:
        """True if all coordinates are constants, or fixed by the loops around the block."""
        return all(isinstance(coordinate, int) or coordinate in self.at for coordinate in at)

    def _available(self, node: Node, place: Coordinates) -> Operand | None:
        """Return the value of ``node`` at aligned coordinates if it needs no statements; else None.

        Equal positions have equal aligned coordinates.
        """
        if node.op == "constant" and not node.tensor.rank:
            return Literal(node["value"].item(), node.dtype, 1)
        return self.known.get((node, place))

    def _needs(self, node: Node, at: Coordinates) -> list[tuple[Node, Coordinates]]:
        """Return the operands, with their coordinates, that must be computed before a node that is not in memory."""
        if node.op in ("iota", "dimension"):
            return []
        if node.op == "gather":
            indices = node.operands[1]
            return [(indices, aligned(indices.shape, at[: indices.tensor.rank]))]
        if is_view(node):
            return [(node.operands[0], aligned(node.operands[0].shape, through(node, at)))]
        return [(item, aligned(item.shape, at)) for item in node.operands]

    # Memory --------------------------------------------------------------------------------------

    def _load(self, node: Node, view: View, at: Coordinates) -> Value:
        """Write a load of a node from its memory: a vector, or a scalar if it does not vary along the vector's axis."""
        name = label_of(node)
        index, unit, stride = place(view, at)
        if unit is None or stride == 0:
            return self.block.load(name, view.buffer, index, 1)
        valid = None if _has_room(view, unit, at) else unit.valid
        return self.block.load(name, view.buffer, index, unit.lanes, valid, stride)

    def store(self, value: Operand, view: View, at: Coordinates) -> None:
        """Write a store of a value to the memory ``view`` at the coordinates ``at``."""
        index, unit, stride = place(view, at)
        if unit is None:
            self.block.statements.append(Store(value, view.buffer, index, origin=self.block.origin))
            return
        valid = None if _has_room(view, unit, at) else unit.valid
        value = self.spread(value, unit.lanes)
        full = isinstance(valid, int) and valid >= unit.lanes
        valid = None if full else valid
        self.block.statements.append(Store(value, view.buffer, index, valid, stride, origin=self.block.origin))

    # Computation ---------------------------------------------------------------------------------

    def _compute(self, node: Node, at: Coordinates, operands: Sequence[Operand]) -> Operand:
        """Write code that computes a node at ``at`` from the operands that it needs. Return the result."""
        if node.op == "iota":
            return self._index(at[0])
        if node.op == "dimension":
            return self.block.let("index", (), "int64", 1, index=node["size"])
        if is_view(node):
            return operands[0]
        if node.op == "gather":
            return self._gather(node, at, operands[0])
        return self.apply(node, operands)

    def apply(self, node: Node, operands: Sequence[Operand]) -> Operand:
        """Write one elementwise op on computed operands. Return its result. Scalars are broadcast beside vectors."""
        lanes = max((item.lanes for item in operands), default=1)
        spread = [self.spread(item, lanes) for item in operands]
        attributes = {key: value for key, value in node.attributes if key in ("site", "salt")}
        return self.block.let(node.op, spread, node.dtype, lanes, comment=node.name, **attributes)

    def spread(self, value: Operand, lanes: int) -> Operand:
        """Return ``value`` as a vector of ``lanes`` lanes, broadcast if it is a scalar."""
        if value.lanes == lanes:
            return value
        if isinstance(value, Literal):
            return Literal(value.value, value.dtype, lanes)
        return self.block.let("splat", [value], value.dtype, lanes)

    def _index(self, coordinate: Coordinate) -> Operand:
        """Write code for a coordinate as an int64 scalar or vector, the result of an ``iota``. Return the value."""
        if isinstance(coordinate, Strip) and coordinate.lanes > 1:
            if coordinate.spacing == 1:
                return self.block.let("unit", (), "int64", coordinate.lanes, index=coordinate.start)
            lane = self.block.let("unit", (), "int64", coordinate.lanes, index=0)
            spacing = Literal(coordinate.spacing, "int64", coordinate.lanes)
            lane_offset = self.block.let("mul", [lane, spacing], "int64", coordinate.lanes)
            start = self.block.let("index", (), "int64", 1, index=coordinate.start)
            return self.block.let("add", [lane_offset, self.spread(start, coordinate.lanes)], "int64", coordinate.lanes)
        index = coordinate.start if isinstance(coordinate, Strip) else absolute(coordinate)
        return self.block.let("index", (), "int64", 1, index=index)

    def _gather(self, node: Node, at: Coordinates, position: Operand) -> Operand:
        """Write code that loads a gather's entry from the table, at a position known at run time. Return the entry."""
        table, indices = node.operands
        rank = indices.tensor.rank
        assert position.lanes == 1, "a gather can't read a vector of indices"
        name = self.block.fresh("row")
        self.block.add(LetIndex(name, "of", 0, table.shape[0], position))
        return self.value(table, (size(name), *at[rank:]))


def _has_room(view: View, unit: Strip, at: Coordinates) -> bool:
    """True if the memory of a whole strip may be read and written, so that no mask is needed."""
    if unit.valid is None:
        return True
    # Only the last strip of a row has invalid lanes. It needs padding after the row, which a column does not have.
    return (
        at[-1] is unit
        and unit.spacing == 1
        and view.room is not None
        and isinstance(unit.start, int)
        and unit.start + unit.lanes <= view.room
    )


def place(view: View, at: Coordinates) -> tuple[Index, Strip | None, Index]:
    """Return (index in a view's buffer, vector's strip or None, stride between lanes) for coordinates.

    If the coordinates have no strip of several lanes, the strip is None and the stride 0.
    """
    index: Index = view.offset
    unit: Strip | None = None
    stride: Index = 0
    for axis, coordinate in enumerate(at):
        step = view.strides[axis]
        if isinstance(coordinate, Strip):
            index = index + step * coordinate.start
            if coordinate.lanes > 1:
                unit, stride = coordinate, step * coordinate.spacing
        elif isinstance(coordinate, Time):
            index = index + step * (coordinate.local if view.local and axis == 0 else coordinate.absolute)
        else:
            index = index + step * coordinate
    return index, unit, stride


def aligned(shape: Shape, at: Coordinates) -> Coordinates:
    """Return the coordinates in an operand of ``shape``, which is broadcast to the shape that ``at`` belongs to.

    Leading coordinates are dropped if the operand has fewer axes. The coordinate on an axis of size 1 is 0.
    """
    own = at[len(at) - len(shape) :]
    if 1 not in shape:
        return own
    return tuple(0 if dim == 1 else coordinate for dim, coordinate in zip(shape, own, strict=True))


def through(node: Node, at: Coordinates) -> Coordinates:
    """Return the coordinates in a movement op's operand of the element that is at ``at`` in its result."""
    source = node.operands[0].shape
    match node.op:
        case "broadcast":
            return aligned(source, at)
        case "transpose":
            return tuple(at[node["order"].index(axis)] for axis in range(len(source)))
        case "reverse":
            axis = node["axis"]
            return tuple(scale_and_shift(c, -1, source[a] - 1) if a == axis else c for a, c in enumerate(at))
        case "windows":
            axis = node["axis"]
            window, inside = scale_and_shift(at[axis], node["step"], 0), scale_and_shift(at[axis + 1], node["apart"], 0)
            if isinstance(inside, Strip):
                window, inside = inside, window
            return (*at[:axis], scale_and_shift(window, 1, absolute(inside)), *at[axis + 2 :])
        case "slice":
            return tuple(
                scale_and_shift(coordinate, jump, first)
                for coordinate, first, jump in zip(at, node["start"], node["step"], strict=True)
            )
    assert is_strided_view(node), f"{node} merges axes, so it can't be inlined"
    parts = [(dim, coordinate) for dim, coordinate in zip(node.shape, at, strict=True) if dim != 1]
    return tuple(0 if dim == 1 else _of_split_axis(dim, parts) for dim in source)


def _of_split_axis(extent: Dim, parts: list[tuple[Dim, Coordinate]]) -> Coordinate:
    """Return the coordinate before a reshape on an axis of size ``extent`` that the reshape splits into ``parts``.

    ``parts`` has the sizes and coordinates of the axes after the split. The axes that form this axis are removed.
    """
    whole, position = parts.pop(0)
    while whole != extent:
        dim, coordinate = parts.pop(0)
        assert isinstance(dim, int), "an axis of symbolic size can't be split"
        if isinstance(coordinate, Strip):
            position = scale_and_shift(coordinate, 1, absolute(position) * dim)
        else:
            position = scale_and_shift(position, dim, absolute(coordinate))
        whole = whole * dim
    return position


def scale_and_shift(coordinate: Coordinate, jump: int, first: Index) -> Coordinate:
    """Return ``coordinate * jump + first``."""
    if first == 0 and jump == 1:
        return coordinate
    if isinstance(coordinate, Strip):
        start, spacing = coordinate.start * jump + first, coordinate.spacing * jump
        return coordinate._replace(start=start, spacing=spacing)
    return absolute(coordinate) * jump + first
