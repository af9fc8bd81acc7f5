"""Patterns of exporters: sizes of an example among open ones, sequences, normalized kernels, sorted rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx_files import assert_same, by_onnxruntime, ours, written

import rnngraph as rg

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip

RANDOM = np.random.default_rng(5)
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
pytestmark = pytest.mark.peers


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(
    nodes: Sequence[Any], inputs: dict[str, tuple[int, Sequence[Any]]], outputs: Sequence[str], **arrays: Any
) -> Any:
    """Return a model of nodes (op, inputs, outputs, attributes)."""
    built = [helper.make_node(op, list(operands), list(results), **more) for op, operands, results, more in nodes]
    graph = helper.make_graph(
        built,
        "net",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
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


def test_a_shape_that_fits_only_one_size_is_an_error() -> None:
    nodes = [("Reshape", ["x", "shape"], ["y"], {})]
    net = check(model_of(nodes, {"x": (FLOAT, [2, "T", 4])}, ["y"], shape=[2, 12]), {"x": floats(2, 3, 4)})
    assert net.inputs["x"].shape == (2, 3, 4)
    model = model_of(nodes, X, ["y"], shape=[7, -1, 2])
    with pytest.raises(rg.NotReadableError, match=r"pass fixed=\{'B': 7\}"):
        rg.read_onnx(model)
    check(model, {"x": floats(7, 3, 4)}, fixed={"B": 7})
    unnamed = model_of(nodes, {"x": (FLOAT, [None, 4])}, ["y"], shape=[3, 4])
    with pytest.raises(rg.NotReadableError, match=r"\[size_0,4\] to \[3,4\].*; pass fixed=\{'x': \{0: 3\}\}"):
        rg.read_onnx(unnamed)
    check(unnamed, {"x": floats(3, 4)}, fixed={"x": {0: 3}})


@pytest.mark.parametrize("divisor", [2, -3])
def test_quotients_of_negative_sizes_are_truncated(divisor: int) -> None:
    nodes = [
        ("Shape", ["x"], ["steps"], {}),
        ("Neg", ["steps"], ["negative"], {}),
        ("Div", ["steps" if divisor < 0 else "negative", "divisor"], ["quotient"], {}),
        ("Cast", ["quotient"], ["y"], {"to": FLOAT}),
    ]
    model = model_of(nodes, {"x": (FLOAT, ["T"])}, ["y"], divisor=[divisor])
    check(model, {"x": floats(5)}, {"x": floats(6)})


def test_sequences_of_arrays() -> None:
    nodes = [
        ("SplitToSequence", ["x", "parts"], ["parts_of_x"], {"axis": -1}),
        ("SequenceAt", ["parts_of_x", "last"], ["b"], {}),
        ("SequenceAt", ["parts_of_x", "first"], ["a"], {}),
        ("SequenceConstruct", ["a", "a"], ["list"], {}),
        ("SequenceInsert", ["list", "b", "first"], ["longer"], {}),
        ("SequenceErase", ["longer", "last"], ["again"], {}),
        ("ConcatFromSequence", ["again"], ["y"], {"axis": -1}),
        ("ConcatFromSequence", ["list"], ["z"], {"axis": 1, "new_axis": 1}),
        ("SplitToSequence", ["x"], ["columns"], {"axis": 2, "keepdims": 0}),
        ("SequenceAt", ["columns", "last"], ["w"], {}),
    ]
    arrays = {"parts": np.array([1, 3]), "first": np.array(0), "last": np.array(-1)}
    check(model_of(nodes, X, ["y", "z", "w"], **arrays), {"x": floats(2, 3, 4)}, {"x": floats(1, 5, 4)})


def test_kernels_that_are_normed_are_numbers_of_the_file() -> None:
    nodes = [
        ("ReduceL2", ["v", "axes"], ["norm"], {"keepdims": 1}),
        ("Div", ["v", "norm"], ["unit"], {}),
        ("Mul", ["unit", "g"], ["kernel"], {}),
        ("Conv", ["x", "kernel"], ["y"], {"pads": [2, 0]}),
    ]
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
    results = net.program().inference({f"{name}_": array for name, array in fed.items()})
    assert_same(dict(results), by_onnxruntime(model, fed))


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("offset", [-1, 0, 2])
@pytest.mark.parametrize("columns", ["T", 4])
def test_half_of_a_matrix_of_open_size(columns: Any, offset: int, upper: int) -> None:
    """Exporters compute the mask of causal attention with Trilu."""
    model = model_of(
        [("Trilu", ["x", "offset"], ["y"], {"upper": upper})],
        {"x": (FLOAT, ["B", "T", columns])},
        ["y"],
        offset=np.array(offset),
    )
    check(model, {"x": floats(2, 4, 4)}, {"x": floats(1, 7, 7 if columns == "T" else 4)})


POSITIONS = {
    "sliced": ([("Slice", ["table", "zero", "shape", "one"], ["rows"], {})], floats(1, 9, 4), "rg.positions("),
    "from a later one on": (
        [("Add", ["shape", "one"], ["stop"], {}), ("Slice", ["table", "one", "stop", "one"], ["rows"], {})],
        floats(1, 10, 4),
        "+ 1",
    ),
    "looked up": (
        [
            ("Squeeze", ["shape"], ["count"], {}),
            ("Range", ["first", "count", "step"], ["places"], {}),
            ("Unsqueeze", ["places", "zero"], ["row"], {}),
            ("Gather", ["table", "row"], ["rows"], {}),
        ],
        floats(9, 4),
        "rg.embedding(",
    ),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_the_first_rows_of_a_table_of_positions(name: str) -> None:
    """The table has more rows than steps. A sequence longer than the table is refused, as by onnxruntime."""
    nodes_of_index, table, written = POSITIONS[name]
    nodes = [("Shape", ["x"], ["shape"], {"start": 1, "end": 2}), *nodes_of_index, ("Add", ["x", "rows"], ["y"], {})]
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
        ("Gather", ["table", "ids"], ["whole"], {}),
        ("Transpose", ["whole"], ["turned"], {"perm": [1, 0, 2]}),
        ("DequantizeLinear", ["turned", "scale", "zero"], ["y"], {"axis": 2}),
    ]
    table = np.random.default_rng(1).integers(0, 99, (7, 4)).astype(kind)
    model = model_of(nodes, {"ids": (INT, ["B", "T"])}, ["y"], table=table, scale=scale, zero=zero)
    net = check(model, {"ids": np.array([[0, 6, 2], [3, 3, 1]])})
    trained = [value.dtype for value in net.parameters.values()]
    assert (trained == [np.float32]) == (scale.size == 1)


def test_numbers_of_an_input_are_dequantized() -> None:
    nodes = [("DequantizeLinear", ["x", "scale", "zero"], ["y"], {})]
    model = model_of(
        nodes,
        {"x": (TensorProto.UINT8, ["B", 3])},
        ["y"],
        scale=np.array([1, 2, 4], np.float32),
        zero=np.array([1, 2, 3], np.uint8),
    )
    check(model, {"x": np.arange(6, dtype=np.uint8).reshape(2, 3)})


@pytest.mark.parametrize("batch", ["B", 3])
def test_rows_that_are_sorted_by_length_and_put_back(batch: Any) -> None:
    nodes = [
        ("Shape", ["lengths"], ["count"], {}),
        ("TopK", ["lengths", "count"], ["sorted", "order"], {"axis": 0}),
        ("Gather", ["x", "order"], ["rows"], {}),
        ("Mul", ["rows", "rows"], ["squares"], {}),
        ("TopK", ["order", "count"], ["places", "back"], {"axis": 0, "largest": 0}),
        ("Gather", ["squares", "back"], ["y"], {}),
    ]
    model = model_of(nodes, {"x": (FLOAT, [batch, "T", 4]), "lengths": (INT, [batch])}, ["y"])
    check(model, {"x": floats(3, 5, 4), "lengths": np.array([2, 5, 3])})


def test_the_last_step_of_each_row_and_numbers_that_are_none() -> None:
    nodes = [
        ("GatherElements", ["x", "at"], ["y"], {"axis": 1}),
        ("Div", ["x", "none"], ["wild"], {}),
        ("IsNaN", ["wild"], ["a"], {}),
        ("IsInf", ["wild"], ["b"], {"detect_negative": 0}),
        ("Or", ["a", "b"], ["c"], {}),
        ("Cast", ["c"], ["z"], {"to": FLOAT}),
    ]
    model = model_of(nodes, X | {"at": (INT, ["B", 1, 4])}, ["y", "z"], none=np.float32(0))
    x = floats(2, 3, 4)
    x[0, 0] = 0
    check(model, {"x": x, "at": np.array([[[2] * 4], [[-3] * 4]])})


# In-place writes -------------------------------------------------------------------------------------------


def places(size: str, to: str) -> list[Any]:
    """Return nodes that compute the positions 0, 1, … up to a size of x."""
    return [
        ("Gather", ["shape", size], [f"{to}_count"], {}),
        ("Range", ["zero", f"{to}_count", "one"], [to], {}),
    ]


KNOWN = {
    "zero": np.array(0),
    "one": np.array(1),
    "two": np.array(2),
    "first": np.array([0]),
    "last": np.array([-1]),
    "ones": np.array([1]),
    "column": np.array([-1, 1]),
    "deep": np.array([-1, 1, 1]),
    "far": np.array([2**63 - 1]),
    "place": np.array([2]),
    "half": np.float32(0.5),
    "late": np.array([[1], [0], [2]]),
}
SHAPE = ("Shape", ["x"], ["shape"], {})
IN_PLACE = {
    "x[:, -1] = x[:, 0], as the newer exporter has it": [
        ("Gather", ["x", "zero"], ["row"], {"axis": 1}),
        ("Unsqueeze", ["row", "ones"], ["u"], {}),
        ("Shape", ["u"], ["u_shape"], {}),
        ("Expand", ["last", "u_shape"], ["ids"], {}),
        ("ScatterElements", ["x", "ids", "u"], ["y"], {"axis": 1}),
    ],
    "x[:, 1:] = x[:, :-1], as the newer exporter has it": [
        SHAPE,
        *places("one", "all"),
        ("Slice", ["all", "ones", "far"], ["later"], {}),
        ("Unsqueeze", ["later", "last"], ["ids"], {}),
        ("Transpose", ["x"], ["turned"], {"perm": [1, 0, 2]}),
        ("Slice", ["x", "first", "last", "ones"], ["before"], {}),
        ("Transpose", ["before"], ["u"], {"perm": [1, 0, 2]}),
        ("ScatterND", ["turned", "ids", "u"], ["z"], {}),
        ("Transpose", ["z"], ["y"], {"perm": [1, 0, 2]}),
    ],
    "x[:, 2] = x[:, 0] / 2, as the older exporter has it": [
        SHAPE,
        *places("zero", "rows"),
        ("Reshape", ["rows", "column"], ["down"], {}),
        ("Add", ["down", "place"], ["both"], {}),
        ("Shape", ["both"], ["both_shape"], {}),
        ("Expand", ["down", "both_shape"], ["a"], {}),
        ("Unsqueeze", ["a", "last"], ["a1"], {}),
        ("Expand", ["place", "both_shape"], ["b"], {}),
        ("Unsqueeze", ["b", "last"], ["b1"], {}),
        ("Concat", ["a1", "b1"], ["ids"], {"axis": -1}),
        ("Gather", ["x", "zero"], ["row"], {"axis": 1}),
        ("Mul", ["row", "half"], ["u0"], {}),
        ("Unsqueeze", ["u0", "ones"], ["u"], {}),
        ("ScatterND", ["x", "ids", "u"], ["y"], {}),
    ],
    "x[..., 2] = x[..., 0], over two open axes": [
        SHAPE,
        *places("zero", "rows"),
        *places("one", "steps"),
        ("Reshape", ["rows", "deep"], ["r"], {}),
        ("Reshape", ["steps", "column"], ["s"], {}),
        ("Add", ["r", "s"], ["rs"], {}),
        ("Shape", ["rs"], ["size"], {}),
        *(
            (op, operands, results, {})
            for name in ("r", "s")
            for op, operands, results in (
                ("Expand", [name, "size"], [f"{name}_all"]),
                ("Unsqueeze", [f"{name}_all", "last"], [f"{name}_1"]),
            )
        ),
        ("Expand", ["place", "size"], ["p_all"], {}),
        ("Unsqueeze", ["p_all", "last"], ["p_1"], {}),
        ("Concat", ["r_1", "s_1", "p_1"], ["ids"], {"axis": -1}),
        ("Gather", ["x", "zero"], ["g"], {"axis": 2}),
        ("Unsqueeze", ["g", "place"], ["u"], {}),
        ("ScatterND", ["x", "ids", "u"], ["y"], {}),
    ],
    "three steps of an open axis, in an order of their own": [
        ("Transpose", ["x"], ["turned"], {"perm": [1, 0, 2]}),
        ("Slice", ["turned", "first", "three"], ["u0"], {}),
        ("Mul", ["u0", "half"], ["u"], {}),
        ("ScatterND", ["turned", "late", "u"], ["z"], {}),
        ("Transpose", ["z"], ["y"], {"perm": [1, 0, 2]}),
    ],
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_parts_of_axes_that_are_written_over(name: str) -> None:
    model = model_of(IN_PLACE[name], X, ["y"], three=np.array([3]), **KNOWN)
    net = check(model, {"x": floats(2, 5, 4)}, {"x": floats(3, 4, 4)})
    assert "rg.gather(" not in net.script()
    assert "rg.where(" not in net.script()


def test_outputs_that_are_written_step_by_step_are_a_driver() -> None:
    """The model is ``out = zeros(B, 4, 4)`` and ``out[:, t] = h`` in a loop."""
    nodes: list[Any] = [SHAPE, ("ConstantOfShape", ["shape"], ["o_0"], {})]
    nodes += [
        ("Shape", ["x"], ["ends"], {"start": 0, "end": 1}),
        ("Concat", ["ends", "four"], ["h_shape"], {"axis": 0}),
    ]
    nodes += [("ConstantOfShape", ["h_shape"], ["h_0"], {})]
    for step in range(4):
        nodes += [
            ("Gather", ["x", f"at{step}"], [f"x_{step}"], {"axis": 1}),
            ("MatMul", [f"h_{step}", "W"], [f"p_{step}"], {}),
            ("Add", [f"p_{step}", f"x_{step}"], [f"s_{step}"], {}),
            ("Tanh", [f"s_{step}"], [f"h_{step + 1}"], {}),
            ("Unsqueeze", [f"h_{step + 1}", "ones"], [f"u_{step}"], {}),
            ("Shape", [f"u_{step}"], [f"z_{step}"], {}),
            ("Expand", [f"at{step}", f"z_{step}"], [f"i_{step}"], {}),
            ("ScatterElements", [f"o_{step}", f"i_{step}", f"u_{step}"], [f"o_{step + 1}"], {"axis": 1}),
        ]
    known = (
        KNOWN | {f"at{step}": np.array(step) for step in range(4)} | {"W": 0.5 * floats(4, 4), "four": np.array([4])}
    )
    net = check(model_of(nodes, {"x": (FLOAT, ["B", 4, 4])}, ["o_4"], **known), {"x": floats(3, 4, 4)})
    assert "rg.dynamic_rnn(" in net.script()


def test_entries_that_are_written_at_fed_indices() -> None:
    nodes = [("ScatterElements", ["x", "at", "u"], ["y"], {"axis": 1, "reduction": "add"})]
    inputs = X | {"at": (INT, ["B", 2, 4]), "u": (FLOAT, ["B", 2, 4])}
    at = np.stack([np.full((2, 4), 1), np.full((2, 4), -1)], 1)
    check(model_of(nodes, inputs, ["y"]), {"x": floats(2, 5, 4), "at": at, "u": floats(2, 2, 4)})
    inputs = X | {"at": (INT, ["N", 2]), "u": (FLOAT, ["N", 4])}
    model = model_of([("ScatterND", ["x", "at", "u"], ["y"], {})], inputs, ["y"])
    with pytest.raises(rg.NotReadableError, match="the indices to which it writes are computed at run time"):
        rg.read_onnx(model)


def test_a_number_that_is_written_where_a_mask_is_true() -> None:
    """The model is ``x[x < 0] = 0.5``. The newer exporter repeats the number for each index."""
    nodes = [
        ("Less", ["x", "low"], ["mask"], {}),
        ("NonZero", ["mask"], ["at"], {}),
        ("Transpose", ["at"], ["places"], {"perm": [1, 0]}),
        ("Reshape", ["mask", "last"], ["flat"], {}),
        ("Cast", ["flat"], ["ones_there"], {"to": INT}),
        ("ReduceSum", ["ones_there"], ["count"], {"keepdims": 1}),
        ("Expand", ["half", "count"], ["numbers"], {}),
        ("Reshape", ["numbers", "last"], ["u"], {}),
        ("ScatterND", ["x", "places", "u"], ["y"], {}),
    ]
    net = check(model_of(nodes, X, ["y"], low=np.float32(0), **KNOWN), {"x": floats(2, 3, 4)}, {"x": floats(1, 5, 4)})
    assert "rg.where(" in net.script()
    model = model_of([*nodes[:3], ("Cast", ["places"], ["y"], {"to": FLOAT})], X, ["y"], low=np.float32(0), **KNOWN)
    with pytest.raises(rg.NotReadableError, match="it reads the indices of NonZero"):
        rg.read_onnx(model)


@pytest.mark.parametrize(("op", "sizes"), [("MaxPool", (8, 6)), ("MaxPool", (60, 160)), ("AveragePool", (7, 9))])
def test_last_windows_that_are_not_whole_along_two_axes(op: str, sizes: tuple[int, int]) -> None:
    nodes = [(op, ["x"], ["y"], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1})]
    check(model_of(nodes, {"x": (FLOAT, ["B", 2, *sizes])}, ["y"]), {"x": floats(2, 2, *sizes)})


@pytest.mark.parametrize("turned", [0, 1])
def test_products_that_turn_batches(turned: int) -> None:
    options = {"transBatchA": 1, "transA": turned, "transBatchB": 1, "transB": turned, "domain": "com.microsoft"}
    shape = {"x": (FLOAT, [5, 3, "B", 4]), "z": (FLOAT, [5, 3, "B", 4] if turned else [4, 3, "B", 5])}
    if turned:
        options |= {"transB": 0}
    model = model_of([("FusedMatMul", ["x", "z"], ["y"], options)], shape, ["y"])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    check(model, {"x": floats(5, 3, 2, 4), "z": floats(*(5, 3, 2, 4) if turned else (4, 3, 2, 5))})


def test_means_that_count_padding_of_an_open_axis_are_refused() -> None:
    options = {"kernel_shape": [2], "strides": [3], "auto_pad": "SAME_UPPER"}
    shape = {"x": (FLOAT, ["B", 2, "T"])}
    check(model_of([("AveragePool", ["x"], ["y"], options)], shape, ["y"]), {"x": floats(2, 2, 7)})
    counting = [("AveragePool", ["x"], ["y"], options | {"count_include_pad": 1})]
    with pytest.raises(rg.NotReadableError, match="its padding depends on the symbolic size of its axis"):
        rg.read_onnx(model_of(counting, shape, ["y"]))


# Sizes, fused and quantized nodes ---------------------------------------------------------------------------


def test_the_last_rows_of_a_table() -> None:
    """The model is ``table[-x.size(1):]``."""
    nodes = [
        ("Shape", ["x"], ["shape"], {"start": 1, "end": 2}),
        ("Neg", ["shape"], ["start"], {}),
        ("Slice", ["table", "start", "far", "first"], ["rows"], {}),
        ("Add", ["x", "rows"], ["y"], {}),
    ]
    model = model_of(nodes, X, ["y"], table=floats(9, 4), **KNOWN)
    net = check(model, {"x": floats(2, 3, 4)}, {"x": floats(1, 9, 4)})
    with pytest.raises(rg.ShapeError, match="does not fit T = 10"):
        net.program().inference(x=floats(2, 10, 4))


def test_outputs_that_only_sizes_are_read_of() -> None:
    """An input remains an input if only its sizes are read, because calls take the sizes from it."""
    nodes = [
        SHAPE,
        ("ConstantOfShape", ["shape"], ["zeros"], {}),
        ("Size", ["x"], ["n"], {}),
        ("Cast", ["n"], ["count"], {"to": FLOAT}),
    ]
    model = model_of(nodes, X, ["zeros", "count"])
    net = check(model, {"x": floats(2, 3, 4)}, {"x": floats(1, 5, 4)})
    assert [*net.inputs] == ["x"]
    x = floats(2, 3, 4)
    x[0, 0, 0] = np.nan
    assert net.program().inference(x=x)["count"] == 24
    assert not net.program().inference(x=x)["zeros"].any()


def test_lengths_after_a_convolution_with_strides() -> None:
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}),
        ("Conv", ["t", "k"], ["c"], {"strides": [2], "pads": [1, 1]}),
        ("Transpose", ["c"], ["f"], {"perm": [2, 0, 1]}),
        ("Add", ["n", "one"], ["n1"], {}),
        ("Div", ["n1", "two"], ["half_n"], {}),
        ("Cast", ["half_n"], ["lengths"], {"to": TensorProto.INT32}),
        ("GRU", ["f", "W", "R", "", "lengths"], ["y", "h"], {"hidden_size": 5}),
    ]
    arrays = KNOWN | {"k": floats(3, 4, 3), "W": floats(1, 15, 3), "R": floats(1, 15, 5)}
    model = model_of(nodes, X | {"n": (INT, ["B"])}, ["y", "h"], **arrays)
    net = check(model, {"x": floats(3, 6, 4), "n": np.array([6, 3, 1])})
    assert "sequence_length=" in net.script()


def test_nodes_that_onnxruntime_fuses_and_quantizes() -> None:
    """The file has FusedConv, FusedMatMul, BiasGelu, and an integer convolution."""
    helper_domain = {"domain": "com.microsoft"}
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}),
        ("FusedConv", ["t", "k", "b"], ["c"], {"pads": [2, 0], "activation": "Relu", **helper_domain}),
        ("FusedMatMul", ["c", "m"], ["p"], {"transA": 1, "alpha": 0.5, **helper_domain}),
        ("BiasGelu", ["p", "b"], ["y"], helper_domain),
    ]
    model = model_of(nodes, X, ["y"], k=floats(3, 4, 3), b=floats(3), m=floats(3, 3))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "rg.conv1d(" in check(model, {"x": floats(2, 6, 4)}).script()
    kernel = RANDOM.integers(0, 255, (3, 4, 3)).astype(np.uint8)
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}),
        ("DynamicQuantizeLinear", ["t"], ["q", "qs", "qz"], {}),
        ("ConvInteger", ["q", "k", "qz", "kz"], ["whole"], {"pads": [1, 1]}),
        ("Cast", ["whole"], ["f"], {"to": FLOAT}),
        ("Mul", ["qs", "ks"], ["s"], {}),
        ("Mul", ["f", "s"], ["y"], {}),
    ]
    model = model_of(nodes, X, ["y"], k=kernel, kz=np.uint8(120), ks=np.float32(0.01))
    x = floats(2, 6, 4)
    expected = by_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_allclose(rg.read_onnx(model).program().inference(x=x)["y"], expected, atol=0.1)


def test_rows_of_all_steps_after_a_pool_are_split() -> None:
    """Nets for lines of text merge two axes of [T//2+1, B, n] for a layer, and split them again."""
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}),
        ("MaxPool", ["t"], ["p"], {"kernel_shape": [2], "strides": [2], "pads": [1, 1]}),
        ("Transpose", ["p"], ["s"], {"perm": [2, 0, 1]}),
        ("Shape", ["s"], ["own"], {"start": 0, "end": 2}),
        ("Reshape", ["s", "flat"], ["rows"], {}),
        ("MatMul", ["rows", "k"], ["r"], {}),
        ("Concat", ["own", "rest"], ["sizes"], {"axis": 0}),
        ("Reshape", ["r", "sizes"], ["y"], {}),
    ]
    model = model_of(nodes, X, ["y"], flat=[-1, 4], k=floats(4, 3), rest=[-1])
    net = check(model, *({"x": floats(rows, steps, 4)} for rows, steps in ((2, 6), (3, 5), (1, 1))))
    reread = rg.read_onnx(written(net.program())).program()
    fed = {"x": floats(2, 7, 4)}
    assert_same(ours(reread, fed), by_onnxruntime(model, fed))


