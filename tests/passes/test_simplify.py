"""The mark of graphs that ``simplify`` does not change."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnngraph as rg
from rnngraph.ir.graph import Graph, with_sizes
from rnngraph.ir.text.parser import parse
from rnngraph.passes.simplify import Simplify, to_fixed_point

CASES = sorted((Path(__file__).parent / "golden").glob("*/*.in.txt"))


@pytest.mark.parametrize("path", CASES[::8], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_marked_graph_stays_as_it_is_without_its_mark(path: Path) -> None:
    graph = parse(path.read_text())
    simple = Simplify()(graph)
    assert simple.simplified or simple is graph
    unmarked = Graph(simple.name, simple.inputs, simple.nodes, simple.outputs, simple.comments, simple.live)
    assert Simplify()(unmarked) is unmarked
    assert Simplify()(simple) is simple


def test_a_changed_graph_loses_the_mark() -> None:
    x = rg.placeholder("x", shape=(None, 4))
    graph = Simplify()(Graph.of("g", [("y", (x * 1 + x * 1).node)]))
    assert graph.simplified
    assert not with_sizes(graph, dict.fromkeys(graph.symbols, 3)).simplified


def test_a_marked_graph_is_still_changed_by_alternating_rules() -> None:
    x = rg.placeholder("x", shape=(None, 4))
    graph = Simplify()(Graph.of("g", [("y", (x * 1 + 2).node)]))
    other = Graph.of("g", [("y", (x * 1).node)])
    ended = to_fixed_point(graph, lambda now: other if now is graph else now)
    assert ended.output("y") is x.node
    assert ended.simplified


def test_zeros_of_integers_become_one_number_that_is_broadcast() -> None:
    x = rg.placeholder("x", shape=(None, None, 4))
    zeros = rg.tile(rg.cast(rg.reshape(rg.positions(x, 0) * 0, (-1, 1)), "float32") - 1.5, [1, 3])
    node = Simplify()(Graph.of("g", [("y", zeros.node)])).output("y")
    assert (node.op, node.operands[0]["value"]) == ("broadcast", -1.5)
    for kept in (x * 0.0, rg.positions(x, 0) * 2):  # zero times NaN is NaN
        graph = Graph.of("g", [("y", kept.node)])
        assert Simplify()(graph).output("y").op == "mul"
