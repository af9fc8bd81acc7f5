"""split_axes: keep rows and steps on separate axes between a reshape that merges them and one that splits them again.

Nets often call a layer on ``h.reshape(rows * steps, width)`` and then restore the axes. With separate axes, each step
reads only its own entries, and the net can run step by step.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from ...ir.axes.by_size import counts, time_sizes
from ...ir.graph import Graph, Node, make, rebuilt, remake
from ...ir.node import is_scalar_broadcast
from ...ir.ops import OPS
from ...ir.sizes.polynomial import Dim, product, quotient
from ...ir.types import TensorType
from ...support.records import dataclass

Parts = tuple[tuple[Dim, ...], ...]
"""Sizes into which each axis of a value is split, the outermost first."""
Split = tuple[Node, Parts]
"""A value with one axis for each size, and these sizes, by axis of the merged value."""


@dataclass(frozen=True)
class SplitAxes:
    """Keep rows and steps separate that are merged and split again, so that whole sequences round as streams do.

    Law: values are unchanged, bit for bit.
    """

    name: str = "split_axes"

    def __call__(self, graph: Graph) -> Graph:
        return split_axes(graph, time_sizes(graph))


def split_axes(graph: Graph, lengths: Set[str]) -> Graph:
    """Return the graph with merged axes kept separate; the same graph if no axis merges steps with another axis.

    Args:
        graph: Graph to rewrite.
        lengths: Names of the sizes that count steps.
    """
    return _Splitting(graph, lengths).build()


class _Splitting:
    """Rewriter of a graph that keeps merged axes separate."""

    def __init__(self, graph: Graph, lengths: Set[str]) -> None:
        self.graph, self.lengths = graph, lengths
        self.new: dict[Node, Node] = {}
        self.split: dict[Node, Split] = {}

    def build(self) -> Graph:
        for node in self.graph.nodes:
            split = self._split(node)
            if split is not None and _is_trivial(split[1]):
                self.new[node] = _reshaped(split[0], node.shape)
            elif split is not None:
                self.split[node] = split
            elif not any(item in self.split for item in node.operands):
                operands = tuple(map(self.new.__getitem__, node.operands))
                self.new[node] = node if operands == node.operands else remake(node, operands)
            else:
                self.new[node] = remake(node, [self._merge(item) for item in node.operands])
        if not self.split:
            return self.graph
        merged = ((node, self._merge(node)) for node in self.graph.nodes)
        return rebuilt(self.graph, {node: new for node, new in merged if new is not node})

    def _merge(self, node: Node) -> Node:
        """Return a value in its declared shape, with merged axes."""
        if node not in self.new:
            self.new[node] = _reshaped(self.split[node][0], node.shape)
        return self.new[node]

    def _split(self, node: Node) -> Split | None:
        """Return a value with its merged axes split; None if the op cannot be computed that way."""
        if not isinstance(node.type, TensorType):
            return None
        if node.op == "reshape":
            return self._reshape(node)
        if not any(item in self.split for item in node.operands):
            return None
        try:
            return self._split_op(node)
        except (ValueError, TypeError):  # the op does not take so many axes
            return None

    def _reshape(self, node: Node) -> Split | None:
        source = node.operands[0]
        value, _ = self.split.get(source, (None, ()))
        dims = (self.new[source] if value is None else value).shape
        parts = _refine(dims, node.shape)
        if parts is None or (value is None and not any(map(self._joins_steps, parts))):
            return None
        before = self.new[source] if value is None else value
        parts = tuple(sizes if self._has_steps(sizes) else (product(sizes),) for sizes in parts)
        return _reshaped(before, _flat(parts), node), parts

    def _has_steps(self, sizes: Sequence[Dim]) -> bool:
        return any(counts(dim, self.lengths) for dim in sizes)

    def _joins_steps(self, sizes: Sequence[Dim]) -> bool:
        """True if an axis with these sizes, outermost first, merges steps with another axis.

        Sizes that are numbers may follow the steps: such an axis still grows with the steps.
        """
        places = [place for place, dim in enumerate(sizes) if counts(dim, self.lengths)]
        others = [place for place, dim in enumerate(sizes) if place not in places and not isinstance(dim, int)]
        return bool(places) and (bool(others) or places[0] > 0)

    # Other ops -----------------------------------------------------------------------------------

    def _split_op(self, node: Node) -> Split | None:
        if OPS[node.op].kind == "elementwise":
            return self._elementwise(node)
        value, parts = self.split.get(node.operands[0], (None, ()))
        first = node.operands[0]
        match node.op:
            case "matmul":
                return self._matmul(node)
            case "concat":
                return self._concat(node)
            case "gather" if value is None and node.operands[1] in self.split:
                index, parts = self.split[node.operands[1]]
                split = self._rebuilt(node, self._merge(first), index)
                return split, (*parts, *((dim,) for dim in first.shape[1:]))
        if value is None:
            return None
        starts = _starts(parts)
        match node.op:
            case "reduce_sum" | "reduce_max" | "reduce_min":
                if any(len(parts[axis]) > 1 for axis in node["axes"]):
                    return None
                split = self._rebuilt(node, value, axes=tuple(starts[axis] for axis in node["axes"]))
                one: Parts = tuple(((1,) if axis in node["axes"] else sizes) for axis, sizes in enumerate(parts))
                kept = tuple(sizes for axis, sizes in enumerate(parts) if axis not in node["axes"])
                return split, one if node["keepdims"] else kept
            case "transpose":
                order = [starts[axis] + more for axis in node["order"] for more in range(len(parts[axis]))]
                return self._rebuilt(node, value, order=tuple(order)), tuple(parts[axis] for axis in node["order"])
            case "slice":
                return self._slice(node, value, parts)
            case "reverse" | "windows" if len(parts[node["axis"]]) == 1:
                axis = node["axis"]
                split = self._rebuilt(node, value, axis=starts[axis])
                if node.op == "reverse":
                    return split, parts
                return split, (*parts[:axis], (node.shape[axis],), (node["size"],), *parts[axis + 1 :])
        return None

    def _rebuilt(self, node: Node, *operands: Node, **changes: object) -> Node:
        attributes = {**dict(node.attributes), **changes}
        return make(node.op, *operands, where=node.where, name=node.name, **attributes)

    def _elementwise(self, node: Node) -> Split | None:
        parts = self._common_parts(node.shape, node.operands)
        if parts is None:
            return None
        return self._rebuilt(node, *(self._broadcastable(item, parts) for item in node.operands)), parts

    def _common_parts(self, shape: Sequence[Dim], operands: Sequence[Node]) -> Parts | None:
        """Return the sizes into which each axis of a result is split; None if operands differ in them."""
        dims: list[tuple[Dim, ...]] = [(dim,) for dim in shape]
        for item in operands:
            if item in self.split:
                for back, sizes in enumerate(reversed(self.split[item][1]), 1):
                    if len(sizes) > 1 and dims[-back] not in (sizes, (shape[-back],)):
                        return None
                    if len(sizes) > 1:
                        dims[-back] = sizes
        return tuple(dims)

    def _broadcastable(self, item: Node, parts: Parts) -> Node:
        """Return an operand reshaped so that it broadcasts against a value with these separate axes."""
        own = tuple(
            sizes if dim == product(sizes) else (1,) * len(sizes)
            for dim, sizes in zip(item.shape, parts[len(parts) - item.tensor.rank :], strict=True)
        )
        if item in self.split:
            value, known = self.split[item]
            return value if known == own else _reshaped(value, _flat(own))
        new = self.new[item]
        if _flat(own) == new.shape:
            return new
        if is_scalar_broadcast(new):
            return self._rebuilt(new, new.operands[0], shape=_flat(own))
        return _reshaped(new, _flat(own))

    def _matmul(self, node: Node) -> Split | None:
        left, right, *start = node.operands
        batch = right.tensor.rank > 2
        leading = left.tensor.rank - (2 if batch else 1)
        known = [self.split[item][1] for item in (left, right)[: 1 + batch] if item in self.split]
        if not known or (right in self.split and not batch):
            return None
        rows = known[0][:leading]
        inner = [sizes for parts in known for sizes in parts[leading:] if len(sizes) > 1]
        if any(counts(dim, self.lengths) for sizes in inner for dim in sizes):
            return self._matmul_of_rows(node) if batch and right not in self.split and not start else None
        parts: Parts = (*rows, *((dim,) for dim in node.shape[leading:]))
        if tuple(map(product, parts)) != node.shape:
            return None
        factors = [
            self._broadcastable(item, (*rows, *((dim,) for dim in item.shape[leading:])))
            for item in (left, right)[: 1 + batch]
        ]
        operands = factors if batch else [*factors, self.new[right]]
        return self._rebuilt(node, *operands, *(self._broadcastable(item, parts) for item in start)), parts

    def _matmul_of_rows(self, node: Node) -> Split | None:
        """Return a batched product whose matrices' rows merge steps and another axis, as one product for each step."""
        left, right = node.operands
        value, parts = self.split[left]
        *leading, rows, columns = parts
        if len(columns) > 1 or not _is_trivial(tuple(leading)):
            return None
        first = len(leading)
        others = [place for place, dim in enumerate(rows) if dim != 1]
        kept = next((place for place in others if not counts(rows[place], self.lengths)), len(rows) - 1)
        moved = [place for place in range(len(rows)) if place != kept]
        order = (*(first + place for place in moved), *range(first), first + kept, first + len(rows))
        steps = tuple(rows[place] for place in moved)
        weights = _op_of("broadcast", self.new[right], shape=(*steps, *right.shape))
        products = self._rebuilt(node, _op_of("transpose", value, order=order), weights)
        back = tuple(order.index(axis) for axis in range(len(order)))
        return _op_of("transpose", products, order=back), (*leading, rows, (node.shape[-1],))

    def _concat(self, node: Node) -> Split | None:
        axis = node["axis"]
        shapes = [(*item.shape[:axis], *item.shape[axis + 1 :]) for item in node.operands]
        others = None
        for item in node.operands:
            if item in self.split:
                parts = self.split[item][1]
                other_parts = (*parts[:axis], *parts[axis + 1 :])
                if len(parts[axis]) > 1 or others not in (None, other_parts):
                    return None
                others = other_parts
        if others is None or any(tuple(map(product, others)) != shape for shape in shapes):
            return None
        operands = [
            self._broadcastable(item, (*others[:axis], (item.shape[axis],), *others[axis:])) for item in node.operands
        ]
        parts = (*others[:axis], (node.shape[axis],), *others[axis:])
        return self._rebuilt(node, *operands, axis=_starts(parts)[axis]), parts

    def _slice(self, node: Node, value: Node, parts: Parts) -> Split | None:
        start: list[Dim] = []
        stop: list[Dim] = []
        step: list[int] = []
        dims: list[tuple[Dim, ...]] = []
        for axis, sizes in enumerate(parts):
            if len(sizes) > 1:
                if (node["start"][axis], node["stop"][axis], node["step"][axis]) != (0, product(sizes), 1):
                    return None
                start, stop, step = [*start, *(0 for _ in sizes)], [*stop, *sizes], [*step, *(1 for _ in sizes)]
                dims.append(sizes)
            else:
                start.append(node["start"][axis])
                stop.append(node["stop"][axis])
                step.append(node["step"][axis])
                dims.append((node.shape[axis],))
        return self._rebuilt(node, value, start=tuple(start), stop=tuple(stop), step=tuple(step)), tuple(dims)


