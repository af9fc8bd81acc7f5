"""Rules by which ops map the axes of their operands to the result: the axis column of the table of ops.

A rule is a function of a node, the index of an operand, and an axis of that operand. It returns the map of the axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from .axis_maps import (
    DROPPED,
    INDEXED,
    MIXED,
    Bound,
    Fate,
    Kept,
    Merged,
    Overlapped,
    Reduced,
    Shifted,
    Spread,
)
from .node import AxisColumn, Linear, Node
from .types import FLOATS, Dim, Shape, product, quotient

# Maps of an operand's axis ----------------------------------------------------------------------------


def _align(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis under NumPy's broadcasting, which aligns shapes at their last axes."""
    shape = node.operands[number].shape
    place = axis + node.tensor.rank - len(shape)
    return Spread(place) if shape[axis] == 1 != node.shape[place] else Kept(place)


def _nothing(node: Node, number: int, axis: int) -> Fate:
    """Return that an operand's axis may go anywhere, for ops about which nothing is known."""
    return MIXED


def _first_alone(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in an op whose result has exactly the axes of its first operand."""
    return Kept(axis) if number == 0 else MIXED


def _matmul(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a matmul: kept, or summed if it is the contracted one."""
    if number == 2:
        return _align(node, number, axis)
    rank = node.operands[number].tensor.rank
    contracted = rank - 1 if number == 0 else rank - 2
    if axis == contracted:
        return Reduced("sum", 0)
    return Kept(axis if axis < rank - 1 else node.tensor.rank - 1)


def _block_matmul(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a product of quantized blocks: kept, or summed."""
    is_right = number in (1, 3)
    contracted = 0 if is_right else node.operands[number].tensor.rank - 1
    if axis == contracted:
        return Reduced("sum", 0)
    return Kept(node.tensor.rank - 1 if is_right else axis)


def _outer_sum(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a sum of outer products: kept, or summed."""
    is_last = axis == node.operands[number].tensor.rank - 1
    return Kept(number) if is_last else Reduced("sum", axis)


def _scatter_add(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in ``scatter_add``: kept, or summed."""
    indices = node.operands[0].tensor.rank
    return Reduced("sum", axis) if axis < indices else Kept(1 + axis - indices)


def _overlap_add(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in ``overlap_add``: kept, or merged with overlaps."""
    windows: int = node["axis"]
    if axis in (windows, windows + 1):
        return Overlapped(windows)
    return Kept(axis if axis < windows else axis - 1)


def _reduce_sum(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a sum: kept, or summed."""
    return Reduced("sum", axis) if axis in node["axes"] else Kept(_place_left(node, axis))


def _reduce_extreme(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a maximum or minimum: kept, or reduced."""
    return Reduced("extreme", axis) if axis in node["axes"] else Kept(_place_left(node, axis))


def _place_left(node: Node, axis: int) -> int:
    """Return the index in a reduction's result of an operand's axis that is not reduced."""
    return axis if node["keepdims"] else axis - sum(other < axis for other in node["axes"])


def _slice(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a slice: kept, or shifted."""
    bounds = node["start"][axis], node["stop"][axis], node["step"][axis]
    is_whole = bounds == (0, node.operands[0].shape[axis], 1)
    return Kept(axis) if is_whole else Shifted(axis, bounds[0], bounds[2])


def _windows(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in ``windows``: kept, or cut into overlapping windows."""
    own: int = node["axis"]
    if axis == own:
        return Shifted(axis, 0, node["step"], node["size"], node["apart"])
    return Kept(axis if axis < own else axis + 1)


def _reverse(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in ``reverse``: kept, or reversed."""
    return Shifted(axis, node.shape[axis] - 1, -1) if axis == node["axis"] else Kept(axis)


def _transpose(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a transpose: kept at its new index."""
    return Kept(node["order"].index(axis))


def _concat(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in a concatenation: kept, or shifted to its part."""
    if axis != node["axis"] or len(node.operands) == 1:
        return Kept(axis)
    before: Dim = 0
    for item in node.operands[:number]:
        before = before + item.shape[axis]
    return Shifted(axis, before * -1, 1)


def _gather(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an operand's axis in ``gather``: kept, or indexed."""
    if number == 1:
        return Kept(axis)
    return Kept(axis - 1 + node.operands[1].tensor.rank) if axis else INDEXED


def _reshape(node: Node, number: int, axis: int) -> Fate:
    """Return what becomes of an axis of a reshape's operand: kept, split or merged."""
    return regrouped(node.operands[0].shape, axis, node.shape)


def _scan(node: Node, number: int, axis: int) -> Fate:
    """Return which axis of the body's input an axis of a scan's operand becomes; a sequence loses its time axis."""
    carries, sequences = node["carries"], node["sequences"]
    is_stepped = carries <= number < carries + sequences or (number < carries and node.get("blocks") is not None)
    if not is_stepped:
        return Bound(number, axis)
    return Bound(number, axis - 1) if axis else MIXED


def regrouped(before: Shape, axis: int, after: Shape) -> Fate:
    """Return what becomes of an axis of shape ``before`` in a reshape to ``after``: kept, split or merged."""
    if 0 in before:  # without elements, any map is valid
        return next((Kept(place) for place, dim in enumerate(after) if dim == before[axis]), MIXED)
    ahead = product(before[:axis])
    if before[axis] == 1:
        ones = (place for place, dim in enumerate(after) if dim == 1 and product(after[:place]) == ahead)
        place = next(ones, None)
        return DROPPED if place is None else Kept(place)
    end = ahead * before[axis]
    spans = [
        (place, product(after[:place]), product(after[: place + 1])) for place, dim in enumerate(after) if dim != 1
    ]
    first = next((place for place, start, stop in spans if _lies_in(ahead, start, stop) and ahead != stop), None)
    last = next((place for place, start, stop in spans if _lies_in(end, start, stop) and end != start), None)
    if first is None or last is None or first > last:
        return MIXED
    outer, inner = quotient(ahead, product(after[:first])), quotient(product(after[: last + 1]), end)
    assert outer is not None
    assert inner is not None
    if first == last and (outer, inner) == (1, 1):
        return Kept(first)
    return Merged(tuple(place for place, *_ in spans if first <= place <= last), outer, inner)


def _lies_in(number: Dim, start: Dim, stop: Dim) -> bool:
    """True if ``number`` is a multiple of ``start`` and divides ``stop``, so that an axis can be split there.

    All three count elements: ``start`` is the product of the sizes before the axis, and ``stop`` includes the axis.
    """
    return quotient(number, start) is not None and quotient(stop, number) is not None


# Axes along which the result depends on the position ------------------------------------------------------


def _nowhere(node: Node) -> Set[int]:
    return frozenset()


def _everywhere(node: Node) -> Set[int]:
    return frozenset(range(node.tensor.rank))


def _first(node: Node) -> Set[int]:
    return frozenset({0})


def _last(node: Node) -> Set[int]:
    return frozenset({node.tensor.rank - 1})


def _within_windows(node: Node) -> Set[int]:
    return frozenset({node["axis"] + 1})


# Operands in which an op is linear ---------------------------------------------------------------------


def never(node: Node) -> Linear:
    """Linearity of an op that is linear in no operand."""
    return ()


def jointly(*groups: Sequence[int]) -> Callable[[Node], Linear]:
    """Return the linearity of an op that is jointly linear in each group of operands."""
    sets = tuple(frozenset(group) for group in groups)
    return lambda node: sets


def in_all(node: Node) -> Linear:
    """Linearity of an op that is jointly linear in all operands."""
    return (frozenset(range(len(node.operands))),)


def in_dividend(node: Node) -> Linear:
    """Linearity of division: in the dividend for floats, and in no operand for integers, whose division truncates."""
    return (frozenset({0}),) if node.dtype in FLOATS else ()


def as_numbers(node: Node) -> Linear:
    """Linearity of casts: a cast from a number to a float is linear, up to rounding. No other cast is."""
    return (frozenset({0}),) if node.dtype in FLOATS and node.operands[0].dtype != "bool" else ()


def of_product(node: Node) -> Linear:
    """Linearity of matmul: in each factor, jointly with the initial value of the sum."""
    start = range(2, len(node.operands))
    return frozenset({0, *start}), frozenset({1, *start})


# Axis columns of the ops ---------------------------------------------------------------------------------


def elementwise(linear: Callable[[Node], Linear] = never) -> AxisColumn:
    """Return the axis column of an elementwise op."""
    return AxisColumn(_align, _nowhere, linear)


UNKNOWN = AxisColumn(_nothing, _everywhere, never)
"""Column of an op that may mix the positions of all axes."""
LEAF = AxisColumn(_nothing, _everywhere, never)
"""Column of an op without operands, whose elements may all differ."""
PART = AxisColumn(_nothing, _nowhere, never)
"""Column of ``get``, whose only operand is a tuple, which has no axes."""
dimension = AxisColumn(_nothing, _nowhere, never)
matmul = AxisColumn(_matmul, _nowhere, of_product)
block_matmul = AxisColumn(_block_matmul, _nowhere, jointly((2,), (3,)))
outer_sum = AxisColumn(_outer_sum, _nowhere, jointly((0,), (1,)))
scatter_add = AxisColumn(_scatter_add, _first, jointly((1,)))
overlap_add = AxisColumn(_overlap_add, _nowhere, in_all)
reduce_sum = AxisColumn(_reduce_sum, _nowhere, in_all)
reduce_extreme = AxisColumn(_reduce_extreme, _nowhere, never)
slice = AxisColumn(_slice, _nowhere, in_all)
windows = AxisColumn(_windows, _within_windows, in_all)
reverse = AxisColumn(_reverse, _nowhere, in_all)
transpose = AxisColumn(_transpose, _nowhere, in_all)
reshape = AxisColumn(_reshape, _nowhere, in_all)
concat = AxisColumn(_concat, _nowhere, in_all)
gather = AxisColumn(_gather, _nowhere, jointly((0,)))
dropout = AxisColumn(_align, _last, jointly((0,)))
noise = AxisColumn(_align, _everywhere, never)
with_update = AxisColumn(_first_alone, _nowhere, jointly((0,)))
scan = AxisColumn(_scan, _nowhere, never)
