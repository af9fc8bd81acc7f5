"""Quantized files, read as floats: saturation, ops with quantized operands and results, and ops that move them.

Files often omit an activation whose bound equals that of the quantized range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx_files import by_onnxruntime

import rnngraph as rg

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip

RANDOM = np.random.default_rng(11)
OWN = {"domain": "com.microsoft"}
Arrays = dict[str, np.ndarray]
Nodes = Sequence[tuple[str, list[str], list[str], dict[str, Any]]]
SCALES = {
    "xs": np.float32(0.05),
    "xz": np.uint8(100),
    "ws": np.float32(0.02),
    "wz": np.int8(0),
    "ys": np.float32(0.06),
    "yz": np.uint8(110),
    "zz": np.uint8(0),
}


def model_of(nodes: Nodes, shape: Sequence[Any], **arrays: Any) -> Any:
    """Return a model of nodes from x of this shape to y."""
    built = [helper.make_node(op, operands, results, **more) for op, operands, results, more in nodes]
    storage = {**SCALES, **{name: np.asarray(array) for name, array in arrays.items()}}
    read = {name for node in built for name in node.input}
    graph = helper.make_graph(
        built,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in storage.items() if name in read],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def whole(*shape: int) -> np.ndarray:
    return RANDOM.integers(-100, 100, shape).astype(np.int8)


def found_of(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(rg.read_onnx(model).program().inference(x=x)["y"])


IN = [("QuantizeLinear", ["x", "xs", "xz"], ["q"], {})]
OUT = [("DequantizeLinear", ["r", "ys", "yz"], ["y"], {})]
BACK = [("DequantizeLinear", ["r", "xs", "xz"], ["y"], {})]
BOTH = ["q", "xs", "xz", "v", "ws", "wz", "ys", "yz"]
OF_ONE = ["q", "xs", "xz", "ys", "yz"]
CASES: dict[str, tuple[Nodes, list[Any], dict[str, Any]]] = {
    "QLinearMatMul": ([("QLinearMatMul", BOTH, ["r"], {})], ["B", "T", 4], {"v": whole(4, 3)}),
    "QLinearMatMul by columns": (
        [("QLinearMatMul", ["q", "xs", "xz", "v", "cs", "cz", "ys", "yz"], ["r"], {})],
        ["B", 4],
        {"v": whole(4, 3), "cs": np.array([0.01, 0.02, 0.03], np.float32), "cz": np.zeros(3, np.int8)},
    ),
    "QLinearConv": (
        [("QLinearConv", ["q", "xs", "xz", "v", "fs", "fz", "ys", "yz", "b"], ["r"], {"pads": [1, 1]})],
        ["B", 4, "T"],
        {
            "v": whole(2, 4, 3),
            "fs": np.array([0.01, 0.02], np.float32),
            "fz": np.zeros(2, np.int8),
            "b": np.array([300, -500], np.int32),
        },
    ),
    "QGemm": (
        [("QGemm", ["q", "xs", "xz", "v", "ws", "wz", "b", "ys", "yz"], ["r"], {"transB": 1, "alpha": 0.5, **OWN})],
        ["B", 4],
        {"v": whole(3, 4), "b": np.array([300, -500, 100], np.int32)},
    ),
    "QLinearAdd": (
        [("QLinearAdd", ["q", "xs", "xz", "v", "ws", "wz", "ys", "yz"], ["r"], OWN)],
        ["B", 3],
        {"v": whole(3).view(np.uint8), "wz": np.uint8(7)},
    ),
    "QLinearMul": ([("QLinearMul", ["q", "xs", "xz", "q", "xs", "xz", "ys", "yz"], ["r"], OWN)], ["B", 3], {}),
    "QLinearSigmoid": (
        [("QLinearSigmoid", OF_ONE, ["r"], OWN)],
        ["B", 3],
        {"ys": np.float32(1 / 256), "yz": np.uint8(0)},
    ),
    "QLinearLeakyRelu": ([("QLinearLeakyRelu", OF_ONE, ["r"], {"alpha": 0.2, **OWN})], ["B", 3], {}),
    "QLinearAveragePool": (
        [("QLinearAveragePool", OF_ONE, ["r"], {"kernel_shape": [2], "strides": [2], **OWN})],
        ["B", 3, 6],
        {},
    ),
    "QLinearGlobalAveragePool": ([("QLinearGlobalAveragePool", OF_ONE, ["r"], OWN)], ["B", 3, 6], {}),
    "QLinearSoftmax": (
        [("QLinearSoftmax", OF_ONE, ["r"], {"axis": -1, "opset": 17, **OWN})],
        ["B", 3],
        {"ys": np.float32(1 / 256), "yz": np.uint8(0)},
    ),
    "QLinearConcat": (
        [("QLinearConcat", ["ys", "yz", "q", "xs", "xz", "q", "xs", "xz"], ["r"], {"axis": 1, **OWN})],
        ["B", 3],
        {},
    ),
    "QLinearWhere": (
        [("QLinearWhere", ["c", "q", "xs", "xz", "v", "ws", "wz", "ys", "yz"], ["r"], OWN)],
        ["B", 3],
        {"c": np.array([True, False, True]), "v": np.array([9, 90, 200], np.uint8), "wz": np.uint8(7)},
    ),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_operators_with_quantized_inputs_and_outputs(name: str) -> None:
    """Results equal onnxruntime's, up to one rounding step."""
    pytest.importorskip("onnxruntime")
    nodes, shape, arrays = CASES[name]
    model = model_of([*IN, *nodes, *OUT], shape, **arrays)
    x = 2 * floats(*(3 if isinstance(size, str) else size for size in shape))
    expected = by_onnxruntime(model, {"x": x})["y"]
    assert expected.std() > 0.01
    step = float(arrays.get("ys", SCALES["ys"]))
    np.testing.assert_allclose(found_of(model, x), expected, atol=0.5 * step + 0.1)


