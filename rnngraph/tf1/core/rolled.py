"""Steps that a program wrote out in a loop of Python's, made one driver where each goes on from the one before.

Law: values unchanged, but for what is drawn. A loop of 25 steps is then compiled as one step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...declare.driver import Driver
from ...declare.parameter_maps import RANDOM
from ...declare.tensor import Tensor, build
from ...ir.graph import Node, make, topological
from ...ir.types import Size, TensorType, TupleType, meet_declared
from .cuts import Cut, Replaced

NAMES = {"site", "scope", "serial", "label"}
"""Attributes in which equal steps may differ."""


class Rolled:
    """A declaration over the placeholders of a cut, in which chains of equal steps are drivers of several steps.

    roots: nodes that are to be computed. kept: nodes that must stay apart, such as those by which is differentiated.
    """

    def __init__(self, cut: Cut, roots: Iterable[Node], kept: Iterable[Node] = ()) -> None:
        self._cut = cut
        self._stages: list[Replaced] = []
        roots, kept = list(roots), list(kept)
        single: set[Node] = set()
        while chain := _Search([self(root) for root in roots], {self(node) for node in kept}).chain(single):
            self._stages.append(Replaced(_joined(chain)))

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


Step = tuple[Node, dict[int, Node]]
"""A driver of one step, and the nodes that are its values: states first, the output last."""


class _Search:
    """Looks for chains among what some roots need."""

    def __init__(self, roots: Sequence[Node], kept: Collection[Node]) -> None:
        self.kept, self.roots = kept, set(roots)
        order = topological(roots)
        self.steps = [node for node in order if _is_step(node)]
        self.users: dict[Node, list[Node]] = {node: [] for node in order}
        for node in order if len(self.steps) > 1 else ():
            for operand in node.operands:
                self.users[operand].append(node)

    def chain(self, single: set[Node]) -> list[Step]:
        """The first chain of two or more steps. single: drivers that are known to begin none."""
        for first in self.steps if len(self.steps) > 1 else ():
            if first in single:
                continue
            chain, after = [self._step(first)], self._descendants(first)
            while (following := self._following(*chain[-1])) is not None:
                if following.operands[0] in after or not _equal(first, following):
                    break
                chain.append(self._step(following))
            if len(chain) > 1:
                return chain
            single.add(first)
        return []

    def _step(self, node: Node) -> Step:
        return node, {user["index"]: user for user in self.users[node] if user.op == "get"}

    def _descendants(self, first: Node) -> set[Node]:
        found, pending = set[Node](), [first]
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += self.users[node]
        return found

    def _following(self, node: Node, values: dict[int, Node]) -> Node | None:
        """The step that goes on from all states of this one, where nothing else reads a state that only a last step
        gives.
        """
        driver: Driver = node["driver"]
        if not driver.states or any(index not in values for index in range(len(driver.states))):
            return None
        states = [values[index] for index in range(len(driver.states))]
        found = next((user for user in self._readers(states[0]) if _is_step(user)), None)
        if found is None:
            return None
        initial = found["driver"].given(found.operands).initial
        if [*map(_source, initial)] != states:
            return None
        for state, following in zip(states, driver.next_states, strict=True):
            elsewhere = state in self.roots or any(user is not found for user in self._readers(state))
            if state in self.kept or (elsewhere and following is not driver.output):
                return None
        return found

    def _readers(self, node: Node) -> list[Node]:
        found: list[Node] = []
        for user in self.users[node]:
            found += self._readers(user) if _source(user) is node else [user]
        return found


def _is_step(node: Node) -> bool:
    if node.op != "driver":
        return False
    driver: Driver = node["driver"]
    guarded = driver.lengths or driver.mask or driver.when is not None or driver.last is not None
    return driver.length == 1 and len(driver.sequences) == 1 and not guarded


def _source(node: Node) -> Node:
    """What a node repeats, if it is of the same shape."""
    while node.op == "broadcast" and _alike(node.type, node.operands[0].type):
        node = node.operands[0]
    return node


# Whether steps are equal -----------------------------------------------------------------------------


def _equal(first: Node, other: Node) -> bool:
    """Whether two drivers compute the same of their sequences and states."""
    a, b = first["driver"], other["driver"]
    sizes = [(len(driver.states), len(driver.captured)) for driver in (a, b)]
    if sizes[0] != sizes[1]:
        return False
    formals = dict(zip((*a.sequences, *a.states), (*b.sequences, *b.states), strict=True))
    if not all(_alike(x.type, y.type) for x, y in formals.items()):
        return False
    outer = dict(zip(a.captured, b.captured, strict=True))
    roots = zip((a.output, *a.next_states), (b.output, *b.next_states), strict=True)
    given = zip(a.given(first.operands).captured, b.given(other.operands).captured, strict=True)
    return _same(roots, formals | outer, drawn=True) and _same(given, {}, drawn=False)


def _same(pairs: Iterable[tuple[Node, Node]], known: dict[Node, Node], drawn: bool) -> bool:
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
        if not _alike(a.type, b.type) or (a.op in RANDOM and not drawn) or not _same_attributes(a, b):
            return False
        pending += zip(a.operands, b.operands, strict=True)
    return True


def _same_attributes(a: Node, b: Node) -> bool:
    ours, theirs = ({key: value for key, value in node.attributes if key not in NAMES} for node in (a, b))
    return ours.keys() == theirs.keys() and all(_same_value(ours[key], theirs[key]) for key in ours)


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        kinds = [getattr(value, "dtype", None) for value in (a, b)]
        return kinds[0] == kinds[1] and np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same_value(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or (isinstance(a, Size) and isinstance(b, Size))  # steps that follow each other have one batch


def _alike(a: Any, b: Any) -> bool:
    """Whether types are the same, where open sizes may be any."""
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return bool(a == b)
    return a.dtype == b.dtype and _same_value(tuple(a.shape), tuple(b.shape))


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
                found[value] = _at(outputs, number, value.tensor)
            elif number == count - 1:
                found[value] = make("get", node, index=index, name=value.name, where=value.where, meet=meet_declared)
            elif driver.next_states[index] is driver.output:
                found[value] = _at(outputs, number, value.tensor)
    return found


def _at(outputs: Tensor, step: int, kind: TensorType) -> Node:
    """The output of a step, as [1, batch, width] or as [batch, width]."""
    found = outputs[step : step + 1]
    return found.node if found.rank == kind.rank else build("reshape", found, shape=found.type.shape[1:]).node
