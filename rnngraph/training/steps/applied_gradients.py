"""What updates apply in place of gradients: Tensors that a declaration makes of placeholders that stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from ...ir.graph import Node
from ...passes.gradients.replace_gradients import APPLIED, AT, ReplaceGradients
from ...passes.train_step import MET, NUMBER
from ...support.records import dataclass


@dataclass(frozen=True, eq=False)
class AppliedGradients:
    """applied: the declared node that a parameter's update takes for its gradient, by the parameter's name. stand_ins:
    declared placeholders in the place of gradients, and what these are of: a parameter's name, or a declared node.
    met: declared nodes [rows, 1] of bool, by the names of parameters whose updates are told of which rows they are.
    numbers: declared scalars that updates take for numbers of the optimizer, by their names.
    """

    applied: Mapping[str, Node]
    stand_ins: Mapping[Node, str | Node]
    met: Mapping[str, Node] = field(default_factory=dict)
    numbers: Mapping[str, Node] = field(default_factory=dict)

    def declared(self) -> list[tuple[str, Node]]:
        """What a step's graph gives beside the rest before its gradients are replaced, by label."""
        places = [(name, node) for _, name, node in self._targets() if node is not None]
        met = ((MET + name, node) for name, node in self.met.items())
        numbers = ((NUMBER + name, node) for name, node in self.numbers.items())
        return [*((APPLIED + name, node) for name, node in self.applied.items()), *met, *numbers, *places]

    def wrt(self, trained: tuple[str, ...]) -> tuple[str, ...]:
        """The labels and outputs that gradients are computed of."""
        return tuple(dict.fromkeys([*trained, *(name for _, name, _ in self._targets())]))

    def replacing(self, labels: Mapping[Node, str]) -> ReplaceGradients:
        """The pass behind differentiation. labels: of placeholders, in the lowered graph."""
        return ReplaceGradients(tuple((labels[node], name) for node, name, _ in self._targets() if node in labels))

    def _targets(self) -> Iterator[tuple[Node, str, Node | None]]:
        """(placeholder, label or output that its gradient is of, the node of that output)."""
        for number, (placeholder, target) in enumerate(self.stand_ins.items()):
            if isinstance(target, str):
                yield placeholder, target, None
            else:
                yield placeholder, f"{AT}{number}", target
