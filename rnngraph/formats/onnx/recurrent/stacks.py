"""Finds recurrent nodes that can be declared as the layers of one stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...steps import Place, Value, values_read
from ..core.known import Expanded
from ..core.model import Node
from ..core.tensors import Tensors
from .drivers import Recurrence
from .layer import INITIAL


def stacks_in(tensors: Tensors, outputs: Mapping[str, Any]) -> dict[Node, Sequence[Node]]:
    """Return {node: all nodes of its stack, the lowest first}, for stacks of at least two layers.

    A node continues the stack of the layer below if it has the same options, alone reads that layer's outputs, and has
    initial states that do not depend on that layer.
    """
    uses = _uses(outputs)
    producers: dict[Place, Recurrence] = {}
    above: dict[Node, Recurrence] = {}
    has_below: set[Node] = set()
    for item in tensors.recurrences:
        below = producers.get(_place(item.x))
        if below is not None and _is_one_stack(below, item, uses, tensors):
            above[below.node] = item
            has_below.add(item.node)
        for place in _places(item, tensors):
            producers[place] = item
    stacks: dict[Node, Sequence[Node]] = {}
    for item in tensors.recurrences:
        if item.node in has_below or item.node not in above:
            continue
        chain = [item]
        while chain[-1].node in above:
            chain.append(above[chain[-1].node])
        layers = [_without_zeros(one) for one in chain]
        stacks |= {one.node: layers for one in chain}
    return stacks


def _without_zeros(item: Recurrence) -> Node:
    """Return the node without initial states that are zeros. Files may compute their shape from the layer below."""
    if any(state is not None for direction in item.layer.directions for state in direction.initial):
        return item.node
    inputs = (name if place not in INITIAL else "" for place, name in enumerate(item.node.inputs))
    return replace(item.node, inputs=tuple(inputs))


def _place(x: Value) -> Place:
    return x.step, x.path


def _places(item: Recurrence, tensors: Tensors) -> list[Place]:
    """Return the values that hold the outputs of all directions in one array, which a next layer may read."""
    if len(item.outputs) == 1:
        return [_place(item.outputs[0])]
    joint = tensors.joint(item.outputs)
    return [] if joint is None else [_place(joint)]


def _is_one_stack(below: Recurrence, item: Recurrence, uses: Mapping[Place, int], tensors: Tensors) -> bool:
    """True if a node can be the next layer of the stack whose top layer is ``below``."""
    if not below.layer.is_like(item.layer) or below.time_major != item.time_major:
        return False
    if uses[_place(item.x)] != 1 or (len(below.outputs) > 1 and any(uses[_place(half)] != 1 for half in below.outputs)):
        return False
    steps = {output.step for output in below.outputs}
    starts = [state for direction in item.layer.directions for state in direction.initial if isinstance(state, Value)]
    starts += [
        state.source
        for direction in item.layer.directions
        for state in direction.initial
        if isinstance(state, Expanded) and isinstance(state.source, Value)
    ]
    return not any(steps & tensors.steps_of(start) for start in starts)


def _uses(outputs: Mapping[str, Any]) -> Mapping[Place, int]:
    """Return how many steps and outputs of the net read each value."""
    counts: defaultdict[Place, int] = defaultdict(int)
    pending = []
    for value in outputs.values():
        if isinstance(value, Expanded):
            value = value.source
        if isinstance(value, Value):
            counts[_place(value)] += 1
            pending.append(value.step)
    seen = set(pending)
    while pending:
        for value in values_read(pending.pop()):
            counts[_place(value)] += 1
            if value.step not in seen:
                seen.add(value.step)
                pending.append(value.step)
    return counts
