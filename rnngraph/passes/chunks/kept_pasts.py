"""States that hold the last entries of a sequence, as for a causal convolution.

A net concatenates such a state and the sequence, and returns the last entries of the result as the state's next
value. A stream can run this code for each chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np

from ...ir.axes.by_size import counts
from ...ir.graph import Graph, Node, make, remake, topological, with_sizes
from ...ir.interpreter import interpret
from ...ir.types import Dim

_MOVES = frozenset(("concat", "reshape", "slice", "transpose"))
"""Ops that only move entries."""
ROWS, STEPS = 2, 3
"""Number of rows and of steps in the trial run of ``_is_past``. Two different small numbers suffice."""


def joined_to_kept(graph: Graph, lengths: Set[str], kept: Set[str]) -> set[Node]:
    """Return the concatenations of a kept state and a sequence whose last entries become the next state.

    Args:
        graph: Graph of a net.
        lengths: Names of sizes that count steps.
        kept: Names of states [rows, width]: labels of inputs, and names of the outputs with their next values.
    """
    fronts = {node: labels for node in graph.nodes if (labels := _labels_before(node, lengths, kept))}
    following = {name: node for name, node in graph.outputs if name in kept}
    other_uses = {label for label in set().union(*fronts.values()) if not _is_past(label, following, fronts, lengths)}
    return {node for node, labels in fronts.items() if not labels & other_uses}


def _labels_before(node: Node, lengths: Set[str], kept: Set[str]) -> set[str]:
    """Return the states that precede a sequence in a concatenation; empty if anything else precedes it.

    ``lengths`` are the names of sizes that count steps, and ``kept`` are the labels of states.
    """
    if node.op != "concat" or len(node.operands) != 2:
        return set()
    (front, sequence), axis = node.operands, node["axis"]
    if counts(front.shape[axis], lengths) or not counts(sequence.shape[axis], lengths):
        return set()
    sources = topological([front])
    labels = {str(item["label"]) for item in sources if item.op == "input"}
    is_moved = all(item.op in _MOVES or item.op == "input" for item in sources)
    return labels if is_moved and labels <= kept else set()


def _is_past(label: str, following: Mapping[str, Node], fronts: Mapping[Node, Set[str]], lengths: Set[str]) -> bool:
    """True if the next value of state ``label`` is the last entries of a concatenation of state and sequence.

    ``following`` has the next values by label, and ``fronts`` the states at the front of each concatenation.

    A trial run concatenates them in the other order, and checks that the next state then equals the state.
    """
    new: dict[Node, Node] = {}
    for number, node in enumerate(fronts):
        front, sequence = node.operands
        sequence = make("input", label=f"sequence {number}", type=sequence.tensor)
        new[node] = make("concat", sequence, front, axis=node["axis"])
    moves = topological([following[label]], known=fronts.keys())
    read = {following[label], *(item for node in moves for item in node.operands)} & fronts.keys()
    if not any(label in fronts[node] for node in read):
        return False
    for node in moves:
        if node.op != "input" and node.op not in _MOVES:
            return False
        new[node] = remake(node, [new[item] for item in node.operands])
    past = Graph.of("past", [(label, new[following[label]])])
    sizes: dict[str, Dim] = {name: STEPS if name in lengths else ROWS for name in past.symbols}
    past = with_sizes(past, sizes)
    feeds = {}
    for node in past.inputs:
        shape = [int(str(dim)) for dim in node.shape]
        feeds[str(node["label"])] = np.full(shape, -1.0)
        if node["label"] == label:
            feeds[label] = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    return label in feeds and np.array_equal(interpret(past, feeds)[label], feeds[label])
