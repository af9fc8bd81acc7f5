"""Scan and Loop nodes that become cells: onnxruntime's results, and the script's text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_models import changed_model
from onnx_files import assert_same, by_onnxruntime, ours

import rnngraph as rg

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip

INPUTS, UNITS = 3, 4
RANDOM = np.random.default_rng(0)
KERNEL = 0.5 * RANDOM.standard_normal((INPUTS, UNITS)).astype(np.float32)
RECURRENT = 0.5 * RANDOM.standard_normal((UNITS, UNITS)).astype(np.float32)
Arrays = dict[str, np.ndarray]


def info(name: str, shape: Sequence[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], arrays: Arrays | None = None) -> Any:
    known = {"W": KERNEL, "R": RECURRENT} | (arrays or {})
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in known.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def plain_step(x: str, h: str, to: str) -> list[Any]:
    return [
        helper.make_node("MatMul", [x, "W"], ["from_x"]),
        helper.make_node("MatMul", [h, "R"], ["from_h"]),
        helper.make_node("Add", ["from_x", "from_h"], ["sum"]),
        helper.make_node("Tanh", ["sum"], [to]),
    ]


def check(model: Any, feeds: Arrays, script_too: bool = True) -> rg.Program:
    """Check that the net, and the script that it writes, have onnxruntime's results."""
    pytest.importorskip("onnxruntime")
    net = rg.read_onnx(model)
    program = net.program()
    results = ours(program, feeds)
    expected = by_onnxruntime(model, feeds)
    assert_same(results, expected)
    if script_too:
        namespace: dict[str, Any] = {"__file__": str(Path("net.py").resolve())}
        net.save(".")
        exec(compile(Path("net.py").read_text(), "net.py", "exec"), namespace)
        assert_same(ours(namespace["program"], feeds), expected)
    return program


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


pytestmark = pytest.mark.peers

# Scan ------------------------------------------------------------------------------------------------


def scan(attributes: dict[str, Any], axes: Sequence[Any] = ("T", "B"), out: Sequence[Any] | None = None) -> Any:
    body = helper.make_graph(
        [*plain_step("x_t", "h_t", "h_n"), helper.make_node("Mul", ["h_n", "h_n"], ["y_t"])],
        "body",
        [info("h_t", ["B", UNITS]), info("x_t", ["B", INPUTS])],
        [info("h_n", ["B", UNITS]), info("y_t", ["B", UNITS])],
    )
    node = helper.make_node("Scan", ["h", "x"], ["last", "y"], body=body, num_scan_inputs=1, **attributes)
    outputs = [info("last", ["B", UNITS]), info("y", out or [*axes, UNITS])]
    return model_of([node], [info("h", ["B", UNITS]), info("x", [*axes, INPUTS])], outputs)


def feeds(*axes: int) -> Arrays:
    return {"x": floats(*axes, INPUTS), "h": floats(2, UNITS)}


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_a_scan_is_a_driver_of_a_cell_of_its_own() -> None:
    model = scan({})
    check(model, feeds(5, 2))
    text = rg.read_onnx(model).script()
    assert "class Steps(rg.Cell):" in text
    assert "rg.dynamic_rnn(Steps(), x_1, time_major=True, initial_state=x, scope='rnn')" in text


@pytest.mark.parametrize("inward", [0, 1])
@pytest.mark.parametrize("outward", [0, 1])
def test_directions_of_a_scan(inward: int, outward: int) -> None:
    check(scan({"scan_input_directions": [inward], "scan_output_directions": [outward]}), feeds(5, 2), False)


def test_axes_of_a_scan() -> None:
    attributes = {"scan_input_axes": [1], "scan_output_axes": [2]}
    check(scan(attributes, ("B", "T"), ("B", UNITS, "T")), feeds(2, 5))
    check(scan({"scan_input_axes": [-2], "scan_output_axes": [1]}, ("B", "T")), feeds(2, 5), False)
    turned = {"scan_input_axes": [1], "scan_output_directions": [1]}
    check(scan(turned, ("B", "T"), ("T", "B", UNITS)), feeds(2, 5), False)


