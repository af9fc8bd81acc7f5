"""Strongly connected components of a loop's carries.

Within a step no value depends on itself, so that every cycle passes through a carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...ir.graph import Node


def cycles(nodes: Sequence[Node], following: Mapping[Node, Node]) -> list[list[Node]]:
    """Return the nodes of each strongly connected component that has a carry, in the order of ``nodes``.

    Components are in the order of their first carries. A carry on no cycle is a component alone.

    Args:
        nodes: Nodes of a body, operands first.
        following: Next values by carry.
    """
    component = _Components(following).components
    members: dict[int, list[Node]] = {component[carry]: [] for carry in following}
    for node in nodes:
        number = component.get(node)
        if number in members:
            members[number].append(node)
    return list(members.values())


class _Components:
    """Tarjan's algorithm (1972) for strongly connected components.

    The path from the root is an explicit list, because bodies may be deeper than Python's recursion limit.

    Attributes:
        components: Number of the component of each node on which a carry depends.
    """

    def __init__(self, following: Mapping[Node, Node]) -> None:
        self.following = following
        self.components: dict[Node, int] = {}
        self.earliest: dict[Node, int] = {}  # "lowlink": least index of a node in ``waiting`` that each node reaches
        self.waiting: list[Node] = []  # visited nodes without a component
        self.path: list[tuple[Node, int, Iterator[Node]]] = []
        for root in following:
            if root not in self.earliest:
                self._enter(root)
            while self.path:
                self._follow(*self.path[-1])

    def _enter(self, node: Node) -> None:
        """Visit a node for the first time."""
        number, before = len(self.earliest), self.following.get(node)
        self.path.append((node, number, iter(node.operands if before is None else (before,))))
        self.earliest[node] = number
        self.waiting.append(node)

    def _follow(self, node: Node, number: int, needs: Iterator[Node]) -> None:
        """Follow the next dependency of the node at the end of the path, or leave the node if there is none."""
        need = next((item for item in needs if item not in self.components), None)
        if need is None:
            self._leave(node, number)
        elif need not in self.earliest:
            self._enter(need)
        else:
            self.earliest[node] = min(self.earliest[node], self.earliest[need])

    def _leave(self, node: Node, number: int) -> None:
        """Finish a node after its dependencies, and close its component if the node is the root of one."""
        self.path.pop()
        if self.path:
            before = self.path[-1][0]
            self.earliest[before] = min(self.earliest[before], self.earliest[node])
        if self.earliest[node] < number:
            return
        member = None
        while member is not node:
            member = self.waiting.pop()
            self.components[member] = number
