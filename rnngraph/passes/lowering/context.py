"""The context that all nodes which are lowered together share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...declare.parameters import ScopeName
from ...ir.graph import Node
from ...ir.types import TensorType
from .lowered import TAP
from .random_nodes import RandomNodes
from .sized_nodes import SizedNodes


@dataclass
class Context:
    """Shared by the outside of drivers and the bodies of their scans.

    scopes: names of scopes. taps: names of the taps that the graph gives. moved: an input is added to each of them
    instead. placeholders: inputs of the graph, as they were met. tapped: values of taps, by name.
    """

    nodes: SizedNodes
    random: RandomNodes
    scopes: Mapping[ScopeName, str]
    taps: Mapping[Node, str]
    moved: bool
    placeholders: list[Node] = field(default_factory=list)
    tapped: dict[str, Node] = field(default_factory=dict)

    def moved_by(self, node: Node, kind: TensorType) -> Node:
        """The input that is added to a tap."""
        label = TAP + self.taps[node]
        new = self.nodes.make("input", label=label, name=self.taps[node], where=node.where, type=kind)
        self.placeholders.append(new)
        return new