def test_a_number_around_an_array_is_padding() -> None:
    nodes = [
        ("Shape", ["x"], ["rows"], {"start": 0, "end": 1}),
        ("Concat", ["rows", "one", "width"], ["s"], {"axis": 0}),
        ("ConstantOfShape", ["s"], ["o"], {}),
        ("Expand", ["half", "s"], ["h"], {}),
        ("Concat", ["o", "o", "x"], ["y"], {"axis": 1}),
        ("Concat", ["h", "x", "h"], ["z"], {"axis": -2}),
        ("Concat", ["h", "x", "o"], ["w"], {"axis": 1}),
    ]
    model = model_of(nodes, X, ["y", "z", "w"], one=[1], width=[4], half=np.full((1, 1, 1), 0.5, np.float32))
    text = check(model, {"x": floats(2, 3, 4)}, {"x": floats(1, 1, 4)}).script()
    assert "rg.pad(x, {1: (2, 0)})" in text
    assert "rg.pad(x, {1: (1, 1)}, value=0.5)" in text


def test_a_size_with_a_number_out_of_range_of_its_dtype() -> None:
    """``write_onnx`` casts floats to integers, and values out of range saturate."""
    nodes = [
        ("Shape", ["x"], ["shape"], {"start": 1, "end": 2}),
        ("Cast", ["shape"], ["size"], {"to": FLOAT}),
        ("LessOrEqual", ["far", "size"], ["beyond"], {}),
        ("Where", ["beyond", "far", "size"], ["y"], {}),
    ]
    model = model_of(nodes, X, ["y"], far=np.float32(2.0**63))
    check(model, {"x": floats(2, 3, 4)}, {"x": floats(1, 5, 4)})


