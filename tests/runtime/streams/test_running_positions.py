"""Positions continue from step to step, and concatenation does not shift them."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg


def _steps(x: rg.Tensor) -> rg.Tensor:
    """Return positions along time, [1, T, 1]."""
    return rg.expand_dims(rg.expand_dims(rg.cast(rg.positions(x, axis=1), "float32"), -1), 0)


def test_positions_are_joined_with_features() -> None:
    x = rg.placeholder("x", (None, None, 3))
    steps = _steps(x)
    both = rg.concat([steps, rg.sin(steps)], -1)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(2), rg.concat([x, x[:, :, :2] * 0.0 + both], -1))
    program = rg.compile(outputs, cache=False)
    values = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    stream = program.inference.stream(2)
    actual = np.stack([stream.step(values[:, step]) for step in range(5)], 1)
    np.testing.assert_array_equal(actual, program.inference(values))


def _delayed(x: rg.Tensor, steps: rg.Tensor) -> rg.Program:
    """Return a net that reads positions of the previous step, of shape [1, T, 1] or [B, T, 1]."""
    before = rg.concat([steps[:, :1] * 0.0, steps], 1)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(2), x + before[:, :-1])
    return rg.compile(outputs, cache=False)


def test_positions_without_rows_that_are_joined_along_time_are_no_stream() -> None:
    x = rg.placeholder("x", (None, None, 3))
    with pytest.raises(rg.GraphError, match="reads running positions, which differ from row to row in a stream"):
        _delayed(x, _steps(x)).inference.stream(2)


def test_positions_of_rows_are_delayed_in_streams_and_pools() -> None:
    x = rg.placeholder("x", (None, None, 3))
    rows = rg.cast(rg.positions(x, axis=0) * 0, "float32")
    inference = _delayed(x, _steps(x) + rg.reshape(rows, (-1, 1, 1))).inference
    values = np.random.default_rng(0).standard_normal((2, 8, 3)).astype("float32")
    whole = inference(values)
    stream, pool = inference.stream(2), inference.streams()
    np.testing.assert_array_equal(np.stack([stream.step(values[:, t]) for t in range(8)], 1), whole)
    first = pool.open()
    pool.step({first: {"x": values[0, 0]}})
    second = pool.open()  # begins a step later than the first
    for t in range(7):
        results = pool.step({first: {"x": values[0, t + 1]}, second: {"x": values[1, t]}})
        np.testing.assert_array_equal(results[first], whole[0, t + 1])
        np.testing.assert_array_equal(results[second], whole[1, t])


def learnt_positions(rows: int) -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    table = rg.parameter("table", (rows, 3), np.arange(3 * rows, dtype=np.float32).reshape(rows, 3))
    return rg.compile(x + rg.gather(table, rg.positions(x, axis=1)))


def test_streams_past_the_end_of_a_table_are_errors_as_whole_calls_are() -> None:
    program, x = learnt_positions(6), np.zeros((2, 8, 3), np.float32)
    with pytest.raises(rg.ShapeError, match=r"rows 0 to .* of a table of 6"):
        program.inference(x=x)
    whole, text = program.inference(x=x[:, :6]), "more steps than the 6 rows of a table"
    stream, pool = program.inference.stream(batch=2), program.inference.streams()
    late = pool.open()
    pool.step({late: {"x": x[0, 0]}})
    early = pool.open()
    for t in range(6):
        np.testing.assert_array_equal(stream.step(x=x[:, t]), whole[:, t])
        if t < 5:
            pool.step({late: {"x": x[0, t]}, early: {"x": x[0, t]}})
    np.testing.assert_array_equal(pool.step({early: {"x": x[0, 5]}})[early], whole[0, 5])
    with pytest.raises(rg.ShapeError, match=text) as caught:
        pool.step({late: {"x": x[0, 5]}})
    assert "test_running_positions.py" in str(caught.value)
    with pytest.raises(rg.ShapeError, match=text):
        stream.step(x=x[:, 6])
    resumed = program.inference.stream(batch=2, state=stream.state)
    with pytest.raises(rg.ShapeError, match=text):
        resumed.step(x=x[:, 6])
    stream.reset()
    with pytest.raises(rg.ShapeError, match=text):
        stream.process(x=x)
    stream.reset()
    np.testing.assert_array_equal(stream.process(x=x[:, :6]), whole)


def test_only_the_stream_past_the_end_of_a_table_gets_the_error() -> None:
    pool, x = learnt_positions(2).inference.streams(), np.zeros(3, np.float32)
    late = pool.open()
    for _ in range(2):
        pool.step({late: {"x": x}})
    early = pool.open()
    with pool.serve(max_batch=2, max_wait=10):
        failed, computed = pool.submit(late, x=x), pool.submit(early, x=x)
        with pytest.raises(rg.ShapeError, match="more steps than the 2 rows of a table"):
            failed.result(10)
        np.testing.assert_array_equal(computed.result(10), [0, 1, 2])
