"""Convolutions and pools as ONNX's own nodes, which onnx's reference and onnxruntime compute alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_files import assert_same, attributes, by_onnxruntime, by_reference, node, ops, ours, spread, written

import rnngraph as rg

pytest.importorskip("onnx")

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Conv", {}, {"pads": [2, 0]}),
    ("Conv", {"padding": "valid"}, {"pads": [0, 0]}),
    ("Conv", {"padding": (1, 3), "strides": 2}, {"pads": [1, 3], "strides": [2]}),
    ("Conv", {"padding": "same", "strides": 2}, {"auto_pad": b"SAME_UPPER"}),
    ("Conv", {"padding": "same"}, {"pads": [1, 1]}),
    ("MaxPool", {"padding": "valid"}, {"strides": [3]}),
    ("MaxPool", {"padding": "same", "strides": 2}, {"auto_pad": b"SAME_UPPER"}),
]


def net_of(op: str, options: dict[str, Any]) -> rg.Program:
    x = rg.placeholder("x", (None, None, 4))
    return spread(rg.compile(rg.conv1d(x, 5, 3, **options) if op == "Conv" else rg.max_pool1d(x, 3, **options)))


@pytest.mark.parametrize(("op", "options", "expected"), CASES)
def test_windows_are_nodes(op: str, options: dict[str, Any], expected: dict[str, Any]) -> None:
    program = net_of(op, options)
    model = written(program)
    assert "Scan" not in ops(model)
    found = attributes(node(model, op))
    assert {key: found[key] for key in expected} == expected
    assert ops(model).count("Add") == 0  # the bias is the node's
    for time in (3, 8, 11):
        feeds = {"x": np.random.default_rng(time).standard_normal((2, time, 4)).astype(np.float32)}
        assert_same(by_reference(model, feeds), ours(program, feeds))


@pytest.mark.peers
@pytest.mark.parametrize(("op", "options", "_"), CASES)
def test_onnxruntime_gives_our_numbers(op: str, options: dict[str, Any], _: Any) -> None:
    pytest.importorskip("onnxruntime")
    program = net_of(op, options)
    for time in (3, 8, 11):
        feeds = {"x": np.random.default_rng(time).standard_normal((2, time, 4)).astype(np.float32)}
        assert_same(by_onnxruntime(written(program), feeds), ours(program, feeds))


def test_causal_convolutions_before_a_layer() -> None:
    """Each of them is a loop here, which keeps the last steps."""
    x = rg.placeholder("x", (None, None, 4))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(3), rg.conv1d(rg.conv1d(x, 5, 3), 2, 4))
    program = spread(rg.compile({"outputs": outputs, "state": state}))
    model = written(program)
    assert ops(model).count("Conv") == 2
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 7, 4)).astype(np.float32)}
    assert_same(by_reference(model, feeds), ours(program, feeds))
