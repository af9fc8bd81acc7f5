"""``rg.write_onnx``: names, sizes, results of onnx's own reference, and refusals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import own_cells
import pytest
from onnx_files import assert_same, by_reference, ops, ours, spread, written

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.formats.onnx.writing.operators import EXPRESSIONS
from rnngraph.ir.ops import OPS

onnx = pytest.importorskip("onnx")
RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def stack() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    cells = [rg.DropoutWrapper(rg.BasicLSTMCell(7), output_keep_prob=0.5), rg.GRUCell(5, reset_after=True)]
    outputs, state = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    return spread(rg.compile({"logits": rg.dense(outputs, 2), "state": state}))


def convolutions() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    y = rg.max_pool1d(rg.relu(rg.conv1d(x, 7, 3, strides=2, padding="same")), 2)
    y = rg.conv1d(y, 7, 3, groups=7) + rg.average_pool1d(y, 3, strides=1, padding="same")
    return spread(rg.compile({"y": rg.reverse_sequence(y, rg.placeholder("n", (None,), "int32"))}))


def own_steps() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    outputs, state = rg.dynamic_rnn(own_cells.SwapCell(4), x)
    return spread(rg.compile({"outputs": outputs, "state": state}))


def attention() -> rg.Program:
    x, memory = rg.placeholder("x", (None, None, 3)), rg.placeholder("memory", (None, None, 4))
    cell = rg.AttentionWrapper(rg.GRUCell(5), rg.LuongAttention(5, memory))
    return spread(rg.compile(rg.dynamic_rnn(cell, x)[0]))


def stored_weights() -> rg.Program:
    x, scales = rg.placeholder("x", (None, None, 3)), rg.parameter("scales", (2, 4), np.arange(1, 9).reshape(2, 4))
    whole = rg.parameter("whole", (4, 4), np.arange(-8, 8).reshape(4, 4), False, "int8")
    halves = rg.parameter("halves", (4, 4), np.arange(100, 116).reshape(4, 4), False, "uint8")
    inner = rg.dense(x, 4, use_bias=False) @ rg.dequantize(rg.transpose(whole, (1, 0)), scales, 0)
    return rg.compile({"y": rg.concat([inner, inner], -1) @ rg.dequantize(halves, scales, 0, 4)})


def functions() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    parts = [rg.expm1(x * 1e-4), rg.log1p(rg.abs(x) * 1e-4), rg.erf(x), rg.atan(x), rg.softplus(x), rg.elu(x)]
    labels = rg.argmax(x, -1)
    table = rg.parameter("table", (3, 2))
    whole = rg.cast(x * 100, "int32")
    other = {"sum": rg.reduce_sum(x, 1), "rows": rg.gather(table, labels), "whole": whole, "back": x[:, ::-2]}
    return rg.compile(
        {"joined": rg.concat(parts, -1), "labels": labels, "truths": rg.logical_and(x > 0, x < 1), **other}
    )


FEEDS = {"memory": floats(2, 4, 4), "n": np.array([2, 1])}


@pytest.mark.parametrize(
    ("net", "opset"),
    [
        (stack, 13),
        (stack, 27),
        (convolutions, 13),
        (convolutions, 18),
        (own_steps, 17),
        (attention, 16),
        (attention, 20),
        (functions, 14),
        (stored_weights, 17),
        (functions, 27),
    ],
)
def test_the_reference_gives_the_same_numbers(net: Any, opset: int) -> None:
    program = net()
    model = written(program, opset)
    assert [item.version for item in model.opset_import] == [opset]
    for time in (9, 8):  # one file for all sizes
        feeds = {**FEEDS, "x": floats(2, time, 3)}
        assert_same(by_reference(model, feeds), ours(program, feeds))


@pytest.mark.filterwarnings("ignore:.*divide:RuntimeWarning")
def test_small_numbers_keep_their_digits() -> None:
    x = np.array([1e-7, -1e-5, 3e-4, 0.3, -0.4, 2.0, -8.0, 80.0, 0.0], np.float32)
    tensor = rg.placeholder("x", (None,))
    model = written(rg.compile({"e": rg.expm1(tensor), "l": rg.log1p(rg.abs(tensor))}))
    results = by_reference(model, {"x": x})
    np.testing.assert_allclose(results["e"], np.expm1(x.astype(float)), 5e-7)
    np.testing.assert_allclose(results["l"], np.log1p(np.abs(x).astype(float)), 5e-7)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_quotients_remainders_and_powers() -> None:
    numbers = np.array([0.0, -0.0, 7.5, -7.5, 1.0, np.inf, np.nan, 1e-30, -3.0], np.float32)
    feeds = {"a": np.repeat(numbers, 9), "b": np.tile(numbers, 9)}
    a, b = rg.placeholder("a", (None,)), rg.placeholder("b", (None,))
    results = {
        "%": a % b,
        "//": a // b,
        "fmod": rg.fmod(a, b),
        "**": a**b,
        "sign": rg.signbit(a),
        "with": rg.copysign(b, a),
    }
    program = rg.compile(results)
    assert_same(by_reference(written(program), feeds), ours(program, feeds))
    n, m = rg.placeholder("n", (None,), "int64"), rg.placeholder("m", (None,), "int64")
    program = rg.compile({"%": n % m, "//": n // m, "fmod": rg.fmod(n, m), "/": rg.trunc_divide(n, m), "**": n**2})
    feeds = {"n": np.array([7, -7, 7, -7, 5, 2**53 + 1]), "m": np.array([2, 2, -2, -2, 0, 3])}
    assert_same(by_reference(written(program), feeds), ours(program, feeds))


def test_casts_of_values_that_no_integer_equals() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.9, -2.9], np.float32)
    tensor = rg.placeholder("x", (None,))
    program = rg.compile({"i": rg.cast(tensor, "int32"), "l": rg.cast(tensor, "int64")})
    with np.errstate(invalid="ignore"):
        results = by_reference(written(program), {"x": x})
    assert_same(results, ours(program, {"x": x}))


def test_every_op_of_an_inference_graph_has_an_expression() -> None:
    leaves = {"input", "parameter", "scan", "get"}
    gradients = {"outer_sum", "scatter_add", "overlap_add"}
    of_passes = {"fma", "block_matmul"}
    drawn = {"sample_key", "sample_uniform"}  # these depend on the call's seed
    declared = {name for name, op in OPS.items() if not op.until and not op.random}
    assert set(EXPRESSIONS) == declared - leaves - gradients - of_passes - drawn


# Names and sizes -------------------------------------------------------------------------------------


def test_names_and_open_sizes() -> None:
    model = written(stack())
    (x,) = model.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in x.type.tensor_type.shape.dim]
    assert (x.name, dims) == ("x", ["B", "T", 3])
    assert [item.name for item in model.graph.output] == ["logits", "state/0/c", "state/0/h", "state/1"]
    names = {item.name for item in model.graph.initializer}
    assert {"dense/kernel", "dense/bias"} <= names
    assert {f"rnn/multi_rnn_cell/cell_0/basic_lstm_cell/{name}" for name in "WRB"} <= names
    assert ops(model).count("LSTM") == ops(model).count("GRU") == 1


def test_parameters_of_other_loops_keep_their_names() -> None:
    program = own_steps()
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in written(program).graph.initializer}
    for name, array in program.parameters.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_one_tensor_is_called_output() -> None:
    model = written(rg.compile(rg.placeholder("x", (2, 3)) * 2))
    assert [item.name for item in model.graph.output] == ["output"]


def test_outputs_that_are_inputs_or_each_other() -> None:
    x = rg.placeholder("x", (None, 2))
    y = x + 1
    program = rg.compile({"x": x, "again": x, "y": y, "z": y, "w": rg.parameter("w", (3,))})
    model = written(program)
    assert_same(by_reference(model, {"x": np.ones((3, 2), np.float32)}), ours(program, {"x": np.ones((3, 2))}))


def test_a_default_is_the_default() -> None:
    x = rg.placeholder("x", (None,))
    scale = tf.placeholder_with_default(3.0, (), "scale")
    model = written(rg.compile({"y": x * scale}))
    assert [item.name for item in model.graph.initializer if item.name == "scale"] == ["scale"]
    ones = np.ones(2, np.float32)
    np.testing.assert_array_equal(by_reference(model, {"x": ones})["y"], [3, 3])


def test_states_that_are_fed_and_programs_that_were_saved(tmp_path: Path) -> None:
    x, cell = rg.placeholder("x", (None, None, 3)), rg.LSTMCell(4)
    outputs, state = rg.dynamic_rnn(cell, x, initial_state=rg.state_placeholder("state0", cell))
    program = spread(rg.compile({"outputs": outputs, "state": state}))
    program.save(tmp_path / "saved")
    model = written(rg.load(tmp_path / "saved"))
    assert sorted(item.name for item in model.graph.input) == ["state0.c", "state0.h", "x"]
    feeds = {"x": floats(2, 5, 3), "state0.c": floats(2, 4), "state0.h": floats(2, 4)}
    assert_same(by_reference(model, feeds), ours(program, feeds))


def test_computed_rows_of_a_table_are_moved_into_it() -> None:
    """Indices that a step computes are clamped instead of validated."""

    class Counting(rg.Cell):
        def state(self) -> Any:
            return {"n": 1}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            rows = rg.gather(rg.parameter("table", (3, 2)), rg.cast(state["n"][:, 0], "int64") - 1)
            return rows + x, {"n": state["n"] + 1}

    x = rg.placeholder("x", (None, None, 2))
    program = rg.compile(rg.dynamic_rnn(Counting(), x)[0])
    feeds = {"x": floats(2, 7, 2)}
    assert_same(by_reference(written(program), feeds), ours(program, feeds))


def test_sizes_that_follow_from_others() -> None:
    x = rg.placeholder("x", (None, "time", 3))
    doubled = rg.reshape(rg.concat([x, x], 1), (-1, 3))
    program = rg.compile({"y": rg.dynamic_rnn(own_cells.SwapCell(3), rg.reshape(doubled, (1, -1, 3)))[0][:, 1:]})
    feeds = {"x": floats(2, 3, 3)}
    assert_same(by_reference(written(program), feeds), ours(program, feeds))


# Choice of the graph ---------------------------------------------------------------------------------


def with_loss() -> rg.Program:
    x, y = rg.placeholder("x", (None, 3)), rg.placeholder("y", (None, 1))
    logits = rg.dense(rg.dropout(x, 0.5), 1)
    return rg.compile({"logits": logits}, loss=rg.mean_squared_error(y, logits))


def test_the_evaluation_graph_has_the_loss() -> None:
    program = with_loss()
    assert [item.name for item in written(program.inference).graph.output] == ["logits"]
    model = written(program.evaluation)
    feeds = {"x": floats(4, 3), "y": floats(4, 1)}
    np.testing.assert_allclose(by_reference(model, feeds)["loss"], program.evaluate(feeds)["loss"], 1e-6)


def test_the_training_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rg.GraphError, match="dropout and gradients"):
        rg.write_onnx(with_loss().training, tmp_path / "net.onnx")
    with pytest.raises(rg.DtypeError, match="needs a Program"):
        rg.write_onnx("net", tmp_path / "net.onnx")  # type: ignore[arg-type]


def test_weights_of_fewer_bits_are_written_whole() -> None:
    x = rg.placeholder("x", (None, 64))
    program = rg.compile({"y": rg.dense(x, 64)}, weights="int8")
    model = written(program)
    assert "int8" in model.doc_string
    whole = [item for item in model.graph.initializer if item.name == "dense/kernel"]
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(whole[0]), program.parameters["dense/kernel"])


# Refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [12, 28, 0, "17", 17.5, None])
def test_other_opsets(opset: Any, tmp_path: Path) -> None:
    with pytest.raises(rg.RnnGraphError, match="opset"):
        rg.write_onnx(with_loss(), tmp_path / "net.onnx", opset)
    assert not list(tmp_path.iterdir())


def test_all_problems_are_listed_with_their_lines(tmp_path: Path) -> None:
    x, h = rg.placeholder("x", (None, 3)), rg.placeholder("h", (None, 3))
    program = rg.compile({"h": h + x, "x": x * 2})
    with pytest.raises(rg.GraphError, match=r"output h .*test_write_onnx.py:\d+.*output x .*test_write_onnx.py:\d+"):
        rg.write_onnx(program, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_sizes_that_no_axis_has(tmp_path: Path) -> None:
    x = rg.placeholder("x", (None, None))
    joined = rg.placeholder("joined", (None,))
    program = rg.compile({"y": rg.reshape(joined, ("a", "b")) + rg.reduce_sum(x)})
    with pytest.raises(rg.GraphError, match="which no axis of an input has alone"):
        rg.write_onnx(program, tmp_path / "net.onnx")


def test_files_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(rg.FileError, match="write_onnx did not write it"):
        rg.write_onnx(with_loss(), path)
    assert path.read_bytes() == b"\x08\x08\x12\x07pytorch"
    with pytest.raises(rg.FileError, match="is a directory; give the path of a file"):
        rg.write_onnx(with_loss(), tmp_path)
    with pytest.raises(rg.FileError, match="can't write"):
        rg.write_onnx(with_loss(), tmp_path / "none" / "net.onnx")


def test_own_files_are_replaced(tmp_path: Path) -> None:
    path, program = tmp_path / "net.onnx", with_loss()
    rg.write_onnx(program, path)
    first = path.read_bytes()
    rg.write_onnx(program, str(path))
    assert path.read_bytes() == first
    program.parameters["dense/bias"] = [1.0]
    rg.write_onnx(program, path)
    assert path.read_bytes() != first
    assert list(tmp_path.iterdir()) == [path]


def test_without_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    program = with_loss()
    rg.write_onnx(program, tmp_path / "net.onnx")
    assert rg.read_onnx(tmp_path / "net.onnx").inputs.keys() == {"x"}
