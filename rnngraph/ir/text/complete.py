"""Complete form of a graph as text: the printed form plus all that storage must preserve.

It has the name, label and source line of every node, and a separate line for every scalar constant. Therefore ``parse``
restores the same nodes in the same order. Large arrays are in a separate table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..graph import Graph, Node
from ..printer import braces, constant_text, identifier, names_of, right_side, scan_inputs, scan_outputs

MAX_WRITTEN = 16
"""Maximum number of elements of a constant that is written as text."""

MAX_FILLED = 1 << 20
"""Maximum number of elements of a constant that is written as ``full(…)``."""


def complete_text(graph: Graph, arrays: dict[str, np.ndarray]) -> str:
    """Return the complete form of ``graph``. Large constants are added to ``arrays`` instead."""
    return _Writer(graph, arrays).text()


class _Writer:
    """Writer of the complete form of one graph."""

    def __init__(self, graph: Graph, arrays: dict[str, np.ndarray]) -> None:
        self.graph, self.arrays = graph, arrays
        self.names = names_of(graph.walk(), literals=True)
        self.files: dict[str, int] = {}
        self.layers: dict[str, int] = {}
        self.shown: dict[str, str] = {}  # displayed path by file, cached because computing it reads the file system

    def text(self) -> str:
        """Return the complete form."""
        lines = list(self.lines(self.graph, "  "))
        head = [f"graph {identifier(self.graph.name)}", *(f"  file {file!r}" for file in self.files)]
        head += [f"  layer {layer!r}" for layer in self.layers]
        outputs = [f"  output {name!r} = {self.names[node]}" for name, node in self.graph.outputs]
        return "\n".join([*head, *lines, *outputs]) + "\n"

    def lines(self, graph: Graph, indent: str) -> Iterator[str]:
        """Yield the complete text of a graph's nodes, or of those of a scan's body, line by line."""
        params = set() if graph is self.graph else set(graph.inputs)
        for node in graph.nodes:
            if node in params:
                continue
            value = self.constant(node) if node.op == "constant" else ""
            shown = right_side(node, self.names, self.facts(node), value)
            yield f"{indent}{self.names[node]} = {shown} : {node.type}"
            if node.op == "scan":
                yield from self.body(node, indent + "  ")

    def body(self, scan: Node, indent: str) -> Iterator[str]:
        """Yield the complete text of a scan's body, line by line: inputs, nodes and outputs."""
        for word, node, operand in scan_inputs(scan):
            name, label = self.names[node], node["label"]
            more = braces([*([f"label={label!r}"] if label != name else []), *self.facts(node)])
            yield f"{indent}{word} {name} = {self.names[operand]}{more} : {node.type}"
        yield from self.lines(scan["body"], indent)
        for word, name, node in scan_outputs(scan):
            yield f"{indent}{word} {name if identifier(name) == name else repr(name)} = {self.names[node]}"

    def facts(self, node: Node) -> list[str]:
        """Return the texts ``name=…`` and ``where=…`` of a node, which only the complete form prints.

        Files and layers are indices into lists at the start of the text. The phase is not stored, because all stored
        nodes are of the forward pass.
        """
        facts = [f"name={node.name!r}"] if node.name != self.names[node] else []
        if node.where is not None:
            path = node.where.file
            if path not in self.shown:
                self.shown[path] = node.where.shown_file
            file = self.files.setdefault(self.shown[path], len(self.files))
            line, layer = node.where.line, node.where.layer
            if layer:
                facts.append(f"where=({file}, {line}, {self.layers.setdefault(layer, len(self.layers))})")
            else:
                facts.append(f"where=({file}, {line})" if file else f"where={line}")
        return facts

    def constant(self, node: Node) -> str:
        """Return the text of a constant's value; ``stored(key)`` for a large one, which is added to the arrays.

        A large array, or one with a NaN that the parser would not restore, is added to the table of arrays.
        """
        value: np.ndarray = node["value"]
        text = constant_text(value) if value.size <= MAX_WRITTEN else ""
        if not text and value.size <= MAX_FILLED and _is_filled(value):
            text = constant_text(value)
        if text and not _odd_nan(value):
            return text
        key = next((key for key, array in self.arrays.items() if array is value), str(len(self.arrays)))
        self.arrays[key] = value
        return f"stored({key!r})"


def _is_filled(value: np.ndarray) -> bool:
    return value.tobytes() == value.flat[:1].tobytes() * value.size


def _odd_nan(value: np.ndarray) -> bool:
    """True if a value contains a NaN whose bits the parser would not restore."""
    if value.dtype.kind != "f" or not np.isnan(value).any():
        return False
    plain = np.where(np.isnan(value), np.asarray(np.nan, value.dtype), value)
    return plain.tobytes() != value.tobytes()


def same_graph(a: Graph, b: Graph) -> bool:
    """True if two graphs are equal node by node, with names, constants and source lines.

    Source files are compared by their displayed path.
    """
    if len(a.nodes) != len(b.nodes) or len(a.inputs) != len(b.inputs) or a.name != b.name or a.comments != b.comments:
        return False
    known: dict[Node, Node] = {}
    for ours, theirs in zip(a.nodes, b.nodes, strict=True):
        if len(ours.operands) != len(theirs.operands) or not _same_facts(ours, theirs):
            return False
        if any(known.get(x) is not y for x, y in zip(ours.operands, theirs.operands, strict=True)):
            return False
        known[ours] = theirs
    pairs = [*zip(a.inputs, b.inputs, strict=True)]
    if [name for name, _ in a.outputs] != [name for name, _ in b.outputs]:
        return False
    pairs += [(x, y) for (_, x), (_, y) in zip(a.outputs, b.outputs, strict=True)]
    return all(known.get(x) is y for x, y in pairs)


def _same_facts(a: Node, b: Node) -> bool:
    if (a.op, a.type, a.name, _place(a)) != (b.op, b.type, b.name, _place(b)):
        return False
    ours, theirs = dict(a.attributes), dict(b.attributes)
    return ours.keys() == theirs.keys() and all(_same_value(ours[key], theirs[key]) for key in ours)


def _place(node: Node) -> tuple[str, int, str] | None:
    return (node.where.shown_file, node.where.line, node.where.layer) if node.where else None


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Graph) and isinstance(b, Graph):
        return same_graph(a, b)
    return bool(a == b)
