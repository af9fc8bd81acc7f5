"""Steps that a program wrote out in a loop of Python's, made one driver where each goes on from the one before.

Law: values unchanged, but for what is drawn. A loop of 25 steps is then compiled as one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ....declare.driver import Driver
from ....declare.tensor import Tensor, build
from ....ir.graph import Node, make
from ....ir.types import TupleType, meet_declared
from .cuts import Cut, Replaced
from .feedback import Feedback
from .steps import Step, Steps, at_step, equal


class Rolled:
    """A declaration over the placeholders of a cut, in which chains of equal steps are drivers of several steps.

    roots: nodes that are to be computed. kept: nodes that must stay apart, such as those by which is differentiated.
    """

    def __init__(self, cut: Cut, roots: Iterable[Node], kept: Iterable[Node] = ()) -> None:
        self._cut = cut
        self._stages: list[Replaced] = []
        roots, kept = list(roots), list(kept)
        single: set[Node] = set()
        while found := _Search([self(root) for root in roots], {self(node) for node in kept}).replaced(single):
            self._stages.append(Replaced(found))

    def __call__(self, root: Node) -> Node:
        """A node as it is computed."""
        node = self._cut(root)
        for stage in self._stages:
            node = stage(node)
        return node

    def tensor(self, tensor: Tensor) -> Tensor:
        """``__call__`` for a Tensor."""
        node = self(tensor.node)
        return tensor if node is tensor.node else Tensor(node)

    def fed_by(self, node: Node) -> Node:
        """What a feed of a declared node goes to."""
        return self._cut.fed_by(node)


class _Search(Steps):
    """Looks for chains among what some roots need."""

    def replaced(self, single: set[Node]) -> dict[Node, Node]:
        """What stands in place of the values of the first chain of two or more steps; nothing where there is none.

        single: drivers that are known to begin none.
        """
        for first in self.steps if len(self.steps) > 1 else ():
            if first in single:
                continue
            if found := self._chain(first) or Feedback(self, first).replaced():
                return found
            single.add(first)
        return {}

    def _chain(self, first: Node) -> dict[Node, Node]:
        chain, after = [(first, self.values(first))], self.descendants(first)
        while (following := self._following(*chain[-1])) is not None:
            if following.operands[0] in after or not equal(first, following):
                break
            chain.append((following, self.values(following)))
        return _joined(chain) if len(chain) > 1 else {}

    def _following(self, node: Node, values: dict[int, Node]) -> Node | None:
        """The step that goes on from all states of this one, where nothing else reads a state that only a last step
        gives.
        """
        driver: Driver = node["driver"]
        found = self.next_step(node, values)
        if found is None:
            return None
        for index, following in enumerate(driver.next_states):
            state = values[index]
            elsewhere = state in self.roots or any(user is not found for user in self.readers(state))
            if state in self.kept or (elsewhere and following is not driver.output):
                return None
        return found


# One driver of several steps -------------------------------------------------------------------------


def _joined(chain: Sequence[Step]) -> dict[Node, Node]:
    """What stands in place of the values of a chain's steps."""
    count, (first, _) = len(chain), chain[0]
    driver: Driver = first["driver"]
    given = driver.given(first.operands)
    sequence = build("concat", *(Tensor(node.operands[0]) for node, _ in chain), axis=0, where=first.where)
    *states, output = first.type.items  # type: ignore[union-attr]
    whole = output.with_shape((count, *output.shape[1:]))
    node = make(
        "driver", sequence.node, *given.initial, *given.captured, where=first.where, name=first.name,
        meet=meet_declared, driver=replace(driver, length=count), result=TupleType((*states, whole)),
    )  # fmt: skip
    last = len(states)
    outputs = build("get", Tensor(node), index=last, name="outputs", where=first.where)
    found: dict[Node, Node] = {}
    for number, (_, values) in enumerate(chain):
        for index, value in values.items():
            if index == last:
                found[value] = at_step(outputs, number, value.tensor)
            elif number == count - 1:
                found[value] = make("get", node, index=index, name=value.name, where=value.where, meet=meet_declared)
            elif driver.next_states[index] is driver.output:
                found[value] = at_step(outputs, number, value.tensor)
    return found