def test_one_row_without_an_axis_for_it() -> None:
    """The loop has vectors, a carried scalar, and a scalar that each step outputs."""
    body = helper.make_graph(
        [
            *plain_step("x_t", "h_t", "h_n"),
            helper.make_node("ReduceMax", ["h_n"], ["m_t"], keepdims=0),
            helper.make_node("Add", ["s_t", "m_t"], ["s_n"]),
            helper.make_node("Identity", ["s_n"], ["out"]),
        ],
        "body",
        [info("h_t", [UNITS]), info("s_t", []), info("x_t", [INPUTS])],
        [info("h_n", [UNITS]), info("s_n", []), info("out", [])],
    )
    node = helper.make_node("Scan", ["h", "zero", "x"], ["last", "total", "y"], body=body, num_scan_inputs=1)
    outputs = [info("last", [UNITS]), info("total", []), info("y", ["T"])]
    model = model_of([node], [info("h", [UNITS]), info("x", ["T", INPUTS])], outputs, {"zero": np.float32(0)})
    check(model, {"h": floats(UNITS), "x": floats(5, INPUTS)})


def test_several_inputs_of_several_kinds() -> None:
    """The loop has a mask, ids, a matrix as the state, and a value from outside that a step reads."""
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "id_t"], ["row"]),
            helper.make_node("Mul", ["row", "scale"], ["scaled"]),
            helper.make_node("Unsqueeze", ["scaled", "axis"], ["wide"]),
            helper.make_node("Add", ["m_t", "wide"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["new"]),
            helper.make_node("Unsqueeze", ["mask_t", "axes"], ["runs"]),
            helper.make_node("Where", ["runs", "new", "m_t"], ["m_n"]),
            helper.make_node("ReduceSum", ["m_n", "axis"], ["y_t"], keepdims=0),
        ],
        "body",
        [info("m_t", ["B", 2, 3]), info("id_t", ["B"], TensorProto.INT64), info("mask_t", ["B"], TensorProto.BOOL)],
        [info("m_n", ["B", 2, 3]), info("y_t", ["B", 3])],
    )
    nodes = [
        helper.make_node("Exp", ["log_scale"], ["scale"]),
        helper.make_node("Scan", ["m", "ids", "mask"], ["last", "y"], body=body, num_scan_inputs=2),
    ]
    inputs = [
        info("m", ["B", 2, 3]),
        info("ids", ["T", "B"], TensorProto.INT64),
        info("mask", ["T", "B"], TensorProto.BOOL),
        info("log_scale", ["B", 3]),
    ]
    arrays = {"table": floats(7, 3), "axis": np.array([1]), "axes": np.array([1, 2])}
    model = model_of(nodes, inputs, [info("last", ["B", 2, 3]), info("y", ["T", "B", 3])], arrays)
    fed = {
        "m": floats(2, 2, 3),
        "ids": RANDOM.integers(0, 7, (5, 2)),
        "mask": RANDOM.random((5, 2)) < 0.5,
        "log_scale": floats(2, 3),
    }
    check(model, fed)


def test_loops_that_no_cell_can_express_are_listed() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["a_t"], ["a_n"]), helper.make_node("Identity", ["b_t"], ["b_n"])],
        "body",
        [info("a_t", ["A", 3]), info("b_t", [3, "B"]), info("x_t", ["A", 3])],
        [info("a_n", ["A", 3]), info("b_n", [3, "B"])],
    )
    node = helper.make_node("Scan", ["a", "b", "x"], ["c", "d"], body=body, num_scan_inputs=1, name="both")
    inputs = [info("a", ["A", 3]), info("b", [3, "B"]), info("x", ["T", "A", 3])]
    model = model_of([node], inputs, [info("c", ["A", 3]), info("d", [3, "B"])])
    with pytest.raises(
        rg.NotReadableError, match=r"node 'both' .Scan.: the values of a loop have symbolic sizes, but share no axis"
    ):
        rg.read_onnx(model)


# Loop ------------------------------------------------------------------------------------------------


def constant(name: str, value: Any, dtype: str = "int64") -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value, dtype)))


def size_of(x: str, axis: int, to: str) -> list[Any]:
    return [
        helper.make_node("Shape", [x], [f"{to}_shape"]),
        constant(f"{to}_axis", axis),
        helper.make_node("Gather", [f"{to}_shape", f"{to}_axis"], [to]),
    ]