def graph_of(op: str, result: str, *operands: str) -> Any:
    """Return an inner graph of one node."""
    node = helper.make_node(op, list(operands), [result])
    return helper.make_graph([node], result, [], [helper.make_tensor_value_info(result, FLOAT, None)])


def test_a_call_selects_one_of_two_graphs_with_equal_outputs() -> None:
    """The model is torch's ``if h.max() > 0``, scripted."""
    nodes = [
        ("ReduceMax", ["x"], ["most"], {"keepdims": 0}),
        ("Greater", ["most", "bound"], ["is_far"], {}),
        ("If", ["is_far"], ["y"], {"then_branch": graph_of("Neg", "a", "x"), "else_branch": graph_of("Exp", "b", "x")}),
    ]
    model = model_of(nodes, X, ["y"], bound=np.float32(1))
    x = floats(2, 3, 4)
    assert "rg.where(" in check(model, {"x": 0.1 * x}, {"x": 9 * np.abs(x)}).script()
    nodes[2][3]["then_branch"] = graph_of("Size", "a", "x")
    with pytest.raises(
        rg.NotReadableError, match=r"computed at run time, and its branches return int64\[\] or float32\[B,T,4\]"
    ):
        rg.read_onnx(model_of(nodes, X, ["y"], bound=np.float32(1)))


