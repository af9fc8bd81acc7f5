"""Rolling of unrolled steps in which each step's input is a function of the previous step's output.

Examples are a decoder that reads its own predictions, and a decoder with attention. Operands that differ between steps,
such as inputs, become sequences of the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from ....declare.driver import Driver
from ....declare.tensor import Tensor, build
from ....ir.graph import Node, make
from ....ir.types import Dim, TensorType, TupleType, unify_declared
from .cuts import Replaced
from .links import Links
from .steps import at_step, driver_types, forward, same

MIN_STEPS = 3
"""Minimum number of steps of a chain. Two steps compile equally fast without a driver."""


class Feedback(Links):
    """Chain of linked steps that becomes one driver."""

    def replacements(self) -> dict[Node, Node]:
        """Return {node of the unrolled steps: node that selects its value from one loop's results}; {} if impossible.

        Empty for fewer than ``MIN_STEPS`` steps, and if a carry or an operand that differs between steps has no rows.
        """
        if len(self.chain) < MIN_STEPS:
            return {}
        first, count, link = self.chain[0], len(self.chain), self.links[0]
        driver: Driver = first["driver"]
        step = driver.body
        leaves = [leaf for leaf in link.leaves if leaf not in self.carried]
        varying = [leaf for leaf in leaves if not self._is_invariant(leaf)]
        rows = step.output.shape[0]
        if not all(_may_have_rows(leaf, rows) for leaf in (*varying, *self.carried)):
            return {}
        operands, values = driver.by_role(first.operands), self._uses.values(first)
        *kinds, output = driver_types(first)
        params = {leaf: make("input", where=leaf.where, type=leaf.tensor, label="x", body=True) for leaf in varying}
        memories = {
            leaf: make("input", where=leaf.where, type=leaf.tensor, label="memory", body=True) for leaf in self.carried
        }
        ends = (*step.next_states, _shaped(step.output, output))
        body = Replaced({**params, **memories, **{value: ends[index] for index, value in values.items()}})
        following = _shaped(body(self.chain[1].operands[0]), step.sequences[0].tensor)
        shown = [node for node in link.nodes if self._is_read_outside(node) and values.get(len(kinds)) is not node]
        emits = [body(node) for node in shown]
        captured = [leaf for leaf in leaves if leaf not in params]
        fed = step.sequences[0].tensor
        states = (*kinds, fed, *(leaf.tensor for leaf in self.carried))
        rolled = replace(
            step,
            sequences=tuple(params.values()),
            states=(*step.states, step.sequences[0], *memories.values()),
            next_states=(*step.next_states, following, *map(body, self.carried.values())),
            captured=(*step.captured, *captured),
            emits=tuple(emits),
        )
        whole = [output.with_shape((count, *output.shape[1:]))]
        whole += [node.tensor.with_shape((count, *node.shape)) for node in emits]
        node = make(
            "driver",
            *map(self._sequence, params),
            *operands.initial,
            _shaped(first.operands[0], fed),
            *self.carried,
            *operands.captured,
            *captured,
            where=first.where,
            name=first.name,
            unify=unify_declared,
            driver=replace(driver, body=rolled, iteration=forward(driver, count)),
            result=TupleType((*states, *whole)),
        )
        return self._values_of(node, len(kinds), len(states), shown)

    def _values_of(self, node: Node, own: int, states: int, shown: Sequence[Node]) -> dict[Node, Node]:
        """Return {node of the unrolled steps: node that selects its value from the results of the loop ``node``}.

        Args:
            node: The driver.
            own: Number of states of a step.
            states: Number of states of the driver.
            shown: Nodes of the first link that the driver returns for all steps.
        """

        def part(index: int, name: str) -> Tensor:
            return build("get", Tensor(node), index=index, name=name, where=node.where)

        outputs, replaced = part(states, "outputs"), dict[Node, Node]()
        for number, step in enumerate(self.chain):
            for index, value in self._uses.values(step).items():
                if index == own:
                    replaced[value] = at_step(outputs, number, value.tensor)
                elif number == len(self.chain) - 1:
                    replaced[value] = part(index, value.name).node
        for place, base in enumerate(shown):
            whole = part(states + 1 + place, "emitted")
            for number, link in enumerate(self.links):
                if base in link.nodes:
                    value = link.nodes[base]
                    replaced[value] = at_step(whole, number, value.tensor)
        return replaced

    @cached_property
    def _inside(self) -> list[set[Node]]:
        """Sets of the nodes that may read each link: the link's own, the next link's, and the next step."""
        nodes = [set(link.nodes.values()) for link in self.links]
        following = [*nodes[1:], set[Node]()]
        return [{*own, *later, step} for own, later, step in zip(nodes, following, self.chain[1:], strict=True)]

    def _is_read_outside(self, base: Node) -> bool:
        """True if a node outside of the loop reads the value that ``base`` has in any iteration."""
        for link, inside in zip(self.links, self._inside, strict=True):
            node = link.nodes.get(base)
            if node is None:
                continue
            if node in self._uses.roots or any(user not in inside for user in self._uses.readers(node)):
                return True
        return False

    def _is_invariant(self, leaf: Node) -> bool:
        """True if all iterations read the same value where the first one reads ``leaf``."""
        others = [link.leaves[leaf] for link in self.links[1:] if leaf in link.leaves]
        return all(other is leaf or same([(leaf, other)], {}, drawn=False) for other in others)

    def _sequence(self, leaf: Node) -> Node:
        """Return a sequence [steps, …] of the values that the iterations read where the first one reads ``leaf``.

        The last step has no link; its entry repeats that of the last link.
        """
        read = [leaf]
        for link in self.links[1:]:
            read.append(link.leaves.get(leaf, read[-1]))
        parts = [build("reshape", Tensor(node), shape=(1, *node.shape)) for node in (*read, read[-1])]
        return build("concat", *parts, axis=0, where=leaf.where).node


def _shaped(node: Node, kind: TensorType) -> Node:
    """Return a node reshaped to the rank of ``kind``: with a first axis of size 1 (time), or without it."""
    if node.tensor.rank == kind.rank:
        return node
    shape = node.shape[1:] if node.tensor.rank > kind.rank else (1, *node.shape)
    return build("reshape", Tensor(node), shape=shape, where=node.where).node


def _may_have_rows(leaf: Node, rows: Dim) -> bool:
    """True if the first axis of ``leaf`` may be the batch: its size equals ``rows``, or both are symbolic."""
    if not leaf.shape:
        return False
    return leaf.shape[0] == rows or not (isinstance(leaf.shape[0], int) or isinstance(rows, int))
