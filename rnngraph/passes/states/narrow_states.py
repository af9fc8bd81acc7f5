"""States that streams store in a narrow dtype, because steps read them only after rounding to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from ...declare.nest import flatten
from ...ir.graph import Graph, Node, make, remake
from ...ir.types import NARROW
from ..lowering.lowered import Lowered


def narrow_states(lowered: Lowered) -> Lowered:
    """Store states in the dtype to which steps round them.

    Law: results are unchanged, bit for bit.

    The input, the output and the initial value of such a state get the narrow dtype.

    Args:
        lowered: Declaration whose states are inputs and outputs.
    """
    narrow = _rounded({label for nest in lowered.states for label in flatten(nest)}, lowered.graph)
    if not narrow:
        return lowered
    initial = _cast_outputs(lowered.initial, narrow)
    return replace(lowered, graph=_narrow_inputs(_cast_outputs(lowered.graph, narrow), narrow), initial=initial)


def _rounded(labels: Set[str], graph: Graph) -> dict[str, str]:
    """Return {label: narrow dtype} for the states that are used only by casts to one narrow dtype."""
    inputs = {node: str(node["label"]) for node in graph.inputs if node.op == "input" and node["label"] in labels}
    dtypes: defaultdict[str, set[str]] = defaultdict(set)  # "" stands for users that are no casts
    for node in graph.nodes:
        for item in node.operands:
            if item in inputs:
                dtypes[inputs[item]].add(node.dtype if node.op == "cast" else "")
    for _, node in graph.outputs:
        if node in inputs:
            dtypes[inputs[node]].add("")
    return {label: dtype for label, (dtype, *others) in dtypes.items() if dtype in NARROW and not others}


def _cast_outputs(graph: Graph, narrow: Mapping[str, str]) -> Graph:
    """Return a graph with the outputs in ``narrow``, {name: dtype}, cast to narrow dtypes."""
    outputs = [
        (name, make("cast", node, where=node.where, name=node.name, dtype=narrow[name]) if name in narrow else node)
        for name, node in graph.outputs
    ]
    return Graph.of(graph.name, outputs, graph.inputs, graph.comments)


def _narrow_inputs(graph: Graph, narrow: Mapping[str, str]) -> Graph:
    """Return a graph with inputs in narrow dtypes, which replace the casts of these inputs."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.op == "input" and node["label"] in narrow:
            kind = replace(node.tensor, dtype=narrow[node["label"]])
            attributes: dict[str, Any] = dict(node.attributes) | {"type": kind}
            new[node] = make("input", where=node.where, name=node.name, **attributes)
        elif node.op == "cast" and node.operands[0].op == "input" and node.operands[0]["label"] in narrow:
            new[node] = new[node.operands[0]]
        else:
            new[node] = remake(node, [new[item] for item in node.operands])
    outputs = [(name, new[node]) for name, node in graph.outputs]
    return Graph.of(graph.name, outputs, [new[node] for node in graph.inputs], graph.comments)
