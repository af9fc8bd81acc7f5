"""Context shared by all nodes that are lowered together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ...declare.parameters import ScopeName
from ...ir.graph import Node
from ...ir.types import TensorType
from ...support.records import dataclass
from .lowered import TAP
from .random_nodes import RandomNodes
from .sized_nodes import SizedNodes


@dataclass
class Context:
    """State shared by nodes outside of drivers and in the bodies of their scans.

    Attributes:
        scopes: Names of scopes.
        taps: Names of the taps that the graph returns.
        moved: Add an input to each tap instead of returning the tap.
        placeholders: Inputs of the graph, in the order of lowering.
        tapped: Values of taps by name.
    """

    nodes: SizedNodes
    random: RandomNodes
    scopes: Mapping[ScopeName, str]
    taps: Mapping[Node, str]
    moved: bool
    placeholders: list[Node] = field(default_factory=list)
    tapped: dict[str, Node] = field(default_factory=dict)

    def moved_by(self, node: Node, kind: TensorType) -> Node:
        """Return an input to add to a tap, so that the gradient of the input is that of the tap."""
        label = TAP + self.taps[node]
        new = self.nodes.make("input", label=label, name=self.taps[node], where=node.where, type=kind)
        self.placeholders.append(new)
        return new
