"""What exporters write around nets: sizes of an example among open ones, sequences, normed kernels, sorted rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx_files import assert_same, by_onnxruntime, ours

import rnngraph as rg

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  (which may lack)

RANDOM = np.random.default_rng(5)
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
pytestmark = pytest.mark.peers


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(nodes: Sequence[Any], inputs: dict[str, tuple[int, Sequence[Any]]], outputs: Sequence[str],
             **arrays: Any) -> Any:  # fmt: skip
    """A model of nodes (op, inputs, outputs, attributes)."""
    made = [helper.make_node(op, list(given), list(gives), **more) for op, given, gives, more in nodes]
    graph = helper.make_graph(
        made, "net", [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def check(model: Any, *feeds: dict[str, np.ndarray], fixed: Any = None) -> rg.Net:
    pytest.importorskip("onnxruntime")
    net = rg.read_onnx(model, fixed)
    program = net.program()
    for fed in feeds:
        assert_same(ours(program, fed), by_onnxruntime(model, fed))
    return net


X = {"x": (FLOAT, ["B", "T", 4])}


def test_a_size_that_is_split_into_single_steps_is_that_many() -> None:
    steps = [f"s{place}" for place in range(3)]
    nodes = [("Split", ["x", "ones"], steps, {"axis": 1}), ("Concat", steps[::-1], ["y"], {"axis": 1})]
    net = check(model_of(nodes, X, ["y"], ones=np.ones(3, np.int64)), {"x": floats(2, 3, 4)}, {"x": floats(5, 3, 4)})
    assert net.inputs["x"].shape == ("B", 3, 4)


def test_a_shape_that_fits_one_size_alone_says_so() -> None:
    nodes = [("Reshape", ["x", "shape"], ["y"], {})]
    net = check(model_of(nodes, {"x": (FLOAT, [2, "T", 4])}, ["y"], shape=[2, 12]), {"x": floats(2, 3, 4)})
    assert net.inputs["x"].shape == (2, 3, 4)
    model = model_of(nodes, X, ["y"], shape=[7, -1, 2])
    with pytest.raises(rg.NotReadableError, match=r"give read_onnx fixed=\{'B': 7\}"):
        rg.read_onnx(model)
    check(model, {"x": floats(7, 3, 4)}, fixed={"B": 7})


def test_sequences_of_arrays() -> None:
    nodes = [
        ("SplitToSequence", ["x", "parts"], ["parts_of_x"], {"axis": -1}),
        ("SequenceAt", ["parts_of_x", "last"], ["b"], {}), ("SequenceAt", ["parts_of_x", "first"], ["a"], {}),
        ("SequenceConstruct", ["a", "a"], ["list"], {}), ("SequenceInsert", ["list", "b", "first"], ["longer"], {}),
        ("SequenceErase", ["longer", "last"], ["again"], {}),
        ("ConcatFromSequence", ["again"], ["y"], {"axis": -1}),
        ("ConcatFromSequence", ["list"], ["z"], {"axis": 1, "new_axis": 1}),
        ("SplitToSequence", ["x"], ["columns"], {"axis": 2, "keepdims": 0}),
        ("SequenceAt", ["columns", "last"], ["w"], {}),
    ]  # fmt: skip
    arrays = {"parts": np.array([1, 3]), "first": np.array(0), "last": np.array(-1)}
    check(model_of(nodes, X, ["y", "z", "w"], **arrays), {"x": floats(2, 3, 4)}, {"x": floats(1, 5, 4)})


def test_kernels_that_are_normed_are_numbers_of_the_file() -> None:
    nodes = [
        ("ReduceL2", ["v", "axes"], ["norm"], {"keepdims": 1}), ("Div", ["v", "norm"], ["unit"], {}),
        ("Mul", ["unit", "g"], ["kernel"], {}), ("Conv", ["x", "kernel"], ["y"], {"pads": [2, 0]}),
    ]  # fmt: skip
    arrays = {"v": floats(5, 4, 3), "g": floats(5, 1, 1), "axes": np.array([1, 2])}
    model = model_of(nodes, {"x": (FLOAT, ["B", 4, "T"])}, ["y"], **arrays)
    assert "rg.conv1d(" in check(model, {"x": floats(2, 4, 7)}, {"x": floats(3, 4, 1)}).script()


def test_inputs_by_words_of_calls_get_an_underscore() -> None:
    pytest.importorskip("onnxruntime")
    model = model_of(
        [("Add", ["rows", "out"], ["seed"], {})], {name: (FLOAT, ["B", 4]) for name in ("rows", "out")}, ["seed"]
    )
    net = rg.read_onnx(model)
    assert [*net.inputs] == ["rows_", "out_"]
    fed = {"rows": floats(2, 4), "out": floats(2, 4)}
    found = net.program().inference({f"{name}_": array for name, array in fed.items()})
    assert_same(dict(found), by_onnxruntime(model, fed))


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("offset", [-1, 0, 2])
@pytest.mark.parametrize("columns", ["T", 4])
def test_half_of_a_matrix_of_open_size(columns: Any, offset: int, upper: int) -> None:
    """As exporters make the mask of attention to what was before."""
    model = model_of(
        [("Trilu", ["x", "offset"], ["y"], {"upper": upper})], {"x": (FLOAT, ["B", "T", columns])}, ["y"],
        offset=np.array(offset),
    )  # fmt: skip
    check(model, {"x": floats(2, 4, 4)}, {"x": floats(1, 7, 7 if columns == "T" else 4)})


POSITIONS = {
    "sliced": ([("Slice", ["table", "zero", "shape", "one"], ["rows"], {})], floats(1, 9, 4), "rg.positions("),
    "from a later one on": (
        [("Add", ["shape", "one"], ["stop"], {}), ("Slice", ["table", "one", "stop", "one"], ["rows"], {})],
        floats(1, 10, 4), "+ 1",
    ),
    "looked up": (
        [
            ("Squeeze", ["shape"], ["count"], {}), ("Range", ["first", "count", "step"], ["places"], {}),
            ("Unsqueeze", ["places", "zero"], ["row"], {}), ("Gather", ["table", "row"], ["rows"], {}),
        ],
        floats(9, 4), "rg.embedding(",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POSITIONS)
def test_the_first_rows_of_a_table_of_positions(name: str) -> None:
    """As many as there are steps; a sequence that is longer than the table is refused, as by the file's own runtime."""
    taken, table, written = POSITIONS[name]
    nodes = [("Shape", ["x"], ["shape"], {"start": 1, "end": 2}), *taken, ("Add", ["x", "rows"], ["y"], {})]
    known = {"zero": np.array([0]), "one": np.array([1]), "first": np.array(0), "step": np.array(1)}
    model = model_of(nodes, X, ["y"], table=table, **known)
    net = check(model, {"x": floats(2, 3, 4)}, {"x": floats(1, 9, 4)})
    assert written in net.script()
    with pytest.raises(rg.ShapeError, match="does not fit T = 10"):
        net.program().inference(x=floats(2, 10, 4))
    check(model, {"x": floats(2, 3, 4)}, fixed={"T": 3})