@pytest.mark.parametrize("back", [False, True])
def test_a_loop_over_the_steps_of_an_input(back: bool) -> None:
    """The loop is torch's ``for i in range(x.size(1)): h = f(x[:, i], h)``, or with ``x[:, x.size(1) - 1 - i]``."""
    place = [constant("one", 1), helper.make_node("Sub", ["steps", "one"], ["end"])] if back else []
    body = helper.make_graph(
        [
            *([helper.make_node("Sub", ["end", "i"], ["place"])] if back else []),
            helper.make_node("Gather", ["x", "place" if back else "i"], ["x_t"], axis=1),
            *plain_step("x_t", "h_t", "h_n"),
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Identity", ["h_n"], ["y_t"]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h_t", ["B", UNITS])],
        [info("on", [], TensorProto.BOOL), info("h_n", ["B", UNITS]), info("y_t", ["B", UNITS])],
    )
    run = helper.make_node("Loop", ["steps", "", "h"], ["last", "y"], body=body)
    outputs = [info("last", ["B", UNITS]), info("y", ["T", "B", UNITS])]
    inputs = [info("x", ["B", "T", INPUTS]), info("h", ["B", UNITS])]
    model = model_of([*size_of("x", 1, "steps"), *place, run], inputs, outputs)
    check(model, feeds(2, 5))
    text = rg.read_onnx(model).script()
    assert f"rg.dynamic_rnn(Steps(), {'x[:, ::-1]' if back else 'x'}, initial_state=x_1, scope='rnn')" in text


@pytest.mark.parametrize("back", [False, True])
def test_steps_that_append_to_a_sequence(back: bool) -> None:
    """The loop is torch's ``for i in range(x.size(1)): h = f(x[:, i], h); outputs.append(h)``, scripted.

    Loop invariants are nodes of the body.
    """
    place = [constant("one", 1), helper.make_node("Sub", ["steps", "one"], ["end"])]
    body = helper.make_graph(
        [
            constant("zero", [0]),
            constant("far", [2**63 - 1]),
            constant("ones", [1]),
            helper.make_node("Slice", ["x", "zero", "far", "zero", "ones"], ["all"]),
            *([*place, helper.make_node("Sub", ["end", "i"], ["place"])] if back else []),
            helper.make_node("Gather", ["all", "place" if back else "i"], ["x_t"], axis=1),
            *plain_step("x_t", "h_t", "h_n"),
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("SequenceInsert", ["list", "h_n"], ["longer"]),
        ],
        "body",
        [
            info("i", [], TensorProto.INT64),
            info("go", [], TensorProto.BOOL),
            sequence("list"),
            info("h_t", ["B", UNITS]),
        ],
        [info("on", [], TensorProto.BOOL), sequence("longer"), info("h_n", ["B", UNITS])],
    )
    nodes = [
        *size_of("x", 1, "steps"),
        helper.make_node("SequenceEmpty", [], ["empty"]),
        helper.make_node("Loop", ["steps", "", "empty", "h"], ["all_h", "last"], body=body),
        helper.make_node("ConcatFromSequence", ["all_h"], ["y"], axis=1, new_axis=1),
        helper.make_node("ConcatFromSequence", ["all_h"], ["wide"], axis=0),
    ]
    outputs = [info("last", ["B", UNITS]), info("y", ["B", "T", UNITS]), info("wide", ["N", UNITS])]
    model = model_of(nodes, [info("x", ["B", "T", INPUTS]), info("h", ["B", UNITS])], outputs)
    check(model, feeds(2, 5))
    text = rg.read_onnx(model).script()
    assert f"rg.dynamic_rnn(Steps(), {'x[:, ::-1]' if back else 'x'}, initial_state=x_1, scope='rnn')" in text


