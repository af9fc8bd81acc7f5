"""Views: the correspondence between the axes of a value and those of a state.

The axes of a state are those of the shape with the most axes into which its step reshapes it, without axes of size 1.
An axis of a value computed from the state is one of these axes, or several merged into one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...ir.graph import Node, make
from ...ir.types import Dim, Shape, product

Group = tuple[int, ...]
"""Axes of the state that are merged, in order, into one axis of a value.

The group is empty if the value's axis has size 1, or is not known yet.
"""
View = tuple[Group, ...]
"""For each axis of a value, the group of the state's axes that it merges."""


class UnknownAxisError(Exception):
    """Raised if the axes of a value do not correspond to those of the state."""


def without_ones(shape: Sequence[Dim]) -> Shape:
    """Return a shape without axes of size 1."""
    return tuple(dim for dim in shape if dim != 1)


def matched(atoms: Sequence[int], axes: Shape, shape: Sequence[Dim]) -> View:
    """Return, for each axis of ``shape``, the axes of the state that it merges; ``atoms`` are all of these, in order.

    Raises:
        UnknownAxisError: The shape does not merge exactly these axes, such as if it splits one of them.
    """
    remaining = list(atoms)
    groups: list[Group] = []
    for dim in shape:
        group: list[int] = []
        while product(tuple(axes[axis] for axis in group)) != dim:
            if not remaining:
                raise UnknownAxisError
            group.append(remaining.pop(0))
        groups.append(tuple(group))
    if remaining:
        raise UnknownAxisError
    return tuple(groups)


def atoms_of(view: View, shape: Sequence[Dim]) -> list[int]:
    """Return the indices of the axes of the state that a value has, in the value's order."""
    return [axis for group, dim in zip(view, shape, strict=True) if dim != 1 for axis in group]


def reshaped(view: View, shape: Sequence[Dim], axes: Shape, new: Sequence[Dim]) -> View:
    """Return the view after a reshape from ``shape`` to ``new``."""
    return matched(atoms_of(view, shape), axes, new)


def padded(view: View, rank: int) -> View:
    """Add leading axes of size 1 to a view, up to ``rank``."""
    return ((),) * (rank - len(view)) + view


def joined(one: View, other: View, rank: int) -> View:
    """Return, for each of ``rank`` axes of two broadcast values, the axes of the state to which it corresponds.

    Raises:
        UnknownAxisError: The views have different groups for an axis.
    """
    groups: list[Group] = []
    for a, b in zip(padded(one, rank), padded(other, rank), strict=True):
        if a and b and a != b:
            raise UnknownAxisError
        groups.append(a or b)
    return tuple(groups)


def resolved(view: View, shape: Sequence[Dim], axes: Shape) -> View:
    """Complete a view (the state's axes in each axis of a value): find the state's axis for each unknown axis by size.

    An unknown axis becomes the axis of the state that has its size and is not in the view. If several have this size,
    only those count that lie after all axes before it, and before all axes after it.

    Raises:
        UnknownAxisError: No axis or several axes of the state fit.
    """
    groups = list(view)
    for place, dim in enumerate(shape):
        if groups[place] or dim == 1:
            continue
        present = {axis for group in groups for axis in group}
        fitting = [axis for axis, size in enumerate(axes) if size == dim and axis not in present]
        before = max((axis for group in groups[:place] for axis in group), default=-1)
        after = min((axis for group in groups[place + 1 :] for axis in group), default=len(axes))
        between = [axis for axis in fitting if before < axis < after]
        candidates = between if len(between) == 1 else fitting
        if len(candidates) != 1:
            raise UnknownAxisError
        groups[place] = (candidates[0],)
    return tuple(groups)


def spread(node: Node, view: View, axes: Shape) -> Node:
    """Reshape a value to the rank of the state, with axes of size 1 where it does not vary. A scalar is unchanged.

    Args:
        node: The value.
        view: View of the larger value against which ``node`` broadcasts.
        axes: Sizes of the state's axes.

    Raises:
        UnknownAxisError: An axis of the value is not as large as its group in ``view``.
    """
    if not node.tensor.rank:
        return node
    groups = view[len(view) - node.tensor.rank :]
    present = atoms_of(groups, node.shape)
    for group, dim in zip(groups, node.shape, strict=True):
        if dim != 1 and product(tuple(axes[axis] for axis in group)) != dim:
            raise UnknownAxisError
    result = shaped(node, tuple(axes[axis] for axis in present))
    result = transposed(result, sorted(range(len(present)), key=present.__getitem__))
    return shaped(result, tuple(size if axis in present else 1 for axis, size in enumerate(axes)))


def gathered(node: Node, view: View, shape: Sequence[Dim], axes: Shape) -> Node:
    """Reshape a value with the axes of the state to ``shape``, each axis of which merges those in ``view``."""
    value_axes = atoms_of(view, shape)
    full = tuple(size if axis in value_axes else 1 for axis, size in enumerate(axes))
    if node.shape != full:
        node = make("broadcast", node, where=node.where, name=node.name, shape=full)
    order = [*(axis for axis in range(len(axes)) if axis not in value_axes), *value_axes]
    return shaped(transposed(node, order), tuple(shape))


def spans(node: Node) -> frozenset[int]:
    """Return the axes of the state along which a value varies."""
    return frozenset(axis for axis, dim in enumerate(node.shape) if dim != 1)


def shaped(node: Node, shape: Shape) -> Node:
    """Reshape a value, unless it has the shape already."""
    return node if node.shape == shape else make("reshape", node, where=node.where, name=node.name, shape=shape)


def transposed(node: Node, order: Sequence[int]) -> Node:
    """Permute the axes of a value, unless the order is unchanged."""
    if list(order) == list(range(len(order))):
        return node
    return make("transpose", node, where=node.where, name=node.name, order=tuple(order))


def finest(shapes: Iterator[Sequence[Dim]]) -> Shape:
    """Remove the axes of size 1 from shapes, and return the shape with the most axes; the first one of several."""
    return max(map(without_ones, shapes), key=len)
