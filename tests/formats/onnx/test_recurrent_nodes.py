"""RNN, LSTM and GRU nodes with all options, against their definitions in NumPy and against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg

pytest.importorskip("onnx")

from onnx_recurrent import RandomNode, expected, random_node

OPS = ("RNN", "GRU", "LSTM")


def check(node: RandomNode, wanted: dict[str, np.ndarray], fed: tuple[str, ...] | None = None) -> None:
    fed = ("X", "sequence_lens", "initial_h", "initial_c") if fed is None else fed
    program = rg.read_onnx(node.model(fed)).program()
    result = program.inference(node.feeds(fed))
    for name in node.outputs:
        scale = max(1.0, float(np.abs(wanted[name]).max(initial=0)))
        assert result[name].shape == wanted[name].shape
        assert np.abs(result[name] - wanted[name]).max(initial=0) <= 3e-5 * scale, (node.attributes, name)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("seed", range(2))
def test_random_nodes_compute_their_definitions(op: str, seed: int) -> None:
    node = random_node(op, seed)
    check(node, expected(node))


@pytest.mark.parametrize("op", OPS)
def test_weights_may_be_inputs(op: str) -> None:
    node = random_node(op, 11)
    node.arrays["B"] = None if op == "RNN" else node.arrays["B"]
    check(node, expected(node), ("X", "W", "R", "B", "P", "sequence_lens", "initial_h", "initial_c"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("op", OPS)
def test_many_random_nodes_compute_their_definitions(op: str) -> None:
    for seed in range(100, 250):
        node = random_node(op, seed)
        check(node, expected(node))


@pytest.mark.exhaustive
@pytest.mark.peers
@pytest.mark.parametrize("op", OPS)
def test_500_random_nodes_give_the_numbers_of_onnxruntime(op: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(3)
    for seed in range(1000, 1500):
        node = random_node(op, seed, layouts=(0,))  # onnxruntime does not run layout 1, batch first
        session = runtime.InferenceSession(node.model().SerializeToString())
        actual = session.run(None, node.feeds())
        check(node, dict(zip(node.outputs, actual, strict=True)))
