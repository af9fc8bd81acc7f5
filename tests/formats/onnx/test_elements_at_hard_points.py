"""ONNX's elementwise operators at signed zeros, infinities, NaN, small and large numbers, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from element_points import are_near, assert_all, signed_points

import rnngraph as rg

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.peers

POINTS = signed_points(300)
ELEMENTS: dict[str, dict[str, Any]] = {
    **{
        op: {}
        for op in (
            "Abs",
            "Acos",
            "Acosh",
            "Asin",
            "Asinh",
            "Atan",
            "Atanh",
            "Ceil",
            "Cosh",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "HardSigmoid",
            "HardSwish",
            "IsInf",
            "IsNaN",
            "LeakyRelu",
            "Log",
            "Mish",
            "Neg",
            "Reciprocal",
            "Relu",
            "Round",
            "Selu",
            "Sigmoid",
            "Sign",
            "Sinh",
            "Softplus",
            "Softsign",
            "Sqrt",
            "Tanh",
        )
    },
    "Celu": {"alpha": 2.0},
    "Shrink": {"lambd": 0.5, "bias": 0.25},
    "ThresholdedRelu": {"alpha": 0.5},
    "Gelu": {},
}
LEAST = {
    "Sigmoid": 1e-7,
    "Erf": 2e-7,
    "Tanh": 3e-7,
    "Exp": 2e-38,
    "Elu": 2e-7,
    "Selu": 3e-7,
    "Celu": 3e-7,
    "Gelu": 2e-6,
    "Mish": 1e-6,
    "Softplus": 2e-7,
    "Sinh": 1e-45,
    "Asinh": 1e-7,
    "Atanh": 1e-7,
    "Acosh": 1e-7,
}
"""Absolute errors of onnxruntime's own approximations, by op."""


def model(op: str, count: int, dtype: int, **attributes: Any) -> bytes:
    names = ["a", "b"][:count]
    node = onnx.helper.make_node(op, names, ["y"], **attributes)
    kinds = [onnx.helper.make_tensor_value_info(name, dtype, [None]) for name in names]
    result = dtype if not op.startswith("Is") else onnx.TensorProto.BOOL
    output = onnx.helper.make_tensor_value_info("y", result, [None])
    graph = onnx.helper.make_graph([node], "graph", kinds, [output])
    opsets = [onnx.helper.make_opsetid("", 22)]
    built: bytes = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return built


def both(op: str, feeds: dict[str, Any], **attributes: Any) -> tuple[Any, Any]:
    """Return onnxruntime's values and rnngraph's."""
    dtype = onnx.helper.np_dtype_to_tensor_dtype(feeds["a"].dtype)
    file = model(op, len(feeds), dtype, **attributes)
    expected = runtime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    return expected, np.asarray(rg.read_onnx(file).program().inference(feeds)["y"])


def check(op: str, wanted: Any, actual: Any, *where: Any) -> None:
    assert_all(are_near(actual, wanted, 8e-7, LEAST.get(op, 3e-45)), wanted, actual, *where)


@pytest.mark.parametrize("op", ELEMENTS)
def test_an_operator_of_one_value(op: str) -> None:
    check(op, *both(op, {"a": POINTS}, **ELEMENTS[op]), POINTS)


@pytest.mark.parametrize("op", ["Pow", "Max", "Min", "Div", "Mod"])
def test_an_operator_of_two_values(op: str) -> None:
    a, b = (item.ravel() for item in np.meshgrid(POINTS, POINTS))
    check(op, *both(op, {"a": a, "b": b}, **({"fmod": 1} if op == "Mod" else {})), a, b)


@pytest.mark.parametrize(("op", "fmod"), [("Div", None), ("Mod", 0), ("Mod", 1)])
def test_whole_numbers(op: str, fmod: int | None) -> None:
    numbers = np.array([1, -1, 2, 7, -7, 100, -(2**40), 2**53 + 1] if fmod != 1 else [1, -1, 2, 7, -7, 100, -(2**40)])
    a, b = (item.ravel() for item in np.meshgrid(numbers, numbers))
    check(op, *both(op, {"a": a, "b": b}, **({} if fmod is None else {"fmod": fmod})), a, b)
