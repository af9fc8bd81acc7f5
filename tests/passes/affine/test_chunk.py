"""Chunks of affine recurrences have the values and the gradients of single steps, in the interpreter and float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from affine_cells import CHUNKED, DeltaCell, GatedCell, ProductCell, declared, fed
from numpy.testing import assert_allclose

import rnngraph as rg
from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.passes.affine.chunking import Chunking
from rnngraph.passes.pipeline import meaning, run


def graphs_of(outputs: Any, loss: rg.Tensor, steps: int) -> tuple[Graph, Graph]:
    """Return the graph with gradients by x, in steps and in chunks."""
    lowered = rg.compile(outputs, loss=loss).parts.lowered.graph
    return tuple(run(lowered, meaning("training", ("x",), (), chunked)) for chunked in (None, Chunking(steps)))  # type: ignore[return-value]


def assert_equal_values(graphs: tuple[Graph, Graph], feeds: dict[str, np.ndarray], scan: bool = True) -> None:
    by_steps, chunked = graphs
    parameters = {
        str(node["label"]): 0.1 * np.random.default_rng(1).normal(size=node.shape)
        for node in by_steps.inputs
        if node.op == "parameter"
    }
    wanted = {str(node["label"]) for node in by_steps.inputs}
    given = {name: array for name, array in {**feeds, **parameters}.items() if name in wanted}
    assert any(node.op == "scan" and node.name.endswith("_chunks") for node in chunked.nodes) == scan
    expected, found = (interpret(graph, given, wide=True) for graph in graphs)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        scale = np.abs(value).max(initial=1e-300)
        assert_allclose(found[name] / scale, value / scale, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("steps", [8, 2])  # 2: so few steps that their products are split into single vectors
@pytest.mark.parametrize("name", CHUNKED)
def test_values_and_gradients(name: str, steps: int) -> None:
    cell = CHUNKED[name]()
    graphs = graphs_of(*declared(cell)[:2], steps)
    for time in (13, 1):
        assert_equal_values(graphs, fed(cell, 2, time))


@pytest.mark.exhaustive
@pytest.mark.parametrize("steps", [2, 5, 16, 64])
@pytest.mark.parametrize("name", CHUNKED)
def test_lengths_and_chunks(name: str, steps: int) -> None:
    cell = CHUNKED[name]()
    graphs = graphs_of(*declared(cell)[:2], steps)
    for time in (0, 1, 2, 63, 64, 65, 100):
        assert_equal_values(graphs, fed(cell, 2, time, time))


@pytest.mark.parametrize("name", ["gated", "stabilised"])
@pytest.mark.parametrize("backwards", [False, True])
def test_rows_that_end(name: str, backwards: bool) -> None:
    cell = CHUNKED[name]()
    graphs = graphs_of(*declared(cell, backwards, lengths=True)[:2], 4)
    assert_equal_values(graphs, fed(cell, 3, 11))


def test_values_after_the_end_of_a_row_have_no_effect() -> None:
    cell = DeltaCell()
    lowered = rg.compile(*declared(cell, lengths=True)[:1]).parts.lowered.graph
    feeds = fed(cell, 3, 11)
    for row, length in enumerate(feeds["lengths"]):
        feeds["x"][row, length:] = np.nan
    found = interpret(run(lowered, meaning("training", (), (), Chunking(4))), feeds, wide=True)
    assert all(np.isfinite(value).all() for value in found.values())


def test_directions_and_stacks() -> None:
    cell = ProductCell()
    x = rg.placeholder("x", (None, None, cell.wide))
    (ahead, back), ends = rg.bidirectional_dynamic_rnn(ProductCell(), ProductCell(), x)
    stack = rg.MultiRNNCell([rg.InputProjectionWrapper(ProductCell(), 36), rg.InputProjectionWrapper(DeltaCell(), 30)])
    above, _ = rg.dynamic_rnn(stack, ahead + back)
    loss = rg.reduce_sum(rg.sin(above)) + rg.reduce_sum(rg.square(ends[1]))
    assert_equal_values(graphs_of({"outputs": above}, loss, 4), {"x": fed(cell, 2, 9)["x"]})


@pytest.mark.parametrize("decay", [1e-30, 0.0, 3.0, -2.0])
def test_decays_of_any_size(decay: float) -> None:
    """Products of decays may underflow or overflow, because they are never divisors."""
    cell = GatedCell()
    graphs = graphs_of(*declared(cell)[:2], 16)
    feeds = fed(cell, 2, 20)
    feeds["x"][:, ::2, -cell.of_keys :] = max(decay, -1.0)
    assert_equal_values(graphs, feeds)