@pytest.mark.parametrize("layers", [1, 2])
def test_rows_on_a_later_axis(layers: int) -> None:
    """Steps of torch's loop carry and output a state [layers, B, units]."""
    body = helper.make_graph(
        make_nodes(
            [
                ("Add", ["h_t", "x_t"], "sum", {}),
                ("Tanh", ["sum"], "h_n", {}),
                ("Identity", ["h_n"], "y_t", {}),
                ("Neg", ["x_t"], "z_t", {}),
            ]
        ),
        "body",
        [info("h_t", [layers, "B", INPUTS]), info("x_t", ["B", INPUTS])],
        [info("h_n", [layers, "B", INPUTS]), info("y_t", [layers, "B", INPUTS]), info("z_t", ["B", INPUTS])],
    )
    nodes = [
        *make_nodes(
            [("Transpose", ["x"], "turned", {"perm": [1, 0, 2]}), ("Concat", ["h"] * layers, "all_h", {"axis": 0})]
        ),
        helper.make_node("Scan", ["all_h", "turned"], ["last", "y", "z"], body=body, num_scan_inputs=1),
    ]
    inputs = [info("x", ["B", "T", INPUTS]), info("h", [1, "B", INPUTS])]
    outputs = [
        info("last", [layers, "B", INPUTS]),
        info("y", ["T", layers, "B", INPUTS]),
        info("z", ["T", "B", INPUTS]),
    ]
    model = model_of(nodes, inputs, outputs)
    draw = np.random.default_rng(layers)
    for rows, steps in ((2, 5), (1, 1), (3, 2)):
        shapes = {"x": (rows, steps, INPUTS), "h": (1, rows, INPUTS)}
        check(model, {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()})


@pytest.mark.parametrize(("pace", "sequence_of"), [(1, "x[:, 1:]"), (-1, "x[:, ::-1]"), (2, "x[:, 1::2]")])
def test_steps_of_a_range(pace: int, sequence_of: str) -> None:
    """The loops are torch's ``range(1, x.size(1))``, also with a step of 2, and ``range(x.size(1) - 1, -1, -1)`` with
    ``outputs.insert(0, h)``.

    The number of steps is computed with floats.
    """
    back = pace < 0
    body = helper.make_graph(
        [
            constant("first_of_all", 0),
            *make_nodes(
                [
                    ("Mul", ["i", "pace"], "far", {}),
                    ("Add", ["begin", "far"], "place", {}),
                    ("Gather", ["x", "place"], "x_t", {"axis": 1}),
                ]
            ),
            *plain_step("x_t", "h_t", "h_n"),
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("SequenceInsert", ["list", "h_n", *(["first_of_all"] if back else [])], ["longer"]),
        ],
        "body",
        [
            info("i", [], TensorProto.INT64),
            info("go", [], TensorProto.BOOL),
            sequence("list"),
            info("h_t", ["B", UNITS]),
        ],
        [info("on", [], TensorProto.BOOL), sequence("longer"), info("h_n", ["B", UNITS])],
    )
    range_of = [("Sub", ["steps", "one"], "begin", {})] if back else [("Identity", ["one"], "begin", {})]
    nodes = [
        *size_of("x", 1, "steps"),
        constant("one", 1),
        constant("pace", pace),
        constant("end", -1),
        helper.make_node("SequenceEmpty", [], ["empty"]),
        *make_nodes(
            [
                *range_of,
                ("Sub", ["end" if back else "steps", "begin"], "all", {}),
                ("Cast", ["all"], "as_float", {"to": 1}),
                ("Cast", ["pace"], "float_pace", {"to": 1}),
                ("Div", ["as_float", "float_pace"], "quotient", {}),
                ("Ceil", ["quotient"], "up", {}),
                ("Cast", ["up"], "count", {"to": 7}),
            ]
        ),
        helper.make_node("Loop", ["count", "", "empty", "h"], ["all_h", "last"], body=body),
        helper.make_node("ConcatFromSequence", ["all_h"], ["y"], axis=1, new_axis=1),
    ]
    outputs = [info("last", ["B", UNITS]), info("y", ["B", "steps", UNITS])]
    model = model_of(nodes, [info("x", ["B", "T", INPUTS]), info("h", ["B", UNITS])], outputs)
    check(model, feeds(2, 5))
    check(model, feeds(2, 4))
    assert f"rg.dynamic_rnn(Steps(), {sequence_of}, " in rg.read_onnx(model).script()


