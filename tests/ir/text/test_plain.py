"""Graphs as JSON values restore the same graphs, with the nodes that they share."""

from __future__ import annotations

import json

import numpy as np

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.sizes.text import parse_dim
from rnngraph.ir.text.complete import same_graph
from rnngraph.ir.text.fingerprint import identity
from rnngraph.ir.text.plain import plain_graphs, restored_graphs
from rnngraph.ir.types import TensorType, size
from rnngraph.support.errors import Where

ROWS = TensorType("float32", (size("B"), parse_dim("T//2 + 1")))
ODD = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)


def two_graphs() -> list[Graph]:
    """Return two graphs with a scan, equal constants and a shared node."""
    here = Where("net.py", 3, "cell")
    x = make("input", label="x", name="x", type=ROWS, where=here)
    half, again = (make("constant", value=np.float32(0.5), where=here, name=name) for name in ("half", "again"))
    shared = make("mul", make("add", x, half), again, where=here, name="shared")
    carried = make("input", label="h", name="h", type=ROWS)
    body = Graph.of("body", [("h", make("mul", carried, make("constant", value=np.float32(2))))], [carried])
    facts = {"body": body, "carries": 1, "sequences": 0, "length": size("T"), "reverse": False}
    last = make("get", make("scan", shared, name="loop", **facts), index=0)
    odd = make("constant", value=ODD)
    return [Graph.of("one", [("last", last), ("odd", odd)], [x], ("a comment",)), Graph.of("two", [("x", shared)], [x])]


def test_the_same_graphs_are_restored() -> None:
    graphs, arrays = two_graphs(), dict[str, np.ndarray]()
    document = json.loads(json.dumps(plain_graphs(graphs, arrays)))
    restored = restored_graphs(document, arrays)
    for graph, other in zip(graphs, restored, strict=True):
        assert same_graph(graph, other)
        assert (identity(other), other.live, other.simplified) == (identity(graph), graph.live, graph.simplified)
    one, two = restored
    assert two.output("x") in one.nodes
    assert len(arrays) == 3, "equal numbers are stored once"


def test_identity_includes_names_and_lines() -> None:
    def graph(name: str, line: int) -> Graph:
        x = make("input", label="x", name="x", type=ROWS)
        return Graph.of("net", [("y", make("tanh", x, name=name, where=Where("net.py", line)))], [x])

    assert identity(graph("a", 1)) == identity(graph("a", 1))
    assert len({identity(graph(*item)) for item in (("a", 1), ("b", 1), ("a", 2))}) == 3
