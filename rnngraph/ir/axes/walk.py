"""Questions about axes, answered from the table's column: of one node, and of all nodes of a graph and its loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import NamedTuple

from ..axis_maps import Fate, Indexed, Kept, Mixed, Reduced, Spread
from ..graph import Graph
from ..node import OPS, Linear, Node
from ..types import Shape, TensorType
from .by_size import counts

# One node ---------------------------------------------------------------------------------------------


class AxisUse(NamedTuple):
    """One axis of a node's operand, and how it maps to the result. number: of the operand."""

    number: int
    axis: int
    fate: Fate


def fate(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an axis of an operand in the value of ``node``."""
    return OPS[node.op].axes.fate(node, number, axis)


def fates(node: Node) -> Iterator[AxisUse]:
    """Yield what becomes of every axis of every operand. A tuple of values has no axes."""
    of = OPS[node.op].axes.fate
    for number, operand in enumerate(node.operands):
        if isinstance(operand.type, TensorType):
            for axis in range(operand.type.rank):
                yield AxisUse(number, axis, of(node, number, axis))


def fates_of(node: Node, operand: Node, axis: int) -> list[Fate]:
    """Return what becomes of an axis of a value wherever ``node`` reads the value."""
    of = OPS[node.op].axes.fate
    return [of(node, number, axis) for number, item in enumerate(node.operands) if item is operand]


def kept_at(node: Node, number: int, axis: int) -> int | None:
    """Return the axis of the result whose positions read the same positions of an operand's axis; None if none does."""
    found = fate(node, number, axis)
    return found.axis if isinstance(found, Kept) else None


def keeps(node: Node, operand: Node, axis: int, place: int) -> bool:
    """True if position i of the result's axis ``place`` reads a value at position i of ``axis`` alone."""
    return all(found == Kept(place) for found in fates_of(node, operand, axis))


def is_alike(node: Node, axis: int) -> bool:
    """True if a result is the same at all positions of ``axis``, as every op makes it that spreads one entry."""
    if axis in OPS[node.op].axes.by_place(node):
        return False
    return all(
        not isinstance(use.fate, Mixed) and (isinstance(use.fate, Spread) or axis not in _axes_of(use.fate))
        for use in fates(node)
    )


def _axes_of(found: Fate) -> tuple[int, ...]:
    """The axes of the result on which an operand's axis lies."""
    several: tuple[int, ...] | None = getattr(found, "axes", None)
    one: int | None = getattr(found, "axis", None)
    return several if several is not None else () if one is None else (one,)


def adds_up(node: Node) -> bool:
    """True if a value is a sum over the first axis of every operand, to which parts of these axes add up.

    Sums and products of vectors are none, as they are computed at once.
    """
    if not node.operands or node.op == "matmul" or (node.op == "reduce_sum" and node.operands[0].tensor.rank < 2):
        return False
    return all(_is_summed(node, number) for number in range(len(node.operands)))


def _is_summed(node: Node, number: int) -> bool:
    kind = node.operands[number].type
    if not isinstance(kind, TensorType) or not kind.rank:
        return False
    found = fate(node, number, 0)
    return isinstance(found, Reduced) and found.by == "sum"


def reads_whole(node: Node, operand: Node) -> bool:
    """True if positions of a value each read all positions of an operand's first axis, or those that indices name."""
    if OPS[node.op].kind == "reduction" or adds_up(node):
        return False
    return any(isinstance(found, Reduced | Indexed) for found in fates_of(node, operand, 0))


def linear_in(node: Node) -> Linear:
    """Return the sets of operands in which, together, a node is linear."""
    return OPS[node.op].axes.linear(node)


# All nodes of a graph ----------------------------------------------------------------------------------


def walk_axes(
    graph: Graph, names: Set[str], left_out: Callable[[Node], Set[Node]] = lambda scan: frozenset()
) -> Iterator[tuple[Node, list[AxisUse]]]:
    """Yield every node, and what becomes of its operands' axes whose size is made of ``names``.

    Nodes of a scan's body follow the scan: what a scan does to such an axis, they say.

    Args:
        graph: Graph to walk.
        names: Names of sizes.
        left_out: Returns the nodes of a scan's body to pass over.
    """
    pending = [*reversed(graph.nodes)]
    while pending:
        node = pending.pop()
        shapes = [item.type.shape if isinstance(item.type, TensorType) else () for item in node.operands]
        counted = [(number, axis) for number, shape in enumerate(shapes) for axis in _counted(shape, names)]
        yield node, [AxisUse(number, axis, fate(node, number, axis)) for number, axis in counted]
        if node.op == "scan":
            passed = left_out(node)
            pending += [item for item in reversed(node["body"].nodes) if item not in passed]


def _counted(shape: Shape, names: Set[str]) -> list[int]:
    return [axis for axis, dim in enumerate(shape) if counts(dim, names)]
