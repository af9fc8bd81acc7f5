"""Steps that a program wrote out: what reads their values, which one goes on from which, and whether they are equal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ....declare.driver import Driver
from ....declare.parameter_maps import RANDOM
from ....declare.tensor import Tensor, build
from ....ir.graph import Node, topological
from ....ir.types import Size, TensorType

NAMES = {"site", "scope", "serial", "label"}
"""Attributes in which equal steps may differ."""


Step = tuple[Node, dict[int, Node]]
"""A driver of one step, and the nodes that are its values: states first, the output last."""


class Steps:
    """The steps among what some roots need. kept: nodes that must stay apart."""

    def __init__(self, roots: Sequence[Node], kept: Collection[Node]) -> None:
        self.kept, self.roots = kept, set(roots)
        order = topological(roots)
        self.steps = [node for node in order if is_step(node)]
        self.users: dict[Node, list[Node]] = {node: [] for node in order}
        for node in order if len(self.steps) > 1 else ():
            for operand in node.operands:
                self.users[operand].append(node)

    def values(self, step: Node) -> dict[int, Node]:
        """The values of a step that something reads, by their places."""
        return {user["index"]: user for user in self.users[step] if user.op == "get"}

    def descendants(self, first: Node) -> set[Node]:
        """What depends on a node, and itself."""
        found, pending = set[Node](), [first]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += self.users[node]
        return found

    def readers(self, node: Node) -> list[Node]:
        """What reads a node, or what repeats it."""
        found: list[Node] = []
        for user in self.users[node]:
            found += self.readers(user) if source(user) is node else [user]
        return found

    def next_step(self, step: Node, values: dict[int, Node]) -> Node | None:
        """The step that begins with all states in which this one ends."""
        driver: Driver = step["driver"]
        if not driver.states or any(index not in values for index in range(len(driver.states))):
            return None
        states = [values[index] for index in range(len(driver.states))]
        found = next((user for user in self.readers(states[0]) if is_step(user)), None)
        if found is None or [*map(source, found["driver"].given(found.operands).initial)] != states:
            return None
        return found


# Whether steps are equal -----------------------------------------------------------------------------


def equal(first: Node, other: Node) -> bool:
    """Whether two drivers compute the same of their sequences and states."""
    a, b = first["driver"], other["driver"]
    sizes = [(len(driver.states), len(driver.captured)) for driver in (a, b)]
    if sizes[0] != sizes[1]:
        return False
    formals = dict(zip((*a.sequences, *a.states), (*b.sequences, *b.states), strict=True))
    if not all(alike(x.type, y.type) for x, y in formals.items()):
        return False
    outer = dict(zip(a.captured, b.captured, strict=True))
    roots = zip((a.output, *a.next_states), (b.output, *b.next_states), strict=True)
    given = zip(a.given(first.operands).captured, b.given(other.operands).captured, strict=True)
    return same(roots, formals | outer, drawn=True) and same(given, {}, drawn=False)


def same(pairs: Iterable[tuple[Node, Node]], known: dict[Node, Node], drawn: bool) -> bool:
    """Whether nodes compute the same in pairs. known: pairs that do. drawn: whether they may draw."""
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
        if not alike(a.type, b.type) or (a.op in RANDOM and not drawn) or not same_attributes(a, b):
            return False
        pending += zip(a.operands, b.operands, strict=True)
    return True


def same_attributes(a: Node, b: Node) -> bool:
    """But for names."""
    ours, theirs = ({key: value for key, value in node.attributes if key not in NAMES} for node in (a, b))
    return ours.keys() == theirs.keys() and all(_same_value(ours[key], theirs[key]) for key in ours)


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        kinds = [getattr(value, "dtype", None) for value in (a, b)]
        return kinds[0] == kinds[1] and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same_value(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or (isinstance(a, Size) and isinstance(b, Size))  # steps that follow each other have one batch


def alike(a: Any, b: Any) -> bool:
    """Whether types are the same, where open sizes may be any."""
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return bool(a == b)
    return a.dtype == b.dtype and _same_value(tuple(a.shape), tuple(b.shape))


def is_step(node: Node) -> bool:
    """Whether a node is a driver of one step, to which nothing else belongs."""
    if node.op != "driver":
        return False
    driver: Driver = node["driver"]
    guarded = driver.lengths or driver.mask or driver.when is not None or driver.last or driver.emits
    return driver.length == 1 and len(driver.sequences) == 1 and not guarded


def source(node: Node) -> Node:
    """What a node repeats, if it is of the same shape."""
    while node.op == "broadcast" and alike(node.type, node.operands[0].type):
        node = node.operands[0]
    return node


def at_step(outputs: Tensor, step: int, kind: TensorType) -> Node:
    """The output of a step, as [1, batch, width] or as [batch, width]."""
    found = outputs[step : step + 1]
    return found.node if found.rank == kind.rank else build("reshape", found, shape=found.type.shape[1:]).node
