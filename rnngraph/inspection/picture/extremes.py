"""Finds positions of extremes, ``argmax`` and ``argmin``, among the ops that compute them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from ...ir.node import Node
from ...ir.printer import is_literal

MAX_INT64 = 2**63 - 1
_NAMES = {"reduce_max": "argmax", "reduce_min": "argmin"}


class Extreme(NamedTuple):
    """Position of an extreme: the function, its operand, and the nodes by which it is computed."""

    name: str
    operand: Node
    inner: frozenset[Node]


def extreme_of(node: Node) -> Extreme | None:
    """Return the ``argmax`` or ``argmin`` whose index ``node`` computes from several simpler ops; else None."""
    if node.op != "reduce_min" or node.operands[0].op != "select":
        return None
    select = node.operands[0]
    hit, positions, otherwise = select.operands
    is_position = positions.op == "iota" or str(positions.get("label", "")).startswith("iota")
    if not is_position or not is_literal(otherwise) or otherwise["value"].item() != MAX_INT64:
        return None
    equal, *nan = hit.operands if hit.op == "or" else (hit,)
    if equal.op != "equal" or any(item.op != "not_equal" for item in nan):
        return None
    operand, extreme = equal.operands
    if extreme.op not in _NAMES or extreme.operands[0] is not operand:
        return None
    return Extreme(_NAMES[extreme.op], operand, frozenset((select, hit, equal, extreme, *nan)))


def inside_extremes(nodes: Iterable[Node], roots: Collection[Node]) -> set[Node]:
    """Return the simpler ops that together compute an ``argmax`` or ``argmin``, and that nothing else reads."""
    nodes = [*nodes]
    readers: dict[Node, set[Node]] = {}
    for node in nodes:
        for operand in node.operands:
            readers.setdefault(operand, set()).add(node)
    inside: set[Node] = set()
    for node in nodes:
        if extreme := extreme_of(node):
            inside |= {one for one in extreme.inner if one not in roots and readers[one] <= {node, *extreme.inner}}
    return inside
