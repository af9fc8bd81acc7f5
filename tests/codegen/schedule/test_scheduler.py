"""The work of scheduling is linear in the size of the graph, not quadratic."""

from __future__ import annotations

import pytest

from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.types import TensorType


def views(count: int) -> Graph:
    """Return a graph of products of transposed intermediate results, one after another."""
    value = make("input", label="x", type=TensorType("float32", (3, 3)))
    for _ in range(count):
        turned = make("transpose", make("tanh", value), order=(1, 0))
        value = make("matmul", value, turned)
    return Graph.of("views", [("y", value)])


def test_users_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, users = [0], Graph.users

    def counted(graph: Graph) -> dict[Node, list[Node]]:
        calls[0] += 1
        return users(graph)

    monkeypatch.setattr(Graph, "users", counted)
    counts = []
    for size in (2, 40):
        calls[0] = 0
        schedule(views(size), target_of("x86-64-v3"), "views")
        counts.append(calls[0])
    assert counts[0] == counts[1]