@pytest.mark.parametrize(("back", "time_major"), [(False, False), (True, False), (False, True)])
def test_steps_that_write_to_an_array(back: bool, time_major: bool) -> None:
    """The loop is torch's ``y[:, t] = h`` or ``y[t] = h``, scripted, forward and backward. Steps read y's shape."""
    by_rows = [
        ("Gather", ["y_t", "place"], "old", {"axis": 1}),
        ("Shape", ["old"], "old_shape", {}),
        ("Expand", ["h_n", "old_shape"], "updates", {}),
        ("Shape", ["y_t"], "whole", {}),
        ("Gather", ["whole", "zero"], "rows", {}),
        ("Range", ["zero", "rows", "single"], "r", {}),
        ("Unsqueeze", ["place", "front"], "at", {}),
        ("Add", ["r", "at"], "both", {}),
        ("Shape", ["both"], "wide", {}),
        ("Expand", ["r", "wide"], "rows_in", {}),
        ("Expand", ["at", "wide"], "at_in", {}),
        ("Unsqueeze", ["rows_in", "column"], "r_of", {}),
        ("Unsqueeze", ["at_in", "column"], "at_of", {}),
        ("Concat", ["r_of", "at_of"], "index", {"axis": -1}),
    ]
    by_steps = [("Unsqueeze", ["place", "column"], "index", {}), ("Identity", ["h_n"], "updates", {})]
    shape = ["T", "B", UNITS] if time_major else ["B", "T", UNITS]
    states = [info("h_t", ["B", UNITS]), info("y_t", shape)]
    body = helper.make_graph(
        [
            constant("zero", 0),
            constant("single", 1),
            constant("column", [-1]),
            *make_nodes(
                [
                    ("Sub", ["end", "i"], "place", {}) if back else ("Identity", ["i"], "place", {}),
                    ("Gather", ["x", "place"], "x_t", {"axis": 1}),
                ]
            ),
            *plain_step("x_t", "h_t", "h_n"),
            *make_nodes(by_steps if time_major else by_rows),
            *make_nodes([("ScatterND", ["y_t", "index", "updates"], "y_n", {}), ("Identity", ["go"], "on", {})]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), *states],
        [info("on", [], TensorProto.BOOL), info("h_n", ["B", UNITS]), info("y_n", shape)],
    )
    sizes = ["steps_of", "rows_of", "units"] if time_major else ["rows_of", "steps_of", "units"]
    nodes = [
        *size_of("x", 1, "steps"),
        *size_of("x", 0, "batch"),
        constant("units", [UNITS]),
        constant("front", [0]),
        constant("one", 1),
        *make_nodes(
            [
                ("Sub", ["steps", "one"], "end", {}),
                ("Unsqueeze", ["steps", "front"], "steps_of", {}),
                ("Unsqueeze", ["batch", "front"], "rows_of", {}),
                ("Concat", sizes, "shape_of_y", {"axis": 0}),
                ("ConstantOfShape", ["shape_of_y"], "zeros", {}),
            ]
        ),
        helper.make_node("Loop", ["steps", "", "h", "zeros"], ["last", "y"], body=body),
    ]
    inputs = [info("x", ["B", "T", INPUTS]), info("h", ["B", UNITS])]
    model = model_of(nodes, inputs, [info("last", ["B", UNITS]), info("y", shape)])
    check(model, feeds(2, 5))
    text = rg.read_onnx(model).script()
    assert f"rg.dynamic_rnn(Steps(), {'x[:, ::-1]' if back else 'x'}, initial_state=x_1, scope='rnn')" in text


def make_nodes(nodes: Sequence[tuple[str, list[str], str, dict[str, Any]]]) -> list[Any]:
    return [helper.make_node(op, operands, [result], **more) for op, operands, result, more in nodes]