MOVED: dict[str, tuple[Nodes, dict[str, Any]]] = {
    "Transpose": ([("Transpose", ["q"], ["r"], {"perm": [2, 0, 1]})], {}),
    "Slice": ([("Slice", ["q", "one", "far", "one"], ["r"], {})], {"one": np.array([1]), "far": np.array([1 << 40])}),
    "Pad": ([("Pad", ["q", "pads", "xz"], ["r"], {})], {"pads": np.array([0, 1, 0, 0, 2, 0])}),
    "Concat": ([("Concat", ["q", "v", "q"], ["r"], {"axis": 1})], {"v": np.full((2, 1, 4), 200, np.uint8)}),
    "MaxPool": ([("MaxPool", ["q"], ["r"], {"kernel_shape": [2]})], {}),
    "Gather": ([("Gather", ["q", "places"], ["r"], {"axis": 1})], {"places": np.array([2, 0])}),
    "Split, Reshape": (
        [
            ("Split", ["q"], ["a", "b"], {"axis": 2}),
            ("Shape", ["b"], ["shape"], {}),
            ("Reshape", ["b", "shape"], ["r"], {}),
        ],
        {},
    ),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", MOVED)
def test_operators_that_move_quantized_numbers(name: str) -> None:
    pytest.importorskip("onnxruntime")
    nodes, arrays = MOVED[name]
    model = model_of([*IN, *nodes, *BACK], [2, "T", 4], **arrays)
    x = floats(2, 3, 4)
    expected = by_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_allclose(found_of(model, x), expected, atol=0.0251)


def test_bounds_of_quantized_numbers_are_bounds_of_floats() -> None:
    """Quantizers omit a relu if the quantized range begins at 0."""
    nodes: Nodes = [
        ("QuantizeLinear", ["x", "xs", "zz"], ["r"], {}),
        ("DequantizeLinear", ["r", "xs", "zz"], ["y"], {}),
    ]
    x = np.array([[-3.0, 0.01, 2.0, 50.0]], np.float32)
    model = model_of(nodes, [None, 4])
    np.testing.assert_allclose(found_of(model, x), [[0.0, 0.01, 2.0, 255 * 0.05]], atol=1e-6)
    assert "rg.clip(x, 0.0, 12.75)" in rg.read_onnx(model).script()


def test_other_scales_than_numbers_were_quantized_by() -> None:
    nodes: Nodes = [*IN, ("DequantizeLinear", ["q", "ys", "yz"], ["y"], {})]
    x = np.array([[-3.0, 0.01, 2.0]], np.float32)
    expected = (x / 0.05 + 100 - 110) * 0.06
    np.testing.assert_allclose(found_of(model_of(nodes, [None, 3]), x), expected, atol=1e-5)
    v = whole(3, 2)
    nodes = [*IN, ("MatMulInteger", ["q", "v", "xz"], ["i"], {}), ("Cast", ["i"], ["y"], {"to": TensorProto.FLOAT})]
    np.testing.assert_allclose(found_of(model_of(nodes, [None, 3], v=v), x), x / 0.05 @ v, rtol=1e-5)


def test_arrays_of_the_file_are_quantized_as_the_file_has_it() -> None:
    nodes: Nodes = [
        ("QuantizeLinear", ["v", "xs", "xz"], ["q"], {}),
        ("DequantizeLinear", ["q", "xs", "xz"], ["d"], {}),
        ("MatMul", ["x", "d"], ["y"], {}),
    ]
    v, x = floats(4, 3), floats(2, 4)
    rounded = (np.clip(np.rint(v / np.float32(0.05)) + 100, 0, 255) - 100) * np.float32(0.05)
    np.testing.assert_allclose(found_of(model_of(nodes, [None, 4], v=v), x), x @ rounded, atol=1e-5)


def test_quantized_values_that_can_not_be_moved_are_errors_with_the_reason() -> None:
    by_columns = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"], {}),
        ("Transpose", ["q"], ["t"], {}),
        ("DequantizeLinear", ["t", "s", "z"], ["y"], {"axis": 0}),
    ]
    arrays = {"s": np.full(3, 0.1, np.float32), "z": np.zeros(3, np.uint8)}
    with pytest.raises(rg.NotReadableError, match="one scale for each entry of an axis"):
        rg.read_onnx(model_of(by_columns, [None, 3], **arrays))


