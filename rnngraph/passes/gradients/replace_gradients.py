"""replace_gradients: substitute gradients by the values that a declaration computes from them."""

from __future__ import annotations

from ...ir.graph import Graph, Node, remake
from ...support.records import dataclass
from .autodiff import PREFIX

APPLIED, AT = "applied/", "at/"


def is_inner(label: str) -> bool:
    """True if a label names an intermediate value whose gradient is needed, not an input or a parameter."""
    return label.startswith(AT)


@dataclass(frozen=True)
class ReplaceGradients:
    """Substitute gradients by the values that a declaration computes from them.

    The declaration reads gradients through inputs, the ``stand_ins``, which the pass replaces by the gradients.

    Law: an output ``gradient/<label>`` becomes ``applied/<label>``, or is removed if there is none. Outputs
    ``at/<number>``, the intermediate values whose gradients the declaration reads, are removed. All others are
    unchanged.

    Attributes:
        stand_ins: Pairs of an input's label, and the label or output whose gradient it stands for.
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
