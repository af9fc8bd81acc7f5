"""slice_early: slice the operands of an op instead of its result, if nothing reads the other entries.

A net may read only the last step of a sequence, after products that are declared for all steps. These products are then
computed for the last step alone. The last axis of an operand of rank 2 or more is not sliced, because the order of sums
depends on its size.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...ir.axes.walk import fates
from ...ir.axis_maps import Dropped, Kept, Spread
from ...ir.graph import Graph, Node, make, rebuilt
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.sizes.polynomial import ceil_divide
from ...ir.types import Dim, TensorType
from ...support.records import dataclass

Bounds = tuple[Dim, Dim, int]
"""Start, stop and step along an axis."""
Part = Mapping[int, Bounds]
"""Entries of a value: bounds by axis. Axes of which all entries are included are left out."""
WHOLE: Part = {}

MOVES = frozenset(("broadcast", "concat", "gather", "reshape", "transpose"))
"""Ops that move entries, and that can be computed for a part of an axis."""


@dataclass(frozen=True)
class SliceEarly:
    """Slice the operands of an op instead of its result, if nothing reads the other entries.

    Law: values are unchanged, bit for bit.
    """

    name: str = "slice_early"

    def __call__(self, graph: Graph) -> Graph:
        parts = _read_parts(graph)
        if not any(parts.values()):
            return graph
        changed: dict[Node, Node] = {}
        for node in graph.nodes:
            new = _on_part(node, parts, changed)
            if new is not node:
                changed[node] = new
        return rebuilt(graph, changed)


def _read_parts(graph: Graph) -> dict[Node, Part]:
    """Return the part of each value that must be computed.

    An axis is cut if all readers read the same bounds of it, and if the op can compute these entries alone.
    """
    outputs = {node for _, node in graph.outputs}
    parts: dict[Node, Part] = dict.fromkeys(outputs, WHOLE)
    for node in reversed(graph.nodes):
        part = parts.setdefault(node, WHOLE)
        parts[node] = part = {axis: bounds for axis, bounds in part.items() if _can_cut(node, axis)}
        for number, operand in enumerate(node.operands):
            read = _part_of_operand(node, number, part)
            known = parts.get(operand, read)
            parts[operand] = {axis: bounds for axis, bounds in known.items() if read.get(axis) == bounds}
    return parts


def _can_cut(node: Node, axis: int) -> bool:
    """True if a part of the result along an axis can be computed from the same part of operands."""
    if node.op == "slice":
        return node["step"][axis] == 1
    op = OPS[node.op]
    is_known = (op.kind in ("elementwise", "reduction") and not op.random) or node.op in (*MATRIX_PRODUCTS, *MOVES)
    if not is_known or axis in op.axes.by_place(node):
        return False
    for number, place, fate in fates(node):
        if isinstance(fate, Kept):
            rank = node.operands[number].tensor.rank
            if fate.axis == axis and place == rank - 1 and rank > 1:
                return False
        elif not isinstance(fate, Spread | Dropped) and axis in getattr(fate, "axes", (getattr(fate, "axis", None),)):
            return False
    return True


def _part_of_operand(node: Node, number: int, part: Part) -> Part:
    """Return the part of the operand at index ``number`` that ``part`` of the result reads."""
    if node.op == "slice":
        return _part_of_sliced(node, part)
    if not part:
        return WHOLE
    return {
        axis: part[fate.axis]
        for place, axis, fate in fates(node)
        if place == number and isinstance(fate, Kept) and fate.axis in part
    }


def _part_of_sliced(node: Node, part: Part) -> Part:
    """Return the part of a slice's operand that ``part`` of the slice reads."""
    read: dict[int, Bounds] = {}
    for axis, dim in enumerate(node.operands[0].shape):
        start, stop, step = (node[key][axis] for key in ("start", "stop", "step"))
        if axis in part:
            first, last, step = part[axis]
            start, stop = start + first, start + last
        if (start, stop, step) != (0, dim, 1):
            read[axis] = start, stop, step
    return read


def _on_part(node: Node, parts: Mapping[Node, Part], changed: Mapping[Node, Node]) -> Node:
    """Return the node that computes the part of a value that is read. ``changed`` has the new nodes of operands."""
    part = parts[node]
    operands = []
    for number, operand in enumerate(node.operands):
        read, known = _part_of_operand(node, number, part), parts[operand]
        rest = {axis: bounds for axis, bounds in read.items() if axis not in known}
        new = changed.get(operand, operand)
        if node.op == "slice":
            return node if new is operand and not part else _sliced(new, rest, node)
        operands.append(_sliced(new, rest, node))
    if not part and tuple(operands) == node.operands:
        return node
    attributes = dict(node.attributes)
    if "shape" in attributes:
        sizes = {axis: _count(bounds) for axis, bounds in part.items()}
        attributes["shape"] = tuple(sizes.get(axis, dim) for axis, dim in enumerate(attributes["shape"]))
    return make(node.op, *operands, where=node.where, name=node.name, **attributes)


def _count(bounds: Bounds) -> Dim:
    start, stop, step = bounds
    return ceil_divide(stop - start, step)


def _sliced(node: Node, part: Part, like: Node) -> Node:
    """Return a slice of a value with the line and the name of ``like``; the value itself if the part is all of it."""
    if not part:
        return node
    assert isinstance(node.type, TensorType)
    bounds = [part.get(axis, (0, dim, 1)) for axis, dim in enumerate(node.shape)]
    start, stop, step = zip(*bounds, strict=True)
    return make("slice", node, where=like.where, name=like.name, start=start, stop=stop, step=step)
