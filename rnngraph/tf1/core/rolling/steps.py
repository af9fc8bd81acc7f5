"""Search for unrolled steps: drivers of one step, their readers, their next steps, and equality of two steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....declare.driver import Driver, Iteration
from ....declare.parameter_maps import RANDOM
from ....declare.tensor import Tensor, build
from ....ir.graph import Node, topological
from ....ir.types import Size, TensorType, TupleType

NAMES = {"site", "scope", "serial", "label"}
"""Attributes that only name a node. They are ignored when steps are compared."""


Step = tuple[Node, dict[int, Node]]
"""Driver of one step, and the nodes of its results by index: the states, then the output. Unread ones are missing."""


class Steps:
    """Drivers of one step among the nodes on which ``roots`` depend, and the readers of these nodes.

    Attributes:
        preserved: Nodes that rolling must not replace.
        roots: Nodes to compute.
        steps: The drivers, operands first.
        users: Readers of each node; empty lists if there are fewer than two steps.
    """

    def __init__(self, roots: Sequence[Node], preserved: Collection[Node]) -> None:
        self.preserved, self.roots = preserved, set(roots)
        order = topological(roots)
        self.steps = [node for node in order if is_step(node)]
        self.users: dict[Node, list[Node]] = {node: [] for node in order}
        for node in order if len(self.steps) > 1 else ():
            for operand in node.operands:
                self.users[operand].append(node)

    def values(self, step: Node) -> dict[int, Node]:
        """Return the nodes that select a step's results: {index among the results: node}."""
        return {user["index"]: user for user in self.users[step] if user.op == "get"}

    def descendants(self, first: Node) -> set[Node]:
        """Return a node and all nodes that depend on it."""
        reached, pending = set[Node](), [first]
        while pending:
            node = pending.pop()
            if node not in reached:
                reached.add(node)
                pending += self.users[node]
        return reached

    def readers(self, node: Node) -> list[Node]:
        """Return the readers of a node. A broadcast that changes nothing is replaced by its own readers."""
        users: list[Node] = []
        for user in self.users[node]:
            users += self.readers(user) if source(user) is node else [user]
        return users

    def next_step(self, step: Node, values: dict[int, Node]) -> Node | None:
        """Return the step whose initial states are the final states of ``step``; None if there is none.

        Args:
            step: A step. If it has no states, the result is None.
            values: Results of ``step``, by index.
        """
        driver: Driver = step["driver"]
        count = len(driver.body.states)
        if not count or any(index not in values for index in range(count)):
            return None
        states = [values[index] for index in range(count)]
        following = next((user for user in self.readers(states[0]) if is_step(user)), None)
        if following is None or [*map(source, following["driver"].by_role(following.operands).initial)] != states:
            return None
        return following


# Equality of steps -----------------------------------------------------------------------------------


def equal(first: Node, other: Node) -> bool:
    """True if two steps compute one function of their inputs and initial states, with the same variables."""
    a, b = first["driver"].body, other["driver"].body
    sizes = [(len(body.states), len(body.captured)) for body in (a, b)]
    if sizes[0] != sizes[1]:
        return False
    params = dict(zip((*a.sequences, *a.states), (*b.sequences, *b.states), strict=True))
    if not all(compatible(x.type, y.type) for x, y in params.items()):
        return False
    outer = dict(zip(a.captured, b.captured, strict=True))
    roots = zip((a.output, *a.next_states), (b.output, *b.next_states), strict=True)
    captured = zip(*(node["driver"].by_role(node.operands).captured for node in (first, other)), strict=True)
    return same(roots, params | outer, drawn=True) and same(captured, {}, drawn=False)


def same(pairs: Iterable[tuple[Node, Node]], known: dict[Node, Node], drawn: bool) -> bool:
    """True if the nodes of each pair compute the same value. Adds the matched nodes to ``known``.

    Args:
        pairs: Pairs of a node of one computation and a node of another.
        known: Matched nodes: those of the second computation, by those of the first. Modified.
        drawn: True if nodes that draw random numbers may match.
    """
    pending = list(pairs)
    while pending:
        a, b = pending.pop()
        if a in known:
            if known[a] is not b:
                return False
            continue
        known[a] = b
        if a is b or (a.op == b.op == "parameter" and a["slot"] is b["slot"]):
            continue
        if a.op != b.op or a.op in ("input", "parameter", "driver") or len(a.operands) != len(b.operands):
            return False
        if not compatible(a.type, b.type) or (a.op in RANDOM and not drawn) or not same_attributes(a, b):
            return False
        pending += zip(a.operands, b.operands, strict=True)
    return True


def same_attributes(a: Node, b: Node) -> bool:
    """True if two nodes have equal attributes, except for names."""
    ours, theirs = ({key: value for key, value in node.attributes if key not in NAMES} for node in (a, b))
    return ours.keys() == theirs.keys() and all(_same_value(ours[key], theirs[key]) for key in ours)


def _same_value(a: Any, b: Any) -> bool:
    """True if two attributes are equal. A symbolic size matches any symbolic size."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        kinds = [getattr(value, "dtype", None) for value in (a, b)]
        return kinds[0] == kinds[1] and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same_value(x, y) for x, y in zip(a, b, strict=True))
    # Symbolic sizes of consecutive steps differ by name only, because the steps share a batch.
    return bool(a == b) or (isinstance(a, Size) and isinstance(b, Size))


def compatible(a: Any, b: Any) -> bool:
    """True if two types are equal. A symbolic size matches any symbolic size."""
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return bool(a == b)
    return a.dtype == b.dtype and _same_value(tuple(a.shape), tuple(b.shape))


def is_step(node: Node) -> bool:
    """True if a node is a loop of one step with one input, such as ``static_rnn`` over one element."""
    if node.op != "driver":
        return False
    driver: Driver = node["driver"]
    body, iteration = driver.body, driver.iteration
    guarded = driver.has_lengths or driver.has_mask or iteration.when is not None or body.last or body.emits
    return iteration.length == 1 and len(body.sequences) == 1 and not guarded


def forward(driver: Driver, count: int) -> Iteration:
    """Return the iteration of a loop of ``count`` steps that replaces single steps. It runs forward."""
    return replace(driver.iteration, length=count, reverse=False)


def driver_types(step: Node) -> tuple[TensorType, ...]:
    """Return the types of a loop's results: final states, then the output."""
    assert isinstance(step.type, TupleType), "a driver returns several values"
    return step.type.items


def source(node: Node) -> Node:
    """Return the operand below broadcasts that change nothing; ``node`` itself if it is no such broadcast."""
    while node.op == "broadcast" and compatible(node.type, node.operands[0].type):
        node = node.operands[0]
    return node


def at_step(outputs: Tensor, step: int, kind: TensorType) -> Node:
    """Return one step's entry of a loop's outputs, as [batch, width] or [1, batch, width] as ``kind`` says."""
    output = outputs[step : step + 1]
    return output.node if output.rank == kind.rank else build("reshape", output, shape=output.type.shape[1:]).node
