"""Computation of values over several axes in place of their product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.axes.walk import fate, kept_at
from ...ir.axis_maps import Spread
from ...ir.graph import Graph, Node, make, rebuilt, remake
from ...ir.node import is_scalar_broadcast
from ...ir.ops import OPS
from ...ir.sizes.polynomial import Dim, product, quotient
from ...ir.types import Shape, TensorType
from ...support.records import dataclass

Parts = tuple[tuple[Dim, ...], ...]
"""Sizes into which each axis of a value is split, the outermost first."""


@dataclass(frozen=True)
class Split:
    """Value with separate axes.

    Attributes:
        value: The value, which has one axis for each size of ``parts``.
        parts: Sizes by axis of the value with merged axes.
    """

    value: Node
    parts: Parts


class Separation:
    """Rewriter of a graph. Axes stay separate between the reshape that merges them and the one that splits them.

    Ops between the two reshapes run over separate axes as long as they can. Before other ops, the axes are merged.
    Subclasses choose the axes by ``merged`` and ``regrouped``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.new: dict[Node, Node] = {}
        self.split: dict[Node, Split] = {}

    def merged(self, node: Node, shape: Shape) -> Parts | None:
        """Return the sizes that stay separate after a reshape of a value of ``shape``; None if none stay separate."""
        raise NotImplementedError

    def regrouped(self, node: Node, source: Split) -> Parts | None:
        """Return the sizes that stay separate after a reshape of a split value; None if axes must be merged first."""
        raise NotImplementedError

    def other(self, node: Node) -> Split | None:
        """Return the split form of an op that mixes positions of a merged axis; None if there is none."""
        return None

    def note(self, node: Node, is_split: bool) -> None:
        """Record a value that is computed with separate axes. Subclasses may override this hook.

        ``is_split`` is False if the declaration, too, has these axes separate, as after the reshape that splits them.
        """

    def build(self) -> Graph:
        """Return the rewritten graph; the same graph if no axis stays separate."""
        for node in self.graph.nodes:
            split = self._split(node)
            if split is not None:
                is_split = any(len(sizes) > 1 for sizes in split.parts)
                self.note(node, is_split)
                if is_split:
                    self.split[node] = split
                else:
                    self.new[node] = _reshaped(split.value, node.shape)
            elif not any(item in self.split for item in node.operands):
                operands = tuple(map(self.new.__getitem__, node.operands))
                self.new[node] = node if operands == node.operands else remake(node, operands)
            else:
                self.new[node] = remake(node, [self._merged(item) for item in node.operands])
        if not self.split:
            return self.graph
        merged = ((node, self._merged(node)) for node in self.graph.nodes)
        return rebuilt(self.graph, {node: new for node, new in merged if new is not node})

    def _merged(self, node: Node) -> Node:
        """Return a value in its declared shape, with merged axes."""
        if node not in self.new:
            self.new[node] = _reshaped(self.split[node].value, node.shape)
        return self.new[node]

    def _split(self, node: Node) -> Split | None:
        """Return a value computed on separate axes in place of merged ones; None if that is impossible."""
        if not isinstance(node.type, TensorType):
            return None
        if node.op == "reshape":
            return self._reshape(node)
        if not any(item in self.split for item in node.operands):
            return None
        try:
            return self._split_op(node)
        except (ValueError, TypeError):  # the op does not support operands of that rank
            return None

    def _reshape(self, node: Node) -> Split | None:
        """Return a reshape's result with separate axes; None if no axes stay separate."""
        source = self.split.get(node.operands[0])
        before = self.new[node.operands[0]] if source is None else source.value
        parts = self.merged(node, before.shape) if source is None else self.regrouped(node, source)
        return None if parts is None else Split(_reshaped(before, _flat(parts), node), parts)

    # Other ops -----------------------------------------------------------------------------------

    def _split_op(self, node: Node) -> Split | None:
        """Return an op computed on operands with separate axes; None if the axes must be merged first."""
        kind = OPS[node.op].kind
        is_known = node.op in ("matmul", "concat", "gather", "transpose", "slice", "reverse", "windows")
        if not is_known and (kind not in ("elementwise", "reduction") or OPS[node.op].random):
            return None
        parts = self._parts_of_result(node)
        if parts is None:
            return self.other(node)
        operands = [self._operand(node, number, parts) for number in range(len(node.operands))]
        first = node.operands[0]
        before = self.split[first].parts if first in self.split else tuple((dim,) for dim in first.shape)
        return Split(op_like(node, *operands, **_attributes(node, parts, before)), parts)

    def _parts_of_result(self, node: Node) -> Parts | None:
        """Return the sizes into which each axis of a result is split.

        Operands whose merged axes the op mixes are ignored. Return None if no operand remains, if the others disagree
        about the sizes, or if a matrix product would split an axis of a matrix.
        """
        dims: list[tuple[Dim, ...]] = [(dim,) for dim in node.shape]
        for number, item in enumerate(node.operands):
            every = self.split[item].parts if item in self.split else ()
            kept = {axis: kept_at(node, number, axis) for axis, sizes in enumerate(every) if len(sizes) > 1}
            for axis, place in kept.items():
                if place is not None and None not in kept.values():
                    if dims[place] not in (every[axis], (node.shape[place],)):
                        return None
                    dims[place] = every[axis]
        separate = [place for place, sizes in enumerate(dims) if len(sizes) > 1]
        if node.op == "matmul" and separate:
            axes_of_matrix = 1 if node.operands[1].tensor.rank == 2 else 2
            return tuple(dims) if separate[-1] < len(dims) - axes_of_matrix else None
        return tuple(dims) if separate else None

    def _operand(self, node: Node, number: int, parts: Parts) -> Node:
        """Return the operand at index ``number`` with the separate axes that a result with ``parts`` needs."""
        item, own = node.operands[number], list[tuple[Dim, ...]]()
        for axis, dim in enumerate(item.shape):
            place, mapped = kept_at(node, number, axis), fate(node, number, axis)
            if place is not None and product(parts[place]) == dim:
                own.append(parts[place])
            elif isinstance(mapped, Spread):
                own.append((1,) * len(parts[mapped.axis]))
            else:
                own.append((dim,))
        shape = _flat(own)
        if item in self.split and shape != item.shape:
            return _reshaped(self.split[item].value, shape)
        new = self._merged(item)
        if shape != new.shape and is_scalar_broadcast(new):
            return op_like(new, new.operands[0], shape=shape)
        return _reshaped(new, shape)


