"""Analysis of loops: the number of steps that a condition allows, and look-ups at the step number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...declare.tensor import Tensor, take_slice
from ...ir.graph import Node
from ...ir.types import Dim
from ..core.sizes import known_size

MAX_ADDITIONS = 1000
"""Maximum number of additions through which a counter is traced."""


@dataclass(frozen=True)
class Counts:
    """Counters of a loop, which increase by 1 at each step.

    Attributes:
        first: Value of each counter at the first step, by the counter's parameter.
    """

    first: Mapping[Node, Dim]

    def number(self, node: Node) -> Dim | None:
        """Return a scalar's value at the first step; None unless the scalar is a counter plus a constant."""
        added: Dim = 0
        for _ in range(MAX_ADDITIONS):
            if node in self.first:
                return self.first[node] + added
            if node.op == "cast":
                node = node.operands[0]
                continue
            if node.op == "select" and _converts_negative_index(node):
                start = self.number(node.operands[2])
                return None if start is None or not isinstance(start, int) or start < 0 else start + added
            if node.op not in ("add", "sub"):
                return None
            one, other = node.operands
            step = _known_int(other)
            if step is None and node.op == "add":
                one, step = other, _known_int(one)
            if step is None:
                return None
            added, node = added + (step if node.op == "add" else -step), one
        return None

    def limits(self, condition: Node, counted: bool = False) -> list[Tensor]:
        """Return the right operands of a condition's ``<`` and ``<=`` that are sizes or constants.

        Args:
            condition: Condition of a step.
            counted: Also return ints that a run computes before the loop.
        """
        if condition.op == "and":
            return [item for operand in condition.operands for item in self.limits(operand, counted)]
        if condition.op not in ("less", "less_equal"):
            return []
        limit = condition.operands[1]
        return [] if known_size(_without_casts(limit), counted) is None else [Tensor(limit)]

    def bounds(self, condition: Node, counted: bool = False) -> Iterator[Dim | None]:
        """Yield the number of steps until a condition is False. Operands of ``and`` yield one number each.

        The number is None if it depends on values of the steps. A constant True yields nothing.

        Args:
            condition: Condition of a step.
            counted: Also accept limits that a run computes before the loop.
        """
        if condition.op == "and":
            for operand in condition.operands:
                yield from self.bounds(operand, counted)
            return
        if condition.op == "constant" and np.all(condition["value"]):
            return
        if condition.op not in ("less", "less_equal") or condition.shape:
            yield None
            return
        count, limit = (_without_casts(operand) for operand in condition.operands)
        begins = self.number(count)
        ends = None if begins is None else known_size(limit, counted)
        if begins is None or ends is None:
            yield None
        else:
            yield ends - begins + (condition.op == "less_equal")

    def first_look_up(self, node: Node) -> Dim | None:
        """Return the index that a ``gather`` reads at the first step; None unless each step reads the next entry."""
        return self.number(node.operands[1]) if node.op == "gather" and not node.operands[1].shape else None


def is_counter(param: Node, following: Node) -> bool:
    """True if ``following``, the next value of a step's parameter, is the scalar ``param`` plus 1."""
    if param.shape or following.op != "add":
        return False
    one, other = following.operands
    return (one is param and _known_int(other) == 1) or (other is param and _known_int(one) == 1)


def entries_of_steps(table: Tensor, first: Dim, length: Dim) -> Tensor | None:
    """Return the ``length`` entries of a table from ``first`` on; None if the table may have fewer entries."""
    size = table.type.shape[0]
    left = size - length - first
    if first == 0 and isinstance(left, int) and left == 0:
        return table
    if not isinstance(first, int) or not isinstance(left, int) or first < 0 or left < 0:
        return None
    return take_slice(table, (slice(first, -left if left else None),))


def _converts_negative_index(node: Node) -> bool:
    """True if a ``select`` is ``index + size if index < 0 else index``, which converts an index from the end."""
    condition, _, number = node.operands
    return condition.op == "less" and condition.operands[0] is number and _known_int(condition.operands[1]) == 0


def _without_casts(node: Node) -> Node:
    """Return the operand of nested casts; ``node`` itself if it is no cast."""
    while node.op == "cast":
        node = node.operands[0]
    return node


def _known_int(node: Node) -> int | None:
    """Return the value of a scalar int constant; None for other nodes."""
    node = _without_casts(node)
    if node.op != "constant" or node.shape or node["value"].dtype.kind not in "iu":
        return None
    return int(node["value"])
