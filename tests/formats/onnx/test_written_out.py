"""Files with unrolled steps: one driver, one parameter for each kernel, and the file's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip

INPUTS, UNITS, STEPS = 3, 4, 5
DRAW = np.random.default_rng(0)
W, R, B = (DRAW.uniform(-1, 1, shape).astype(np.float32) for shape in ((INPUTS, UNITS), (UNITS, UNITS), (UNITS,)))
Node = tuple[str, str, str, dict[str, Any]]


def model(nodes: list[Node], x: list[Any], outputs: list[str], arrays: dict[str, Any]) -> Any:
    built = [helper.make_node(op, reads.split(","), gives.split(","), **options) for op, reads, gives, options in nodes]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(built, "net", inputs, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def steps(order: list[int], form: str) -> tuple[list[Node], dict[str, Any]]:
    """Return unrolled steps h = tanh(x W + h R + B), from zeros, over entries of x in this order.

    ``form`` selects the nodes by which an exporter writes a step.
    """
    arrays: dict[str, Any] = {"R": R, "axes": np.array([1]), "rest": np.array([UNITS]), "first": np.array([0])}
    arrays |= {"W": W, "B": B} if form == "MatMul" else {"W": W.T.copy(), "B": B}
    nodes: list[Node] = [
        ("Shape", "x", "shape", {}),
        ("Gather", "shape,first", "batch", {"axis": 0}),
        ("Concat", "batch,rest", "sizes", {"axis": 0}),
        ("ConstantOfShape", "sizes", "h_0", {}),
    ]
    for number, place in enumerate(order):
        arrays |= {f"at_{number}": np.array(place), f"from_{number}": np.array([place])}
        arrays[f"to_{number}"] = np.array([place + 1])
        if form == "MatMul":
            nodes += [
                ("Slice", f"x,from_{number},to_{number},axes", f"slice_{number}", {}),
                ("Squeeze", f"slice_{number},axes", f"x_{number}", {}),
                ("MatMul", f"x_{number},W", f"xw_{number}", {}),
                ("Add", f"xw_{number},B", f"z_{number}", {}),
            ]
        else:
            nodes += [
                ("Gather", f"x,at_{number}", f"x_{number}", {"axis": 1}),
                ("Gemm", f"x_{number},W,B", f"z_{number}", {"transB": 1}),
            ]
        nodes += [
            ("MatMul", f"h_{number},R", f"hr_{number}", {}),
            ("Add", f"z_{number},hr_{number}", f"sum_{number}", {}),
            ("Tanh", f"sum_{number}", f"h_{number + 1}", {}),
            ("Unsqueeze", f"h_{number + 1},axes", f"y_{number}", {}),
        ]
    return [*nodes, ("Concat", ",".join(f"y_{n}" for n in range(len(order))), "y", {"axis": 1})], arrays


def expected(x: np.ndarray, order: list[int]) -> np.ndarray:
    h, results = np.zeros((len(x), UNITS), np.float32), []
    for place in order:
        h = np.tanh(x[:, place] @ W + h @ R + B)
        results.append(h)
    return np.stack(results, 1)


@pytest.mark.parametrize("form", ["MatMul", "Gemm"])
@pytest.mark.parametrize("order", [list(range(STEPS)), list(range(STEPS))[::-1], [0, 2, 4]], ids=str)
def test_steps_are_a_driver(form: str, order: list[int]) -> None:
    nodes, arrays = steps(order, form)
    net = rg.read_onnx(model(nodes, ["batch", STEPS, INPUTS], ["y", f"h_{len(order)}"], arrays))
    assert sorted(array.shape for array in net.parameters.values()) == [(INPUTS, UNITS), (UNITS,), (UNITS, UNITS)]
    text = net.script()
    assert "rg.dynamic_rnn(Step(" in text
    assert text.count("rg.tanh") == 1
    program = net.program()
    for batch in (1, 7):
        x = DRAW.normal(size=(batch, STEPS, INPUTS)).astype(np.float32)
        actual = program.inference(x=x)
        assert_allclose(actual["y"], expected(x, order), atol=1e-6)
        assert_allclose(actual[f"h_{len(order)}"], expected(x, order)[:, -1], atol=1e-6)
    gradients = rg.compile(dict(net.outputs), loss=rg.reduce_sum(net.outputs["y"])).training.gradients(x=x)[1]
    assert gradients.keys() == net.parameters.keys()


def test_of_an_open_axis_the_steps_of_the_file_are_read() -> None:
    nodes, arrays = steps([0, 1, 2], "Gemm")
    net = rg.read_onnx(model(nodes, ["batch", "time", INPUTS], ["y"], arrays))
    x = DRAW.normal(size=(2, 9, INPUTS)).astype(np.float32)
    assert_allclose(net.program().inference(x=x)["y"], expected(x, [0, 1, 2]), atol=1e-6)
    assert "x[:, :3]" in net.script()


def test_a_kernel_that_two_products_take_is_one_parameter() -> None:
    arrays = {"W": W, "R": R, "B": B}
    nodes: list[Node] = [
        ("MatMul", "x,W", "z", {}),
        ("Add", "z,B", "h", {}),
        ("MatMul", "h,R", "r", {}),
        ("MatMul", "r,R", "y", {}),
    ]
    net = rg.read_onnx(model(nodes, ["batch", INPUTS], ["y"], arrays))
    assert sorted(array.shape for array in net.parameters.values()) == [(INPUTS, UNITS), (UNITS,), (UNITS, UNITS)]
    x = DRAW.normal(size=(3, INPUTS)).astype(np.float32)
    assert_allclose(net.program().inference(x=x)["y"], (x @ W + B) @ R @ R, atol=1e-6)
    assert "@ kernel @ kernel" in net.script()


def test_functions_of_the_reader_are_methods_next_to_the_step() -> None:
    arrays: dict[str, Any] = {"R": R, "first": np.array([0]), "rest": np.array([UNITS])}
    nodes: list[Node] = [
        ("Shape", "x", "shape", {}),
        ("Gather", "shape,first", "batch", {"axis": 0}),
        ("Concat", "batch,rest", "sizes", {"axis": 0}),
        ("ConstantOfShape", "sizes", "h_0", {}),
    ]
    for number in range(STEPS):
        arrays[f"at_{number}"] = np.array(number)
        nodes += [
            ("Gather", f"x,at_{number}", f"x_{number}", {"axis": 1}),
            ("MatMul", f"h_{number},R", f"r_{number}", {}),
            ("Add", f"x_{number},r_{number}", f"s_{number}", {}),
            ("ThresholdedRelu", f"s_{number}", f"h_{number + 1}", {"alpha": 0.5}),
        ]
    built = model(nodes, ["batch", STEPS, UNITS], [f"h_{STEPS}"], arrays)
    built.opset_import[0].version = 18
    net = rg.read_onnx(built)
    text = net.script()
    assert "class Step(rg.Cell)" in text
    assert text.count("def thresholded_relu(") == 1
    names: dict[str, Any] = {"__file__": "net.py"}
    exec(compile(text.replace("program.parameters.load(", "print("), "net.py", "exec"), names)
    names["program"].parameters.load(net.parameters)
    x, h = DRAW.normal(size=(3, STEPS, UNITS)).astype(np.float32), np.zeros((3, UNITS))
    for step in range(STEPS):
        z = x[:, step] + h @ R
        h = np.where(z > 0.5, z, 0)
    assert_allclose(names["program"].inference(x=x)[f"h_{STEPS}"], h, atol=1e-5)
