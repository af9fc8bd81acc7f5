"""Printer of graphs. ``text.parser`` parses the printed form.

``Graph`` imports this module, so that its functions take nodes and outputs instead of a graph. ``networkx_graph``
converts a graph to networkx. The module ``dot`` converts it to Graphviz's DOT language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..support.errors import Where
from ..support.records import NamedTuple
from ..support.stage_text import StageLine, StageText
from .node import Namer, Node, walk
from .types import SHORT_NAMES, Dim, Size, dim_text

if TYPE_CHECKING:
    import networkx as nx  # slow to import and rarely used

Outputs = Sequence[tuple[str, Node]]

_IMPLIED = {
    "input": ("type",),
    "parameter": ("type",),
    "constant": ("value",),
    "slice": ("start", "stop", "step"),
    "scan": ("body", "carries", "sequences"),
}


SCAN_WORDS = ("carry", "over", "with")
"""Keywords of a scan's inputs: carries, sequences and invariants."""


class _Line(NamedTuple):
    """Line of a printed graph, with the source line to which it belongs."""

    text: str
    where: Where | None
    is_named: bool = False


def identifier(text: str) -> str:
    """Convert ``text`` to a valid name in the printed form."""
    cleaned = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")
    return cleaned if cleaned and not cleaned[0].isdigit() else f"v{cleaned}"


def names_of(nodes: Iterable[Node], literals: bool = False) -> dict[Node, str]:
    """Return a unique name for every node: the user's name if there is one, else the name of the op.

    Args:
        nodes: Nodes of a graph, in the order of ``walk``.
        literals: Also name scalar constants, which the printed form shows inline.
    """
    namer = Namer()
    names: dict[Node, str] = {}
    for node in nodes:
        if node not in names and (literals or not is_literal(node)):
            wanted = node.name or (str(node["label"]) if node.op in ("input", "parameter") else "")
            if node.op == "parameter" and not node.name:
                wanted = wanted.rpartition("/")[2]
            names[node] = namer(identifier(wanted or node.op))
    return names


