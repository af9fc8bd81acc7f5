"""Rolls steps that a program wrote out, each of which reads a function of the one before, into one driver.

Examples are a decoder that is fed its own choices, and one that attends by its state. Law: values unchanged. Operands
that differ from step to step, such as inputs, become sequences of the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....declare.driver import Driver
from ....declare.parameter_maps import RANDOM
from ....declare.tensor import Tensor, build
from ....ir.graph import Node, make
from ....ir.types import Dim, TensorType, TupleType, meet_declared
from .cuts import Replaced
from .steps import Steps, at_step, compatible, driver_types, equal, same, same_attributes

MIN_STEPS = 3
"""Minimum number of steps. Two steps compile as fast without a driver."""


class Feedback:
    """Chain of steps that continue a first one.

    The link of a step is the nodes between its values and the next step's input.

    Attributes:
        links: For each step but the last, its nodes by those of the first link.
        leaves: For each link, the nodes that it reads from outside, by those that the first link reads.
    """

    def __init__(self, uses: Steps, first: Node) -> None:
        self._uses, self._after = uses, uses.descendants(first)
        self.chain, self.links, self.leaves = [first], list[dict[Node, Node]](), list[dict[Node, Node]]()
        while (following := self._following()) is not None:
            self.chain.append(following)

    # Matching --------------------------------------------------------------------------------------

    def _following(self) -> Node | None:
        last, values = self.chain[-1], self._uses.values(self.chain[-1])
        following = self._uses.next_step(last, values)
        if following is None or following.operands[0] not in self._after or not equal(self.chain[0], following):
            return None
        if any(node in self._uses.preserved for node in values.values()) or last["driver"].emits:
            return None
        first = self._uses.values(self.chain[0])
        if first.keys() != values.keys():
            return None
        known, leaves = {first[index]: values[index] for index in first}, dict[Node, Node]()
        begin = following.operands[0] if not self.links else self.chain[1].operands[0]
        if not self._matches(begin, following.operands[0], known, leaves):
            return None
        self.links.append({node: other for node, other in known.items() if node not in first.values()})
        self.leaves.append(leaves)
        return following

    def _matches(self, begin: Node, end: Node, known: dict[Node, Node], leaves: dict[Node, Node]) -> bool:
        """True if a link equals the first one. Adds its nodes to ``known`` and its leaves to ``leaves``.

        known: on entry, the values of the link's step.
        """
        pending = [(begin, end)]
        while pending:
            a, b = pending.pop()
            if a in known or a in leaves:
                if known.get(a, leaves.get(a)) is not b:
                    return False
                continue
            if (a in self._after) != (b in self._after) or not compatible(a.type, b.type):
                return False
            if a not in self._after:
                leaves[a] = b
                continue
            if a.op != b.op or a.op in ("driver", "get") or a.op in RANDOM or b in self._uses.preserved:
                return False
            if len(a.operands) != len(b.operands) or not same_attributes(a, b):
                return False
            known[a] = b
            pending += zip(a.operands, b.operands, strict=True)
        return True

    # One driver ------------------------------------------------------------------------------------

    def replaced(self) -> dict[Node, Node]:
        """Return replacements of the steps' values; empty for few steps, or if no driver can be built."""
        if len(self.chain) < MIN_STEPS:
            return {}
        first, count = self.chain[0], len(self.chain)
        driver: Driver = first["driver"]
        varying = [leaf for leaf in self.leaves[0] if not self._is_one(leaf)]
        rows = driver.output.shape[0]
        if not all(_counts_rows(leaf, rows) for leaf in varying):
            return {}
        operands, values = driver.given(first.operands), self._uses.values(first)
        *kinds, output = driver_types(first)
        params = {leaf: make("input", where=leaf.where, type=leaf.tensor, label="x", body=True) for leaf in varying}
        ends = (*driver.next_states, _shaped(driver.output, output))
        body = Replaced({**params, **{value: ends[index] for index, value in values.items()}})
        following = _shaped(body(self.chain[1].operands[0]), driver.sequences[0].tensor)
        shown = [node for node in (*values.values(), *self.links[0]) if self._is_read_outside(node)]
        shown = [node for node in shown if values.get(len(kinds)) is not node]
        emits = [body(node) for node in shown]
        captured = [leaf for leaf in self.leaves[0] if leaf not in params]
        rolled = replace(
            driver,
            length=count,
            sequences=tuple(params.values()),
            states=(*driver.states, driver.sequences[0]),
            next_states=(*driver.next_states, following),
            captured=(*driver.captured, *captured),
            emits=tuple(emits),
        )
        whole = [output.with_shape((count, *output.shape[1:]))]
        whole += [node.tensor.with_shape((count, *node.shape)) for node in emits]
        fed = driver.sequences[0].tensor
        begin = (*operands.initial, _shaped(first.operands[0], fed))
        node = make(
            "driver",
            *map(self._sequence, params),
            *begin,
            *operands.captured,
            *captured,
            where=first.where,
            name=first.name,
            meet=meet_declared,
            driver=rolled,
            result=TupleType((*kinds, fed, *whole)),
        )
        return self._values_of(node, len(kinds), shown)

    def _values_of(self, node: Node, states: int, shown: Sequence[Node]) -> dict[Node, Node]:
        """Return the values of the steps, as parts of the driver's results.

        shown: results of the driver beside the output.
        """

        def part(index: int, name: str) -> Tensor:
            return build("get", Tensor(node), index=index, name=name, where=node.where)

        outputs, replaced = part(states + 1, "outputs"), dict[Node, Node]()
        for number, step in enumerate(self.chain):
            for index, value in self._uses.values(step).items():
                if index == states:
                    replaced[value] = at_step(outputs, number, value.tensor)
                elif number == len(self.chain) - 1:
                    replaced[value] = part(index, value.name).node
        for place, base in enumerate(shown):
            whole = part(states + 2 + place, "emitted")
            for number, link in enumerate(self.links):
                value = self._at_link(base, number, link)
                replaced[value] = at_step(whole, number, value.tensor)
        return replaced

    def _at_link(self, base: Node, number: int, link: dict[Node, Node]) -> Node:
        """Return the node of a later link, or between two later steps, that corresponds to a node of the first."""
        if base in link:
            return link[base]
        first = self._uses.values(self.chain[0])
        return self._uses.values(self.chain[number])[next(index for index, value in first.items() if value is base)]

    def _is_read_outside(self, base: Node) -> bool:
        """True if a node outside of the loop reads a node of a link, or a state between two steps."""
        for number, link in enumerate(self.links):
            node = self._at_link(base, number, link)
            inside = {*link.values(), self.chain[number + 1]}
            if node in self._uses.roots or any(user not in inside for user in self._uses.readers(node)):
                return True
        return False

    def _is_one(self, leaf: Node) -> bool:
        """True if all links read the same node from outside."""
        others = [leaves[leaf] for leaves in self.leaves[1:]]
        return all(other is leaf or same([(leaf, other)], {}, drawn=False) for other in others)

    def _sequence(self, leaf: Node) -> Node:
        """Return the operands of the links [steps, …].

        The last step has no link, and reads what the one before does.
        """
        read = [leaves[leaf] for leaves in self.leaves]
        parts = [build("reshape", Tensor(node), shape=(1, *node.shape)) for node in (*read, read[-1])]
        return build("concat", *parts, axis=0, where=leaf.where).node


def _shaped(node: Node, kind: TensorType) -> Node:
    """Reshape a node to a type, which has an axis of one step more or less."""
    if node.tensor.rank == kind.rank:
        return node
    shape = node.shape[1:] if node.tensor.rank > kind.rank else (1, *node.shape)
    return build("reshape", Tensor(node), shape=shape, where=node.where).node


def _counts_rows(leaf: Node, rows: Dim) -> bool:
    """True if the first axis of a link's operand is the batch: equal ints, or two open sizes."""
    if not leaf.shape:
        return False
    return leaf.shape[0] == rows or not (isinstance(leaf.shape[0], int) or isinstance(rows, int))
