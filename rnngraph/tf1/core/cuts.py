"""Declarations with other nodes in place of some, such as placeholders: any Tensor can be fed in a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...declare.tensor import Tensor, declared
from ...ir.graph import Node, make, remake, topological
from ...ir.types import meet_declared


class Replaced:
    """A declaration in which some nodes are replaced by others."""

    def __init__(self, replaced: Mapping[Node, Node]) -> None:
        self._new = dict(replaced)
        self._visited: set[Node] = set(self._new)

    def __call__(self, root: Node) -> Node:
        """A node over what is there now; itself where it reaches nothing that was replaced."""
        if root not in self._new:
            for node in topological([root], known=self._visited):
                self._visited.add(node)
                self._new[node] = remake(node, [self._new[item] for item in node.operands], meet_declared)
        return self._new[root]


class Cut(Replaced):
    """A declaration that begins at ``places``, too, which become placeholders."""

    def __init__(self, places: Iterable[Node]) -> None:
        self.placeholders = {node: _stand_in(node) for node in places}
        super().__init__(self.placeholders)

    def tensor(self, tensor: Tensor) -> Tensor:
        """``__call__`` for a Tensor."""
        node = self(tensor.node)
        return tensor if node is tensor.node else Tensor(node)

    def fed_by(self, node: Node) -> Node:
        """What a feed of a declared node goes to."""
        return self.placeholders.get(node, node)


def _stand_in(node: Node) -> Node:
    label = f"fed_{node['label']}".replace(".", "_") if node.op == "input" else node.op
    return make(
        "input", where=node.where, name=label, type=node.tensor, label=label, serial=next(declared), unnamed=True,
        default=node.get("default"), drawn=node.get("drawn"), gradient=node.get("gradient"),
    )  # fmt: skip
