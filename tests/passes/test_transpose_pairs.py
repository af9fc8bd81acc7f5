"""Pairs of transposes are removed in time that is linear in their number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.node import Node
from rnngraph.ir.types import TensorType
from rnngraph.passes.windows.transpose_pairs import without_pairs


def pairs(count: int, is_read_between: bool = False) -> Graph:
    """Return a graph of ``count`` pairs of transposes around ops, which another op reads if ``is_read_between``."""
    x = make("input", type=TensorType("float32", (2, 3, 4)), label="x")
    outputs: list[tuple[str, Node]] = []
    for number in range(count):
        value = make("mul", x, make("constant", value=np.full((2, 3, 4), number + 1, np.float32)))
        turned = make("transpose", value, order=(0, 2, 1))
        inner = make("mul", make("tanh", turned), make("exp", turned))
        if is_read_between:
            outputs.append((f"sum_{number}", make("reduce_sum", inner, axes=(1,), keepdims=False)))
        outputs.append((f"y_{number}", make("neg", make("transpose", inner, order=(0, 2, 1)))))
    return Graph.of("pairs", outputs, [x])


@pytest.mark.parametrize("count", [2, 9])
def test_transposes_disappear_and_readers_are_looked_up_once(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Graph] = []
    users = Graph.users

    def counted(graph: Graph) -> Mapping[Node, list[Node]]:
        calls.append(graph)
        return users(graph)

    monkeypatch.setattr(Graph, "users", counted)
    before = pairs(count)
    after = without_pairs(before)
    assert len(calls) == 1
    assert not any(node.op == "transpose" for node in after.nodes)
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    results = [interpret(graph, {"x": x}) for graph in (before, after)]
    assert all(results[0][name].tobytes() == results[1][name].tobytes() for name in results[0])


def test_transposes_of_values_with_other_readers_stay() -> None:
    graphs = before, after = pairs(3, is_read_between=True), without_pairs(pairs(3, is_read_between=True))
    assert before is not after
    assert [sum(node.op == "transpose" for node in graph.nodes) for graph in graphs] == [6, 6]
