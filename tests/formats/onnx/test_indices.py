"""Indices and slice bounds beyond an axis, against onnxruntime: counted from the end, clamped, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rnngraph as rg

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.peers

X = np.arange(24, dtype=np.float32).reshape(2, 4, 3)


def check_against_onnxruntime(
    path: Path, op: str, fed: dict[str, Any], constants: dict[str, Any], is_open: bool = True, **attributes: int
) -> None:
    """Check that results equal onnxruntime's, or that both raise. With ``is_open``, two axes of ``x`` are symbolic."""
    fed = {name: np.asarray(value) for name, value in fed.items()}
    inputs = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            ["rows", "steps", *array.shape[2:]] if name == "x" and is_open else array.shape,
        )
        for name, array in fed.items()
    ]
    results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    node = helper.make_node(op, [*fed, *constants], ["y"], **attributes)
    graph = helper.make_graph([node], "net", inputs, results, arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    try:
        expected = onnxruntime.InferenceSession(path).run(None, fed)[0]
    except Exception:  # onnxruntime's errors have several classes, none of them public
        with pytest.raises(rg.RnnGraphError):
            rg.read_onnx(path).program().inference(fed)
        return
    np.testing.assert_array_equal(np.asarray(rg.read_onnx(path).program().inference(fed)["y"]), expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("ids", [[-1, 0], [0, 5], [-9, 0], -1, [[1, -1]]])
def test_gather(ids: Any, axis: int, tmp_path: Path) -> None:
    check_against_onnxruntime(tmp_path / "fed.onnx", "Gather", {"x": X, "i": ids}, {}, axis=axis)
    check_against_onnxruntime(tmp_path / "held.onnx", "Gather", {"x": X}, {"i": np.asarray(ids)}, axis=axis)


def test_gather_of_a_table_of_the_file(tmp_path: Path) -> None:
    for number, ids in enumerate(([0, 1], [-1, 0], [2, 0], [-3, 0])):
        path = tmp_path / f"{number}.onnx"
        table = numpy_helper.from_array(X[:, 0], "table")
        inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, ["steps"])]
        node = helper.make_node("Gather", ["table", "i"], ["y"])
        results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        graph = helper.make_graph([node], "net", inputs, results, [table])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
        program = rg.read_onnx(path).program()
        if set(ids) <= {-2, -1, 0, 1}:
            np.testing.assert_array_equal(program.inference(i=ids)["y"], X[:, 0][ids])
        else:
            with pytest.raises(rg.ShapeError, match=r"must be in -2\.\.1"):
                program.inference(i=ids)


@pytest.mark.parametrize("is_held", [True, False])
@pytest.mark.parametrize("index", [2, -3])
def test_an_index_out_of_bounds_is_named(index: int, is_held: bool, tmp_path: Path) -> None:
    table, ids = numpy_helper.from_array(X[:, 0], "table"), numpy_helper.from_array(np.array([0, index, 1]), "i")
    node = helper.make_node("Gather", ["table", "i"], ["y"])
    inputs = [] if is_held else [helper.make_tensor_value_info("table", TensorProto.FLOAT, [2, 3])]
    results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "net", inputs, results, [table, ids] if is_held else [ids])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "x.onnx")
    with pytest.raises(
        rg.NotReadableError, match=f"index {index} is out of bounds for axis 0 of size 2; it must be -2 to 1"
    ):
        rg.read_onnx(tmp_path / "x.onnx")


@pytest.mark.parametrize("number", [-1, 3, 7, -5])
def test_entries_one_by_one(number: int, tmp_path: Path) -> None:
    one, every = np.full((2, 1, 3), number), np.full((2, 4, 3), number)
    check_against_onnxruntime(tmp_path / "one.onnx", "GatherElements", {"x": X, "i": one}, {}, False, axis=1)
    check_against_onnxruntime(tmp_path / "every.onnx", "GatherElements", {"x": X, "i": every}, {}, False, axis=1)
    check_against_onnxruntime(tmp_path / "held.onnx", "GatherElements", {"x": X}, {"i": every}, False, axis=1)
    feeds = {"x": X, "i": one, "u": np.ones((2, 1, 3), np.float32)}
    check_against_onnxruntime(tmp_path / "scatter.onnx", "ScatterElements", feeds, {}, False, axis=1)
    constants = {"i": one, "u": feeds["u"]}
    check_against_onnxruntime(tmp_path / "held_scatter.onnx", "ScatterElements", {"x": X}, constants, False, axis=1)


@pytest.mark.parametrize("ids", [[[-1, -1]], [[1, 3]], [[1, -5]], [[2, 0]], [[-1, 9]]])
def test_gather_by_several_indices(ids: Any, tmp_path: Path) -> None:
    check_against_onnxruntime(tmp_path / "net.onnx", "GatherND", {"x": X, "i": ids}, {})
    check_against_onnxruntime(tmp_path / "held.onnx", "GatherND", {"x": X}, {"i": np.asarray(ids)}, False)


@pytest.mark.parametrize(
    ("start", "stop", "step"),
    [
        (0, 1000, 1),
        (-1000, 3, 1),
        (-1000, 1000, 1),
        (3, 1, 1),
        (-1, -1000, -1),
        (1000, 0, -1),
        (1000, -1000, -2),
        (-3, 1000, 1),
        (-1000, -1, 1),
        (0, -1000, 1),
        (6, -1000, -1),
        (0, 1000, 3),
        (2**31 - 1, 2**31 - 1, 1),
        (-2, -(2**62), -2),
        (-4, -(2**62), -1),
        (-1000, -(2**62), -1),
        (-(2**62), -(2**62), -1),
    ],
)
def test_slices_beyond_the_ends(start: int, stop: int, step: int, tmp_path: Path) -> None:
    bounds = {"start": [start], "stop": [stop], "axes": [1], "step": [step]}
    for steps in (0, 1, 4):
        check_against_onnxruntime(tmp_path / f"{steps}.onnx", "Slice", {"x": X[:, :steps]}, bounds)


@pytest.mark.parametrize("index", [1, -2, 2, -3])
def test_entries_that_are_overwritten(index: int, tmp_path: Path) -> None:
    constants = {"i": np.asarray([[index]]), "u": X[:1] + 100}
    check_against_onnxruntime(tmp_path / "net.onnx", "ScatterND", {"x": X}, constants, is_open=False)


def test_an_index_equal_to_a_symbolic_size_is_beyond_the_axis() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["rows"]),
        helper.make_node("Reshape", ["rows", "one"], ["index"]),
        helper.make_node("ScatterND", ["x", "index", "u"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["T"]) for name in "xy")
    arrays = [numpy_helper.from_array(np.array([1, 1]), "one"), numpy_helper.from_array(np.zeros(1, np.float32), "u")]
    model = helper.make_model(
        helper.make_graph(nodes, "net", [x], [y], arrays), opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
    with pytest.raises(rg.NotReadableError, match="from index T on, which an axis of size T lacks"):
        rg.read_onnx(model)


def test_bounds_that_are_fed_are_refused(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "steps", 3])
    ends = [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ("start", "stop")]
    results = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([helper.make_node("Slice", ["x", "start", "stop"], ["y"])], "net", [x, *ends], results)
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(rg.NotReadableError, match="the bounds are computed at run time"):
        rg.read_onnx(path)