def _attributes(node: Node, parts: Parts, before: Parts) -> dict[str, Any]:
    """Return the attributes of an op that refer to axes, such as ``axis`` and ``start``, for separate axes.

    Args:
        node: Node with merged axes.
        parts: Sizes of the separate axes of the result.
        before: Sizes of the separate axes of the first operand.
    """
    starts, attributes = _starts(before), dict(node.attributes)
    match node.op:
        case "transpose":
            order = [starts[axis] + more for axis in node["order"] for more in range(len(before[axis]))]
            return {"order": tuple(order)}
        case "slice":
            whole = {"start": lambda dim: 0, "stop": lambda dim: dim, "step": lambda dim: 1}
            return {
                name: tuple(
                    number
                    for bound, sizes in zip(node[name], before, strict=True)
                    for number in ([bound] if len(sizes) == 1 else map(of, sizes))
                )
                for name, of in whole.items()
            }
        case "concat":
            return {"axis": _starts(parts)[node["axis"]]}
        case "reverse" | "windows":
            return {"axis": starts[node["axis"]]}
    return {"axes": tuple(starts[axis] for axis in node["axes"])} if "axes" in attributes else {}


def refined(dims: Sequence[Dim], target: Sequence[Dim]) -> Parts | None:
    """Split each axis of ``target`` into sizes, so that each of ``dims`` is a product of consecutive sizes.

    Return None if a boundary between axes lies within a size that cannot be divided, or if the shapes differ in size.
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


def _flat(parts: Sequence[tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """Return the shape over separate axes."""
    return tuple(dim for sizes in parts for dim in sizes)


def _starts(parts: Parts) -> list[int]:
    """Return the index of the first separate axis of each merged axis."""
    return [sum(len(sizes) for sizes in parts[:axis]) for axis in range(len(parts))]


def op_like(node: Node, *operands: Node, **changes: Any) -> Node:
    """Return an op like ``node`` with ``operands``, and with ``changes`` to its attributes."""
    attributes = {**dict(node.attributes), **changes}
    return make(node.op, *operands, where=node.where, name=node.name, **attributes)


def _reshaped(node: Node, shape: tuple[Dim, ...], like: Node | None = None) -> Node:
    """Reshape a value. A chain of reshapes becomes one."""
    while node.shape != shape and node.op == "reshape":
        node = node.operands[0]
    if node.shape == shape:
        return node
    where, name = (node.where, "") if like is None else (like.where, like.name)
    return make("reshape", node, where=where, name=name, shape=shape)
