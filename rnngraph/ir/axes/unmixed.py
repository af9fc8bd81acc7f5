"""Axes along which the steps of a loop are independent, and the loop's body for a block of their positions.

In most recurrences the batch, the heads and the channels are independent axes. A loop can then run all steps for one
position of such an axis before it starts the next position, so that the state of the position stays in cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...support.records import dataclass
from ..axis_maps import Dropped, Kept, Reduced, Spread
from ..graph import Graph, Node, make
from ..node import OPS
from ..scan import ScanParts
from ..types import Dim, Shape, TensorType
from .walk import fates

Place = tuple[Node, int]


@dataclass(frozen=True)
class UnmixedAxis:
    """Independent axis of a loop, with ``size`` positions.

    ``places`` maps the nodes of the body that have the axis to its index. All other nodes are constant along it.
    """

    size: Dim
    places: Mapping[Node, int]


def unmixed_axes(scan: Node) -> list[UnmixedAxis]:
    """Return the axes of a scan, such as batch or heads, along which no step mixes positions, outermost first.

    Along such an axis, each step computes position i from position i alone. All carries and all outputs of the body
    have the axis.
    """
    body, parts = scan["body"], ScanParts.of(scan)
    classes = _Classes()
    mixed: list[Place] = []
    for node in body.nodes:
        if not isinstance(node.type, TensorType):  # an inner loop
            mixed += [(item, axis) for item in node.operands for axis in range(item.tensor.rank)]
            continue
        if node.op not in ("input", "constant"):
            mixed += [(node, axis) for axis in OPS[node.op].axes.by_place(node)]
        own, regroups = {*range(node.tensor.rank)}, False
        for number, axis, fate in fates(node):
            if isinstance(fate, Kept | Spread):
                own.discard(fate.axis)
            if isinstance(fate, Kept):
                classes.join((node.operands[number], axis), (node, fate.axis))
            elif not isinstance(fate, Spread | Dropped):
                mixed.append((node.operands[number], axis))
                regroups = regroups or not isinstance(fate, Reduced)
        if regroups:  # along its other axes, each position of the result may depend on several of the operand
            mixed += [(node, axis) for axis in own]
    for carry in parts.carries:
        for axis in range(carry.inside.tensor.rank):
            classes.join((carry.inside, axis), (carry.next, axis))
    mixed_roots = {classes.root(place) for place in mixed}
    required = [*(carry.inside for carry in parts.carries), *(value for _, value in body.outputs)]
    candidates = [_axis(places) for root, places in classes.members().items() if root not in mixed_roots]
    return [item for item in candidates if item is not None and all(map(item.places.__contains__, required))]


def _axis(places: Sequence[Place]) -> UnmixedAxis | None:
    """Return an axis that nodes share, from (node, its axis) pairs; None if its size is 1 or a node has it twice."""
    node, number = places[0]
    size = node.shape[number]
    return UnmixedAxis(size, dict(places)) if size != 1 and len(dict(places)) == len(places) else None


class _Classes:
    """Union-find structure over (node, axis) pairs."""

    def __init__(self) -> None:
        self._parent: dict[Place, Place] = {}

    def root(self, place: Place) -> Place:
        """Return the (node, axis) pair that represents the equivalence class of ``place``."""
        parent = self._parent.setdefault(place, place)
        while parent != place:
            place, parent = parent, self._parent[parent]
        return place

    def join(self, one: Place, other: Place) -> None:
        """Merge the equivalence classes of two (node, axis) pairs."""
        self._parent[self.root(other)] = self.root(one)

    def members(self) -> dict[Place, list[Place]]:
        """Return {representative pair: all (node, axis) pairs of its equivalence class}."""
        classes: dict[Place, list[Place]] = {}
        for place in self._parent:
            classes.setdefault(self.root(place), []).append(place)
        return dict(sorted(classes.items(), key=lambda item: min(axis for _, axis in item[1])))


def restricted(body: Graph, axes: Sequence[tuple[UnmixedAxis, int]]) -> tuple[Graph, dict[Node, Node]]:
    """Return a loop's body for a block of positions along ``axes``, and {node of ``body``: node of the new body}.

    Args:
        body: Body of the loop.
        axes: Pairs of an independent axis and the number of positions in a block.

    Returns:
        The restricted body, and a map from the nodes of ``body`` to their replacements. Constant arrays become inputs
        after the existing ones, because their values differ from block to block.
    """
    new: dict[Node, Node] = {}
    inputs = [*body.inputs, *(node for node in body.nodes if node.op == "constant" and node.tensor.rank)]
    for node in inputs:
        kind = node.tensor.with_shape(_shape(node, axes))
        name = node.name or node.op
        label = node.get("label", name)
        new[node] = make("input", where=node.where, name=name, label=label, type=kind)
    for node in body.nodes:
        if node not in new:
            new[node] = make(
                node.op,
                *(new[item] for item in node.operands),
                where=node.where,
                name=node.name,
                **_attributes(node, axes),
            )
    outputs = [(name, new[value]) for name, value in body.outputs]
    return Graph.of(body.name, outputs, [new[node] for node in inputs]), new


def _shape(node: Node, axes: Sequence[tuple[UnmixedAxis, int]]) -> Shape:
    """Return the shape that a node's value has in a block: the block's sizes along ``axes``."""
    shape = [*node.shape]
    for axis, size in axes:
        if node in axis.places:
            shape[axis.places[node]] = size
    return tuple(shape)


def _attributes(node: Node, axes: Sequence[tuple[UnmixedAxis, int]]) -> dict[str, Any]:
    """Return the attributes of a node, in which shapes and slices have the sizes of a block."""
    attributes = dict(node.attributes)
    if "shape" in attributes:
        attributes["shape"] = _shape(node, axes)
    if node.op == "slice":
        stop = [*node["stop"]]
        for axis, size in axes:
            if node in axis.places:
                stop[axis.places[node]] = size
        attributes["stop"] = tuple(stop)
    return attributes
