"""What the attributes of ops may be: the part of an op's row that a graph from a file is held to.

Each function here is a rule of one kind of values.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .node import Node
from .sizes.polynomial import CLAMPED, Floor, floors_of
from .types import DTYPES, FLOATS, Dim, Size, TensorType, TupleType

MOST_ELEMENTS = 1 << 40
"""Elements of a tensor, in a file with open sizes of 1, at a call with its own; and the largest number in a size."""

MOST_AXES = 32
"""Axes of an array in every NumPy."""

MOST_DIVISOR = 1 << 20
"""The largest step of a slice or a window. Divisors in a size may be larger, up to ``CLAMPED``."""

MOST_STEPS = (1 << 31) - 1
"""Steps of all the loops of a call that lie within each other, together."""

MOST_UNROLLED = 1024
"""Steps per turn of a loop; each is code of its own."""


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def text(value: Any, node: Node) -> bool:
    """A word that can stand in a line of text."""
    return isinstance(value, str) and value.isprintable()


def integer(value: Any, node: Node) -> bool:
    return is_int(value)


def flag(value: Any, node: Node) -> bool:
    return isinstance(value, bool)


def positive(value: Any, node: Node) -> bool:
    return is_int(value) and value > 0


def divisor(value: Any, node: Node) -> bool:
    return positive(value, node) and value <= MOST_DIVISOR


def length(value: Any, node: Node) -> bool:
    return dim(value, node) and (isinstance(value, Size) or value <= MOST_STEPS)


def unrolled(value: Any, node: Node) -> bool:
    return is_int(value) and 0 < value <= MOST_UNROLLED


def dtype(value: Any, node: Node) -> bool:
    return value in DTYPES


def within(value: Any, node: Node) -> bool:
    """What the numbers that are compared are: of a last axis, or indices into an axis, from the end too or not.

    Of the lengths that are ``longest``, the largest must be the size of the last axis.
    """
    return value in ("entries", "rows") or (value in ("labels", "lengths", "longest") and node.tensor.rank > 0)


def labels(value: Any, node: Node) -> bool:
    """What labels are: probabilities of the classes along the last axis, or each the probability of one truth."""
    is_known = value == "truths" or (value == "classes" and node.tensor.rank > 0)
    return is_known and node.operands[0].dtype in FLOATS


def axis(value: Any, node: Node) -> bool:
    return is_int(value) and 0 <= value < node.operands[0].tensor.rank


def axes(value: Any, node: Node) -> bool:
    return isinstance(value, tuple) and all(axis(item, node) for item in value) and len(set(value)) == len(value)


def dim(value: Any, node: Node) -> bool:
    """A size that can be one: no number in it is negative alone, or absurd."""
    if isinstance(value, Size):
        parts = [value, *(floor.dim for floor in floors_of(value))]
        numbers = (factor for part in parts for _, factor in part.terms)
        fits = all(floor.by <= CLAMPED for floor in floors_of(value))
        return fits and all(abs(number) <= MOST_ELEMENTS for number in numbers)
    return is_int(value) and 0 <= value <= MOST_ELEMENTS


def shape(value: Any, node: Node) -> bool:
    return isinstance(value, tuple) and all(dim(item, node) for item in value)


def kind(value: Any, node: Node) -> bool:
    """The type of a tensor that there can be."""
    if not isinstance(value, TensorType) or not dtype(value.dtype, node) or not shape(value.shape, node):
        return False
    elements = 1
    for item in value.shape:  # where one is 0, the others still are strides
        elements *= max(1, _at_one(item))
    return elements <= MOST_ELEMENTS and len(value.shape) <= MOST_AXES


def _at_one(dim: Dim) -> int:
    """A bound of a size whose names are 1."""
    if not isinstance(dim, Size):
        return dim
    total = 0
    for names, factor in dim.terms:
        floors = (_at_one(name.dim) // name.by for name in names if isinstance(name, Floor))
        total += abs(factor) * prod(floors)
    return total


def starts(value: Any, node: Node) -> bool:
    return shape(value, node) and len(value) == node.operands[0].tensor.rank


def stops(value: Any, node: Node) -> bool:
    """Where slices end: not behind the axis, as far as numbers tell; a call checks the rest."""
    if not starts(value, node):
        return False
    inside = (size - stop for stop, size in zip(value, node.operands[0].shape, strict=True))
    return all(isinstance(rest, Size) or rest >= 0 for rest in inside)


def steps(value: Any, node: Node) -> bool:
    return isinstance(value, tuple) and all(divisor(item, node) for item in value)


def item(value: Any, node: Node) -> bool:
    given = node.operands[0].type
    return is_int(value) and isinstance(given, TupleType) and 0 <= value < len(given.items)


def carries(value: Any, node: Node) -> bool:
    return is_int(value) and 0 <= value <= min(len(node.operands), len(node["body"].outputs))


def sequences(value: Any, node: Node) -> bool:
    return is_int(value) and 0 <= value <= len(node.operands) - node["carries"]


def body_input(value: Any, node: Node) -> bool:
    """What a scan's body takes anew at each step: a carry or a step of a sequence."""
    return is_int(value) and 0 <= value < node["carries"] + node["sequences"]


def anything(value: Any, node: Node) -> bool:
    """What the type rule or the verifier looks at itself."""
    return True
