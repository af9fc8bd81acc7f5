"""State that the builders of one lowering share."""

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
    """State that the lowering of a graph and the lowerings of drivers' steps share.

    Attributes:
        scopes: Names of scopes.
        taps: Names of the taps that the graph returns, or to which it adds inputs.
        taps_are_inputs: Add an input to each tap instead of returning its value.
        placeholders: Inputs of the graph, in the order of lowering.
        tapped: Values of taps by name.
    """

    nodes: SizedNodes
    random: RandomNodes
    scopes: Mapping[ScopeName, str]
    taps: Mapping[Node, str]
    taps_are_inputs: bool
    placeholders: list[Node] = field(default_factory=list)
    tapped: dict[str, Node] = field(default_factory=dict)

    def moved_by(self, node: Node, kind: TensorType) -> Node:
        """Return an input that is added to a tap, so that the gradients of both are equal."""
        label = TAP + self.taps[node]
        new = self.nodes.make("input", label=label, name=self.taps[node], where=node.where, type=kind)
        self.placeholders.append(new)
        return new
