"""Graphs in Graphviz's DOT language. Layers and loops are clusters, and carries are dashed edges.

Some nodes have no separate box, so that the picture is narrow:

- A scan is the cluster of its body. Its body's inputs are drawn as the scan's operands.
- ``get`` is an edge, and a scalar constant is text in its reader's box.
- Unused inputs are not drawn.

A parameter is drawn beside its first reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field

from ..support.records import dataclass
from .node import OPS, Node, walk
from .printer import Outputs, is_literal, names_of, scan_inputs

_FILLS = {
    "input": "#cfe3f7",
    "parameter": "#f6e3b4",
    "contraction": "#f3c9a5",
    "reduction": "#dcd3ee",
    "movement": "#eeeeee",
    "random": "#f4c6d4",
    "carried": "#c9ead0",
}
"""Fill colours of boxes by kind or op of the node. Other boxes are white."""

WIDEST = 20
"""Maximum number of characters of a line in the label of an output."""

_RECURRENT = "#b3261e"

_PHASES = {"forward": "", "backward": " (backward)", "update": " (update)"}

_HEAD = (
    "  rankdir=TB; nodesep=0.12; ranksep=0.3; compound=true;",
    '  node [shape=box, style="rounded,filled", fillcolor=white, color="#777777", fontname=monospace, fontsize=10,'
    ' margin="0.06,0.03", height=0.3, width=0.3];',
    '  edge [color="#555555", arrowsize=0.6, fontname=monospace, fontsize=9, fontcolor="#555555"];',
    '  graph [fontname="sans-serif", fontsize=11, color="#aaaaaa", style=rounded];',
)


MANY = 500
"""Number of boxes above which the layout is simplified. Graphviz's full layout would take minutes."""

_HURRY = "  nslimit=1; nslimit1=1; mclimit=0.1; splines=line;"


def dot_text(name: str, nodes: Sequence[Node], outputs: Outputs) -> str:
    """Return a graph in the DOT language. Each of ``outputs`` is drawn as a box at the bottom."""
    return "\n".join(_Picture(nodes, outputs).lines(name)) + "\n"


