"""Record of the values that are in memory while the fusion groups of a graph run.

The division of groups into kernels depends on this record, and not on addresses, which are assigned later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...ir.graph import Node
from .kernel_fusion import FusedKernels
from .loop_fusion import FusionGroup
from .node_kinds import is_strided_view, is_view


class Residency:
    """Values that are in memory at present, each with the value that owns the memory.

    Args:
        leaves: Feeds, parameters, constants, and views of them.
        indices: Index arithmetic, which readers can recompute. If a loop over chunks of time stores such a value, the
            memory is freed after the loop.
        users: Readers of values.
    """

    def __init__(
        self, leaves: Collection[Node], indices: Collection[Node], users: Mapping[Node, Sequence[Node]]
    ) -> None:
        self.sources: dict[Node, Node] = {leaf: leaf for leaf in leaves}
        self.indices, self.users = indices, users

    def run(self, group: FusionGroup, nodes: Sequence[Node], fused: FusedKernels, leaving: Collection[Node]) -> None:
        """Add the values that a group leaves in memory to the record, and remove those whose memory it frees.

        Args:
            group: The group.
            nodes: Nodes of the group, and the index arithmetic that they read.
            fused: Kernels of the group.
            leaving: Values that outlive the group.
        """
        stored = [node for node in nodes if node in fused.stored and node.op != "scan"]
        self.sources.update((node, node) for node in stored)
        for node in nodes:
            if (
                node not in self.sources
                and is_view(node)
                and is_strided_view(node)
                and node.operands[0] in self.sources
            ):
                self.sources[node] = self.sources[node.operands[0]]
        if group.kind.length is None:
            return
        freed = {node for node in stored if node in self.indices or node not in leaving}
        self.sources = {node: source for node, source in self.sources.items() if source not in freed}
        for scan in (node for node in group.nodes if node.op == "scan"):
            finals = [user for user in self.users[scan] if user["index"] < scan["carries"]]
            self.sources.update((user, user) for user in finals)