def attribute_text(value: Any) -> str:
    """Return the printed form of an attribute's value."""
    if isinstance(value, Size):
        return dim_text(value)
    if isinstance(value, tuple):
        inner = ", ".join(map(attribute_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def constant_text(value: np.ndarray) -> str:
    """Return the printed form of a constant's value."""
    first = value.flat[:1]
    if value.size > 1 and value.tobytes() == first.tobytes() * value.size:  # compared by bits, because -0.0 == 0.0
        return f"full({first.item()!r})"
    return repr(value.tolist()).replace(" ", "")


def _index_text(start: Dim, stop: Dim, step: int, size: Dim) -> str:
    first = "" if start == 0 else dim_text(start)
    last = "" if stop == size else dim_text(stop)
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


def is_literal(node: Node) -> bool:
    """True for a scalar constant, which is printed inline, such as ``f32(0.5)``."""
    return node.op == "constant" and node.tensor.rank == 0


def operand_text(node: Node, names: Mapping[Node, str]) -> str:
    """Return the printed form of an operand: its name, or the value of a scalar constant."""
    if node not in names and is_literal(node):
        return f"{SHORT_NAMES[node.dtype]}({node['value'].item()!r})"
    return names[node]


def braces(attributes: Sequence[str]) -> str:
    return f" {{{', '.join(attributes)}}}" if attributes else ""


def right_side(node: Node, names: Mapping[Node, str], more: Sequence[str] = (), value: str = "") -> str:
    """Return the printed form of a node between ``=`` and the type: op, operands and attributes.

    Args:
        node: Node to print.
        names: Names of nodes.
        more: Text of further attributes.
        value: Text of a constant's value, by default ``constant_text``.
    """
    operands = [operand_text(operand, names) for operand in node.operands]
    if node.op == "constant":
        return f"constant {value or constant_text(node['value'])}{braces(more)}"
    if node.op == "slice":
        shape = node.operands[0].shape
        bounds = zip(node["start"], node["stop"], node["step"], shape, strict=True)
        return f"slice {operands[0]}[{', '.join(_index_text(*bound) for bound in bounds)}]{braces(more)}"
    implied = _IMPLIED.get(node.op, ())
    if node.op == "input" and names[node] == node["label"]:
        implied = (*implied, "label")
    own = [f"{key}={attribute_text(attribute)}" for key, attribute in node.attributes if key not in implied]
    shown = "" if node.op == "scan" else f"{' ' if operands else ''}{', '.join(operands)}"
    return f"{node.op}{shown}{braces([*own, *more])}"


def scan_inputs(scan: Node) -> Iterator[tuple[str, Node, Node]]:
    """Yield the inputs of a scan's body as (keyword, input of the body, operand)."""
    counts = scan["carries"], scan["sequences"], len(scan.operands)
    words = (word for word, count in zip(SCAN_WORDS, counts, strict=True) for _ in range(count))
    yield from zip(words, scan["body"].inputs, scan.operands, strict=False)


def scan_outputs(scan: Node) -> Iterator[tuple[str, str, Node]]:
    """Yield the outputs of a scan's body as (keyword, name, node)."""
    for position, (name, node) in enumerate(scan["body"].outputs):
        yield "next" if position < scan["carries"] else "emit", name, node


def _lines(nodes: Iterable[Node], names: Mapping[Node, str], indent: str) -> Iterator[_Line]:
    """Yield the printed lines of nodes, and of the bodies of scans among them."""
    for node in nodes:
        if is_literal(node):
            continue
        yield _Line(f"{indent}{names[node]} = {right_side(node, names)} : {node.type}", node.where, True)
        if node.op == "scan":
            yield from _body_lines(node, names, indent + "  ")


def _body_lines(scan: Node, names: Mapping[Node, str], indent: str) -> Iterator[_Line]:
    """Yield the printed lines of a scan's body: inputs, nodes and outputs."""
    for word, node, operand in scan_inputs(scan):
        yield _Line(f"{indent}{word} {names[node]} = {operand_text(operand, names)} : {node.type}", node.where)
    params = set(scan["body"].inputs)
    yield from _lines((node for node in scan["body"].nodes if node not in params), names, indent)
    for word, name, node in scan_outputs(scan):
        yield _Line(f"{indent}{word} {identifier(name)} = {operand_text(node, names)}", node.where)


def graph_text(name: str, nodes: Sequence[Node], outputs: Outputs, comments: Iterable[str] = ()) -> StageText:
    """Return the printed form of a graph, with the source line of each line."""
    names = names_of(walk(nodes))
    lines = list(_lines(nodes, names, "  "))
    width = min(max((len(line.text) for line in lines), default=0), 96)
    shown, last = [StageLine(f"graph {identifier(name)}")], ""
    shown += [StageLine(f"  # {comment}") for comment in comments]
    for text, where, is_named in lines:
        place = str(where) if where and is_named else ""
        comment = f"{text:<{width}}  # {place}" if place and place != last else text
        last = place or last
        shown.append(StageLine(comment, (where,) if where else ()))
    for name, node in outputs:
        text = f"  output {attribute_text(name)} = {operand_text(node, names)}"
        shown.append(StageLine(text, (node.where,) if node.where else ()))
    return StageText(shown)


def networkx_graph(name: str, nodes: Sequence[Node], outputs: Outputs) -> nx.MultiDiGraph[str]:
    """Return a graph as a ``networkx.MultiDiGraph``. Nodes of a scan's body have the prefix ``name/``."""
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=name)
    names = names_of(walk(nodes))
    _add_nodes(nodes, names, "", graph)
    for key, node in outputs:
        graph.add_node(f"output {key}", op="output", type=str(node.type), where="", attributes={})
        if node in names:
            graph.add_edge(names[node], f"output {key}", operand=0)
    return graph


def _add_nodes(nodes: Iterable[Node], names: Mapping[Node, str], prefix: str, into: nx.MultiDiGraph[str]) -> None:
    """Add nodes, edges from operands, and bodies of scans to a networkx graph."""
    for node in nodes:
        if node not in names:
            continue  # a scalar constant is printed inline
        key = prefix + names[node]
        plain = {k: v for k, v in node.attributes if k not in ("body", "value")}
        into.add_node(key, op=node.op, type=str(node.type), where=str(node.where or ""), attributes=plain)
        for position, operand in enumerate(node.operands):
            if operand in names:
                into.add_edge(prefix + names[operand], key, operand=position)
        if node.op == "scan":
            _add_nodes(node["body"].nodes, names, f"{key}/", into)
