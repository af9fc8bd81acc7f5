"""Files of tf2onnx, from nets of Keras: Keras' results at any sizes, and drivers for all recurrences."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg

onnx = pytest.importorskip("onnx")
FOLDER = Path(__file__).parents[2] / "fixtures" / "tf2onnx"
NUMBERS = np.load(FOLDER / "numbers.npz")
DRIVERS = {
    "stack": ["rg.MultiRNNCell([rg.BasicLSTMCell(4, forget_bias=0.0) for _ in range(3)])"],
    "masked": ["class Steps(rg.Cell)", "rg.dynamic_rnn(Steps("],
    "both_ways": ["rg.dynamic_rnn(Steps(", "rg.dynamic_rnn(Steps_1("],
    "cells": ["rg.dynamic_rnn(Steps(", "rg.dynamic_rnn(Steps_1("],
    "states": ["rg.GRUCell(4, reset_after=True)", "initial_state="],
    "unrolled": ["class Step(rg.Cell)", "rg.dynamic_rnn(Step("],
    "attention": ["rg.softmax("],
}
"""Substrings of each net's script."""


def arrays(name: str, call: int, kind: str) -> list[np.ndarray]:
    results = []
    while (key := f"{name}/{call}/{kind}/{len(results)}") in NUMBERS:
        results.append(NUMBERS[key])
    return results


@pytest.mark.parametrize("name", DRIVERS)
def test_keras_numbers_and_drivers(name: str) -> None:
    net = rg.read_onnx(gzip.decompress((FOLDER / f"{name}.onnx.gz").read_bytes()))
    program = net.program()
    for call in (0, 1):
        feeds, expected = arrays(name, call, "in"), arrays(name, call, "out")
        assert bool(feeds) == (call == 0 or name != "unrolled")  # this file has a fixed length, and therefore one call
        if feeds:
            actual = program.inference(dict(zip(net.inputs, feeds, strict=True)))
            for array, target in zip(actual.values(), expected, strict=True):
                assert_allclose(array, target, atol=1e-5)
    text = net.script()
    for part in DRIVERS[name]:
        assert part in text


FLOAT = onnx.TensorProto.FLOAT
KERNEL = np.random.default_rng(0).standard_normal((7, 4)).astype("float32")


def of_nodes(nodes: list[Any], inputs: dict[str, list[Any]], output: str, **arrays: Any) -> bytes:
    """Return a file whose inputs have these shapes."""
    infos = [onnx.helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()]
    stored = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    result = [onnx.helper.make_tensor_value_info(output, FLOAT, None)]
    graph = onnx.helper.make_graph(nodes, "graph", infos, result, stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def time_major() -> bytes:
    """Return a recurrence over x [T, B, 3] with a fed state and an addend; each has its own name of the batch size."""
    node = onnx.helper.make_node
    step = [
        node("Concat", ["s", "x_t"], ["both"], axis=1),
        node("MatMul", ["both", "k"], ["sum"]),
        node("Tanh", ["sum"], ["s_next"]),
        node("Identity", ["s_next"], ["emitted"]),
    ]
    ends = [
        [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in names]
        for names in (("s", "x_t"), ("s_next", "emitted"))
    ]
    body = onnx.helper.make_graph(step, "body", *ends)
    nodes = [node("Scan", ["h", "x"], ["last", "all"], body=body, num_scan_inputs=1), node("Add", ["last", "z"], ["y"])]
    inputs = {"x": ["T", "unk__1", 3], "h": ["unk__2", 4], "z": ["unk__3", 4]}
    return of_nodes(nodes, inputs, "y", k=KERNEL)


def test_three_names_of_one_batch_size_become_one() -> None:
    """tf2onnx names the batch size of each input anew."""
    net = rg.read_onnx(time_major())
    assert {name: item.shape for name, item in net.inputs.items()} == {"x": ("T", "B", 3), "h": ("B", 4), "z": ("B", 4)}
    random = np.random.default_rng(1)
    x, h, z = (random.standard_normal(shape).astype("float32") for shape in ((5, 2, 3), (2, 4), (2, 4)))
    expected = h
    for entry in x:
        expected = np.tanh(np.concatenate([expected, entry], 1) @ KERNEL)
    assert_allclose(net.program().inference(x=x, h=h, z=z)["y"], expected + z, atol=1e-5)
    with pytest.raises(rg.NotReadableError):
        rg.read_onnx(time_major(), open={"x": {1: "N"}})
    fixed = rg.read_onnx(time_major(), fixed={"unk__1": 2, "unk__2": 2})
    assert fixed.inputs["x"].shape == ("T", 2, 3)


def test_a_size_that_the_shape_of_another_input_gives_is_one_batch_size() -> None:
    """The net is ``x.reshape(h.shape[0], -1, 2)``."""
    node = onnx.helper.make_node
    nodes = [
        node("Shape", ["h"], ["sizes"]),
        node("Gather", ["sizes", "zero"], ["rows"], axis=0),
        node("Concat", ["rows", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["y"]),
    ]
    inputs = {"x": ["unk__1", "T", 4], "h": ["unk__2", 4]}
    net = rg.read_onnx(of_nodes(nodes, inputs, "y", zero=[0], rest=[-1, 2]))
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    actual = net.program().inference({"x": x, "h": np.zeros((2, 4), "float32")} if "h" in net.inputs else {"x": x})
    np.testing.assert_array_equal(actual["y"], x.reshape(2, 6, 2))
