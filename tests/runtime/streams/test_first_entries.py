"""Streams that read the first entries of a sequence, or a known entry in front of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from streamed import WIDTH, check_lengths, normal

import rnngraph as rg

START = normal(WIDTH)


class Mean(rg.Cell):
    """Exponential moving mean."""

    def state(self) -> dict[str, int]:
        return {"m": WIDTH}

    def step(self, p: rg.Scope, x: rg.Tensor, state: dict[str, rg.Tensor]) -> tuple[rg.Tensor, dict[str, rg.Tensor]]:
        m = 0.7 * state["m"] + 0.3 * x
        return m, {"m": m}


def first(x: rg.Tensor) -> rg.Tensor:
    return x - x[:, :1]


def initial_state(x: rg.Tensor) -> rg.Tensor:
    return rg.dynamic_rnn(rg.GRUCell(5), x, initial_state=rg.tanh(rg.dense(x[:, 0], 5)))[0]


def mean(x: rg.Tensor) -> rg.Tensor:
    outputs, _ = rg.dynamic_rnn(Mean(), x[:, 1:], initial_state=x[:, 0])
    return rg.concat([rg.expand_dims(x[:, 0], 1), outputs], 1)


def of_a_loop(x: rg.Tensor) -> rg.Tensor:
    hidden, _ = rg.dynamic_rnn(rg.LSTMCell(5), x)
    return rg.dynamic_rnn(rg.GRUCell(5), hidden, initial_state=hidden[:, 0])[0]


def start_vector(x: rg.Tensor) -> rg.Tensor:
    shape = (1, 1, WIDTH)
    start = rg.tile(rg.reshape(rg.parameter("start", shape), shape), [1, 1, 1])
    before = rg.concat([start + 0 * x[:, :1], x[:, :-1]], 1)
    return rg.dynamic_rnn(rg.GRUCell(5), before)[0] + rg.dense(x, 5)


def windows(x: rg.Tensor) -> rg.Tensor:
    before = rg.concat([rg.tanh(x[:, :1]), x], 1)
    return rg.conv1d(before, 5, 3, "causal")[:, 1:]


def in_front_of_a_loop(x: rg.Tensor) -> rg.Tensor:
    hidden, _ = rg.dynamic_rnn(rg.LSTMCell(WIDTH), x)
    return rg.conv1d(rg.concat([rg.expand_dims(x[:, 0], 1), hidden], 1), 3, 2)


def two_entries(x: rg.Tensor) -> rg.Tensor:
    pairs = rg.conv1d(x, 4, 2, strides=2)
    return rg.dynamic_rnn(rg.GRUCell(4), pairs, initial_state=x[:, 0] - x[:, 1])[0]


def late(x: rg.Tensor) -> rg.Tensor:
    return rg.conv1d(x, WIDTH, 3, "same") * rg.sigmoid(rg.expand_dims(x[:, 0], 1))


CASES = [first, initial_state, mean, of_a_loop, start_vector, windows, in_front_of_a_loop, two_entries, late]


@pytest.mark.parametrize("net", CASES, ids=lambda net: net.__name__)
def test_streams_have_the_bits_of_whole_calls(net: Callable[[rg.Tensor], rg.Tensor]) -> None:
    program = rg.compile(net(rg.placeholder("x", (None, None, WIDTH))), seed=1)
    assert check_lengths(program, 3, (4, 6, 12)) > 0


@pytest.mark.parametrize("net", [initial_state, mean, of_a_loop, start_vector], ids=lambda net: net.__name__)
def test_rows_begin_at_different_times(net: Callable[[rg.Tensor], rg.Tensor]) -> None:
    program = rg.compile(net(rg.placeholder("x", (None, None, WIDTH))), seed=1)
    x, stream = normal(2, 9, WIDTH), program.inference.stream(batch=2)
    assert stream.delay == 0
    for step in range(4):
        stream.step(x=normal(2, 4, WIDTH)[:, step])
    stream.reset(rows=[1])
    results = [stream.step(x=x[:, step]) for step in range(9)]
    assert_array_equal(np.stack([result[1] for result in results]), program.inference(x=x)[1])


def test_a_pool_starts_each_stream_by_itself() -> None:
    program = rg.compile(mean(rg.placeholder("x", (None, None, WIDTH))), seed=1)
    pool, x = program.inference.streams(2), normal(2, 6, WIDTH)
    one = pool.open()
    early = [pool.step({one: {"x": x[0, step]}})[one] for step in range(2)]
    two = pool.open()
    both = [pool.step({one: {"x": x[0, 2 + step]}, two: {"x": x[1, step]}}) for step in range(4)]
    whole = program.inference(x=x)
    assert_array_equal(np.stack([*early, *(item[one] for item in both)]), whole[0])
    assert_array_equal(np.stack([item[two] for item in both]), whole[1][:4])


def test_a_saved_program_and_an_export_stream(tmp_path: Path) -> None:
    program = rg.compile(mean(rg.placeholder("x", (None, None, WIDTH))), seed=1)
    program.save(tmp_path / "net")
    x = normal(2, 5, WIDTH)
    stream = rg.load(tmp_path / "net").inference.stream(batch=2)
    steps = [stream.step(x=x[:, step]) for step in range(5)]
    assert_array_equal(np.stack(steps, 1), program.inference(x=x))
    program.inference.export(tmp_path / "c", form="stream")


def test_first_entries_of_late_sequences_are_refused() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    ahead = rg.conv1d(x, WIDTH, 3, "same")
    program = rg.compile(rg.dynamic_rnn(rg.GRUCell(WIDTH), x, initial_state=ahead[:, 0])[0])
    with pytest.raises(rg.GraphError, match="a slice 0:1 over time, whose steps arrive after the first one"):
        program.inference.stream()
