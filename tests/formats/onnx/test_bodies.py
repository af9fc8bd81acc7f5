"""Ops that are expanded into their function bodies: onnx's own tests, and reading without the package."""

from __future__ import annotations

import base64
import json
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg
from rnngraph.formats.onnx.bodies import FILE
from rnngraph.formats.onnx.unread import BY_BUILT_BODY, BY_RECORDED_BODY

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip
from onnx_cases import all_cases, op_of, outcome  # noqa: E402  # after importorskip


def model(node: onnx.NodeProto, opset: int, **arrays: np.ndarray) -> onnx.ModelProto:
    """Return a model of one node. Inputs without arrays are floats [n, 4]."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in node.input if name not in arrays
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
    storage = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "net", inputs, outputs, storage)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def test_the_recorded_bodies_are_those_of_the_standard() -> None:
    table = json.loads(FILE.read_text())
    assert tuple(table) == BY_RECORDED_BODY
    for op, versions in table.items():
        for version, text in versions.items():
            try:
                schema = onnx.defs.get_schema(op, int(version), "")
            except onnx.defs.SchemaError:  # older versions of onnx have fewer ops
                continue
            body = onnx.FunctionProto.FromString(base64.b64decode(text))
            other = onnx.FunctionProto.FromString(schema.get_function_with_opset_version(int(version)))
            assert [node.op_type for node in body.node] == [node.op_type for node in other.node]


@pytest.mark.parametrize(("op", "a", "b"), [("HannWindow", 0.5, 0.5), ("HammingWindow", 25 / 46, 21 / 46)])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(monkeypatch: pytest.MonkeyPatch, op: str, a: float, b: float, periodic: int) -> None:
    node = helper.make_node(op, ["size"], ["window"], periodic=periodic)
    product = helper.make_node("Mul", ["x", "window"], ["y"])
    whole = model(product, 17, size=np.array(4))
    whole.graph.node.insert(0, node)
    del whole.graph.input[1:]
    data = whole.SerializeToString()
    monkeypatch.setitem(sys.modules, "onnx", None)
    x = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
    expected = a - b * np.cos(2 * np.pi * np.arange(4) / (4 if periodic else 3))
    assert_allclose(rg.read_onnx(data).program().inference(x=x)["y"], x * expected, atol=1e-6)


def test_errors_without_the_package_name_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    node = helper.make_node("CenterCropPad", ["x", "shape"], ["y"], axes=[1])
    data = model(node, 18, shape=np.array([2])).SerializeToString()
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert rg.read_onnx(data).program().inference(x=x)["y"].tolist() == x[:, 1:3].tolist()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(rg.NotReadableError, match=r"\(CenterCropPad\): its function body .* pip install -U onnx"):
        rg.read_onnx(data)


@pytest.mark.slow
def test_onnx_own_tests_of_these_ops_pass() -> None:
    ops = {*BY_BUILT_BODY, *BY_RECORDED_BODY}
    cases = [case for case in all_cases() if len(case.model.graph.node) == 1 and op_of(case) in ops]
    outcomes = {case.name: outcome(case) for case in cases}
    refused = {name for name, what in outcomes.items() if what not in ("passed", "no arrays of numbers")}
    assert refused <= {name for name in outcomes if "window" in name}  # the window sizes are fed
