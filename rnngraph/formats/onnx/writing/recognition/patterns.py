"""Patterns of ops, and the values that stand at their places where a graph's nodes have such a form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .....declare.placeholders import placeholder
from .....declare.tensor import Tensor
from .....ir.graph import Graph, Node
from .....passes.simplify import Simplify

Found = Mapping[str, Node]

_COMMUTATIVE = ("add", "mul", "maximum", "minimum", "and", "or", "equal")
_MARKS = (0.34607, 0.72153)
"""Numbers that stand for alpha and beta while a pattern is made."""


@dataclass(frozen=True)
class Variable:
    """Stands for any value: the same one wherever it has the same name."""

    name: str


@dataclass(frozen=True)
class Number:
    """Stands for a scalar constant: this one, or any that ``name`` is given."""

    value: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Op:
    """Stands for an op on what has these patterns."""

    op: str
    operands: Sequence[Pattern]


Pattern = Variable | Number | Op


def add(*operands: Pattern) -> Op:
    return Op("add", operands)


def mul(*operands: Pattern) -> Op:
    return Op("mul", operands)


def one_less(x: Pattern) -> Op:
    """1 - x."""
    return Op("sub", (Number(1.0), x))


def matches(pattern: Pattern, node: Node, found: Found) -> Iterator[dict[str, Node]]:
    """Every way in which a node is of a pattern. found: what is known of the places already."""
    match pattern:
        case Variable(name):
            if found.get(name, node) is node:
                yield {**found, name: node}
        case Number(value, name):
            if _is_scalar(node) and (value is None or node["value"] == np.asarray(value, node.dtype)):
                yield {**found, name: node} if name else dict(found)
        case Op(op, operands):
            if node.op == op and len(node.operands) == len(operands):
                orders = [node.operands, node.operands[::-1]] if op in _COMMUTATIVE else [node.operands]
                for order in orders:
                    yield from _together(operands, order, found)


def _together(patterns: Sequence[Pattern], nodes: Sequence[Node], found: Found) -> Iterator[dict[str, Node]]:
    if not patterns:
        yield dict(found)
        return
    for first in matches(patterns[0], nodes[0], found):
        yield from _together(patterns[1:], nodes[1:], first)


def _is_scalar(node: Node) -> bool:
    return node.op == "constant" and node.tensor.rank == 0


def number_of(node: Node) -> float:
    return float(node["value"])


def pattern_of(function: Callable[[Tensor, float, float], Tensor]) -> Pattern:
    """What a function of (x, alpha, beta) makes of a value ``x``, whatever the numbers are."""
    x = placeholder("x", (1,))
    graph = Simplify()(Graph.of("activation", [("y", function(x, *_MARKS).node)]))
    made: dict[Node, Pattern] = {graph.inputs[0]: Variable("x")}
    for node in graph.nodes:
        if node not in made:
            made[node] = _number(node) if _is_scalar(node) else Op(node.op, [made[item] for item in node.operands])
    return made[graph.outputs[0][1]]


def _number(node: Node) -> Number:
    for mark, name in zip(_MARKS, ("alpha", "beta"), strict=True):
        if node["value"] == np.asarray(mark, node.dtype):
            return Number(name=name)
    return Number(number_of(node))


def numbers(found: Mapping[str, Any]) -> dict[str, float]:
    """Alpha and beta, as far as a pattern has them."""
    return {name: number_of(found[name]) for name in ("alpha", "beta") if name in found}


def is_filled(node: Node, fill: float) -> bool:
    """Whether a value is one number everywhere."""
    while node.op in ("broadcast", "reshape", "slice", "transpose"):
        node = node.operands[0]
    return node.op == "constant" and bool((node["value"] == fill).all())


def in_order(node: Node) -> Node:
    """Return the source of a value that has the same numbers in the same order."""
    while node.op in ("reshape", "ensure_shape") or (node.op == "transpose" and _keeps_order(node)):
        node = node.operands[0]
    return node


def _keeps_order(node: Node) -> bool:
    moved = [axis for axis in node["order"] if node.operands[0].shape[axis] != 1]
    return moved == sorted(moved)