@pytest.mark.parametrize(
    ("activation", "numbers"),
    [
        ("Elu", {"alpha": 0.5}),
        ("Selu", {"alpha": 1.5, "gamma": 0.75}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("ThresholdedRelu", {"alpha": 0.25}),
        ("HardSigmoid", {"alpha": 0.25, "beta": 0.5}),
        ("LeakyRelu", {"alpha": 0.1}),
        ("LeakyRelu", {"alpha": 0.1, "beta": 0.5}),
        ("Softplus", {"beta": 0.5}),
    ],
)
def test_activations_that_onnxruntime_puts_into_products(activation: str, numbers: dict[str, float]) -> None:
    options = {f"activation_{key}": number for key, number in numbers.items()}
    nodes = [("FusedGemm", ["x", "k", "b"], ["y"], {"domain": "com.microsoft", "activation": activation, **options})]
    model = model_of(nodes, {"x": (FLOAT, ["B", 4])}, ["y"], k=floats(4, 3), b=floats(3))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    check(model, {"x": floats(9, 4)})


@pytest.mark.parametrize(("activation", "numbers"), [("HardSigmoid", {"beta": 0.5}), ("LeakyRelu", {"beta": 0.5})])
def test_activations_of_products_need_their_parameters(activation: str, numbers: dict[str, float]) -> None:
    """onnxruntime has no defaults, and refuses the files as well."""
    options = {f"activation_{key}": number for key, number in numbers.items()}
    nodes = [("FusedGemm", ["x", "k"], ["y"], {"domain": "com.microsoft", "activation": activation, **options})]
    model = model_of(nodes, {"x": (FLOAT, ["B", 4])}, ["y"], k=floats(4, 3))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(rg.NotReadableError, match="its attribute activation_alpha is missing"):
        rg.read_onnx(model)


def test_samples_in_frames() -> None:
    """The models are ``x.view(B, -1, 8)``, and ``x[:, :T // 3 * 3]`` before three steps become one."""
    frames = model_of([("Reshape", ["x", "sizes"], ["y"], {})], X, ["y"], sizes=[0, -1, 8])
    net = check(frames, {"x": floats(2, 4, 4)}, {"x": floats(1, 6, 4)})
    with pytest.raises(rg.ShapeError):
        net.program().inference(x=floats(2, 5, 4))
    nodes = [
        ("Shape", ["x"], ["steps"], {"start": 1, "end": 2}),
        ("Div", ["steps", "three"], ["groups"], {}),
        ("Mul", ["groups", "three"], ["all"], {}),
        ("Slice", ["x", "first", "all", "one"], ["whole"], {}),
        ("Reshape", ["whole", "sizes"], ["y"], {}),
        ("Tanh", ["whole"], ["z"], {}),
    ]
    model = model_of(nodes, X, ["y", "z"], three=[3], first=[0], one=[1], sizes=[0, -1, 12])
    net = check(model, *({"x": floats(2, steps, 4)} for steps in (3, 4, 5, 6, 13)))
    assert "x[:, 0:-2:3]" in net.script()


def test_steps_that_are_rows_for_a_layer_stay_steps() -> None:
    """A net with ``log_softmax(head(y.view(-1, n)), 1).view(T, B, -1)`` still streams."""
    nodes = [
        ("LSTM", ["x", "W", "R"], ["y", "", ""], {"hidden_size": 5}),
        ("Squeeze", ["y", "one"], ["s"], {}),
        ("Reshape", ["s", "flat"], ["rows"], {}),
        ("Gemm", ["rows", "k", "b"], ["g"], {}),
        ("Tanh", ["g"], ["t"], {}),
        ("LogSoftmax", ["t"], ["p"], {"axis": 1}),
        ("Shape", ["x"], ["own"], {"start": 0, "end": 2}),
        ("Concat", ["own", "last"], ["sizes"], {"axis": 0}),
        ("Reshape", ["p", "sizes"], ["z"], {}),
    ]
    arrays = {"W": floats(1, 20, 4), "R": floats(1, 20, 5), "k": floats(5, 3), "b": floats(3), "flat": [-1, 5]}
    model = model_of(nodes, {"x": (FLOAT, ["T", "B", 4])}, ["z"], one=[1], last=[-1], **arrays)
    net = check(model, {"x": floats(3, 2, 4)}, {"x": floats(1, 1, 4)})
    assert "reshape" not in net.script()
    x = floats(3, 2, 4)
    program = net.program()
    stream, whole = program.inference.stream(batch=2), program.inference(x=x)["z"]
    assert all(np.array_equal(stream.step(x=x[step])["z"], whole[step]) for step in range(3))


def test_numbers_of_which_there_are_half_as_many_as_steps() -> None:
    """The models are ``torch.zeros(B, x.size(1) // 2)`` and the same with ``(x.size(1) + 1) // 2``."""
    nodes = [
        ("Shape", ["x"], ["rows"], {"start": 0, "end": 1}),
        ("Shape", ["x"], ["steps"], {"start": 1, "end": 2}),
        ("Div", ["steps", "two"], ["half"], {}),
        ("Add", ["steps", "one"], ["more"], {}),
        ("Div", ["more", "two"], ["half_up"], {}),
        ("Concat", ["rows", "half"], ["s"], {"axis": 0}),
        ("Concat", ["rows", "half_up"], ["s_up"], {"axis": 0}),
        ("Expand", ["c", "s"], ["y"], {}),
        ("Expand", ["c", "s_up"], ["z"], {}),
    ]
    model = model_of(nodes, X, ["y", "z"], one=[1], two=[2], c=floats(1, 1))
    check(model, *({"x": floats(2, steps, 4)} for steps in (2, 3, 4, 7)))