def quoted(text: str) -> str:
    """Return ``text`` as a quoted DOT string, with line breaks preserved."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'


@dataclass
class _Cluster:
    """Cluster with a ``label``: the graph, a layer, or the body of a scan."""

    label: str
    boxes: list[Node] = field(default_factory=list)
    inner: list[_Cluster] = field(default_factory=list)
    layers: dict[tuple[str, str], _Cluster] = field(default_factory=dict)
    """The clusters in ``inner`` that are layers, by layer and phase."""
    is_loop: bool = False

    def of_layer(self, layer: str, phase: str, label: str) -> _Cluster:
        """Return the cluster of a layer and phase, created if it is new."""
        if (layer, phase) not in self.layers:
            self.layers[layer, phase] = _Cluster(label)
            self.inner.append(self.layers[layer, phase])
        return self.layers[layer, phase]


class _Picture:
    """Clusters and edges of one drawing."""

    def __init__(self, nodes: Sequence[Node], outputs: Outputs) -> None:
        self._outputs = outputs
        self._names = names_of(walk(nodes))
        self._stands_for: dict[Node, Node] = {}
        """For nodes without a box, the node that is drawn: a scan's operand for a body's input, a body's output for
        ``get``."""
        self._first: dict[Node, Node] = {}
        """Initial value of each carry, by the body's input."""
        self._whole = _Cluster("")
        self._edges: dict[tuple[Node, Node], str] = {}
        """Label of each edge, by source and target."""
        self._next: list[tuple[Node, Node]] = []
        """The next value of each carry, and the body's input that receives it."""
        read = {node for _, node in outputs} | {operand for node in walk(nodes) for operand in node.operands}
        self._read = read | {node for item in walk(nodes) if item.op == "scan" for _, node in item["body"].outputs}
        self._homes: dict[Node, _Cluster] = {}
        self._assign_clusters(nodes, self._whole, "")
        for node in [self._source(node) for _, node in outputs]:
            if node not in self._homes and not _is_number(node):
                self._draw(node, self._whole)
        for node in self._homes:
            for operand in node.operands:
                self._edge(operand, node)

    # Placement -----------------------------------------------------------------------------------

    def _assign_clusters(self, nodes: Sequence[Node], scope: _Cluster, layer: str) -> None:
        """Assign nodes of a scope to clusters, operands before users. ``layer`` is the layer of the enclosing cluster.

        Nested layers of one scope share the cluster of the outermost layer.
        """
        layers = sorted({_layer_of(node)[0] for node in nodes} - {"", layer}, key=len)
        outermost = {path: next(outer for outer in layers if f"{path}/".startswith(f"{outer}/")) for path in layers}

        def frame(node: Node) -> _Cluster:
            path, phase = _layer_of(node)
            if path not in outermost:
                return scope
            label = outermost[path].removeprefix(f"{layer}/")
            return scope.of_layer(outermost[path], phase, label + _PHASES[phase])

        for node in nodes:
            if node.op == "scan":
                self._place_scan(node, frame(node), layer)
            elif node.op == "get" and node.operands[0].op == "scan":
                body, index = node.operands[0]["body"], node["index"]
                checkpoint = index - len(body.outputs)  # carries before each block follow the other results
                self._stands_for[node] = body.inputs[checkpoint] if checkpoint >= 0 else body.outputs[index][1]
            elif node.op == "input" and node not in self._read:
                continue
            elif node not in self._stands_for and not _is_number(node) and node.op != "parameter":
                self._draw(node, frame(node))

    def _place_scan(self, scan: Node, around: _Cluster, layer: str) -> None:
        """Add the cluster of a scan's body to the cluster ``around``, with its carries and nodes."""
        loop = _Cluster(f"{self._names[scan]}: every step{', from the last' if scan['reverse'] else ''}", is_loop=True)
        around.inner.append(loop)
        outputs = iter(scan["body"].outputs)
        for word, inside, outside in scan_inputs(scan):
            if word != "carry":
                self._stands_for[inside] = outside
                continue
            self._first[inside] = outside
            self._next.append((next(outputs)[1], inside))
            self._draw(inside, loop, outside)
        params = set(scan["body"].inputs)
        own = _layer_of(scan)[0] or layer
        self._assign_clusters([node for node in scan["body"].nodes if node not in params], loop, own)

    def _draw(self, node: Node, frame: _Cluster, *extra_operands: Node) -> None:
        """Add the box of a node, and the boxes of parameters that no earlier node reads."""
        for item in (node, *map(self._source, (*node.operands, *extra_operands))):
            if item is node or (item.op == "parameter" and item not in self._homes):
                self._homes[item] = frame
                frame.boxes.append(item)

    def _source(self, node: Node) -> Node:
        """Return the node whose box represents ``node``, such as a scan's operand for a body's input."""
        while node in self._stands_for:
            node = self._stands_for[node]
        return node

    def _edge(self, operand: Node, user: Node) -> None:
        source = self._source(operand)
        if source in self._homes:
            self._edges.setdefault((source, user), operand.name if operand.op == "get" else "")

    # Output --------------------------------------------------------------------------------------

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of the drawing in the DOT language."""
        yield f"digraph {quoted(name)} {{"
        yield from _HEAD
        if len(self._homes) > MANY:
            yield _HURRY
        yield from self._cluster_lines(self._whole, "  ")
        for (source, user), text in self._edges.items():
            label = f" [label={quoted(text)}]" if text else ""
            yield f"  {self._name(source)} -> {self._name(user)}{label};"
        for inside, initial in self._first.items():
            if (source := self._source(initial)) in self._homes:
                yield f'  {self._name(source)} -> {self._name(inside)} [label="first"];'
        for value, inside in self._next:
            if (source := self._source(value)) in self._homes:
                look = f'color="{_RECURRENT}", fontcolor="{_RECURRENT}", style=dashed, constraint=false'
                yield f'  {self._name(source)} -> {self._name(inside)} [{look}, label="next step"];'
        for label, node in self._outputs:
            target = quoted(f"output {label}")
            yield f'  {target} [style=filled, fillcolor="#e4e4e4", label={quoted(_wrap_path(label))}];'
            if (source := self._source(node)) in self._homes:
                yield f"  {self._name(source)} -> {target};"
        yield "}"

    def _name(self, node: Node) -> str:
        return quoted(self._names[node])

    def _cluster_lines(self, cluster: _Cluster, indent: str, number: str = "cluster") -> Iterator[str]:
        """Yield the DOT lines of a cluster: its boxes, and its inner clusters."""
        for node in cluster.boxes:
            yield f"{indent}{self._name(node)} [label={quoted(self._label(node))}{self._fill(node)}];"
        for position, inner in enumerate(cluster.inner):
            own = f"{number}_{position}"
            look = f'style="rounded,bold"; color="{_RECURRENT}"' if inner.is_loop else 'color="#aaaaaa"'
            yield f"{indent}subgraph {quoted(own)} {{"
            yield f"{indent}  label={quoted(inner.label)}; {look};"
            yield from self._cluster_lines(inner, f"{indent}  ", own)
            yield f"{indent}}}"

    def _label(self, node: Node) -> str:
        """Return the text in a node's box: name, op, scalar operands and type."""
        name = self._names[node]
        if node in self._first:
            start = f", first {_number_text(first)}" if _is_number(first := self._source(self._first[node])) else ""
            return f"{name}{start}\n{node.type}"
        numbers = (_number_text(item) for item in map(self._source, node.operands) if _is_number(item))
        text = " ".join([node.op, *numbers])
        is_named = name.rstrip("0123456789").rstrip("_") != node.op
        return f"{name} = {text}\n{node.type}" if is_named else f"{text}\n{node.type}"

    def _fill(self, node: Node) -> str:
        row = OPS[node.op]
        kind = "carried" if node in self._first else "random" if row.random else row.kind
        fill = _FILLS.get(kind) or _FILLS.get(node.op)
        return f', fillcolor="{fill}"' if fill else ""


def _layer_of(node: Node) -> tuple[str, str]:
    """Return the layer and the phase of a node's source line."""
    return (node.where.layer, node.where.phase) if node.where else ("", "forward")


def _wrap_path(name: str) -> str:
    """Wrap a path at its slashes, so that its box is narrow."""
    lines = [""]
    for part in re.findall(r"[^/]*/?", name):
        if lines[-1] and len(lines[-1]) + len(part) > WIDEST:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _is_number(node: Node) -> bool:
    """True for a scalar constant, or for a scalar constant that is broadcast."""
    return is_literal(node) or (node.op == "broadcast" and is_literal(node.operands[0]))


def _number_text(node: Node) -> str:
    return repr((node.operands[0] if node.op == "broadcast" else node)["value"].item())
