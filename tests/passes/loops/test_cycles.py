"""Strongly connected components of random bodies equal those of networkx."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from rnngraph.ir.graph import Node, make
from rnngraph.ir.types import TensorType
from rnngraph.passes.loops.cycles import cycles

KIND = TensorType("float32", (2,))


def body(seed: int) -> tuple[list[Node], dict[Node, Node]]:
    generator = random.Random(seed)
    carries = [make("input", label=f"c{number}", type=KIND) for number in range(generator.randint(1, 6))]
    nodes = [*carries, make("input", label="x", type=KIND)]
    for _ in range(generator.randint(0, 12)):
        nodes.append(make("add", *generator.choices(nodes, k=2)))
    return nodes, {carry: generator.choice(nodes) for carry in carries}


@pytest.mark.parametrize("seed", range(300))
def test_components_are_those_of_networkx(seed: int) -> None:
    nodes, following = body(seed)
    graph: nx.DiGraph[Node] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((operand, node) for node in nodes for operand in node.operands)
    graph.add_edges_from((value, carry) for carry, value in following.items())
    order = {node: number for number, node in enumerate(nodes)}
    expected = [sorted(part, key=order.__getitem__) for part in nx.strongly_connected_components(graph)]
    expected = [part for part in expected if len(part) > 1 or part[0] in following]
    found = cycles(nodes, following)
    assert sorted(found, key=lambda part: order[part[0]]) == sorted(expected, key=lambda part: order[part[0]])
