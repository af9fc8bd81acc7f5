"""If rows and steps are merged into one axis and split again, streams are as with separate axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.interpreter import interpret
from rnngraph.passes.axes.separate_axes import separate_steps

SIZES = ((1, 1), (2, 3), (3, 7), (1, 17))
Net = Callable[[rg.Tensor], Any]


def recurrent(x: rg.Tensor, width: int = 6) -> rg.Tensor:
    return rg.dynamic_rnn(rg.GRUCell(width), x, scope="first")[0]


def dense(x: rg.Tensor) -> rg.Tensor:
    y = rg.relu(rg.dense(rg.reshape(recurrent(x), (-1, 6)), 5, name="out"))
    return rg.reshape(y, ("B", -1, 5))


def by_heads(x: rg.Tensor) -> rg.Tensor:
    y = rg.reshape(recurrent(x), (-1, 2, 3))
    y = (y - rg.reduce_mean(y, -1, keepdims=True)) / (1 + rg.reduce_max(rg.abs(y), (1, 2), keepdims=True))
    return rg.reshape(y, ("B", -1, 6))


def heads_among_the_rows(x: rg.Tensor) -> rg.Tensor:
    y = rg.rms_norm(rg.reshape(recurrent(x), (-1, 3)))
    return rg.reshape(y, ("B", "T", 6))


def heads_beside_rows(x: rg.Tensor) -> rg.Tensor:
    y = rg.dense(rg.reshape(recurrent(x), (-1, 6)), 6, name="out")
    return rg.reshape(y + rg.reshape(rg.rms_norm(rg.reshape(y, (-1, 3))), (-1, 6)), ("B", "T", 6))


def steps_first(x: rg.Tensor) -> rg.Tensor:
    y = rg.reshape(rg.transpose(recurrent(x), (1, 0, 2)), (-1, 6))
    y = rg.concat([y, rg.dense(y, 2, name="more")], -1)[:, 1:]
    return rg.transpose(rg.reshape(y, ("T", "B", 7)), (1, 0, 2))


def heads_before_a_layer_on_steps_first(x: rg.Tensor) -> rg.Tensor:
    y = rg.reshape(rg.rms_norm(rg.reshape(recurrent(x), (-1, 2, 3))), (-1, 6))
    y = rg.transpose(rg.reshape(y, ("B", "T", 6)), (1, 0, 2))
    y = rg.dense(rg.reshape(y, (-1, 6)), 5, name="out")
    return rg.transpose(rg.reshape(y, ("T", "B", 5)), (1, 0, 2))


def a_frame_each(x: rg.Tensor) -> rg.Tensor:
    frames = rg.reshape(x, (-1, 4, 1))
    y = rg.conv1d(frames, 2, 3, padding="same", name="frame")
    y = rg.max_pool1d(y, 2, 2)
    return recurrent(rg.reshape(y, ("B", "T", 4)))


def products_by_heads(x: rg.Tensor) -> rg.Tensor:
    y = rg.reshape(recurrent(x), (-1, 2, 3))
    scores = rg.softmax(y @ rg.transpose(y, (0, 2, 1)))
    return rg.reshape(scores @ y, ("B", "T", 6))


def weights_by_heads(x: rg.Tensor) -> rg.Tensor:
    return rg.einsum("bthd,hde->bteh", rg.reshape(recurrent(x), ("B", "T", 2, 3)), rg.parameter("heads", (2, 3, 4)))


def symbols(x: rg.Tensor) -> rg.Tensor:
    ids = rg.reshape(rg.argmax(x, -1), (-1,))
    return recurrent(rg.reshape(rg.embedding(ids, 4, 3), ("B", "T", 3)))


NETS: tuple[Net, ...] = (
    dense,
    by_heads,
    heads_among_the_rows,
    heads_beside_rows,
    steps_first,
    heads_before_a_layer_on_steps_first,
    a_frame_each,
    products_by_heads,
    weights_by_heads,
    symbols,
)


def program_of(net: Net) -> rg.Program[Any]:
    x = rg.placeholder("x", ("B", "T", 4))
    return rg.compile(net(x), seed=0)


@pytest.mark.parametrize("net", NETS)
def test_values_are_unchanged(net: Net) -> None:
    program = program_of(net)
    graph = program.inference.graph
    apart = separate_steps(graph, {"T"})
    assert apart is not graph
    for rows, steps in SIZES:
        x = np.random.default_rng(0).standard_normal((rows, steps, 4)).astype(np.float32)
        feeds = {"x": x, **{name: np.asarray(program.parameters[name]) for name in program.parameters}}
        np.testing.assert_array_equal(interpret(apart, feeds)[""], interpret(graph, feeds)[""])


def test_a_graph_that_merges_no_steps_is_the_same() -> None:
    graph = program_of(lambda x: rg.reshape(recurrent(x), ("B", "T", 2, 3))).inference.graph
    assert separate_steps(graph, {"T"}) is graph


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_streams_have_the_bits_of_whole_sequences(net: Net) -> None:
    program = program_of(net)
    for rows, steps in ((2, 7), (3, 17)):
        x = np.random.default_rng(0).standard_normal((rows, steps, 4)).astype(np.float32)
        stream = program.inference.stream(batch=rows)
        assert stream.delay == 0
        found = np.stack([np.asarray(stream.step(x[:, step])) for step in range(steps)], 1)
        np.testing.assert_array_equal(found, np.asarray(program.inference(x)))


@pytest.mark.slow
def test_a_pool_of_streams() -> None:
    program = program_of(by_heads)
    pool = program.inference.streams(3)
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    stream = pool.open()
    found = [np.asarray(pool.step({stream: {"x": x[step]}})[stream]) for step in range(5)]
    np.testing.assert_array_equal(np.stack(found), np.asarray(program.inference(x[None]))[0])


def test_steps_that_stay_merged_are_refused() -> None:
    program = program_of(lambda x: rg.reshape(recurrent(x), (-1, 6)))
    with pytest.raises(rg.GraphError, match="reshape joins steps with another axis"):
        program.inference.stream()
