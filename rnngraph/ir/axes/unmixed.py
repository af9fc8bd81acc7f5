"""Axes whose positions a loop's steps compute apart, and the body of such a loop over some positions of them.

Rows of a batch, heads and channels are such axes of most recurrences: a loop may then run all steps of one position
before it begins with the next, while the state of that position stays in cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..axis_maps import Dropped, Kept, Spread
from ..graph import Graph, Node, make
from ..node import OPS
from ..scan import ScanParts
from ..types import Dim, Shape, TensorType
from .walk import fates

Place = tuple[Node, int]


@dataclass(frozen=True)
class UnmixedAxis:
    """An axis of ``size`` positions. places: which axis of a body's nodes it is; the others are the same along it."""

    size: Dim
    places: Mapping[Node, int]


def unmixed_axes(scan: Node) -> list[UnmixedAxis]:
    """The axes along which each step of a scan reads and writes one position at a time, outermost first.

    Every carried value has each of them, and so has all that steps give.
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
        for number, axis, found in fates(node):
            if isinstance(found, Kept):
                classes.join((node.operands[number], axis), (node, found.axis))
            elif not isinstance(found, Spread | Dropped):
                mixed.append((node.operands[number], axis))
    for carry in parts.carries:
        for axis in range(carry.inside.tensor.rank):
            classes.join((carry.inside, axis), (carry.next, axis))
    spoiled = {classes.root(place) for place in mixed}
    everywhere = [*(carry.inside for carry in parts.carries), *(value for _, value in body.outputs)]
    kept = [_axis(places) for root, places in classes.members().items() if root not in spoiled]
    return [item for item in kept if item is not None and all(map(item.places.__contains__, everywhere))]


def _axis(places: Sequence[Place]) -> UnmixedAxis | None:
    """The axis that lies at these places; None where a node has it twice, or its positions are one."""
    node, number = places[0]
    size = node.shape[number]
    return UnmixedAxis(size, dict(places)) if size != 1 and len(dict(places)) == len(places) else None


class _Classes:
    """Axes of nodes that are one: each is joined to a root."""

    def __init__(self) -> None:
        self._parent: dict[Place, Place] = {}

    def root(self, place: Place) -> Place:
        above = self._parent.setdefault(place, place)
        while above != place:
            place, above = above, self._parent[above]
        return place

    def join(self, one: Place, other: Place) -> None:
        self._parent[self.root(other)] = self.root(one)

    def members(self) -> dict[Place, list[Place]]:
        found: dict[Place, list[Place]] = {}
        for place in self._parent:
            found.setdefault(self.root(place), []).append(place)
        return dict(sorted(found.items(), key=lambda item: min(axis for _, axis in item[1])))


def restricted(body: Graph, axes: Sequence[tuple[UnmixedAxis, int]]) -> tuple[Graph, dict[Node, Node]]:
    """A loop's body over as many positions of each axis as its number says, and what stands for each node of before.

    Arrays among its constants become inputs, behind the others: what they hold differs from block to block.
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
                node.op, *(new[item] for item in node.operands), where=node.where, name=node.name,
                **_attributes(node, axes),
            )  # fmt: skip
    outputs = [(name, new[value]) for name, value in body.outputs]
    return Graph.of(body.name, outputs, [new[node] for node in inputs]), new


def _shape(node: Node, axes: Sequence[tuple[UnmixedAxis, int]]) -> Shape:
    shape = [*node.shape]
    for axis, size in axes:
        if node in axis.places:
            shape[axis.places[node]] = size
    return tuple(shape)


def _attributes(node: Node, axes: Sequence[tuple[UnmixedAxis, int]]) -> dict[str, Any]:
    """Attributes of a node, with the sizes that a block has."""
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
