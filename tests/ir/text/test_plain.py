"""Graphs as JSON values restore the same graphs, with the nodes that they share."""

from __future__ import annotations

import json

import numpy as np

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.sizes.parser import parse_dim
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
        assert identity([other]) == identity([graph])
        assert (other.live, other.simplified) == (graph.live, graph.simplified)
    one, two = restored
    assert two.output("x") in one.nodes
    assert len(arrays) == 3, "equal numbers are stored once"


def of_lines(name: str, *lines: int) -> Graph:
    x = make("input", label="x", name="x", type=ROWS)
    first, second = (Where("net.py", line) for line in lines)
    return Graph.of("net", [("y", make("exp", make("tanh", x, name=name, where=first), where=second))], [x])


def test_identity_includes_names_and_which_lines_are_equal() -> None:
    digests = [identity([of_lines(*item)])[0] for item in (("a", 1, 2), ("a", 5, 3), ("b", 1, 2), ("a", 1, 1))]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_restored_graphs_have_the_lines_of_today() -> None:
    old, new = of_lines("a", 1, 2), of_lines("a", 7, 3)
    (_, before), (_, now) = identity([old]), identity([new])
    document = json.loads(json.dumps(plain_graphs([old], {}, before)))
    (restored,) = restored_graphs(document, {}, now)
    assert same_graph(restored, new)
    assert not same_graph(restored, old)
