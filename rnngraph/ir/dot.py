"""A graph in Graphviz's language: layers and loops as clusters, what a step hands to the next as an edge.

What would only widen the picture is drawn where it is used or not at all: a scan is the cluster of its body and has no
box of its own, what the body takes is the value outside, ``get`` is an edge, numbers are text, a parameter stands
beside the first node that reads it, and what nothing reads is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .node import OPS, Node, walk
from .printer import Outputs, is_literal, names_of, scan_inputs

_FILLS = {
    "input": "#cfe3f7", "parameter": "#f6e3b4", "contraction": "#f3c9a5", "reduction": "#dcd3ee",
    "movement": "#eeeeee", "random": "#f4c6d4", "carried": "#c9ead0",
}  # fmt: skip
"""Colours of boxes by what is in them; others are white."""

WIDEST = 20
"""Characters of a line of an output's path."""

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
"""Boxes from which on Graphviz is asked for less care, as its layout of so many takes minutes."""

_HURRY = "  nslimit=1; nslimit1=1; mclimit=0.1; splines=line;"


def dot_text(name: str, nodes: Sequence[Node], outputs: Outputs) -> str:
    """The graph for Graphviz. outputs: by name, each a box at the end."""
    return "\n".join(_Picture(nodes, outputs).lines(name)) + "\n"


def quoted(text: str) -> str:
    """A string of Graphviz's language that shows ``text`` as it is, its line breaks too."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'


@dataclass
class _Cluster:
    """A frame: the graph itself, a layer's part of a scope, or a scan. label: what stands above it."""

    label: str
    boxes: list[Node] = field(default_factory=list)
    inner: list[_Cluster] = field(default_factory=list)
    layers: dict[tuple[str, str], _Cluster] = field(default_factory=dict)
    """Of ``inner`` those of layers, by layer and phase."""
    is_loop: bool = False

    def of_layer(self, layer: str, phase: str, label: str) -> _Cluster:
        """The frame of a layer's part, which is made when it is first asked for."""
        if (layer, phase) not in self.layers:
            self.layers[layer, phase] = _Cluster(label)
            self.inner.append(self.layers[layer, phase])
        return self.layers[layer, phase]


class _Picture:
    """A graph on its way to Graphviz: where each node is drawn, and which edges lead to it."""

    def __init__(self, nodes: Sequence[Node], outputs: Outputs) -> None:
        self._outputs = outputs
        self._names = names_of(walk(nodes))
        self._stands_for: dict[Node, Node] = {}
        """What a node without a box is: of a body's input the value outside, of ``get`` what the body gives."""
        self._first: dict[Node, Node] = {}
        """The value before the first step of what is carried, by the body's input."""
        self._whole = _Cluster("")
        self._edges: dict[tuple[Node, Node], str] = {}
        """From and to, and the text beside."""
        self._next: list[tuple[Node, Node]] = []
        """What a step hands on, and the body's input that is it in the next step."""
        read = {node for _, node in outputs} | {operand for node in walk(nodes) for operand in node.operands}
        self._read = read | {node for item in walk(nodes) if item.op == "scan" for _, node in item["body"].outputs}
        self._homes: dict[Node, _Cluster] = {}
        self._place(nodes, self._whole, "")
        for node in [self._source(node) for _, node in outputs]:
            if node not in self._homes and not _is_number(node):
                self._draw(node, self._whole)
        for node in self._homes:
            for operand in node.operands:
                self._edge(operand, node)

    # Where things are drawn ----------------------------------------------------------------------

    def _place(self, nodes: Sequence[Node], scope: _Cluster, layer: str) -> None:
        """Gives every node of a scope that has a box its frame, operands before users. layer: of what is around.

        Layers within a layer of the same scope have its frame.
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
                scan = node.operands[0]
                self._stands_for[node] = scan["body"].outputs[node["index"]][1]
            elif node.op == "input" and node not in self._read:
                continue
            elif node not in self._stands_for and not _is_number(node) and node.op != "parameter":
                self._draw(node, frame(node))

    def _place_scan(self, scan: Node, around: _Cluster, layer: str) -> None:
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
        formal = set(scan["body"].inputs)
        own = _layer_of(scan)[0] or layer
        self._place([node for node in scan["body"].nodes if node not in formal], loop, own)

    def _draw(self, node: Node, frame: _Cluster, *more: Node) -> None:
        """A box, and beside it those of the parameters that it is the first to read. more: what it reads beside."""
        for item in (node, *map(self._source, (*node.operands, *more))):
            if item is node or (item.op == "parameter" and item not in self._homes):
                self._homes[item] = frame
                frame.boxes.append(item)

    def _source(self, node: Node) -> Node:
        """The node whose box an edge from ``node`` leaves."""
        while node in self._stands_for:
            node = self._stands_for[node]
        return node

    def _edge(self, operand: Node, user: Node) -> None:
        source = self._source(operand)
        if source in self._homes:
            self._edges.setdefault((source, user), operand.name if operand.op == "get" else "")

    # What is written -----------------------------------------------------------------------------

    def lines(self, name: str) -> Iterator[str]:
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
            yield f'  {target} [style=filled, fillcolor="#e4e4e4", label={quoted(_broken(label))}];'
            if (source := self._source(node)) in self._homes:
                yield f"  {self._name(source)} -> {target};"
        yield "}"

    def _name(self, node: Node) -> str:
        return quoted(self._names[node])

    def _cluster_lines(self, cluster: _Cluster, indent: str, number: str = "cluster") -> Iterator[str]:
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
        name = self._names[node]
        if node in self._first:
            start = f", first {_number_text(first)}" if _is_number(first := self._source(self._first[node])) else ""
            return f"{name}{start}\n{node.type}"
        numbers = (_number_text(item) for item in map(self._source, node.operands) if _is_number(item))
        told = " ".join([node.op, *numbers])
        is_own = name.rstrip("0123456789").rstrip("_") != node.op
        return f"{name} = {told}\n{node.type}" if is_own else f"{told}\n{node.type}"

    def _fill(self, node: Node) -> str:
        row = OPS[node.op]
        kind = "carried" if node in self._first else "random" if row.random else row.kind
        fill = _FILLS.get(kind) or _FILLS.get(node.op)
        return f', fillcolor="{fill}"' if fill else ""


def _layer_of(node: Node) -> tuple[str, str]:
    """(layer, phase) of the line that a node comes from."""
    return (node.where.layer, node.where.phase) if node.where else ("", "forward")


def _broken(name: str) -> str:
    """A path over as many lines as it takes, so that its box is narrow."""
    lines = [""]
    for part in re.findall(r"[^/]*/?", name):
        if lines[-1] and len(lines[-1]) + len(part) > WIDEST:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _is_number(node: Node) -> bool:
    """A number, or an array that is one number throughout: text where it is used."""
    return is_literal(node) or (node.op == "broadcast" and is_literal(node.operands[0]))


def _number_text(node: Node) -> str:
    return repr((node.operands[0] if node.op == "broadcast" else node)["value"].item())
