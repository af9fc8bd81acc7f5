"""Cells with several inputs and outputs of any rank: values, streams, masks, wrappers, decoders, exports, errors."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import flatten

BATCH, STEPS = 3, 7
LENGTHS = [7, 3, 0]


class Written(rg.Cell):
    """Cell that adds a gated matrix and a row of a table to its state."""

    def state(self) -> Any:
        return {"S": rg.memory((2, 3)), "n": rg.state((), dtype="int64")}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        table = p.parameter("table", (5, 3), lambda shape, generator: generator.standard_normal(shape))
        entry = rg.gather(table, x["id"])
        S = 0.5 * state["S"] + x["v"] * rg.reshape(rg.sigmoid(x["gate"]), (None, 1, 1)) + rg.expand_dims(entry, 1)
        n = state["n"] + 1
        both = rg.logical_and(S[:, 0] > 0, S[:, 1] > 0)
        return {"y": 2 * S, "pair": (rg.reduce_sum(S, [1, 2]), both), "n": n}, {"S": S, "n": n}


def inputs() -> dict[str, rg.Tensor]:
    return {
        "v": rg.placeholder("v", shape=(None, None, 2, 3)),
        "gate": rg.placeholder("gate", shape=(None, None)),
        "id": rg.placeholder("id", shape=(None, None), dtype="int64"),
    }


def feeds() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(2)
    return {
        "v": generator.standard_normal((BATCH, STEPS, 2, 3)).astype("float32"),
        "gate": generator.standard_normal((BATCH, STEPS)).astype("float32"),
        "id": generator.integers(0, 5, (BATCH, STEPS)),
    }


def compiled(**options: Any) -> tuple[rg.Program, dict[str, np.ndarray]]:
    fed = feeds()
    if "mask" in options:
        fed["mask"] = np.random.default_rng(5).random((BATCH, STEPS)) < 0.6
        options["mask"] = rg.placeholder("mask", shape=(None, None), dtype="bool")
    outputs, state = rg.dynamic_rnn(Written(), inputs(), **options)
    loss = rg.reduce_mean(rg.square(outputs["y"])) + rg.reduce_sum(outputs["pair"][0])
    return rg.compile({"out": outputs, "state": state}, loss=loss, seed=0), fed


def test_values_are_those_of_the_equations() -> None:
    lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
    program, fed = compiled(sequence_length=lengths)
    out = program.inference({**fed, "lengths": LENGTHS})["out"]
    table = np.asarray(program.parameters["rnn/written/table"], np.float64)
    kinds = {"y": (2, 3), "n": (), "pair": ()}
    assert out["y"].shape == (BATCH, STEPS, *kinds["y"])
    assert [array.dtype.name for array in (out["n"], *out["pair"])] == ["int64", "float32", "bool"]
    for row, length in enumerate(LENGTHS):
        S = np.zeros((2, 3))
        for step in range(length):
            gate = 1 / (1 + np.exp(-fed["gate"][row, step].astype(np.float64)))
            S = 0.5 * S + fed["v"][row, step] * gate + table[fed["id"][row, step]]
            assert_allclose(out["y"][row, step], 2 * S, rtol=1e-5, atol=1e-6)
            assert_allclose(out["pair"][0][row, step], S.sum(), rtol=1e-5, atol=1e-5)
            assert_array_equal(out["pair"][1][row, step], (S > 0).all(0))
        assert_array_equal(out["n"][row], [*range(1, length + 1), *[0] * (STEPS - length)])
        for array in flatten(out):
            assert not array[row, length:].any()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"mask": True}])
def test_streams_pools_predictions_and_loops_written_out(options: dict[str, Any], tmp_path: Path) -> None:
    program, fed = compiled(**options)
    whole = program.inference(fed)
    stream, pool = program.inference.stream(batch=BATCH), program.inference.streams(2)
    handles = [pool.open() for _ in range(BATCH)]
    for step in range(STEPS):
        now = {name: array[:, step] for name, array in fed.items()}
        for step_result in (stream.step(now), pool.step_rows(handles, now)):
            for mine, wanted in zip(flatten(step_result["out"]), flatten(whole["out"]), strict=True):
                assert_array_equal(mine, wanted[:, step], strict=True)
    predicted = program.predict(fed)
    program.save(tmp_path / "net.rnng")
    reloaded = rg.load(tmp_path / "net.rnng").inference(fed)
    for other in (predicted, reloaded):
        for mine, wanted in zip(flatten(other["out"]), flatten(whole["out"]), strict=True):
            assert_array_equal(mine, wanted)


@pytest.mark.slow
def test_gradients_against_finite_differences() -> None:
    program, fed = compiled()
    _, gradients = program.training.gradients(fed, wrt=["gate", "v"])
    table = np.array(program.parameters["rnn/written/table"])

    def loss(changed: dict[str, np.ndarray], table: np.ndarray) -> float:
        S, total, squares = np.zeros((BATCH, 2, 3)), 0.0, []
        for step in range(STEPS):
            gate = 1 / (1 + np.exp(-changed["gate"][:, step].astype(np.float64)))
            S = 0.5 * S + changed["v"][:, step] * gate[:, None, None] + table[changed["id"][:, step]][:, None]
            squares.append((2 * S) ** 2)
            total += S.sum()
        return float(np.mean(squares)) + total

    wide = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in fed.items()}
    for name in ("gate", "v"):
        place, change = (1, 2) if name == "gate" else (1, 2, 0, 1), np.zeros_like(wide[name])
        change[place] = 1e-5
        ends = [loss({**wide, name: wide[name] + sign * change}, table.astype(np.float64)) for sign in (1, -1)]
        assert_allclose(gradients[name][place], (ends[0] - ends[1]) / 2e-5, rtol=1e-4)
    change = np.zeros_like(table, np.float64)
    change[2, 1] = 1e-5
    ends = [loss(wide, table + sign * change) for sign in (1, -1)]
    assert_allclose(gradients["rnn/written/table"][2, 1], (ends[0] - ends[1]) / 2e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_an_exported_net(tmp_path: Path) -> None:
    program, _ = compiled()
    for options in ({"batch": 2}, {"rows": 3}):
        program.inference.export(tmp_path, "net", **options)  # type: ignore[arg-type]
        subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "ok, largest difference 0"


class Sums(rg.Cell):
    """Cell with two inputs and two outputs, so that it can be stacked and wrapped."""

    def state(self) -> Any:
        return {"h": 4}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        h = state["h"] + x[0] + x[1]
        return (h, 2 * h), {"h": h}


def two() -> tuple[rg.Tensor, rg.Tensor]:
    x = rg.placeholder("x", shape=(None, None, 4))
    return x, x


@pytest.mark.slow
def test_wrappers_and_stacks() -> None:
    fed = np.ones((2, 3, 4))
    dropped = rg.DropoutWrapper(Sums(), input_keep_prob=0.5, output_keep_prob=0.5, state_keep_prob=0.5)
    outputs, _ = rg.dynamic_rnn(dropped, two())
    masks = rg.compile(outputs[0], loss=rg.reduce_sum(outputs[0] * outputs[1])).training.dropout_masks(x=fed, seed=1)
    assert [*masks] == ["rnn/input", "rnn/input_1", "rnn/state", "rnn/output", "rnn/output_1"]
    assert not np.array_equal(masks["rnn/input"], masks["rnn/input_1"])
    outputs, _ = rg.dynamic_rnn(rg.ResidualWrapper(Sums()), two())
    result = rg.compile({"y": outputs}).inference(x=fed)["y"]
    assert_array_equal(result[0][0, :, 0], [3, 5, 7])
    assert_array_equal(result[1][0, :, 0], [5, 9, 13])
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([Sums(), rg.HighwayWrapper(Sums())]), two())
    program = rg.compile({"y": outputs})
    assert sorted(name.rpartition("cell_1/")[2] for name in program.parameters) == [
        "0/carry_b",
        "0/carry_w",
        "1/carry_b",
        "1/carry_w",
    ]
    both = two()
    (forward, backward), _ = rg.bidirectional_dynamic_rnn(Sums(), Sums(), both)
    result = rg.compile({"f": forward, "b": backward}).inference(x=fed)
    assert_array_equal(result["b"][1], result["f"][1][:, ::-1])
    joined, _, _ = rg.stack_bidirectional_dynamic_rnn([Sums()], [Sums()], two())
    assert [item.width for item in joined] == [8, 8]
    steps = [tuple(item[:, step] for item in both) for step in range(3)]
    listed, _ = rg.static_rnn(Sums(), steps)
    assert_array_equal(rg.compile({"y": listed[2]}).inference(x=fed)["y"][0], result["f"][0][:, 2])


class Fed(rg.Cell):
    """Cell that reads a vector and an integer."""

    def state(self) -> Any:
        return {"h": 4}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        number = rg.expand_dims(rg.cast(x["k"], "float32"), 1)
        h = rg.tanh(state["h"] @ p.kernel("u", (4, 4)) + x["a"] + number)
        return {"b": h, "k": x["k"]}, {"h": h}


def following(output: Any, x_t: Any) -> Any:
    return {"a": rg.tanh(output["b"]), "k": rg.argmax(output["b"], 1)}


@pytest.mark.slow
def test_a_decoder_feeds_back_several_values() -> None:
    first = {"a": rg.placeholder("first", shape=(None, 4)), "k": rg.constant(np.zeros(1, np.int64))}
    outputs, _, lengths = rg.dynamic_decode(Fed(), first, following, 6, stop=lambda out: rg.equal(out["k"], 3))
    program = rg.compile({"out": outputs, "lengths": lengths})
    fed = np.random.default_rng(1).standard_normal((BATCH, 4)).astype("float32")
    result, u = program.inference(first=fed), np.asarray(program.parameters["decoder/fed/u"], np.float64)
    for row in range(BATCH):
        h, a, k, numbers = np.zeros(4), fed[row], 0, []
        for _ in range(6):
            h = np.tanh(h @ u + a + k)
            numbers.append(k)
            if k == 3:
                break
            a, k = np.tanh(h), int(np.argmax(h))
        assert result["lengths"][row] == len(numbers)
        assert_array_equal(result["out"]["k"][row, : len(numbers)], numbers)
    with pytest.raises(rg.StructureError, match=r"the result of next_input lacks 'k'; it takes \(a, k\)"):
        rg.dynamic_decode(Fed(), first, lambda output, x_t: {"a": output["b"]}, 6)


class Giving(rg.Cell):
    """Cell with the output that a test chooses."""

    def __init__(self, output: Callable[[Any], Any]) -> None:
        self.output = output

    def state(self) -> Any:
        return {"h": 4}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        return self.output(x), state


def placed(name: str, *shape: int | None) -> rg.Tensor:
    return rg.placeholder(name, shape=shape)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: rg.dynamic_rnn(rg.GRUCell(3), (x, x)), r"GRUCell\(3\) reads one Tensor .* join them with rg.concat"),
        (
            lambda x: rg.dynamic_rnn(rg.LSTMCell(3), {"y": x}),
            r"LSTMCell\(3\) reads one Tensor .* join them with rg.concat",
        ),
        (
            lambda x: rg.dynamic_rnn(rg.MultiRNNCell([Giving(lambda x: {"y": x, "z": x}), rg.GRUCell(3)]), x),
            r"GRUCell\(3\) reads one Tensor \[batch, width\], not \{'y'",
        ),
        (lambda x: rg.dynamic_rnn(rg.GRUCell(3), placed("flat", None, None)), r"of rank 2.* rg.expand_dims"),
        (lambda x: rg.dynamic_rnn(rg.GRUCell(3), [x, x]), r"not a list; rg.static_rnn takes a list"),
        (lambda x: rg.dynamic_rnn(Sums(), ()), r"needs one input at least"),
        (lambda x: rg.dynamic_rnn(Sums(), (x, 5)), r"the input 1 must be a Tensor, not int"),
        (
            lambda x: rg.dynamic_rnn(Sums(), (placed("a", None, 5, 4), placed("b", None, 6, 4))),
            r"the input 1 .* has 6 steps, but 0 .* has 5",
        ),
        (lambda x: rg.dynamic_rnn(Giving(lambda x: x["z"]), {"y": x}), r"no input is named 'z'; the driver is given y"),
        (lambda x: rg.dynamic_rnn(Giving(lambda x: {"y": x, "z": None}), x), r"its output at z is None"),
        (lambda x: rg.dynamic_rnn(Giving(lambda x: {}), x), r"returns no output"),
        (lambda x: rg.dynamic_rnn(Giving(lambda x: (x, rg.constant(1.0))), x), r"the output 1 .*must be \[batch, …\]"),
        (
            lambda x: rg.dynamic_rnn(rg.ResidualWrapper(Giving(lambda x: {"y": x["x"], "z": x["x"]})), {"x": x}),
            r"ResidualWrapper needs outputs in the structure of the inputs; the output of .* it takes \(x,\)",
        ),
        (lambda x: rg.dynamic_rnn(rg.OutputProjectionWrapper(Sums(), 3), (x, x)), r"projects one Tensor, not"),
        (lambda x: rg.static_rnn(Sums(), [(x[:, 0], x[:, 0]), (x[:, 0],)]), r"input 1 of static_rnn takes 2 entries"),
        (
            lambda x: rg.static_rnn(Sums(), [x[:, 0], x[:, 0, :3]]),
            r"input 1 of static_rnn is .*,3\]>, and input 0 .*,4",
        ),
        (lambda x: rg.static_rnn(Sums(), [(x[:, 0],), (rg.cast(x[:, 0], "int64"),)]), r"input 1 .* convert one with"),
    ],
)
def test_errors_name_the_mistake_and_the_line(call: Callable[[rg.Tensor], Any], message: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=message) as caught:
        call(rg.placeholder("x", shape=(None, None, 4)))
    assert "test_several_inputs.py" in str(caught.value)


class Passing(rg.Cell):
    """Cell whose outputs are its inputs, a nested tuple."""

    def state(self) -> Any:
        return {"h": 4}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        a, (b, i) = x
        return (a + state["h"], (b, i)), {"h": state["h"]}


def test_variational_dropout_draws_one_mask_for_each_input() -> None:
    a, b = rg.placeholder("a", (None, None, 4)), rg.placeholder("b", (None, None, 3, 4))
    i = rg.placeholder("i", (None, None), "int64")
    cell = rg.DropoutWrapper(Passing(), input_keep_prob=0.5, output_keep_prob=0.5, variational_recurrent=True)
    (y, (z, n)), _ = rg.dynamic_rnn(cell, (a, (b, i)))
    program = rg.compile({"y": y, "z": z, "n": n})
    fed = {"a": np.ones((BATCH, STEPS, 4)), "b": np.ones((BATCH, STEPS, 3, 4)), "i": feeds()["id"]}
    shapes = {name.rpartition("/")[2]: mask.shape for name, mask in program.training.dropout_masks(fed, seed=1).items()}
    assert shapes == dict.fromkeys(("input", "output"), (BATCH, 4)) | dict.fromkeys(
        ("input_1", "output_1"), (BATCH, 12)
    )
    drawn = program.training(fed, seed=1)
    assert_array_equal(drawn["n"], fed["i"])
    for array in (drawn["y"], drawn["z"]):
        assert {*np.unique(array)} == {0, 4}
        assert_array_equal(array, np.repeat(array[:, :1], STEPS, 1))
        assert not np.array_equal(array[0], array[1])
    late = program.training({name: array[1:, 3:] for name, array in fed.items()}, seed=1, first_row=1, first_step=3)
    assert_array_equal(late["z"], drawn["z"][1:, 3:])
