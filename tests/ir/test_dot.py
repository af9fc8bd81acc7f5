"""Graphviz text of graphs: every value once, layers and loops as clusters, recurrences as edges, no isolated boxes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

import rnngraph as rg
from rnngraph.ir.dot import MANY
from rnngraph.ir.graph import Graph
from rnngraph.ir.text.parser import parse
from rnngraph.passes.recomputation.recompute import Recompute

HOSTILE = 'a"];x->y[label="\\'
STRING = r'"(?:[^"\\]|\\.)*"'


class Drawn(NamedTuple):
    """Parsed Graphviz text.

    Attributes:
        boxes: Label by name.
        edges: Tuples (from, to, text).
        clusters: Labels of each box's clusters, outermost first.
    """

    boxes: dict[str, str]
    edges: list[tuple[str, str, str]]
    clusters: dict[str, tuple[str, ...]]


def read(text: str) -> Drawn:
    """Parse the subset of Graphviz's language that is written, and raise an error for other forms."""
    boxes: dict[str, str] = {}
    edges: list[tuple[str, str, str]] = []
    clusters: dict[str, tuple[str, ...]] = {}
    stack: list[str] = []
    head, *lines, last = text.rstrip("\n").split("\n")
    assert re.fullmatch(rf"digraph {STRING} \{{", head)
    assert last == "}"
    for line in (line.strip() for line in lines):
        if line.startswith(("rankdir", "nslimit", "node [", "edge [", "graph [")):
            continue
        if re.fullmatch(rf"subgraph {STRING} \{{", line):
            stack.append("")
        elif line == "}":
            stack.pop()
        elif match := re.fullmatch(rf"label=({STRING}); .*", line):
            stack[-1] = match[1]
        elif match := re.fullmatch(rf"({STRING}) -> ({STRING})(?: \[(.*)\])?;", line):
            edges.append((match[1], match[2], match[3] or ""))
        else:
            match = re.fullmatch(rf"({STRING}) \[(?:style=filled, .*)?label=({STRING}).*\];", line)
            assert match, line
            assert match[1] not in boxes
            boxes[match[1]], clusters[match[1]] = match[2], tuple(stack)
    assert stack == []
    return Drawn(boxes, edges, clusters)


def stacked() -> rg.Program:
    x = rg.placeholder("x", (None, None, 6))
    rg.placeholder("unused", (2,))
    cells = [rg.DropoutWrapper(rg.BasicRNNCell(3), input_keep_prob=0.5), rg.GRUCell(2)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, scope=HOSTILE)
    return rg.compile({HOSTILE: rg.dense(outputs, 2), "states": states}, loss=rg.reduce_mean(rg.square(outputs)))


def attentive() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    (ahead, back), _ = rg.bidirectional_dynamic_rnn(rg.LSTMCell(2), rg.GRUCell(2), x)
    memory = rg.concat([ahead, back], -1)
    cell = rg.AttentionWrapper(rg.LSTMCell(4), rg.BahdanauAttention(3, memory))
    outputs, _, _ = rg.dynamic_decode(cell, x[:, 0], lambda output, _: rg.dense(output, 3, name="next"), 5)
    return rg.compile(outputs, loss=rg.reduce_mean(outputs))


def constant() -> rg.Program:
    x = rg.placeholder("x", (None, 2))
    return rg.compile({"same": x, "number": rg.constant(1.5), "table": rg.parameter("free", (2, 2))})


@pytest.mark.parametrize("declare", [stacked, attentive, constant])
@pytest.mark.parametrize("kind", ["inference", "training"])
def test_every_node_has_an_edge_and_every_edge_two_nodes(declare: object, kind: str) -> None:
    graph: Graph = getattr(declare(), kind).graph  # type: ignore[operator]
    drawn = read(graph.dot())
    ends = {name for source, user, _ in drawn.edges for name in (source, user)}
    assert ends <= drawn.boxes.keys()
    outputs = {name for name in drawn.boxes if name.startswith('"output ')}
    assert len(outputs) == len(graph.outputs)
    assert drawn.boxes.keys() - ends <= outputs  # a constant output has no box of its own
    users = Counter(source for source, user, text in drawn.edges)
    assert all(users[name] for name in drawn.boxes.keys() - outputs)


def test_a_carried_value_is_an_edge_to_the_next_step() -> None:
    graph = stacked().inference.graph
    (scan,) = [node for node in graph.nodes if node.op == "scan"]
    drawn = read(graph.dot())
    carried = [(source, user) for source, user, text in drawn.edges if "next step" in text]
    assert len(carried) == scan["carries"] == 2
    for source, user in carried:
        assert any("every step" in label for label in drawn.clusters[source])
        assert any("every step" in label for label in drawn.clusters[user])
        assert "constraint=false" in next(text for *ends, text in drawn.edges if tuple(ends) == (source, user))
        assert "first 0.0" in drawn.boxes[user]


def test_checkpoints_are_edges_from_their_carries() -> None:
    text = (Path(__file__).parents[1] / "passes" / "golden" / "recompute" / "losses.in.txt").read_text(encoding="utf-8")
    drawn = read(Recompute(2)(parse(text)).dot())
    assert any("_again: every step" in label for path in drawn.clusters.values() for label in path)
    assert any("first" in text for _, _, text in drawn.edges)


def test_layers_are_clusters_with_their_parameters() -> None:
    drawn = read(stacked().training.graph.dot())
    labels = {label for path in drawn.clusters.values() for label in path}
    for layer in ("cell_0", "cell_1/gru_cell"):
        (ahead,) = [label for label in labels if label.rstrip('"').endswith(layer)]
        (back,) = [label for label in labels if label.endswith(f'{layer} (backward)"')]
        inside = {drawn.boxes[name] for name, path in drawn.clusters.items() if ahead in path[-1:]}
        assert any("= parameter" in box for box in inside)
        assert any(back in path[-1:] for path in drawn.clusters.values())
        assert any("matmul" in drawn.boxes[name] for name, path in drawn.clusters.items() if back in path[-1:])
    assert '"dense"' in labels


def test_every_product_has_a_box_and_colours_distinguish_kinds() -> None:
    graph = attentive().training.graph
    text = graph.dot()
    products = [node for node in graph.walk() if node.op in ("matmul", "outer_sum")]
    colours = re.findall(r'fillcolor="(#\w+)"', text)
    assert colours.count("#f3c9a5") >= len(products)
    assert len(set(colours)) >= 5
    assert "unused" not in text


def test_graphviz_hurries_where_there_is_much() -> None:
    x = rg.placeholder("x", (None, 2))
    y = x
    for _ in range(MANY // 2):
        y = rg.tanh(y + 1.0)
    small, large = (rg.compile(tensor).inference.graph.dot() for tensor in (rg.tanh(x), rg.tanh(y)))
    assert len(read(large).boxes) > MANY
    assert "nslimit" in large
    assert "nslimit" not in small


def test_names_are_strings_of_graphviz() -> None:
    drawn = read(stacked().inference.graph.dot())
    assert any(HOSTILE.replace("\\", "\\\\").replace('"', '\\"') in name for name in drawn.boxes)
