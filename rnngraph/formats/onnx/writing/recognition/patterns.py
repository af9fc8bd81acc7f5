"""Patterns of ops, and a matcher of patterns with a graph's nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .....declare.placeholders import placeholder
from .....declare.tensor import Tensor
from .....ir.derivatives import values_alone
from .....ir.graph import Graph, Node
from .....passes.simplify import Simplify

Bindings = Mapping[str, Node]

_COMMUTATIVE = ("add", "mul", "maximum", "minimum", "and", "or", "equal")
_MARKS = (0.34607, 0.72153)
"""Numbers that stand for alpha and beta while a function is traced to a pattern; no function contains them."""


@dataclass(frozen=True)
class Variable:
    """Pattern that matches any value. All variables of one name must match the same value."""

    name: str


@dataclass(frozen=True)
class Number:
    """Pattern of a scalar constant: a fixed value, or any value, which is recorded under ``name``."""

    value: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Op:
    """Pattern of an op with patterns of its operands."""

    op: str
    operands: Sequence[Pattern]


Pattern = Variable | Number | Op


def add(*operands: Pattern) -> Op:
    return Op("add", operands)


def mul(*operands: Pattern) -> Op:
    return Op("mul", operands)


def one_less(x: Pattern) -> Op:
    """Return the pattern 1 - x."""
    return Op("sub", (Number(1.0), x))


def matches(pattern: Pattern, node: Node, bindings: Bindings) -> Iterator[dict[str, Node]]:
    """Yield every match of a node with a pattern: ``bindings`` plus the values of the pattern's variables, by name.

    Args:
        pattern: The pattern.
        node: The node.
        bindings: Values that variables must have, by name.
    """
    match pattern:
        case Variable(name):
            if bindings.get(name, node) is node:
                yield {**bindings, name: node}
        case Number(value, name):
            if _is_scalar(node) and (value is None or node["value"] == np.asarray(value, node.dtype)):
                yield {**bindings, name: node} if name else dict(bindings)
        case Op(op, operands):
            if node.op == op and len(node.operands) == len(operands):
                orders = [node.operands, node.operands[::-1]] if op in _COMMUTATIVE else [node.operands]
                for order in orders:
                    yield from _together(operands, order, bindings)


def _together(patterns: Sequence[Pattern], nodes: Sequence[Node], match: Bindings) -> Iterator[dict[str, Node]]:
    """Yield every match of several nodes with several patterns, with equal values for equal variables."""
    if not patterns:
        yield dict(match)
        return
    for first in matches(patterns[0], nodes[0], match):
        yield from _together(patterns[1:], nodes[1:], first)


def _is_scalar(node: Node) -> bool:
    return node.op == "constant" and node.tensor.rank == 0


def number_of(node: Node) -> float:
    return float(node["value"])


def pattern_of(function: Callable[[Tensor, float, float], Tensor]) -> Pattern:
    """Return the pattern of a function of (x, alpha, beta), where x is a variable, and alpha and beta any numbers."""
    x = placeholder("x", (1,))
    graph = Simplify()(values_alone(Graph.of("activation", [("y", function(x, *_MARKS).node)])))
    patterns: dict[Node, Pattern] = {graph.inputs[0]: Variable("x")}
    for node in graph.nodes:
        if node not in patterns:
            patterns[node] = (
                _number(node) if _is_scalar(node) else Op(node.op, [patterns[item] for item in node.operands])
            )
    return patterns[graph.outputs[0][1]]


def _number(node: Node) -> Number:
    """Return the pattern of a traced constant: alpha or beta if it is a mark, else the number itself."""
    for mark, name in zip(_MARKS, ("alpha", "beta"), strict=True):
        if node["value"] == np.asarray(mark, node.dtype):
            return Number(name=name)
    return Number(number_of(node))


def numbers(match: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a match, by name: alpha and beta, as far as the pattern has them."""
    return {name: number_of(match[name]) for name in ("alpha", "beta") if name in match}


def is_filled(node: Node, fill: float) -> bool:
    """True if all entries of a value are the constant ``fill``."""
    while node.op in ("broadcast", "reshape", "slice", "transpose"):
        node = node.operands[0]
    return node.op == "constant" and bool((node["value"] == fill).all())


def in_order(node: Node) -> Node:
    """Trace a value back through ops that keep the order of entries, such as reshapes. Return its source."""
    while node.op in ("reshape", "ensure_shape") or (node.op == "transpose" and _keeps_order(node)):
        node = node.operands[0]
    return node


def _keeps_order(node: Node) -> bool:
    """True if a transpose moves only axes of size 1."""
    moved = [axis for axis in node["order"] if node.operands[0].shape[axis] != 1]
    return moved == sorted(moved)
