"""A driver's step as pictures show it: without lengths, and with names that are unique within a cell."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ...ir.graph import Graph, Node, rewrite, with_body
from ...ir.node import Namer
from ...ir.printer import identifier, names_of
from ...ir.scan import ScanParts
from .node_texts import layer_of, short_name


def without_lengths(scan: Node) -> tuple[Node, bool]:
    """Return (a scan without the ops that keep states past a row's length, True if the scan had any).

    The removed ops are selections that keep the states of a row past its length, and set its outputs to 0. Without
    them, equations read like those in a cell's paper.
    """
    body: Graph = scan["body"]
    param = {*body.inputs}
    running = {node for node in body.nodes if node.op == "less" and node.name == "live" and param >= {*node.operands}}

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        is_of_lengths = node.op == "select" and node.operands[0] in running
        return operands[1] if is_of_lengths and layer_of(node) == layer_of(node.operands[0]) else None

    return (with_body(scan, scan.operands, rewrite(body, rule)), True) if running else (scan, False)


def step_names(parts: ScanParts, nodes: Collection[Node], shown: Iterable[Node] = ()) -> dict[Node, str]:
    """Return {value in a scan's step: name for the picture}.

    A value that only its own layer reads has a name that is unique within the layer. So every cell can call its gates
    i, j, f and o.

    Args:
        parts: Parts of the scan.
        nodes: Nodes of the step, in order.
        shown: Nodes with equations. Only they use up names.
    """
    names = dict(names_of(nodes))
    for binding in parts.invariants:
        if binding.outside.op == "parameter":
            names[binding.inside] = short_name(binding.outside)
    param = {*parts.inputs}
    readers: dict[Node, set[str]] = {node: set() for node in nodes}
    for node in nodes:
        for operand in node.operands:
            readers[operand].add(layer_of(node))
    for carry in reversed(parts.carries):
        if carry.next not in param:
            names[carry.next] = f"{names[carry.inside]}′"
    outside = {carry.next for carry in parts.carries} | {node for _, node in parts.emits}
    local = [node for node in shown if node not in outside | param and readers[node] <= {layer_of(node)}]
    reserved = {name for node, name in names.items() if node in param or not readers[node] <= {layer_of(node)}}
    namers: dict[str, Namer] = {}
    for node in local:
        namer = namers.setdefault(layer_of(node), Namer({*reserved}))
        names[node] = namer(identifier(node.name or node.op))
    return names
