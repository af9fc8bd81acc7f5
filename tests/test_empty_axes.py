"""Symbolic sizes of 0: rows, steps and others, in all calls with arrays, and the remaining errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declaration_checks import check_all
from declarations import Declaration
from exported import Sequence
from test_random_declarations import declare_any

import rnngraph as rg

SIZES = [(0, 4), (2, 0), (0, 0)]
WIDTH, UNITS = 3, 5
THREADS = [1, 2]
QUICK = (5, 8)


def net(kind: str) -> dict[str, Any]:
    x = rg.placeholder("x", (None, None, WIDTH))
    if kind == "recurrent":
        n = rg.placeholder("n", (None,), "int64")
        outputs, state = rg.dynamic_rnn(rg.GRUCell(UNITS), x, sequence_length=n)
        return {"outputs": outputs, "state": state}
    if kind == "attention":
        memory, n = rg.placeholder("memory", (None, None, WIDTH)), rg.placeholder("n", (None,), "int64")
        cell = rg.AttentionWrapper(rg.GRUCell(UNITS), rg.LuongAttention(UNITS, memory, n))
        return {"outputs": rg.dynamic_rnn(cell, x)[0]}
    if kind == "plain":
        return {"outputs": rg.dynamic_rnn(rg.GRUCell(UNITS), x)[0]}
    return {
        "backwards": x[:, ::-1],
        "dense": rg.dense(x, UNITS),
        "tanh": rg.tanh(x),
        "causal": rg.conv1d(x, UNITS, 3, padding="causal"),
        "same": rg.conv1d(x, UNITS, 3, padding="same"),
        "shares": rg.softmax(x, 1),
        "sums": rg.cumsum(x, 1),
    }


def feeds(kind: str, rows: int, steps: int) -> dict[str, np.ndarray]:
    result = {"x": np.ones((rows, steps, WIDTH), np.float32)}
    if kind == "recurrent":
        result["n"] = np.full(rows, steps)
    if kind == "attention":
        result |= {"memory": np.ones((rows, 0, WIDTH), np.float32), "n": np.zeros(rows, np.int64)}
    return result


KINDS = ["recurrent", "attention", "steps"]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kind", KINDS)
def test_calls_and_predict(kind: str, threads: int) -> None:
    program = rg.compile(net(kind), threads=threads, seed=0)
    for rows, steps in [*SIZES, (2, 3)]:
        inputs = feeds(kind, rows, steps)
        for actual in (program.inference(inputs), program.predict(inputs)):
            for name, array in actual.items():
                wanted = (rows,) if name == "state" else (rows, steps)
                assert array.shape[:-1] == wanted
                assert np.isfinite(array).all()


@pytest.mark.parametrize("threads", THREADS)
def test_reductions_over_none(threads: int) -> None:
    x, i = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("i", (None, None), "int32")
    outputs = {
        "sum": rg.reduce_sum(x, 1),
        "mean": rg.reduce_mean(x, 1),
        "max": rg.reduce_max(x, 1),
        "min": rg.reduce_min(x, 1),
        "flat": rg.reduce_sum(rg.reshape(x, (-1, WIDTH)), 0),
        "of_all": rg.reduce_sum(x),
        "largest": rg.reduce_max(i, 1),
        "smallest": rg.reduce_min(i, 1),
        "rows": rg.reduce_sum(x, 0),
    }
    program = rg.compile(outputs, threads=threads)
    actual = program.inference(x=np.ones((2, 0, WIDTH)), i=np.ones((2, 0), np.int32))
    wanted = {"sum": 0.0, "mean": np.nan, "max": -np.inf, "min": np.inf, "of_all": 0.0, "flat": 0.0}
    wanted |= {"largest": np.iinfo(np.int32).min, "smallest": np.iinfo(np.int32).max}
    for name, number in wanted.items():
        shape = {"of_all": (), "flat": (WIDTH,), "largest": (2,), "smallest": (2,)}.get(name, (2, WIDTH))
        np.testing.assert_array_equal(actual[name], np.full(shape, number, actual[name].dtype))
    assert actual["rows"].shape == (0, WIDTH)
    of_no_rows = program.inference(x=np.ones((0, 4, WIDTH)), i=np.ones((0, 4), np.int32))
    np.testing.assert_array_equal(of_no_rows["rows"], np.zeros((4, WIDTH)))


@pytest.mark.parametrize(("kind", "threads"), [("recurrent", 2), ("attention", 1)])
def test_gradients_are_zeros(kind: str, threads: int) -> None:
    outputs = net(kind)
    program = rg.compile(outputs, loss=rg.reduce_sum(rg.square(outputs["outputs"])), threads=threads, seed=0)
    for rows, steps in SIZES:
        loss, gradients = program.training.gradients(feeds(kind, rows, steps), wrt=["x"])
        assert loss == 0
        for name, array in gradients.items():
            shape = (rows, steps, WIDTH) if name == "x" else program.parameters[name].shape
            np.testing.assert_array_equal(array, np.zeros(shape))
        program.training(feeds(kind, rows, steps), seed=1)
        assert program.evaluate(feeds(kind, rows, steps))["loss"] == 0


@pytest.mark.parametrize("kind", ["recurrent", "dense"])
def test_a_training_step_needs_rows(kind: str) -> None:
    x, y = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("y", (None, None, UNITS))
    outputs = rg.dense(x, UNITS) if kind == "dense" else rg.dynamic_rnn(rg.GRUCell(UNITS), x)[0]
    program = rg.compile(outputs, loss=rg.reduce_sum(rg.square(y - outputs)), seed=0)
    trainer, before = (
        rg.Trainer(program, rg.SGD(0.1)),
        {name: array.copy() for name, array in program.parameters.items()},
    )

    def fed(rows: int, steps: int) -> dict[str, np.ndarray]:
        return {"x": np.ones((rows, steps, WIDTH)), "y": np.ones((rows, steps, UNITS))}

    for steps in (0, 4):
        with pytest.raises(rg.ShapeError, match=r"feed x has shape \(0, .*a training step needs at least one row"):
            trainer.step(fed(0, steps))
    assert trainer.step(fed(2, 0)) == 0
    for name, array in before.items():
        np.testing.assert_array_equal(program.parameters[name], array)


def test_negative_computed_sizes_are_errors() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs = [x[:, 1:], x[:, -1], rg.argmax(x, 1), rg.conv1d(x, UNITS, 3, padding="valid"), rg.gather(x[0], [0])]
    for tensor in outputs:
        with pytest.raises(rg.ShapeError, match=r"does not fit|no entries|has no rows"):
            rg.compile(tensor).inference(x=np.ones((2, 0, WIDTH)))


def test_searches_over_empty_axes_are_errors() -> None:
    """argmax over no steps is an error, except without rows, where there is no result to compute."""
    x = rg.placeholder("x", (None, None, WIDTH))
    program = rg.compile({"best": rg.argmax(x, 1), "last": rg.dynamic_rnn(rg.GRUCell(4), x)[1]})
    assert program.inference(x=np.ones((0, 0, WIDTH)))["best"].shape == (0, WIDTH)


@pytest.mark.parametrize(("kind", "threads"), [("plain", 1), ("attention", 2), ("steps", 1)])
def test_streams_and_pools(kind: str, threads: int) -> None:
    outputs = net(kind)
    if kind == "steps":
        outputs = {name: outputs[name] for name in ("dense", "causal", "sums")}
    program = rg.compile(outputs, threads=threads, seed=0)
    whole, name = feeds(kind, 2, 4), next(iter(outputs))
    held_feeds = {key: array for key, array in whole.items() if key != "x"}
    expected = program.inference(whole)
    stream = program.inference.stream(batch=2)
    parts = [
        stream.process({"x": whole["x"][:, first:stop]}, **held_feeds)
        for first, stop in ((0, 0), (0, 3), (3, 3), (3, 4))
    ]
    assert [part[name].shape[1] for part in parts] == [0, 3, 0, 1]
    np.testing.assert_array_equal(np.concatenate([part[name] for part in parts], 1), expected[name])
    pool = program.inference.streams(4)
    handles = [pool.open(**{key: array[:1] for key, array in held_feeds.items()}) for _ in range(2)]
    assert pool.step_rows([], x=np.ones((0, WIDTH), np.float32))[name].shape == (0, *expected[name].shape[2:])
    actual = pool.step_rows(handles, x=whole["x"][:, 0])
    np.testing.assert_array_equal(actual[name], expected[name][:, 0])


def test_predict_of_examples_with_and_without_steps() -> None:
    program = rg.compile(net("recurrent"), seed=0)
    lengths = [0, 2, 0, 3]
    actual = program.predict({"x": [np.ones((steps, WIDTH)) for steps in lengths], "n": lengths})
    assert [array.shape for array in actual["outputs"]] == [(steps, UNITS) for steps in lengths]
    np.testing.assert_array_equal(actual["state"][[0, 2]], np.zeros((2, UNITS)))


def test_exports(tmp_path: Path) -> None:
    program = rg.compile(net("attention"), seed=0)
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    exported = Sequence(tmp_path, "net", program.target)
    for rows, steps in SIZES:
        inputs = feeds("attention", rows, steps)
        np.testing.assert_array_equal(
            exported.run(inputs)["outputs"], program.inference(inputs)["outputs"], strict=True
        )


# Random declarations ------------------------------------------------------------------------------


def emptied(seed: int) -> Iterator[Declaration]:
    """Yield a random declaration without rows, without steps, and without both."""
    whole = declare_any(seed)
    for batch, time in ((0, whole.time), (whole.batch, 0), (0, 0)):
        yield replace(whole, batch=batch, time=time, streams=whole.streams and batch > 0)


def checked(seed: int) -> int:
    """Return the number of declarations that ran. Others have fixed sizes, or slices that need entries."""
    count = 0
    for declaration in emptied(seed):
        program = declaration.compile()
        arrays = declaration.arrays()
        needed = {str(node["label"]) for node in program.training.graph.inputs}
        try:
            program.training({name: array for name, array in arrays.items() if name in needed}, seed=7)
        except rg.ShapeError:
            continue
        check_all(declaration)
        count += 1
    return count


@pytest.mark.parametrize("seed", QUICK)
def test_random_declarations(seed: int) -> None:
    assert checked(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(300))
def test_many_random_declarations(seed: int) -> None:
    checked(seed)
