"""What of a step stays in its loop although no cycle needs it: values that are larger than what they are made of, and
readouts that are smaller than what they read.

Outside of a loop a value is a sequence in memory, written and read once more. An outer product that a matrix state adds
takes there as many bytes as the state, and so does a state that is only read out. The vectors that they are made of, or
become, take few, and neither is less work outside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from ...ir.graph import Node
from ...ir.node import OPS
from ...ir.types import Dim, evaluate, product, symbols_of

Loop = TypeVar("Loop")

MIN_AXES = 3
"""Axes of a value that counts as large: rows, and two of a matrix."""
MIN_RATIO = 4
"""How many times larger than what it is made of, or read out to, a value is at least."""


def stays_before(
    nodes: Sequence[Node],
    readers: Mapping[Node, Sequence[Node]],
    loops: Mapping[Node, Loop],
    varying: Collection[Node],
    results: Collection[Node],
) -> dict[Node, Loop]:
    """Return values that only one loop reads and that are larger than what they are made of, with that loop.

    nodes: of a body, operands first. loops: of members. varying: nodes that differ from step to step. results: nodes
    that each step gives.
    """
    only: dict[Node, Loop] = {}
    for node in reversed(nodes):
        if node in loops or node in results or node not in varying or not node.operands or not _moves(node):
            continue
        found = [loops.get(reader, only.get(reader)) for reader in readers[node]]
        first = found[0] if found else None
        if first is not None and all(item is first for item in found):
            only[node] = first
    kept: dict[Node, Loop] = {}
    for node in nodes:
        if node in only and (_outgrows(node, varying) or any(item in kept for item in node.operands)):
            kept[node] = only[node]
    return kept


def stays_behind(
    nodes: Sequence[Node], readers: Mapping[Node, Sequence[Node]], loops: Mapping[Node, Loop], results: Collection[Node]
) -> dict[Node, Loop]:
    """Return readouts of a loop's large values, with what they are computed by, by loop.

    A value that is read elsewhere as well is a sequence anyway.
    """
    kept: dict[Node, Loop] = {}
    for node in nodes:
        if node.op != "reduce_sum" or node in loops:
            continue
        inside, read = _behind(node, loops)
        homes = {id(loops[item]): loops[item] for item in read}
        if len(homes) != 1 or not _is_large(node.operands[0]) or _size(node.operands[0]) < MIN_RATIO * _size(node):
            continue
        (home,) = homes.values()
        own = {node, *inside}
        others = {item for part in own for item in part.operands} - own - read
        if inside.isdisjoint(results) and not any(_needs_loop(item, loops) for item in others):
            is_alone = all(reader in own for item in inside for reader in readers[item])
            stays = all(reader in own or loops.get(reader) is home for item in read for reader in readers[item])
            if is_alone and stays and read.isdisjoint(results):
                kept |= dict.fromkeys(own, home)
    return kept


def _behind(readout: Node, loops: Mapping[Node, Loop]) -> tuple[set[Node], set[Node]]:
    """Return the large values that a readout is computed by, and members of loops that these read."""
    inside, read = set[Node](), set[Node]()
    pending = [*readout.operands]
    while pending:
        node = pending.pop()
        if node in loops:
            read.add(node)
        elif node not in inside and _is_large(node) and _moves(node) and _size(node) == _size(readout.operands[0]):
            inside.add(node)
            pending += node.operands
    return inside, read


def _needs_loop(node: Node, loops: Mapping[Node, Loop]) -> bool:
    """True if a value depends on a loop. It may be one that depends on the readout's own."""
    pending, seen = [node], set[Node]()
    while pending:
        item = pending.pop()
        if item in loops:
            return True
        if item not in seen:
            seen.add(item)
            pending += item.operands
    return False


def _moves(node: Node) -> bool:
    """True for ops that are no more work in a loop than over all steps."""
    return OPS[node.op].kind in ("elementwise", "movement", "reduction") and node.op not in ("gather", "concat")


def _outgrows(node: Node, varying: Collection[Node]) -> bool:
    if not _is_large(node) or OPS[node.op].kind != "elementwise" or OPS[node.op].is_long:
        return False
    return _size(node) >= MIN_RATIO * sum(_size(item) for item in dict.fromkeys(node.operands) if item in varying)


def _is_large(node: Node) -> bool:
    return sum(dim != 1 for dim in node.shape) >= MIN_AXES


def _size(node: Node) -> int:
    """Entries of a row."""
    dims: Dim = product(node.shape)
    return evaluate(dims, dict.fromkeys(symbols_of(dims), 1))
