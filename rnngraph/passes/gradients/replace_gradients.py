"""replace_gradients: what a declaration makes of gradients takes their place, in the graph that computes them."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.graph import Graph, Node, remake
from .autodiff import PREFIX

APPLIED, AT = "applied/", "at/"


def is_inner(label: str) -> bool:
    """True for a value within the graph, whose gradient is asked for; all others are inputs and parameters."""
    return label.startswith(AT)


@dataclass(frozen=True)
class ReplaceGradients:
    """Law: outputs unchanged, but that inputs stand for gradients no longer and are these; ``gradient/<label>`` gives
    way to ``applied/<label>`` and goes where there is none, and outputs ``at/<number>``, whose gradients were asked
    for, go.

    stand_ins: (label of an input, label or output that the gradient is of).
    """

    stand_ins: tuple[tuple[str, str], ...]
    name: str = "replace_gradients"

    def __call__(self, graph: Graph) -> Graph:
        outputs, targets = dict(graph.outputs), dict(self.stand_ins)
        new: dict[Node, Node] = {
            node: outputs[PREFIX + targets[node["label"]]] for node in graph.inputs if node["label"] in targets
        }
        inputs = [node for node in graph.inputs if node not in new]
        for node in graph.nodes:
            if node not in new:
                new[node] = remake(node, [new[operand] for operand in node.operands])
        kept: list[tuple[str, Node]] = []
        for name, node in outputs.items():
            if name.startswith(APPLIED):
                kept.append((PREFIX + name.removeprefix(APPLIED), new[node]))
            elif not name.startswith((PREFIX, AT)):
                kept.append((name, new[node]))
        return Graph.of(graph.name, kept, inputs, graph.comments)
