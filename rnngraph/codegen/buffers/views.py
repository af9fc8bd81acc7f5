"""Views: a tensor in memory as a buffer, an offset and strides. Movement ops become views, not copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from ...ir.graph import Node
from ...ir.node import inverse_order
from ...ir.sizes.polynomial import ceil_divide
from ...ir.types import Dim, Shape, product, quotient
from ...support.records import dataclass
from ..loop_ir.nodes import Buffer, Index


@dataclass(frozen=True)
class View:
    """Tensor in memory. Offset and strides count elements.

    Attributes:
        room: Elements that may be read from the start of a row, including padding; None if unknown.
        local: True if the first axis counts from the start of the present chunk of time, not of the sequence.
    """

    buffer: Buffer
    offset: Index
    strides: tuple[Index, ...]
    shape: Shape
    room: int | None = None
    local: bool = False

    @staticmethod
    def contiguous(buffer: Buffer, shape: Shape) -> View:
        """Return the view of a contiguous array."""
        strides = tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))
        return View(buffer, 0, strides, shape)

    @staticmethod
    def padded(buffer: Buffer, shape: Shape, row: int) -> View:
        """Return the view of an array whose rows are padded to ``row`` elements."""
        inner = (*shape[:-1], row)
        strides = tuple(product(inner[axis + 1 :]) for axis in range(len(shape)))
        return View(buffer, 0, strides, shape, row)

    def as_contiguous(self, shape: Shape) -> View | None:
        """Return a view of the same elements in another shape; None if they are not contiguous in memory."""
        if self.strides != View.contiguous(self.buffer, self.shape).strides:
            return None
        return replace(View.contiguous(self.buffer, shape), offset=self.offset)

    def slice(self, start: Sequence[Dim], stop: Sequence[Dim], step: Sequence[int]) -> View:
        offset, strides, shape, room = self.offset, [], [], self.room
        for axis, (first, last, jump) in enumerate(zip(start, stop, step, strict=True)):
            offset = offset + first * self.strides[axis]
            strides.append(self.strides[axis] * jump)
            shape.append(ceil_divide(last - first, jump))
        if room is not None:
            first = start[-1] if start else 0
            room = room - first if isinstance(first, int) and step[-1] == 1 else None
        return replace(self, offset=offset, strides=tuple(strides), shape=tuple(shape), room=room)

    def windows(self, axis: int, size: int, step: int, dilation: int) -> View:
        """Return the view of overlapping windows along an axis. Two axes replace it: window, and position in it."""
        stride, room = self.strides[axis], self.room if axis < len(self.shape) - 1 else None
        strides = (*self.strides[:axis], stride * step, stride * dilation, *self.strides[axis + 1 :])
        count = ceil_divide(self.shape[axis] - dilation * (size - 1), step)
        shape = (*self.shape[:axis], count, size, *self.shape[axis + 1 :])
        return replace(self, strides=strides, shape=shape, room=room)

    def reverse(self, axis: int) -> View:
        strides = list(self.strides)
        offset = self.offset + (self.shape[axis] - 1) * strides[axis]
        strides[axis] = strides[axis] * -1
        room = None if axis == len(strides) - 1 else self.room
        return replace(self, offset=offset, strides=tuple(strides), room=room)

    def transpose(self, order: Sequence[int]) -> View:
        room = self.room if order[-1] == len(order) - 1 else None
        return replace(
            self,
            strides=tuple(self.strides[axis] for axis in order),
            shape=tuple(self.shape[axis] for axis in order),
            room=room,
        )

    def broadcast(self, shape: Shape) -> View:
        """Return the view broadcast to ``shape``, by strides of 0."""
        extra = len(shape) - len(self.shape)
        strides: list[Index] = [0] * extra
        for extent, wanted, stride in zip(self.shape, shape[extra:], self.strides, strict=True):
            strides.append(0 if extent == 1 and wanted != 1 else stride)
        same_last = bool(self.shape) and bool(shape) and self.shape[-1] == shape[-1]
        return replace(self, strides=tuple(strides), shape=shape, room=self.room if same_last else None)

    def reshape(self, shape: Shape) -> View | None:
        """Return the view in another shape; None if strides cannot express it."""
        old = [(dim, stride) for dim, stride in zip(self.shape, self.strides, strict=True) if dim != 1]
        new = [dim for dim in shape if dim != 1]
        strides: list[Index] = []
        position = 0
        while new:
            if position >= len(old):
                return None
            group, new_group = [old[position]], [new.pop(0)]
            position += 1
            have, want = group[0][0], new_group[0]
            while have != want:
                if _is_part(have, want) and position < len(old):
                    group.append(old[position])
                    have = have * old[position][0]
                    position += 1
                elif new:
                    new_group.append(new.pop(0))
                    want = want * new_group[-1]
                elif position < len(old):
                    group.append(old[position])
                    have = have * old[position][0]
                    position += 1
                else:
                    return None
            for (_, outer), (dim, inner) in pairwise(group):
                if outer != inner * dim:
                    return None
            stride = group[-1][1]
            inner_strides: list[Index] = []
            for dim in reversed(new_group):
                inner_strides.insert(0, stride)
                stride = stride * dim
            strides.extend(inner_strides)
        if position != len(old):
            return None
        full: list[Index] = []
        iterator = iter(strides)
        for dim in shape:
            full.append(0 if dim == 1 else next(iterator))
        keeps_rows = bool(shape) and bool(self.shape) and shape[-1] == self.shape[-1] and shape[-1] != 1
        return replace(self, strides=tuple(full), shape=tuple(shape), room=self.room if keeps_rows else None)

    def lies_at(self, other: View) -> bool:
        """True if two views of one shape have each element at the same address."""
        return (self.buffer, self.offset, self.strides) == (other.buffer, other.offset, other.strides)

    def first_axis(self, position: Index) -> View:
        """Return the view of one position of the first axis, without that axis."""
        offset = self.offset + self.strides[0] * position
        return View(self.buffer, offset, self.strides[1:], self.shape[1:], self.room)


def common_refinement(left: Shape, right: Shape) -> Shape | None:
    """Return the shape into which the axes of both shapes can be split, such as (3, 5, 6) for (3, 30) and (15, 6).

    Axes of size 1 are ignored. Return None if there is no such shape, as for (4, 6) and (3, 8).
    """
    first, second = [dim for dim in left if dim != 1], [dim for dim in right if dim != 1]
    parts: list[Dim] = []
    while first and second:
        extent, other = first.pop(), second.pop()
        if extent == other:
            parts.insert(0, extent)
        elif (rest := quotient(other, extent)) is not None:
            parts.insert(0, extent)
            second.append(rest)
        elif (rest := quotient(extent, other)) is not None:
            parts.insert(0, other)
            first.append(rest)
        else:
            return None
    return None if first or second else tuple(parts)


def _is_part(have: Dim, want: Dim) -> bool:
    """True if an axis of size ``have`` must be merged with the next one to reach the size ``want``."""
    if isinstance(have, int):
        return not isinstance(want, int) or have < want
    return quotient(want, have) is not None


def view_through(node: Node, source: View) -> View | None:
    """Return the view of a movement op's result in the memory of its ``source``; None if strides cannot express it."""
    match node.op:
        case "slice":
            return source.slice(node["start"], node["stop"], node["step"])
        case "windows":
            return source.windows(node["axis"], node["size"], node["step"], node["apart"])
        case "reverse":
            return source.reverse(node["axis"])
        case "transpose":
            return source.transpose(node["order"])
        case "broadcast":
            return source.broadcast(node["shape"])
    return source.reshape(node["shape"])


