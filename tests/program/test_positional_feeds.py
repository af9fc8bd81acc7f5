"""One positional array feeds the only input that no keyword feeds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 5, 3)).astype(np.float32), RNG.normal(size=(2, 2)).astype(np.float32)


@cache
def regression(lengths: bool = False) -> rg.Program:
    x, y = rg.placeholder("x", (None, None, 3)), rg.placeholder("y", (None, 2))
    n = rg.placeholder("n", (None,), "int32") if lengths else None
    cell = rg.DropoutWrapper(rg.GRUCell(4), output_keep_prob=rg.placeholder("keep", ()))
    outputs, state = rg.dynamic_rnn(cell, x, n)
    shown = rg.dense(state, 2)
    loss = rg.mean_squared_error(y, shown) + rg.reduce_mean(outputs)
    return rg.compile({"shown": shown}, loss=loss)


CALLS: dict[str, Callable[[rg.Program, Any, dict[str, Any]], Any]] = {
    "inference": lambda p, x, more: p.inference(*x, **more)["shown"],
    "training": lambda p, x, more: p.training(*x, y=Y, keep=0.5, seed=3, **more)["loss"],
    "evaluate": lambda p, x, more: p.evaluate(*x, y=Y, **more)["loss"],
    "gradients": lambda p, x, more: p.training.gradients(*x, y=Y, keep=0.5, seed=3, **more)[0],
    "step": lambda p, x, more: rg.Trainer(p, rg.SGD(0.0)).step(*x, y=Y, keep=0.5, seed=3, **more),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str) -> None:
    call, program = CALLS[name], regression()
    expected = call(program, (), {"x": X})
    for inputs in (X, X.tolist(), X.astype(np.float64)):
        for _ in range(3):
            assert_array_equal(call(program, (inputs,), {}), expected)


def test_calls_that_machine_code_runs() -> None:
    program = regression()
    expected = program.inference(x=X)["shown"]
    for _ in range(60):
        assert_array_equal(program.inference(X)["shown"], expected)
        assert_array_equal(program.inference(x=X)["shown"], expected)
    stream, other = program.inference.stream(2), program.inference.stream(2)
    for _ in range(60):
        assert_array_equal(stream.step(X[:, 0])["shown"], other.step(x=X[:, 0])["shown"])
    assert_array_equal(stream.process(X)["shown"], other.process(x=X)["shown"])


def test_pools_take_the_array_of_the_only_input() -> None:
    program = regression()
    pool, stream = program.inference.streams(4), program.inference.stream(2)
    first, second = pool.open(), pool.open()
    for step in (0, 1):
        expected = stream.step(x=X[:, step])["shown"]
        actual = pool.step({first: X[0, step], second: {"x": X[1, step]}})
        assert_array_equal(np.stack([actual[first]["shown"], actual[second]["shown"]]), expected)
    assert_array_equal(pool.step_rows([first, second], X[:, 2])["shown"], stream.step(x=X[:, 2])["shown"])
    with pool.serve():
        actual = [pool.submit(handle, X[row, 3]) for row, handle in enumerate((first, second))]
        assert_array_equal(np.stack([one.result()["shown"] for one in actual]), stream.step(x=X[:, 3])["shown"])


def test_a_block_of_steps_is_for_process() -> None:
    stream = regression().inference.stream(2)
    with pytest.raises(rg.ShapeError, match=r"step takes one step, f32\[B,3\]; use stream\.process"):
        stream.step(x=X)


def test_inputs_fed_by_keyword_are_no_candidates() -> None:
    program = regression(lengths=True)
    assert_array_equal(program.inference(X, n=[3, 5])["shown"], program.inference(x=X, n=[3, 5])["shown"])
    with pytest.raises(rg.StructureError, match="not as ndarray; it could be x, n, so give them by name"):
        program.inference(X)
    with pytest.raises(rg.NameLookupError, match="needs n; feed it by name; n is the number of steps of each row"):
        program.inference(x=X)
    with pytest.raises(rg.ShapeError, match=r"feed x have shapes \(3, 3\) and \(2, 3\); pad them.*program\.predict"):
        program.inference(x=[X[0, :3], X[1, :2]], n=[3, 2])
    with pytest.raises(rg.StructureError, match="all inputs are fed by keyword"):
        program.inference(X, x=X, n=[3, 5])
    with pytest.raises(rg.CallError, match=r"give feeds by keyword, as in inference\(x=…, n=…\)"):
        program.inference(X, [3, 5])  # type: ignore[arg-type]


def test_outputs_are_described() -> None:
    program = regression()
    assert program.outputs == {"shown": ((None, 2), "float32")}
    assert program.outputs["shown"].shape == (None, 2)
    x = rg.placeholder("x", ("rows", 4, 3))
    assert rg.compile(rg.reduce_sum(x, axis=2)).outputs == {"output": (("rows", 4), "float32")}