def test_an_array_that_steps_both_write_and_read_is_refused() -> None:
    nodes = [
        ("Gather", ["x", "i"], "x_t", {"axis": 1}),
        ("Gather", ["y_t", "zero"], "h_t", {}),
        ("Unsqueeze", ["i", "column"], "index", {}),
        ("ScatterND", ["y_t", "index", "h_n"], "y_n", {}),
        ("Identity", ["go"], "on", {}),
    ]
    body = helper.make_graph(
        [
            constant("zero", 0),
            constant("column", [-1]),
            *make_nodes(nodes[:2]),
            *plain_step("x_t", "h_t", "h_n"),
            *make_nodes(nodes[2:]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("y_t", ["T", "B", UNITS])],
        [info("on", [], TensorProto.BOOL), info("y_n", ["T", "B", UNITS])],
    )
    run = helper.make_node("Loop", ["steps", "", "h"], ["y"], body=body)
    inputs = [info("x", ["B", "T", INPUTS]), info("h", ["T", "B", UNITS])]
    model = model_of([*size_of("x", 1, "steps"), run], inputs, [info("y", ["T", "B", UNITS])])
    with pytest.raises(rg.NotReadableError, match="Loop"):
        rg.read_onnx(model)


def sequence(name: str) -> Any:
    return helper.make_tensor_sequence_value_info(name, TensorProto.FLOAT, None)


def test_steps_of_an_array_that_is_split_into_a_sequence() -> None:
    """The loop is torch's ``for f in x.unbind(1)``, scripted."""
    body = helper.make_graph(
        [
            helper.make_node("SequenceAt", ["parts", "i"], ["x_t"]),
            *plain_step("x_t", "h_t", "h_n"),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h_t", ["B", UNITS])],
        [info("on", [], TensorProto.BOOL), info("h_n", ["B", UNITS])],
    )
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=1, keepdims=0),
        helper.make_node("SequenceLength", ["parts"], ["steps"]),
        helper.make_node("Loop", ["steps", "", "h"], ["last"], body=body),
    ]
    inputs = [info("x", ["B", "T", INPUTS]), info("h", ["B", UNITS])]
    model = model_of(nodes, inputs, [info("last", ["B", UNITS])])
    check(model, feeds(2, 5))
    assert "rg.dynamic_rnn(Steps(), x, initial_state=x_1, scope='rnn')" in rg.read_onnx(model).script()


