"""separate_axes: compute over two axes in place of their product, where the product is split again.

Nets merge two axes by a reshape, run ops along other axes, and split the merged axis. A 2-D convolution over [batch,
rows, columns, channels], for example, is a 1-D convolution over [batch * rows, columns, channels]. If values between
the two reshapes are padded or cut, merging copies them. With separate axes they are views.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...ir.graph import Graph, Node, make, map_bodies, remake, rewrite
from ...ir.node import is_scalar_broadcast
from ...ir.ops import OPS
from ...ir.types import Shape
from ...support.records import dataclass

_VIEWS = frozenset(("reshape", "transpose", "slice", "broadcast", "constant"))
_COPIES = frozenset(("concat", "windows"))
"""Ops along another axis, before which merging two axes may need a copy."""


@dataclass(frozen=True)
class SeparateAxes:
    """Compute over two axes in place of their product, where the product is split again.

    Law: values are unchanged, bit for bit.
    """

    name: str = "separate_axes"

    def __call__(self, graph: Graph) -> Graph:
        return map_bodies(_separate_graph(graph), _separate_graph)


def _separate_graph(graph: Graph) -> Graph:
    """Return the graph with separate axes, or the graph itself if it would compute a value in both forms."""
    ops = [node.op for node in graph.nodes]
    if ops.count("reshape") < 2 or _COPIES.isdisjoint(ops):
        return graph
    separated = rewrite(graph, _Rule())
    return separated if _count(separated) <= _count(graph) else graph


def _count(graph: Graph) -> int:
    return sum(node.op not in _VIEWS for node in graph.nodes)


class _SeparateAxes(NamedTuple):
    """A value with two separate axes in place of one.

    Attributes:
        value: The value. Axes ``axis`` and ``axis + 1`` are adjacent, the first one is the outer one.
        axis: The merged axis.
        copies: True if an op between the merging reshape and this value may need a copy of merged axes.
    """

    value: Node
    axis: int
    copies: bool

    @property
    def sizes(self) -> Shape:
        return self.value.shape[self.axis : self.axis + 2]


class _Rule:
    """Rewrite rule that follows merged axes through a graph, and takes the separate form where the axis is split."""

    def __init__(self) -> None:
        self._separate_axes: dict[Node, _SeparateAxes] = {}

    def __call__(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "reshape":
            source = self._separate_axes.get(operands[0])
            if source is not None and source.copies and source.value.shape == node.shape:
                return source.value
        merged = node if operands is node.operands else remake(node, operands)
        separate = self._separate(node, operands)
        if separate is not None:
            self._separate_axes[merged] = separate
        return merged

    def _separate(self, node: Node, operands: Sequence[Node]) -> _SeparateAxes | None:
        """Return the separate form of a node; None if it has no merged axis, or mixes its entries."""
        sources = [self._separate_axes.get(item) for item in operands]
        if all(source is None for source in sources):
            return _merge(node, operands[0]) if node.op == "reshape" else None
        copies = node.op in _COPIES or any(source is not None and source.copies for source in sources)
        if OPS[node.op].kind == "elementwise" and not OPS[node.op].random:
            return _elementwise(node, operands, sources, copies)
        if node.op == "concat":
            return _concat(node, operands, sources)
        if node.op == "matmul":
            return _matmul(node, operands, sources, copies)
        return _of_one(node, operands[0], sources[0], copies) if len(operands) == 1 and sources[0] is not None else None


def _merge(node: Node, source: Node) -> _SeparateAxes | None:
    """Return the operand of a reshape that merges two axes; None for other reshapes."""
    if source.tensor.rank != node.tensor.rank + 1:
        return None
    for axis in range(node.tensor.rank):
        if source.shape[:axis] == node.shape[:axis] and source.shape[axis + 2 :] == node.shape[axis + 1 :]:
            return _SeparateAxes(source, axis, False)
    return None


def _make(node: Node, operands: Sequence[Node], **changes: Any) -> Node:
    return make(node.op, *operands, where=node.where, name=node.name, **{**dict(node.attributes), **changes})


def _shape(shape: Shape, axis: int, sizes: Shape) -> Shape:
    return (*shape[:axis], *sizes, *shape[axis + 1 :])


def _elementwise(
    node: Node, operands: Sequence[Node], sources: Sequence[_SeparateAxes | None], copies: bool
) -> _SeparateAxes | None:
    """Separate an elementwise op whose operands have the merged axis at the same place from the end, or lack it."""
    places = [0 if s is None else item.tensor.rank - s.axis for item, s in zip(operands, sources, strict=True)]
    distance = max(places)
    sizes = next(source.sizes for source, place in zip(sources, places, strict=True) if source and place == distance)
    parts = []
    for item, source, place in zip(operands, sources, places, strict=True):
        if source is not None and place == distance and source.sizes == sizes:
            parts.append(source.value)
        elif item.tensor.rank < distance:
            parts.append(item)
        else:
            return None
    return _SeparateAxes(_make(node, parts), node.tensor.rank - distance, copies)


def _concat(node: Node, operands: Sequence[Node], sources: Sequence[_SeparateAxes | None]) -> _SeparateAxes | None:
    """Separate a concat along another axis of values with the merged axis, and of constants."""
    first = next(source for source in sources if source is not None)
    axis = first.axis
    if node["axis"] == axis:
        return None
    parts = []
    for item, source in zip(operands, sources, strict=True):
        if source is not None and (source.axis, source.sizes) == (axis, first.sizes):
            parts.append(source.value)
        elif is_scalar_broadcast(item):
            shape = _shape(item.shape, axis, first.sizes)
            parts.append(make("broadcast", item.operands[0], where=item.where, shape=shape))
        else:
            return None
    return _SeparateAxes(_make(node, parts, axis=_renumber(node["axis"], axis)), axis, True)


def _matmul(
    node: Node, operands: Sequence[Node], sources: Sequence[_SeparateAxes | None], copies: bool
) -> _SeparateAxes | None:
    """Separate a product of rows with one matrix."""
    left = sources[0]
    if left is None or operands[1].tensor.rank != 2 or left.axis == operands[0].tensor.rank - 1:
        return None
    parts = [left.value, operands[1]]
    for item, source in zip(operands[2:], sources[2:], strict=True):
        if item.tensor.rank > 1 and (source is None or (source.axis, source.sizes) != (left.axis, left.sizes)):
            return None
        parts.append(source.value if source is not None and item.tensor.rank > 1 else item)
    return _SeparateAxes(_make(node, parts), left.axis, copies)


def _of_one(node: Node, merged: Node, source: _SeparateAxes, copies: bool) -> _SeparateAxes | None:
    """Separate an op of one value along other axes than the merged one."""
    axis, value = source.axis, source.value
    if node.op == "transpose":
        order = node["order"]
        place = order.index(axis)
        separate = [item for old in order for item in ((axis, axis + 1) if old == axis else (_renumber(old, axis),))]
        return _SeparateAxes(_make(node, [value], order=tuple(separate)), place, copies)
    if node.op == "slice":
        whole = (0, merged.shape[axis], 1)
        if (node["start"][axis], node["stop"][axis], node["step"][axis]) != whole:
            return None
        bounds = {"start": (0, 0), "stop": source.sizes, "step": (1, 1)}
        changes = {name: _shape(node[name], axis, pair) for name, pair in bounds.items()}
        return _SeparateAxes(_make(node, [value], **changes), axis, copies)
    if node.op == "windows" and node["axis"] != axis:
        place = axis if axis < node["axis"] else axis + 1
        return _SeparateAxes(_make(node, [value], axis=_renumber(node["axis"], axis)), place, copies)
    if OPS[node.op].kind == "reduction" and "axes" in dict(node.attributes) and axis not in node["axes"]:
        axes = tuple(_renumber(old, axis) for old in node["axes"])
        place = axis if node["keepdims"] else axis - sum(old < axis for old in node["axes"])
        return _SeparateAxes(_make(node, [value], axes=axes), place, copies)
    if node.op == "reshape" and node.shape[: axis + 1] == merged.shape[: axis + 1]:
        return _SeparateAxes(_make(node, [value], shape=_shape(node.shape, axis, source.sizes)), axis, copies)
    return None


def _renumber(old: int, axis: int) -> int:
    """Return the number of another axis after the merged axis is split."""
    return old if old < axis else old + 1