def test_a_scale_that_is_no_finite_number_is_refused() -> None:
    """Quantizing a mask with -inf gives an infinite scale, for which onnxruntime's results are meaningless."""
    there_and_back = [*IN, ("DequantizeLinear", ["q", "xs", "xz"], ["y"], {})]
    for scale in (np.inf, np.nan):
        with pytest.raises(rg.NotReadableError, match="its scale is not finite"):
            rg.read_onnx(model_of(there_and_back, ["B", 3], xs=np.float32(scale)))


# Programs in 8 bits -------------------------------------------------------------------------------------


def wide_model(dynamic: bool) -> tuple[Any, np.ndarray]:
    """Return a model of a product with 64 x 96 bytes, and the dequantized weights."""
    weights = (RANDOM.standard_normal((64, 96)) / 8).astype(np.float32)
    scale = np.float32(np.abs(weights).max() / 127)
    arrays = {"w": np.rint(weights / scale).astype(np.int8), "w_scale": scale, "w_zero": np.int8(0)}
    if dynamic:
        nodes: Nodes = [
            ("DynamicQuantizeLinear", ["x"], ["q", "q_scale", "q_zero"], {}),
            ("MatMulInteger", ["q", "w", "q_zero", "w_zero"], ["whole"], {}),
            ("Cast", ["whole"], ["float"], {"to": TensorProto.FLOAT}),
            ("Mul", ["q_scale", "w_scale"], ["both"], {}),
            ("Mul", ["float", "both"], ["y"], {}),
        ]
    else:
        nodes = [
            ("DequantizeLinear", ["w", "w_scale", "w_zero"], ["back"], {}),
            ("MatMul", ["x", "back"], ["y"], {}),
        ]
    return model_of(nodes, ["B", "T", 64], **arrays), weights


@pytest.mark.parametrize("dynamic", [True, False])
def test_programs_of_quantized_files_have_the_files_bits(dynamic: bool) -> None:
    pytest.importorskip("onnxruntime")
    model, weights = wide_model(dynamic)
    net = rg.read_onnx(model)
    x = floats(2, 7, 64)
    theirs, exact = by_onnxruntime(model, {"x": x})["y"], x @ weights
    own_error = np.abs(theirs - exact).max()
    program = net.program()
    assert "int8" in str(program.summary())
    activations = ', activations="int8"' if dynamic else ""
    assert f'programs have weights="int8"{activations}, as the file is quantized' in str(net)
    assert np.abs(np.asarray(program.inference(x)["y"]) - exact).max() <= 1.5 * own_error
    plain = net.program(weights="float32")
    assert "int8" not in str(plain.summary())
    assert np.abs(np.asarray(plain.inference(x)["y"]) - exact).max() <= 1.5 * own_error


def test_small_and_float_files_stay_float32() -> None:
    for nodes, arrays in (
        ([("DequantizeLinear", ["v", "ws", "wz"], ["w"], {}), ("MatMul", ["x", "w"], ["y"], {})], {"v": whole(4, 3)}),
        ([("MatMul", ["x", "w"], ["y"], {})], {"w": floats(4, 2000)}),
    ):
        net = rg.read_onnx(model_of(nodes, ["B", "T", 4], **arrays))
        assert "programs have" not in str(net)
        assert "int8" not in str(net.program().summary())
