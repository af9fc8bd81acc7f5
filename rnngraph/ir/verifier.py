"""Checks the rules of the graph IR. Runs after every pass, always."""

from __future__ import annotations

from ..errors import VerifyError
from .graph import Graph, Node
from .ops import OPS
from .types import TupleType

INFERENCE_FORBIDS = tuple(name for name, op in OPS.items() if op.random)


def verify(graph: Graph, after: str = "", forbid: tuple[str, ...] = ()) -> Graph:
    """``graph`` itself, or ``VerifyError`` that names the rule and the pass that broke it.

    ``forbid`` names ops that must not occur, in bodies neither: the inference graph holds no random op.
    """
    try:
        _verify(graph, forbid)
    except (ValueError, TypeError, KeyError) as error:
        raise VerifyError(f"after {after or 'construction'}: {error}\n{graph}") from error
    return graph


def _verify(graph: Graph, forbid: tuple[str, ...]) -> None:
    seen: set[Node] = set()
    for node in graph.nodes:
        _node(node, seen, forbid)
        seen.add(node)
    for name, node in graph.outputs:
        if node not in seen:
            raise ValueError(f"output {name} is no node of the graph")
        if isinstance(node.type, TupleType):
            raise ValueError(f"output {name} is a tuple")
    for node in graph.inputs:
        if node not in seen or node.op not in ("input", "parameter"):
            raise ValueError(f"{node!r} is listed as an input and is none")


def _node(node: Node, seen: set[Node], forbid: tuple[str, ...]) -> None:
    row = OPS.get(node.op)
    if row is None:
        raise ValueError(f"{node.op} is no op of the table")
    if node.op in forbid:
        raise ValueError(f"{node.op} is forbidden in this graph (declared at {node.where})")
    if not row.arity[0] <= len(node.operands) <= row.arity[1]:
        raise ValueError(f"{node.op} has {len(node.operands)} operands")
    for operand in node.operands:
        if operand not in seen:
            raise ValueError(f"{node!r} uses {operand!r} before it is there")
    from .types import meet_strict

    inferred = row.infer([operand.type for operand in node.operands], dict(node.attributes), meet_strict)
    if inferred != node.type:
        raise ValueError(f"{node!r} should have type {inferred}")
    if node.op == "scan":
        body: Graph = node["body"]
        if any(inner.op in ("parameter",) for inner in body.nodes):
            raise ValueError("a scan's body reads a parameter that is not handed in")
        if {inner for inner in body.nodes if inner.op == "input"} - set(body.inputs):
            raise ValueError("a scan's body reads an input that is not handed in")
        _verify(body, forbid)