@pytest.mark.parametrize("scale", [np.float32(0.25), np.array([0.5, 0.25, 2, 1], np.float32)])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_rows_of_a_quantized_table_are_rows_of_floats(kind: type, scale: np.ndarray) -> None:
    zero = np.arange(3, 3 + scale.size, dtype=kind).reshape(scale.shape)
    nodes = [
        ("Gather", ["table", "ids"], ["whole"], {}), ("Transpose", ["whole"], ["turned"], {"perm": [1, 0, 2]}),
        ("DequantizeLinear", ["turned", "scale", "zero"], ["y"], {"axis": 2}),
    ]  # fmt: skip
    table = np.random.default_rng(1).integers(0, 99, (7, 4)).astype(kind)
    model = model_of(nodes, {"ids": (INT, ["B", "T"])}, ["y"], table=table, scale=scale, zero=zero)
    net = check(model, {"ids": np.array([[0, 6, 2], [3, 3, 1]])})
    trained = [value.dtype for value in net.parameters.values()]
    assert (trained == [np.float32]) == (scale.size == 1)


def test_numbers_of_an_input_are_dequantized() -> None:
    nodes = [("DequantizeLinear", ["x", "scale", "zero"], ["y"], {})]
    model = model_of(
        nodes, {"x": (TensorProto.UINT8, ["B", 3])}, ["y"], scale=np.array([1, 2, 4], np.float32),
        zero=np.array([1, 2, 3], np.uint8),
    )  # fmt: skip
    check(model, {"x": np.arange(6, dtype=np.uint8).reshape(2, 3)})


@pytest.mark.parametrize("batch", ["B", 3])
def test_rows_that_are_sorted_by_length_and_put_back(batch: Any) -> None:
    nodes = [
        ("Shape", ["lengths"], ["count"], {}), ("TopK", ["lengths", "count"], ["sorted", "order"], {"axis": 0}),
        ("Gather", ["x", "order"], ["rows"], {}), ("Mul", ["rows", "rows"], ["squares"], {}),
        ("TopK", ["order", "count"], ["places", "back"], {"axis": 0, "largest": 0}),
        ("Gather", ["squares", "back"], ["y"], {}),
    ]  # fmt: skip
    model = model_of(nodes, {"x": (FLOAT, [batch, "T", 4]), "lengths": (INT, [batch])}, ["y"])
    check(model, {"x": floats(3, 5, 4), "lengths": np.array([2, 5, 3])})


def test_the_last_step_of_each_row_and_numbers_that_are_none() -> None:
    nodes = [
        ("GatherElements", ["x", "at"], ["y"], {"axis": 1}), ("Div", ["x", "none"], ["wild"], {}),
        ("IsNaN", ["wild"], ["a"], {}), ("IsInf", ["wild"], ["b"], {"detect_negative": 0}),
        ("Or", ["a", "b"], ["c"], {}), ("Cast", ["c"], ["z"], {"to": FLOAT}),
    ]  # fmt: skip
    model = model_of(nodes, X | {"at": (INT, ["B", 1, 4])}, ["y", "z"], none=np.float32(0))
    x = floats(2, 3, 4)
    x[0, 0] = 0
    check(model, {"x": x, "at": np.array([[[2] * 4], [[-3] * 4]])})