def parts_of(node: Node, whole: View) -> list[View]:
    """Return the operands of a concatenation as views of its memory ``whole``."""
    axis, offset, parts = node["axis"], 0, list[View]()
    for piece in node.operands:
        end = offset + piece.shape[axis]
        start = tuple(offset if a == axis else 0 for a in range(node.tensor.rank))
        stop = tuple(end if a == axis else dim for a, dim in enumerate(node.shape))
        parts.append(whole.slice(start, stop, (1,) * node.tensor.rank))
        offset = end
    return parts


def written_at(node: Node, view: View, is_computed: Callable[[Node], bool]) -> tuple[Node, View]:
    """Return the source of ``node`` before transposes and reshapes, and the location of the source.

    Written to that location, the source appears as ``node`` at ``view``.

    Args:
        node: Result of transposes and reshapes.
        view: Location of ``node``.
        is_computed: Function that is True for values at which to stop.
    """
    *_, last = places_of_sources(node, view, is_computed)
    return last


def places_of_sources(node: Node, view: View, is_computed: Callable[[Node], bool]) -> Iterator[tuple[Node, View]]:
    """Yield ``node``, the operand of the transpose or reshape that computes it, and so on, each with its location.

    ``node`` is at ``view``. The last value is the result of another op, or one for which ``is_computed`` is True. A
    reshape is last, too, if strides cannot express its operand there.
    """
    yield node, view
    while not is_computed(node) and node.op in ("transpose", "reshape"):
        before = node.operands[0]
        if node.op == "transpose":
            view = view.transpose(inverse_order(node["order"]))
        else:
            reshaped = view.reshape(before.shape)
            if reshaped is None:
                break
            view = reshaped
        node = before
        yield node, view
