"""Elementwise ops whose operands are all in the file, which the reader computes with NumPy, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rnngraph as rg
from rnngraph.formats.onnx.core.known import _NUMPY

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.peers

UNARY = (
    "Neg",
    "Abs",
    "Sqrt",
    "Exp",
    "Log",
    "Reciprocal",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Tanh",
    "Sin",
    "Cos",
    "Not",
)
FLOATS = np.array([-7.5, -2, -0.5, 0.25, 2, 7, 3], np.float32), np.array([3, 2, -3, 0.5, -3, 2, 3], np.float32)
INTS = np.array([-7, 7, -7, 7, 2**40 + 1, 0]), np.array([3, -3, -3, 3, 1, 5])
TRUTHS = np.array([True, True, False, False]), np.array([True, False, True, False])


def folded(op: str, arrays: tuple[np.ndarray, ...], **attributes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return onnxruntime's value of a node of constants, and the reader's."""
    names = [f"c{place}" for place in range(len(arrays))]
    constants = [numpy_helper.from_array(array, name) for name, array in zip(names, arrays, strict=True)]
    nodes = [
        helper.make_node(op, names, ["folded"], **attributes),
        helper.make_node("Cast", ["folded"], ["number"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["x", "number"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows", arrays[0].size])
    y = helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    data, zeros = model.SerializeToString(), np.zeros((1, arrays[0].size))
    expected = onnxruntime.InferenceSession(data).run(None, {"x": zeros})[0]
    return expected, rg.read_onnx(data).program().inference(x=zeros)["y"]


@pytest.mark.parametrize("op", sorted(set(_NUMPY) - {"FMod"}))
def test_folded_nodes_have_the_values_of_onnxruntime(op: str) -> None:
    sets = [TRUTHS] if op in ("And", "Or", "Xor", "Not") else [FLOATS, INTS]
    if op in ("Sqrt", "Exp", "Log", "Reciprocal", "Floor", "Ceil", "Round", "Tanh", "Sin", "Cos", "Mod", "Pow"):
        sets = [(np.array([2, -3, 1, -1]), np.array([3, 2, -1, 5]))] if op == "Pow" else [FLOATS]
        sets = [INTS] if op == "Mod" else sets
    for arrays in sets:
        expected, actual = folded(op, arrays[: 1 if op in UNARY else 2])
        np.testing.assert_allclose(actual, expected, 1e-6)


@pytest.mark.parametrize("arrays", [FLOATS, INTS])
def test_a_remainder_has_the_sign_of_its_dividend_with_fmod(arrays: tuple[np.ndarray, ...]) -> None:
    expected, actual = folded("Mod", arrays, fmod=1)
    np.testing.assert_array_equal(actual, expected)


def test_a_folded_division_by_0_is_refused() -> None:
    names = ["a", "b"]
    constants = [
        numpy_helper.from_array(np.array(numbers), name) for name, numbers in zip(names, ([7], [0]), strict=True)
    ]
    y = helper.make_tensor_value_info("y", TensorProto.INT64, [1])
    graph = helper.make_graph([helper.make_node("Mod", names, ["y"])], "net", [], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(rg.NotReadableError, match="it divides integers by 0"):
        rg.read_onnx(onnx.ModelProto.FromString(model.SerializeToString()))


@pytest.mark.parametrize(("op", "options"), [("Mul", {"broadcast": 1, "axis": 1}), ("PRelu", {})])
def test_opsets_below_7_align_an_operand_with_the_channels(op: str, options: dict[str, int]) -> None:
    factors = np.array([2, 3, 5], np.float32)
    nodes = [helper.make_node(op, ["x", "factors"], ["y"], **options)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3, 4, 3]) for name in "xy")
    graph = helper.make_graph(nodes, "net", [x], [y], [numpy_helper.from_array(factors, "factors")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 6)], ir_version=8)
    data = -np.arange(72, dtype=np.float32).reshape(2, 3, 4, 3)
    actual = rg.read_onnx(model.SerializeToString()).program().inference(x=data)["y"]
    np.testing.assert_array_equal(actual, data * factors.reshape(3, 1, 1))
