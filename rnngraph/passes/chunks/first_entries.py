"""Values computed from the first entries of a sequence: ``x[:, 0]`` as an initial state, or in front of a sequence.

A stream knows the first entries from its first step on. A state holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace
from typing import Any

from ...declare.nest import flatten
from ...ir.axes.by_size import axis_of_names, counts
from ...ir.graph import Graph, Node, remake, rewrite, topological
from ...ir.ops import OPS
from ...ir.scan import ScanParts
from ...ir.types import TensorType
from ..lowering.lowered import KEPT, STATE, Lowered


class KnownAtStart:
    """Values that are known at a stream's first step, and do not change afterwards.

    Attributes:
        nodes: The values.
        from_first: Values in ``nodes`` that are computed from the first entries of a sequence.
    """

    def __init__(self, lengths: Set[str]) -> None:
        self.lengths = lengths
        self.nodes: set[Node] = set()
        self.from_first: set[Node] = set()

    def add_first(self, node: Node) -> None:
        """Record a slice of the first entries of a sequence."""
        self.nodes.add(node)
        self.from_first.add(node)

    def add(self, node: Node) -> None:
        """Record a node if all its operands are known at the first step.

        A node that counts steps, is random, or is the input of a state is not recorded.
        """
        if any(item not in self.nodes for item in node.operands) or any(
            counts(dim, self.lengths) for dim in _sizes(node)
        ):
            return
        if OPS[node.op].random or (node.op == "input" and str(node["label"]).startswith((STATE, KEPT))):
            return
        self.nodes.add(node)
        if not self.from_first.isdisjoint(node.operands):
            self.from_first.add(node)

    def starts_loop(self, scan: Node) -> bool:
        """True if an initial value of a scan is computed from the first entries of a sequence."""
        return any(carry.initial in self.from_first for carry in ScanParts.of(scan).carries)

    def front_entry(self, node: Node, axis: int) -> Node | None:
        """Return the single entry along ``axis`` that ``node`` consists of or repeats.

        Return None unless it is known at the first step.
        """
        while node.op == "broadcast" and node.operands[0].tensor.rank == node.tensor.rank and node.shape[axis] != 1:
            node = node.operands[0]
        return node if node in self.nodes and node.shape[axis] == 1 else None


def _sizes(node: Node) -> Iterable[Any]:
    """Yield the sizes on which a node's value depends, except those of its operands."""
    if isinstance(node.type, TensorType):
        yield from node.shape
    if node.op in ("scan", "dimension", "iota"):
        yield node["length" if node.op == "scan" else "size"]


def with_started_loops(lowered: Lowered, lengths: Set[str]) -> Lowered:
    """Return the declaration with loops that compute their own initial states from the first entries of sequences.

    Such a loop has an initial state like ``x[:, 0]``, which is unknown before the stream's first step. Without such
    loops, return ``lowered`` itself.

    Args:
        lowered: Declaration whose states are inputs and outputs.
        lengths: Names of the sizes that count steps.
    """
    start = KnownAtStart(lengths)
    for node in lowered.initial.nodes:
        if node.op == "slice" and _takes_first(node, lengths):
            start.add_first(node)
        start.add(node)
    late = {name for name, node in lowered.initial.outputs if node in start.from_first}
    late = {label for nest in lowered.states if late.intersection(flatten(nest)) for label in flatten(nest)}
    if not late:
        return lowered
    known = {(node.op, node["label"]): node for node in lowered.graph.inputs}
    first = {name: node for name, node in lowered.initial.outputs if name in late}
    new: dict[Node, Node] = {}
    for node in topological(first.values()):
        own = known.get((node.op, node["label"])) if node.op in ("input", "parameter") else None
        new[node] = remake(node, [new[item] for item in node.operands]) if own is None else own

    def rule(node: Node, _: tuple[Node, ...]) -> Node | None:
        return new[first[node["label"]]] if node.op == "input" and node["label"] in late else None

    whole, initial = lowered.graph, lowered.initial
    outputs = [(name, node) for name, node in whole.outputs if name not in late]
    kept = [node for node in whole.inputs if node.op != "input" or node["label"] not in late]
    graph = rewrite(Graph.of(whole.name, outputs, whole.inputs, whole.comments), rule)
    graph = Graph.of(graph.name, graph.outputs, kept, graph.comments)
    others = [(name, node) for name, node in initial.outputs if name not in late]
    states, named = (
        tuple(nest for nest in nests if not late.intersection(flatten(nest)))
        for nests in (lowered.states, lowered.named)
    )
    initial = Graph.of(initial.name, others, initial.inputs, initial.comments)
    return replace(lowered, graph=graph, initial=initial, states=states, named=named)


def _takes_first(node: Node, lengths: Set[str]) -> bool:
    """True for a slice of the first entries of a sequence."""
    axis = axis_of_names(node.operands[0].shape, lengths)
    return axis is not None and isinstance(node["stop"][axis], int)
