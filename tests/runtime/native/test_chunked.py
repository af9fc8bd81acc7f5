"""``rg.compile(chunked=…)``: the option, its printed form, and native gradients."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine_cells import CHUNKED, DeltaCell, GatedCell, declared, fed
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.compile import planned
from rnngraph.codegen.schedule.plan_text import plan_text
from rnngraph.ir.interpreter import interpret
from rnngraph.passes.affine.chunking import Chunking
from rnngraph.passes.pipeline import meaning, run


@pytest.mark.parametrize(("name", "steps"), [("delta", 16), pytest.param("gated", 8, marks=pytest.mark.exhaustive)])
def test_gradients_by_steps_and_in_chunks_are_those_of_float64(name: str, steps: int) -> None:
    cell = CHUNKED[name]()
    outputs, loss, _ = declared(cell)
    by_steps, chunked = rg.compile(outputs, loss=loss), rg.compile(outputs, loss=loss, chunked=steps)
    feeds = {key: fed(cell, 2, 37)[key].astype("float32") for key in ("x", "first")}
    weights = {key: np.asarray(value) for key, value in by_steps.parameters.items()}
    graph = run(by_steps.parts.source.lowered.graph, meaning("training", (*weights, "x", "first")))
    exact = interpret(graph, {**feeds, **weights}, wide=True)
    for program in (by_steps, chunked):
        value, gradients = program.training.gradients(feeds, wrt=["x", "first"])
        assert abs(value - exact["loss"]) <= 5e-6 * abs(exact["loss"])
        for key, gradient in gradients.items():
            wide = exact[f"gradient/{key}"]
            assert np.abs(gradient - wide).max() <= 5e-6 * np.abs(wide).max()
    assert_array_equal(by_steps.inference(feeds)["outputs"], chunked.inference(feeds)["outputs"])


def test_the_summary_lists_the_recurrences_in_chunks() -> None:
    outputs = declared(CHUNKED["stabilised"]())[0]
    lines = rg.compile(outputs, chunked=64).summary().recurrences
    assert [line.partition(" ")[0] for line in lines] == ["stabilised_cell/C", "stabilised_cell/n", "stabilised_cell/m"]
    assert "A scalar; training runs chunks of 32 steps" in lines[0]
    assert "training runs it by steps: it has no axes" in lines[1]
    assert "is not affine" in lines[2]
    plain = rg.compile(outputs).summary()
    assert [line.partition(" ")[0] for line in plain.recurrences] == ["stabilised_cell/C", "stabilised_cell/n"]
    assert pickle.loads(pickle.dumps(plain)) == plain


def test_two_inputs_of_a_body_may_read_one_sequence() -> None:
    outputs, loss, _ = declared(CHUNKED["key_matrix"]())
    program = rg.compile(outputs, loss=loss, chunked=16, cache=False)
    assert "scan" in str(program.training.show("plan"))


def test_graphs_list_affine_recurrences() -> None:
    program = rg.compile(declared(GatedCell())[0])
    line = "# gated_cell/S [B, 2, 5, 3] is affine: S' = A S + B, A diagonal"
    assert str(program.inference.show("graph")).splitlines()[-1] == line


def test_a_net_without_affine_recurrences_is_an_error() -> None:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.placeholder("x", (None, None, 3)))
    with pytest.raises(rg.GraphError, match="needs an affine recurrence, and the net has none: gru_cell/h is not"):
        rg.compile(outputs, chunked=64)
    with pytest.raises(rg.GraphError, match="there is no recurrence"):
        rg.compile(rg.dense(rg.placeholder("y", (None, 3)), 2), chunked=64)


@pytest.mark.parametrize("wrong", [0, 1, -4, 2.5, True, "64"])
def test_other_values_are_refused(wrong: object) -> None:
    with pytest.raises((rg.ArgumentError, rg.DtypeError), match="chunked must be"):
        rg.compile(declared(GatedCell())[0], chunked=wrong)  # type: ignore[arg-type]


def test_saved_programs_train_in_chunks(tmp_path: Path) -> None:
    outputs, loss, _ = declared(DeltaCell())
    program = rg.compile(outputs, loss=loss, chunked=8, chunked_dtype="bfloat16")
    program.save(tmp_path / "net")
    assert rg.load(tmp_path / "net").options.chunked == program.options.chunked == Chunking(8, "bfloat16")
    assert rg.loads(rg.dumps(program)).options.chunked == Chunking(8, "bfloat16")


@pytest.mark.parametrize("name", ["delta", "gated"])
def test_rounded_factors_change_gradients_by_their_rounding(name: str) -> None:
    cell = CHUNKED[name]()
    outputs, loss, _ = declared(cell)
    exact, rounded = (
        rg.compile(outputs, loss=loss, chunked=16, chunked_dtype=dtype) for dtype in ("float32", "bfloat16")
    )
    feeds = {key: fed(cell, 2, 37)[key].astype("float32") for key in ("x", "first")}
    expected, actual = (program.training.gradients(feeds, wrt=["x", "first"]) for program in (exact, rounded))
    assert abs(expected[0] - actual[0]) <= 0.02 * abs(expected[0])
    for key, value in expected[1].items():
        assert 0 < np.linalg.norm(actual[1][key] - value) <= 0.1 * np.linalg.norm(value)
    assert_array_equal(exact.inference(feeds)["outputs"], rounded.inference(feeds)["outputs"])
    assert "steps, with factors in bfloat16" in rounded.summary().recurrences[0]


def test_lengths_share_code_after_the_first_few() -> None:
    cell = GatedCell()
    outputs, loss, _ = declared(cell)
    program, by_steps = rg.compile(outputs, loss=loss, chunked=4), rg.compile(outputs, loss=loss)
    for time in (4, 5, 8, 3, 1, 9, 12, 2):
        feeds = {key: fed(cell, 2, time)[key].astype("float32") for key in ("x", "first")}
        (loss_of_chunks, _), (loss_by_steps, _) = (
            item.training.gradients(feeds, wrt=["x"]) for item in (program, by_steps)
        )
        assert abs(loss_of_chunks - loss_by_steps) <= 5e-6 * abs(loss_by_steps)
    (graph,) = program.training._gradients._graphs.values()
    assert len(graph.native_entries()) == 5


def test_chunks_that_divide_the_length_are_not_filled() -> None:
    cell = GatedCell()
    outputs, loss, _ = declared(cell)
    program = rg.compile(outputs, loss=loss, chunked=8)
    program.training.gradients({key: fed(cell, 2, 8)[key].astype("float32") for key in ("x", "first")}, wrt=["x"])
    (graph,) = program.training._gradients._graphs.values()
    names = tuple(name for name, _ in graph.graph.outputs)
    ops = [{node.op for node in graph.sized(names, {"B": 2, "T": time}).walk()} for time in (16, 15)]
    assert "iota" in ops[1]
    assert "iota" not in ops[0]


def test_chunks_of_many_rows_run_row_by_row() -> None:
    """Products of all rows would overflow L2. Each row has the bits that it has alone."""
    x, heads = rg.placeholder("x", (None, None, 388)), (None, None, 2, 64)
    q, k, v = (rg.reshape(part, heads) for part in rg.split(x[:, :, 4:], 3, 2))
    cell = rg.GatedDeltaNetCell(2, 64)
    y, _ = rg.dynamic_rnn(
        cell, {"q": q, "k": k, "v": v, "beta": rg.sigmoid(x[:, :, :2]), "g": -rg.square(x[:, :, 2:4])}
    )
    program = rg.compile(y, loss=rg.reduce_sum(rg.square(y)), chunked=16)
    rows = np.random.default_rng(0).standard_normal((12, 48, 388)).astype(np.float32) / 8
    whole = program.training.gradients(x=rows, wrt=["x"])[1]["x"]
    (graph,) = program.training._gradients._graphs.values()
    names = tuple(name for name, _ in graph.graph.outputs)
    plan = planned(
        graph.sized(names, {"B": 12, "T": 48}), replace(graph.options.target, second_cache=2**20), "training", 1
    )
    assert str(plan_text(plan)).count("in blocks of 1 of 12; all steps of a block before the next") == 2
    for row in (0, 7):
        alone = program.training.gradients(x=rows[row : row + 1], wrt=["x"])[1]["x"]
        assert_array_equal(whole[row : row + 1], alone)


def test_dtypes_of_chunks_are_checked() -> None:
    outputs, loss, _ = declared(GatedCell())
    with pytest.raises(rg.ArgumentError, match="chunked_dtype='float16' is not offered; use one of float32, bfloat16"):
        rg.compile(outputs, loss=loss, chunked=8, chunked_dtype="float16")
    with pytest.raises(rg.ArgumentError, match="needs chunked=; give the steps of a chunk"):
        rg.compile(outputs, loss=loss, chunked_dtype="bfloat16")
    x = rg.placeholder("x", (None, None, 3), "float64")
    r = rg.reshape(x, (None, None, 1, 3))
    wide, _ = rg.dynamic_rnn(rg.GatedLinearAttentionCell(1, 3), {"q": r, "k": r, "v": r, "g": -rg.square(r)})
    with pytest.raises(rg.DtypeError, match=r"needs states of float32, and \S+ is float64; declare the state"):
        rg.compile(wide, loss=rg.reduce_mean(wide), chunked=8, chunked_dtype="bfloat16")
