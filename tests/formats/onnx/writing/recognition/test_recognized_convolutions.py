"""Convolutions and pools as ONNX's own nodes, against onnx's reference and onnxruntime."""

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
    results = attributes(node(model, op))
    assert {key: results[key] for key in expected} == expected
    assert ops(model).count("Add") == 0  # the node includes the bias
    for time in (3, 8, 11):
        feeds = {"x": np.random.default_rng(time).standard_normal((2, time, 4)).astype(np.float32)}
        assert_same(by_reference(model, feeds), ours(program, feeds))


@pytest.mark.peers
@pytest.mark.parametrize(("op", "options", "_"), CASES)
def test_onnxruntime_gives_the_same_numbers(op: str, options: dict[str, Any], _: Any) -> None:
    pytest.importorskip("onnxruntime")
    program = net_of(op, options)
    for time in (3, 8, 11):
        feeds = {"x": np.random.default_rng(time).standard_normal((2, time, 4)).astype(np.float32)}
        assert_same(by_onnxruntime(written(program), feeds), ours(program, feeds))


def test_causal_convolutions_before_a_layer() -> None:
    """Each causal convolution is declared as a loop that carries the last steps."""
    x = rg.placeholder("x", (None, None, 4))
    outputs, state = rg.dynamic_rnn(rg.GRUCell(3), rg.conv1d(rg.conv1d(x, 5, 3), 2, 4))
    program = spread(rg.compile({"outputs": outputs, "state": state}))
    model = written(program)
    assert ops(model).count("Conv") == 2
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 7, 4)).astype(np.float32)}
    assert_same(by_reference(model, feeds), ours(program, feeds))


def channel_by_channel(with_past: bool = False, channels_first: bool = False, size: int = 4) -> rg.Program:
    """Return a depthwise convolution of 9 channels, padded with zeros, or with a state that is updated."""
    x = rg.placeholder("x", (None, 9, None) if channels_first else (None, None, 9))
    if not with_past:
        return spread(rg.compile({"y": rg.conv1d(x, 9, size, groups=9)}))
    axis = 2 if channels_first else 1
    past = rg.placeholder("past", (None, 9, 3) if channels_first else (None, 3, 9))
    joined = rg.concat([past, x], axis=axis)
    order = (0, 2, 1)
    rows = rg.transpose(joined, order) if channels_first else joined
    y = rg.conv1d(rows, 9, size, groups=9, padding="valid")
    outputs = {"y": rg.transpose(y, order) if channels_first else y}
    return spread(rg.compile({**outputs, "next": joined[:, :, -3:] if channels_first else joined[:, -3:]}))


def check_channels(program: rg.Program, opset: int, channels_first: bool, op: str, run: Any) -> None:
    model = written(program, opset)
    assert (ops(model).count(op), ops(model).count("Mul"), ops(model).count("Add")) == (1, 0, 0)
    random = np.random.default_rng(2)
    for time in (2, 8):
        feeds = {"x": random.standard_normal((2, time, 9)), "past": random.standard_normal((2, 3, 9))}
        feeds = {
            name: np.ascontiguousarray(array.transpose(0, 2, 1) if channels_first else array, np.float32)
            for name, array in feeds.items()
            if name == "x" or "past" in [item.name for item in model.graph.input]
        }
        assert_same(run(model, feeds), ours(program, feeds))


def test_convolutions_channel_by_channel() -> None:
    program = channel_by_channel()
    assert attributes(node(written(program), "Conv"))["group"] == 9
    check_channels(program, 17, False, "Conv", by_reference)


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.parametrize("channels_first", [False, True])
def test_convolutions_with_a_past(channels_first: bool) -> None:
    """One node has the outputs and the next state; before opset 27 the node is a Conv."""
    pytest.importorskip("onnxruntime")
    program = channel_by_channel(True, channels_first)
    check_channels(program, 27, channels_first, "CausalConvWithState", by_onnxruntime)
    check_channels(program, 26, channels_first, "Conv", by_onnxruntime)
    assert ops(written(program, 27)).count("Concat") == 0
    reread = rg.read_onnx(written(program, 27)).program()
    check_channels(reread, 27, channels_first, "CausalConvWithState", by_onnxruntime)


@pytest.mark.slow
@pytest.mark.peers
def test_windows_that_leave_steps_of_the_past_out() -> None:
    pytest.importorskip("onnxruntime")
    check_channels(channel_by_channel(True, size=3), 27, False, "Conv", by_onnxruntime)
