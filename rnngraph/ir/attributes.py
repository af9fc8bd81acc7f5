"""Validity checks of attribute values, which the verifier applies to graphs from files.

Each function is true if a value is valid for an attribute of a node.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .node import Node
from .sizes.polynomial import CLAMPED, Floor, floors_of
from .types import DTYPES, FLOATS, KEEP_NARROW, NARROW, Dim, Size, TensorType, TupleType

MAX_ELEMENTS = 1 << 40
"""Maximum number of elements of a tensor, and of a coefficient in a size.

For a graph from a file, symbolic sizes count as 1. For a call, they have their run-time values.
"""

MAX_AXES = 32
"""Maximum rank of an array that every supported NumPy version can hold."""

MAX_DIVISOR = 1 << 20
"""Maximum step of a slice or a window. Divisors in a size may be larger, up to ``CLAMPED``."""

MAX_STEPS = (1 << 31) - 1
"""Maximum product of the step counts of nested loops in one call."""

MAX_UNROLLED = 1024
"""Maximum unroll factor of a loop. Each unrolled step adds machine code."""


def is_int(value: Any) -> bool:
    """True for an int that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def text(value: Any, node: Node) -> bool:
    """True for a printable string that fits on a line of a printed graph."""
    return isinstance(value, str) and value.isprintable()


def integer(value: Any, node: Node) -> bool:
    return is_int(value)


def flag(value: Any, node: Node) -> bool:
    return isinstance(value, bool)


def positive(value: Any, node: Node) -> bool:
    return is_int(value) and value > 0


def divisor(value: Any, node: Node) -> bool:
    return positive(value, node) and value <= MAX_DIVISOR


def length(value: Any, node: Node) -> bool:
    """True for a valid number of steps: a formula, or a number up to ``MAX_STEPS``."""
    return dim(value, node) and (isinstance(value, Size) or value <= MAX_STEPS)


def unrolled(value: Any, node: Node) -> bool:
    return is_int(value) and 0 < value <= MAX_UNROLLED


def dtype(value: Any, node: Node) -> bool:
    return value in DTYPES


def cast_dtype(value: Any, node: Node) -> bool:
    """True for a dtype to which casts are allowed."""
    return dtype(value, node) or (value == "bfloat16" and node.operands[0].dtype == "float32")


def _is_dtype_of(value: str, node: Node) -> bool:
    """True for a dtype that a node may have. Only parameters, and the ops ``KEEP_NARROW``, may have a narrow dtype."""
    if value in NARROW and node.op in ("parameter", *KEEP_NARROW):
        return node.op == "parameter" or node.operands[0].dtype == value
    return cast_dtype(value, node) if node.op == "cast" else dtype(value, node)


def within(value: Any, node: Node) -> bool:
    """True for the name of a range that each call checks for fed numbers.

    ``labels`` and ``lengths`` are bounded by the size of the last axis. ``longest`` are lengths whose maximum must
    equal that size. ``rows`` are indices into an axis, and ``entries`` are indices that may count from the end.
    """
    return value in ("entries", "rows") or (value in ("labels", "lengths", "longest") and node.tensor.rank > 0)


def labels(value: Any, node: Node) -> bool:
    """True for a valid kind of labels of a float operand.

    ``classes`` are probabilities of classes along the last axis. ``truths`` are independent numbers from 0 to 1.
    """
    is_known = value == "truths" or (value == "classes" and node.tensor.rank > 0)
    return is_known and node.operands[0].dtype in FLOATS


def axis(value: Any, node: Node) -> bool:
    return is_int(value) and 0 <= value < node.operands[0].tensor.rank


def axes(value: Any, node: Node) -> bool:
    """True for distinct axes of the first operand."""
    return isinstance(value, tuple) and all(axis(item, node) for item in value) and len(set(value)) == len(value)


def dim(value: Any, node: Node) -> bool:
    """True if ``value`` is a valid size of a stored graph: a nonnegative int, or a formula within the limits."""
    if isinstance(value, Size):
        parts = [value, *(floor.dim for floor in floors_of(value))]
        numbers = (factor for part in parts for _, factor in part.terms)
        fits = all(floor.by <= CLAMPED for floor in floors_of(value))
        return fits and all(abs(number) <= MAX_ELEMENTS for number in numbers)
    return is_int(value) and 0 <= value <= MAX_ELEMENTS


def shape(value: Any, node: Node) -> bool:
    return isinstance(value, tuple) and all(dim(item, node) for item in value)


def kind(value: Any, node: Node) -> bool:
    """True if ``value`` is a tensor type within the limits on dtype, rank and number of elements."""
    if not isinstance(value, TensorType) or not shape(value.shape, node):
        return False
    if not _is_dtype_of(value.dtype, node):
        return False
    elements = 1
    for item in value.shape:  # sizes of 0 count as 1, because the other sizes determine strides
        elements *= max(1, _at_one(item))
    return elements <= MAX_ELEMENTS and len(value.shape) <= MAX_AXES


def _at_one(dim: Dim) -> int:
    """Return an upper bound of a size's value if every symbol in it is 1."""
    if not isinstance(dim, Size):
        return dim
    total = 0
    for names, factor in dim.terms:
        floors = (_at_one(name.dim) // name.by for name in names if isinstance(name, Floor))
        total += abs(factor) * prod(floors)
    return total


def limits(value: Any, node: Node) -> bool:
    """True for a tuple (size, minimum, maximum). Each call checks that the size is within these bounds."""
    return shape(value, node) and len(value) == 3 and all(is_int(number) for number in value[1:])


def starts(value: Any, node: Node) -> bool:
    """True for one size per axis of the first operand."""
    return shape(value, node) and len(value) == node.operands[0].tensor.rank


def stops(value: Any, node: Node) -> bool:
    """True if a slice ends within every axis. Symbolic bounds are checked at run time."""
    if not starts(value, node):
        return False
    inside = (size - stop for stop, size in zip(value, node.operands[0].shape, strict=True))
    return all(isinstance(rest, Size) or rest >= 0 for rest in inside)


def steps(value: Any, node: Node) -> bool:
    """True for steps of a slice, each a positive number up to ``MAX_DIVISOR``."""
    return isinstance(value, tuple) and all(divisor(item, node) for item in value)


def item(value: Any, node: Node) -> bool:
    """True for the index of an item of the operand, which is a tuple."""
    source = node.operands[0].type
    return is_int(value) and isinstance(source, TupleType) and 0 <= value < len(source.items)


def carries(value: Any, node: Node) -> bool:
    """True for a valid number of carries of a scan."""
    return is_int(value) and 0 <= value <= min(len(node.operands), len(node["body"].outputs))


def sequences(value: Any, node: Node) -> bool:
    """True for a valid number of sequences of a scan."""
    return is_int(value) and 0 <= value <= len(node.operands) - node["carries"]


def body_input(value: Any, node: Node) -> bool:
    """True for the index of a loop body's input that is a carry or one step of a sequence."""
    return is_int(value) and 0 <= value < node["carries"] + node["sequences"]


def anything(value: Any, node: Node) -> bool:
    """True for any value, because other rules check the attribute."""
    return True
