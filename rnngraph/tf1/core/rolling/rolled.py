"""Rolling of loops that a program unrolled in Python, if each step starts from the final states of the previous step.

A rolled loop of 25 steps compiles about as fast as one step. Values do not change, except random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ....declare.driver import Driver
from ....declare.tensor import Tensor, build
from ....ir.graph import Node, make
from ....ir.types import TupleType, unify_declared
from .cuts import Cut, Replaced
from .feedback import Feedback
from .steps import Step, Steps, at_step, driver_types, equal, forward


class Rolled:
    """Function from a declared node to an equivalent node in whose graph each chain of equal steps is one driver.

    Args:
        cut: Cut that replaces fed nodes by placeholders.
        roots: Nodes to compute.
        preserved: Nodes that must remain, such as those with respect to which a run differentiates.
    """

    def __init__(self, cut: Cut, roots: Iterable[Node], preserved: Iterable[Node] = ()) -> None:
        self._cut = cut
        self._stages: list[Replaced] = []
        roots, preserved = list(roots), list(preserved)
        single: set[Node] = set()
        while replacements := self._search(roots, preserved).replacements(single):
            self._stages.append(Replaced(replacements))

    def _search(self, roots: Sequence[Node], preserved: Sequence[Node]) -> _Search:
        """Return a search for unrolled loops among the replacements of the nodes on which ``roots`` depend."""
        return _Search([self(root) for root in roots], {self(node) for node in preserved})

    def __call__(self, root: Node) -> Node:
        """Return the node that computes a declared node's value with loops in place of unrolled steps."""
        node = self._cut(root)
        for stage in self._stages:
            node = stage(node)
        return node

    def tensor(self, tensor: Tensor) -> Tensor:
        """Return the Tensor that computes a declared Tensor's value with loops in place of unrolled steps."""
        node = self(tensor.node)
        return tensor if node is tensor.node else Tensor(node)

    def fed_by(self, node: Node) -> Node:
        """Return the node that receives the feed of a declared node."""
        return self._cut.fed_by(node)


class _Search(Steps):
    """Search for chains of steps among the nodes on which roots depend."""

    def replacements(self, single: set[Node]) -> dict[Node, Node]:
        """Return {node: replacement} for the first unrolled loop that can become one loop; {} if there is none.

        Args:
            single: Drivers that begin no such chain. Extended by those that the search finds.
        """
        for first in self.steps if len(self.steps) > 1 else ():
            if first in single:
                continue
            if values := self._chain(first) or Feedback(self, first).replacements():
                return values
            single.add(first)
        return {}

    def _chain(self, first: Node) -> dict[Node, Node]:
        """Return {value: replacement} for equal steps from ``first`` on whose inputs no step computes; {} for one step.

        Without feedback, a step's input does not depend on earlier steps.
        """
        chain, after = [(first, self.values(first))], self.descendants(first)
        while (following := self._following(*chain[-1])) is not None:
            if following.operands[0] in after or not equal(first, following):
                break
            chain.append((following, self.values(following)))
        return _one_driver(chain) if len(chain) > 1 else {}

    def _following(self, node: Node, values: dict[int, Node]) -> Node | None:
        """Return the step that starts from all final states of ``node``; None if the loop ends with ``node``.

        The loop ends if no such step exists, a state must be preserved, or other nodes read a state that is not also
        the output. A rolled driver returns its states for the last step only.

        Args:
            node: A step.
            values: Results of the step, by index.
        """
        driver: Driver = node["driver"]
        step = self.next_step(node, values)
        if step is None:
            return None
        for index, following in enumerate(driver.body.next_states):
            state = values[index]
            elsewhere = state in self.roots or any(user is not step for user in self.readers(state))
            if state in self.preserved or (elsewhere and following is not driver.body.output):
                return None
        return step


# Drivers of several steps --------------------------------------------------------------------------


def _one_driver(chain: Sequence[Step]) -> dict[Node, Node]:
    """Build one loop for a chain of equal steps. Return {result of a step: node that selects it from the loop}."""
    count, (first, _) = len(chain), chain[0]
    driver: Driver = first["driver"]
    operands = driver.by_role(first.operands)
    sequence = build("concat", *(Tensor(node.operands[0]) for node, _ in chain), axis=0, where=first.where)
    *states, output = driver_types(first)
    whole = output.with_shape((count, *output.shape[1:]))
    node = make(
        "driver",
        sequence.node,
        *operands.initial,
        *operands.captured,
        where=first.where,
        name=first.name,
        unify=unify_declared,
        driver=replace(driver, iteration=forward(driver, count)),
        result=TupleType((*states, whole)),
    )
    last = len(states)
    outputs = build("get", Tensor(node), index=last, name="outputs", where=first.where)
    replaced: dict[Node, Node] = {}
    for number, (_, values) in enumerate(chain):
        for index, value in values.items():
            if index == last:
                replaced[value] = at_step(outputs, number, value.tensor)
            elif number == count - 1:
                replaced[value] = make(
                    "get", node, index=index, name=value.name, where=value.where, unify=unify_declared
                )
            elif driver.body.next_states[index] is driver.body.output:
                replaced[value] = at_step(outputs, number, value.tensor)
    return replaced
