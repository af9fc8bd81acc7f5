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
        taps_are_inputs: True to add an input to each tap instead of returning the tap's value.
        placeholders: Inputs of the graph, in the order of lowering.
        tapped: Values of taps, by name.
    """

    nodes: SizedNodes
    random: RandomNodes
    scopes: Mapping[ScopeName, str]
    taps: Mapping[Node, str]
    taps_are_inputs: bool
    placeholders: list[Node] = field(default_factory=list)
    tapped: dict[str, Node] = field(default_factory=dict)

    def added_to_tap(self, node: Node, kind: TensorType) -> Node:
        """Return a new input of type ``kind`` that is added to a tap, so that its gradient is the tap's."""
        label = TAP + self.taps[node]
        new = self.nodes.make("input", label=label, name=self.taps[node], where=node.where, type=kind)
        self.placeholders.append(new)
        return new