@pytest.mark.parametrize(("op", "gates"), [("GRU", 3), ("LSTM", 4)])
def test_a_layer_within_a_step_has_the_weights_of_the_file(op: str, gates: int) -> None:
    """Exporters write torch's cell inside of a loop as a recurrent node over one step."""
    nodes = [
        constant("first", [0]),
        helper.make_node("Unsqueeze", ["x_t", "first"], ["long"]),
        helper.make_node("Unsqueeze", ["h_t", "first"], ["ahead"]),
        helper.make_node(op, ["long", "kernel", "recurrent", "", "", "ahead"], ["", "deep"], hidden_size=UNITS),
        helper.make_node("Squeeze", ["deep", "first"], ["h_n"]),
        helper.make_node("Identity", ["h_n"], ["y_t"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [info("h_t", ["B", UNITS]), info("x_t", ["B", INPUTS])],
        [info("h_n", ["B", UNITS]), info("y_t", ["B", UNITS])],
    )
    node = helper.make_node("Scan", ["h", "x"], ["last", "y"], body=body, num_scan_inputs=1)
    outputs = [info("last", ["B", UNITS]), info("y", ["T", "B", UNITS])]
    arrays = {"kernel": floats(1, gates * UNITS, INPUTS), "recurrent": floats(1, gates * UNITS, UNITS)}
    model = model_of([node], [info("h", ["B", UNITS]), info("x", ["T", "B", INPUTS])], outputs, arrays)
    check(model, feeds(5, 2))


def while_loop(bound: int | None, trips: int | None, extra: Sequence[Any] = ()) -> Any:
    """Return tf2onnx's while_loop over time: a counter among the states, a condition, and arrays that pass through."""
    reading = [
        helper.make_node("Unsqueeze", ["time", "axis"], ["index"]),
        helper.make_node("Gather", ["array", "index"], ["wide"], axis=0),
        helper.make_node("Squeeze", ["wide", "axis"], ["x_t"]),
    ]
    body = helper.make_graph(
        [
            *reading,
            *plain_step("x_t", "h_t", "h_n"),
            helper.make_node("Identity", ["array"], ["array_n"]),
            helper.make_node("Add", ["time", "one"], ["time_n"]),
            helper.make_node("Less", ["time_n", "steps"], ["more"]),
            helper.make_node("And", ["more", "go"] if trips is None else ["more", "more"], ["on"]),
            helper.make_node("Cast", ["time"], ["count"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["h_n", "count"], ["y_t"]),
            *extra,
        ],
        "body",
        [
            info("i", [], TensorProto.INT64),
            info("go", [], TensorProto.BOOL),
            info("time", [], TensorProto.INT64),
            info("h_t", ["B", UNITS]),
            info("array", ["T", "B", INPUTS]),
        ],
        [
            info("on", [], TensorProto.BOOL),
            info("time_n", [], TensorProto.INT64),
            info("h_n", ["B", UNITS]),
            info("array_n", ["T", "B", INPUTS]),
            info("y_t", ["B", UNITS]),
        ],
    )
    sizes = size_of("x", 0, "steps") if bound is None else [constant("steps", bound)]
    count = [] if trips is None else [constant("trips", trips)]
    loop = helper.make_node(
        "Loop",
        ["" if trips is None else "trips", "true", "start", "h", "x"],
        ["time_last", "last", "same", "y"],
        body=body,
        name="while",
    )
    arrays = {"axis": np.array([0]), "one": np.array(1), "start": np.array(0), "true": np.array(True)}
    outputs = [
        info("time_last", [], TensorProto.INT64),
        info("last", ["B", UNITS]),
        info("same", ["T", "B", INPUTS]),
        info("y", ["S", "B", UNITS]),
    ]
    inputs = [info("x", ["T" if bound is None else bound, "B", INPUTS]), info("h", ["B", UNITS])]
    return model_of([*sizes, *count, loop], inputs, outputs, arrays)


@pytest.mark.parametrize(("bound", "trips"), [(None, None), (None, (1 << 31) - 1), (5, None), (5, 3), (5, 5)])
def test_a_while_loop_over_time(bound: int | None, trips: int | None) -> None:
    check(while_loop(bound, trips), feeds(5, 2), script_too=bound == 5)


def test_loops_that_may_end_early_are_listed() -> None:
    body = helper.make_graph(
        [
            *plain_step("x", "h_t", "h_n"),
            helper.make_node("ReduceMax", ["h_n"], ["most"], keepdims=0),
            helper.make_node("Less", ["most", "half"], ["on"]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h_t", ["B", UNITS])],
        [info("on", [], TensorProto.BOOL), info("h_n", ["B", UNITS])],
    )
    nodes = [constant("trips", 5), helper.make_node("Loop", ["trips", "", "h"], ["last"], body=body, name="early")]
    inputs = [info("x", ["B", INPUTS]), info("h", ["B", UNITS])]
    model = model_of(nodes, inputs, [info("last", ["B", UNITS])], {"half": np.float32(0.5)})
    with pytest.raises(rg.NotReadableError, match=r"node 'early' .Loop.: it may end before its last step"):
        rg.read_onnx(model)


def test_steps_without_a_sequence_of_their_own() -> None:
    """A state is updated five times by constants."""
    body = helper.make_graph(
        [*plain_step("x", "h_t", "h_n"), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("h_t", ["B", UNITS])],
        [info("on", [], TensorProto.BOOL), info("h_n", ["B", UNITS])],
    )
    nodes = [constant("trips", 5), helper.make_node("Loop", ["trips", "", "h"], ["last"], body=body)]
    model = model_of(nodes, [info("x", ["B", INPUTS]), info("h", ["B", UNITS])], [info("last", ["B", UNITS])])
    check(model, {"x": floats(2, INPUTS), "h": floats(2, UNITS)})
    assert "self.x_1 = x_1" in rg.read_onnx(model).script()


# Damaged files ----------------------------------------------------------------------------------------


def check_changed(seeds: range) -> None:
    models = [scan({}), scan({"scan_input_axes": [-2], "scan_output_axes": [1]}, ("B", "T")), while_loop(None, None)]
    for number, model in enumerate([*models, while_loop(5, 3)]):
        for seed in seeds:
            try:
                net = rg.read_onnx(changed_model(model, seed))
                net.script()
                assert net.program().inference.graph, (number, seed)
            except rg.RnnGraphError:
                continue


def test_changed_files_are_read_or_refused() -> None:
    check_changed(range(40))


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_thousands_of_changed_files(part: int) -> None:
    check_changed(range(40 + 500 * part, 40 + 500 * (part + 1)))
