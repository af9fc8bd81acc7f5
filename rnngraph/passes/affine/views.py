"""On which axes of a state each axis of a value lies.

A state has axes of its own, without those of size 1: the finest shape into which its step cuts it. A value that is
computed from the state has the same axes in some order, some of them merged into one, some reduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...ir.graph import Node, make
from ...ir.types import Dim, Shape, product

Group = tuple[int, ...]
"""Axes of the state that lie, in order, on one axis of a value; none where it is not known, of an axis of size 1."""
View = tuple[Group, ...]
"""A group for each axis of a value."""


class UnknownAxisError(Exception):
    """The axes of a value are not those of the state."""


def without_ones(shape: Sequence[Dim]) -> Shape:
    """Return a shape without its axes of size 1."""
    return tuple(dim for dim in shape if dim != 1)


def matched(atoms: Sequence[int], axes: Shape, shape: Sequence[Dim]) -> View:
    """Return the view of a value of ``shape`` over these axes of the state, in order.

    Raises ``UnknownAxisError`` where an axis of the value is a part of one of the state.
    """
    left = list(atoms)
    groups: list[Group] = []
    for dim in shape:
        group: list[int] = []
        while product(tuple(axes[axis] for axis in group)) != dim:
            if not left:
                raise UnknownAxisError
            group.append(left.pop(0))
        groups.append(tuple(group))
    if left:
        raise UnknownAxisError
    return tuple(groups)


def atoms_of(view: View, shape: Sequence[Dim]) -> list[int]:
    """Return the axes of the state that a value of ``shape`` has, in the value's order."""
    return [axis for group, dim in zip(view, shape, strict=True) if dim != 1 for axis in group]


def reshaped(view: View, shape: Sequence[Dim], axes: Shape, new: Sequence[Dim]) -> View:
    """Return the view of a value that was reshaped from ``shape`` to ``new``."""
    return matched(atoms_of(view, shape), axes, new)


def padded(view: View, rank: int) -> View:
    """Return the view of a value that is broadcast to ``rank`` axes."""
    return ((),) * (rank - len(view)) + view


def joined(one: View, other: View, rank: int) -> View:
    """Return the view of what two values broadcast to. Raises ``UnknownAxisError`` where they differ."""
    groups: list[Group] = []
    for a, b in zip(padded(one, rank), padded(other, rank), strict=True):
        if a and b and a != b:
            raise UnknownAxisError
        groups.append(a or b)
    return tuple(groups)


def resolved(view: View, shape: Sequence[Dim], axes: Shape) -> View:
    """Return a view in which every axis of a size other than 1 is known.

    An axis that is new to a value is the only one of the state that the value lacks and that has the size; of
    several, the one that stands between its neighbours.
    """
    groups = list(view)
    for place, dim in enumerate(shape):
        if groups[place] or dim == 1:
            continue
        present = {axis for group in groups for axis in group}
        fitting = [axis for axis, size in enumerate(axes) if size == dim and axis not in present]
        before = max((axis for group in groups[:place] for axis in group), default=-1)
        behind = min((axis for group in groups[place + 1 :] for axis in group), default=len(axes))
        between = [axis for axis in fitting if before < axis < behind]
        chosen = between if len(between) == 1 else fitting
        if len(chosen) != 1:
            raise UnknownAxisError
        groups[place] = (chosen[0],)
    return tuple(groups)


def spread(node: Node, view: View, axes: Shape) -> Node:
    """Return a value with one axis for each of the state's, of size 1 where it does not vary.

    view: of what the value is broadcast against. A number stays one.
    """
    if not node.tensor.rank:
        return node
    groups = view[len(view) - node.tensor.rank :]
    present = atoms_of(groups, node.shape)
    for group, dim in zip(groups, node.shape, strict=True):
        if dim != 1 and product(tuple(axes[axis] for axis in group)) != dim:
            raise UnknownAxisError
    made = shaped(node, tuple(axes[axis] for axis in present))
    made = transposed(made, sorted(range(len(present)), key=present.__getitem__))
    return shaped(made, tuple(size if axis in present else 1 for axis, size in enumerate(axes)))


def gathered(node: Node, view: View, shape: Sequence[Dim], axes: Shape) -> Node:
    """Return a value that has the state's axes as one of ``shape``, whose axes lie as ``view`` says."""
    wanted = atoms_of(view, shape)
    full = tuple(size if axis in wanted else 1 for axis, size in enumerate(axes))
    if node.shape != full:
        node = make("broadcast", node, where=node.where, name=node.name, shape=full)
    order = [*(axis for axis in range(len(axes)) if axis not in wanted), *wanted]
    return shaped(transposed(node, order), tuple(shape))


def spans(node: Node) -> frozenset[int]:
    """Return the axes along which a value with the state's axes varies."""
    return frozenset(axis for axis, dim in enumerate(node.shape) if dim != 1)


def shaped(node: Node, shape: Shape) -> Node:
    """Return a value reshaped, or itself."""
    return node if node.shape == shape else make("reshape", node, where=node.where, name=node.name, shape=shape)


def transposed(node: Node, order: Sequence[int]) -> Node:
    """Return a value with its axes in another order, or itself."""
    if list(order) == list(range(len(order))):
        return node
    return make("transpose", node, where=node.where, name=node.name, order=tuple(order))


def finest(shapes: Iterator[Sequence[Dim]]) -> Shape:
    """Return the shape that has the most axes, without those of size 1."""
    return max(map(without_ones, shapes), key=len)
