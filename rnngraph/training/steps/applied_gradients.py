"""Tensors that a declaration computes from gradients, and that updates apply in place of gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from ...ir.graph import Node
from ...passes.gradients.replace_gradients import APPLIED, AT, ReplaceGradients
from ...passes.train_step import MET, NUMBER
from ...support.records import dataclass


@dataclass(frozen=True, eq=False)
class AppliedGradients:
    """Declared values that updates apply in place of gradients.

    Args:
        applied: Declared node that replaces the gradient in a parameter's update, by the parameter's name.
        stand_ins: Declared placeholders that stand for gradients, each with the differentiated variable: a parameter's
            name, or a declared node.
        met: Declared bool nodes [rows, 1], by parameter: the rows of the parameter that an update changes.
        numbers: Declared scalars that replace numbers of the optimizer, by name.
    """

    applied: Mapping[str, Node]
    stand_ins: Mapping[Node, str | Node]
    met: Mapping[str, Node] = field(default_factory=dict)
    numbers: Mapping[str, Node] = field(default_factory=dict)

    def declared(self) -> list[tuple[str, Node]]:
        """Return (label, node) of the outputs that a step's graph needs for the replacements."""
        places = [(name, node) for _, name, node in self._targets() if node is not None]
        met = ((MET + name, node) for name, node in self.met.items())
        numbers = ((NUMBER + name, node) for name, node in self.numbers.items())
        return [*((APPLIED + name, node) for name, node in self.applied.items()), *met, *numbers, *places]

    def wrt(self, trained: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of parameters and outputs with respect to which a step computes gradients."""
        return tuple(dict.fromkeys([*trained, *(name for _, name, _ in self._targets())]))

    def replacing(self, labels: Mapping[Node, str]) -> ReplaceGradients:
        """Return the pass that substitutes gradients for the placeholders, and replaces gradients in updates.

        Args:
            labels: Label of each placeholder in the lowered graph.
        """
        return ReplaceGradients(tuple((labels[node], name) for node, name, _ in self._targets() if node in labels))

    def _targets(self) -> Iterator[tuple[Node, str, Node | None]]:
        """Yield (placeholder, name of the parameter or output whose gradient replaces it, node of the output).

        The node is None for a parameter.
        """
        for number, (placeholder, target) in enumerate(self.stand_ins.items()):
            if isinstance(target, str):
                yield placeholder, target, None
            else:
                yield placeholder, f"{AT}{number}", target
