"""Which carries of a loop need each other: the strongly connected components that hold one.

Within a step no value needs itself, so every cycle passes through a carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...ir.graph import Node


def cycles(nodes: Sequence[Node], following: Mapping[Node, Node]) -> list[list[Node]]:
    """The nodes of each component, in order. nodes: of a body, operands first. following: next values, by carry.

    A carry that no cycle passes through is a component of its own.
    """
    component = _Components(following).found
    members: dict[int, list[Node]] = {component[carry]: [] for carry in following}
    for node in nodes:
        number = component.get(node)
        if number in members:
            members[number].append(node)
    return list(members.values())


class _Components:
    """``found``: the number of the component of each node that a carry needs (Tarjan 1972), in one visit of each.

    The way from the root to the node that is visited is a list, as bodies may be deeper than Python's stack.
    """

    def __init__(self, following: Mapping[Node, Node]) -> None:
        self.following = following
        self.found: dict[Node, int] = {}
        self.earliest: dict[Node, int] = {}  # the first node met, by its number, that a node is known to need
        self.waiting: list[Node] = []  # met, and of no component yet
        self.path: list[tuple[Node, int, Iterator[Node]]] = []
        for root in following:
            if root not in self.earliest:
                self._enter(root)
            while self.path:
                self._follow(*self.path[-1])

    def _enter(self, node: Node) -> None:
        number, before = len(self.earliest), self.following.get(node)
        self.path.append((node, number, iter(node.operands if before is None else (before,))))
        self.earliest[node] = number
        self.waiting.append(node)

    def _follow(self, node: Node, number: int, needs: Iterator[Node]) -> None:
        need = next((item for item in needs if item not in self.found), None)
        if need is None:
            self._leave(node, number)
        elif need not in self.earliest:
            self._enter(need)
        else:
            self.earliest[node] = min(self.earliest[node], self.earliest[need])

    def _leave(self, node: Node, number: int) -> None:
        """All that ``node`` needs was visited: it is the first of a component, or belongs to that of one before."""
        self.path.pop()
        if self.path:
            before = self.path[-1][0]
            self.earliest[before] = min(self.earliest[before], self.earliest[node])
        if self.earliest[node] < number:
            return
        member = None
        while member is not node:
            member = self.waiting.pop()
            self.found[member] = number
