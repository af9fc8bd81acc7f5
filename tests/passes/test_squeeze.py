"""Squeeze moves a reshape past any number of ops in one round."""

from __future__ import annotations

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.node import Node
from rnngraph.ir.types import TensorType
from rnngraph.passes import squeeze


def chain(layers: int) -> Graph:
    """Return a graph of ``layers`` products and elementwise ops over [1, 2, 3], whose result is reshaped to [2, 3]."""
    x = make("input", type=TensorType("float32", (1, 2, 3)), label="x")
    value: Node = x
    for layer in range(layers):
        weights = make("constant", value=np.full((1, 3, 3), 0.1 * (layer + 1), np.float32))
        value = make("tanh", make("matmul", value, weights))
        value = make("add", value, x)
    return Graph.of("chain", [("y", make("reshape", value, shape=(2, 3)))], [x])


def test_the_number_of_rounds_does_not_grow_with_the_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[Graph] = []
    once = squeeze._squeezed_once
    monkeypatch.setattr(squeeze, "_squeezed_once", lambda graph: rounds.append(graph) or once(graph))
    counts = []
    for layers in (1, 40):
        rounds.clear()
        graph = squeeze.Squeeze()(chain(layers))
        counts.append(len(rounds))
        assert [node.shape for node in graph.nodes if node.op == "tanh"] == [(2, 3)] * layers
    assert counts[0] == counts[1]


def test_values_stay() -> None:
    x = np.random.default_rng(3).normal(size=(1, 2, 3)).astype(np.float32)
    before = chain(3)
    results = [interpret(graph, {"x": x})["y"] for graph in (before, squeeze.Squeeze()(before))]
    assert results[0].tobytes() == results[1].tobytes()


def test_a_value_with_other_readers_is_computed_once() -> None:
    graph = chain(2)
    (result,) = (node for _, node in graph.outputs)
    value = result.operands[0]
    sums = make("reduce_sum", value, axes=(2,), keepdims=True)
    both = Graph.of("both", [("y", result), ("sums", make("mul", value, sums))], list(graph.inputs))
    squeezed = squeeze.Squeeze()(both)
    assert sum(node.op == "matmul" for node in squeezed.nodes) == 2
    x = np.random.default_rng(3).normal(size=(1, 2, 3)).astype(np.float32)
    before, after = (interpret(graph, {"x": x}) for graph in (both, squeezed))
    assert {name: array.tobytes() for name, array in before.items()} == {
        name: array.tobytes() for name, array in after.items()
    }