def _refine(dims: Sequence[Dim], target: Sequence[Dim]) -> Parts | None:
    """Split each axis of ``target`` into sizes, so that each of ``dims`` is a product of consecutive ones.

    Return None if a boundary between axes lies within a size that cannot be divided.
    """
    unmatched = [dim for dim in dims if dim != 1]
    parts: list[tuple[Dim, ...]] = []
    for remaining in target:
        sizes: list[Dim] = []
        while remaining != 1:
            if not unmatched:
                return None
            if (more := quotient(remaining, unmatched[0])) is not None:
                sizes.append(unmatched.pop(0))
                remaining = more
            elif (more := quotient(unmatched[0], remaining)) is not None:
                sizes.append(remaining)
                unmatched[0] = more
                remaining = 1
            else:
                return None
        parts.append(tuple(sizes) or (1,))
    return None if unmatched else tuple(parts)


def _is_trivial(parts: Parts) -> bool:
    return all(len(sizes) == 1 for sizes in parts)


def _flat(parts: Parts) -> tuple[Dim, ...]:
    return tuple(dim for sizes in parts for dim in sizes)


def _starts(parts: Parts) -> list[int]:
    """Return the index of the first separate axis of each merged axis."""
    return [sum(len(sizes) for sizes in parts[:axis]) for axis in range(len(parts))]


def _op_of(op: str, node: Node, **attributes: Any) -> Node:
    return make(op, node, where=node.where, **attributes)


def _reshaped(node: Node, shape: tuple[Dim, ...], like: Node | None = None) -> Node:
    """Reshape a value. A chain of reshapes becomes one."""
    while node.op == "reshape":
        node = node.operands[0]
    if node.shape == shape:
        return node
    return make("reshape", node, where=(like or node).where, shape=shape)
