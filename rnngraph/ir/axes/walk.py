"""Axis maps of single nodes and of whole graphs, from the table of ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

from ...support.records import NamedTuple
from ..axis_maps import Fate, Indexed, Kept, Mixed, Reduced, Spread
from ..graph import Graph
from ..node import MATRIX_PRODUCTS, OPS, Linear, Node
from ..types import Shape, TensorType
from .by_size import counts

# One node ---------------------------------------------------------------------------------------------


class AxisUse(NamedTuple):
    """One axis of an operand of a node, and how it maps to the result."""

    number: int
    axis: int
    fate: Fate


def fate(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an axis of operand ``number`` in the result of ``node``, such as kept or reduced."""
    return OPS[node.op].axes.fate(node, number, axis)


def fates(node: Node) -> Iterator[AxisUse]:
    """Yield (operand's index, axis, what becomes of it in the result) for each axis of each tensor operand."""
    of = OPS[node.op].axes.fate
    for number, operand in enumerate(node.operands):
        if isinstance(operand.type, TensorType):
            for axis in range(operand.type.rank):
                yield AxisUse(number, axis, of(node, number, axis))


def fates_of(node: Node, operand: Node, axis: int) -> list[Fate]:
    """Return what becomes of an axis of ``operand`` in the result of ``node``, once for each time it is read."""
    of = OPS[node.op].axes.fate
    return [of(node, number, axis) for number, item in enumerate(node.operands) if item is operand]


def kept_at(node: Node, number: int, axis: int) -> int | None:
    """Return the result's axis to which ``axis`` of the operand ``number`` maps unchanged; None if there is none."""
    mapped = fate(node, number, axis)
    return mapped.axis if isinstance(mapped, Kept) else None


def keeps(node: Node, operand: Node, axis: int, place: int) -> bool:
    """True if position i along the result's axis ``place`` reads only position i of the operand's ``axis``."""
    return all(mapped == Kept(place) for mapped in fates_of(node, operand, axis))


def is_alike(node: Node, axis: int) -> bool:
    """True if all positions of the result along ``axis`` are equal, as after a broadcast."""
    if axis in OPS[node.op].axes.by_place(node):
        return False
    return all(
        not isinstance(use.fate, Mixed) and (isinstance(use.fate, Spread) or axis not in _axes_of(use.fate))
        for use in fates(node)
    )


def _axes_of(mapped: Fate) -> tuple[int, ...]:
    """Return the axes of the result to which an operand's axis maps."""
    several: tuple[int, ...] | None = getattr(mapped, "axes", None)
    one: int | None = getattr(mapped, "axis", None)
    return several if several is not None else () if one is None else (one,)


def adds_up(node: Node) -> bool:
    """True if a node sums over the first axis of every operand, so that sums of parts of that axis can be added up.

    Sums of vectors and matmuls are excluded, because they are computed in one pass.
    """
    if (
        not node.operands
        or node.op in MATRIX_PRODUCTS
        or (node.op == "reduce_sum" and node.operands[0].tensor.rank < 2)
    ):
        return False
    return all(_is_summed(node, number) for number in range(len(node.operands)))


def _is_summed(node: Node, number: int) -> bool:
    """True if ``node`` is a sum over the first axis of its operand ``number``."""
    kind = node.operands[number].type
    if not isinstance(kind, TensorType) or not kind.rank:
        return False
    mapped = fate(node, number, 0)
    return isinstance(mapped, Reduced) and mapped.by == "sum"


def reads_whole(node: Node, operand: Node) -> bool:
    """True if each position of the result reads all positions of the operand's first axis, or indexed ones.

    Reductions, and the sums for which ``adds_up`` is true, are excluded.
    """
    if OPS[node.op].kind == "reduction" or adds_up(node):
        return False
    return any(isinstance(mapped, Reduced | Indexed) for mapped in fates_of(node, operand, 0))


def linear_in(node: Node) -> Linear:
    """Return the sets of operands' indices in each of which an op is linear, the other operands held fixed."""
    return OPS[node.op].axes.linear(node)


# All nodes of a graph ----------------------------------------------------------------------------------


def walk_axes(
    graph: Graph, names: Set[str], left_out: Callable[[Node], Set[Node]] = lambda scan: frozenset()
) -> Iterator[tuple[Node, list[AxisUse]]]:
    """Yield every node, also of bodies, with what becomes of operands' axes whose size contains one of ``names``.

    The nodes of a scan's body follow the scan.

    Args:
        graph: Graph to walk.
        names: Symbols to look for in sizes.
        left_out: Returns the nodes of a scan's body to skip.
    """
    pending = [*reversed(graph.nodes)]
    while pending:
        node = pending.pop()
        shapes = [item.type.shape if isinstance(item.type, TensorType) else () for item in node.operands]
        counted = [(number, axis) for number, shape in enumerate(shapes) for axis in _counted(shape, names)]
        yield node, [AxisUse(number, axis, fate(node, number, axis)) for number, axis in counted]
        if node.op == "scan":
            skipped = left_out(node)
            pending += [item for item in reversed(node["body"].nodes) if item not in skipped]


def _counted(shape: Shape, names: Set[str]) -> list[int]:
    """Return the axes whose size contains one of the symbols ``names``."""
    return [axis for axis, dim in enumerate(shape) if counts(dim, names)]
