"""Cuts of a declaration: placeholders in place of nodes, so that a run can feed any Tensor."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from ....declare.parameters import ParameterSpec
from ....declare.tensor import Tensor, declared
from ....ir.graph import Node, make, remake, topological
from ....ir.types import unify_declared


class Replaced:
    """Function from a declared node to a copy, in which some dependencies are replaced.

    Args:
        replaced: Replacements, by the nodes that they replace.
    """

    def __init__(self, replaced: Mapping[Node, Node]) -> None:
        self._new = dict(replaced)
        self._visited: set[Node] = set(self._new)

    def __call__(self, root: Node) -> Node:
        """Return the copy of a node with replacements below it; the node itself if it depends on no replaced node."""
        if root not in self._new:
            for node in topological([root], known=self._visited):
                self._visited.add(node)
                self._new[node] = self._rebuilt(node)
        return self._new[root]

    def _rebuilt(self, node: Node) -> Node:
        """Return a copy of a node that reads the copies of its operands."""
        return remake(node, [self._new[item] for item in node.operands], unify_declared)


class Cut(Replaced):
    """Function from a declared node to a copy that reads placeholders in place of the nodes ``places``.

    Args:
        places: Fed nodes.
        moved: Parameters that the program's own operations update. The copy does not update them, too.
    """

    def __init__(self, places: Iterable[Node], moved: Container[ParameterSpec] = ()) -> None:
        self.placeholders = {node: _stand_in(node) for node in places}
        self._moved = moved
        super().__init__(self.placeholders)

    def _rebuilt(self, node: Node) -> Node:
        """Return a copy of a node that reads the copies of its operands, without updates of ``moved`` parameters."""
        if node.op == "with_update" and node.operands[1]["slot"] in self._moved:
            return self._new[node.operands[0]]
        return super()._rebuilt(node)

    def tensor(self, tensor: Tensor) -> Tensor:
        """Return the copy of a Tensor; the Tensor itself if it depends on no replaced node."""
        node = self(tensor.node)
        return tensor if node is tensor.node else Tensor(node)

    def fed_by(self, node: Node) -> Node:
        """Return the placeholder that replaces a fed node, or the node itself if it is not replaced."""
        return self.placeholders.get(node, node)


def fed_instead(node: Node) -> Node:
    """Return a placeholder of a node's type, which the caller feeds with the node's value."""
    return make(
        "input", where=node.where, name=node.op, type=node.tensor, label="value", serial=next(declared), unnamed=True
    )


def _stand_in(node: Node) -> Node:
    """Return a placeholder that replaces a fed node. It has the node's default, random function and gradient."""
    label = f"fed_{node['label']}".replace(".", "_") if node.op == "input" else node.op
    return make(
        "input",
        where=node.where,
        name=label,
        type=node.tensor,
        label=label,
        serial=next(declared),
        unnamed=True,
        default=node.get("default"),
        drawn=node.get("drawn"),
        gradient=node.get("gradient"),
    )
