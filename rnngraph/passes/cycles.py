"""Which carries of a loop need each other: the strongly connected components that hold one.

Within a step no value needs itself, so every cycle passes through a carry, of which there are few. Sets of carries are
the bits of an int.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Node


def cycles(nodes: Sequence[Node], following: Mapping[Node, Node]) -> list[list[Node]]:
    """The nodes of each component, in order. nodes: of a body, operands first. following: next values, by carry.

    A carry that no cycle passes through is a component of its own.
    """
    carries = list(following)
    bits = {carry: 1 << number for number, carry in enumerate(carries)}
    needs, feeds = dict.fromkeys(nodes, 0) | bits, dict.fromkeys(nodes, 0)  # carries before and after, in one step
    for node in nodes:
        for operand in node.operands:
            needs[node] |= needs[operand]
    for carry, value in following.items():
        feeds[value] |= bits[carry]
    for node in reversed(nodes):
        for operand in node.operands:
            feeds[operand] |= feeds[node]
    reached = _closure([feeds[carry] for carry in carries])
    found: list[list[Node]] = []
    placed = 0
    for number, carry in enumerate(carries):
        if placed & bits[carry]:
            continue
        members = bits[carry]
        for other in range(len(carries)):
            if reached[number] >> other & 1 and reached[other] >> number & 1:
                members |= 1 << other
        placed |= members
        found.append([node for node in nodes if node is carry or (needs[node] & members and feeds[node] & members)])
    return found


def _closure(steps: Sequence[int]) -> list[int]:
    """What is reached in any number of steps, from what is reached in one (Warshall 1962)."""
    reached = list(steps)
    for middle in range(len(reached)):
        for start in range(len(reached)):
            if reached[start] >> middle & 1:
                reached[start] |= reached[middle]
    return reached
