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


def test_positions_that_are_joined_along_time_are_no_stream() -> None:
    x = rg.placeholder("x", (None, None, 3))
    steps = _steps(x)
    twice = rg.concat([steps[:, :1] * 0.0, steps], 1)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(2), x + twice[:, :-1])
    with pytest.raises(rg.GraphError, match="running positions are sliced or concatenated along time"):
        rg.compile(outputs, cache=False).inference.stream(2)
