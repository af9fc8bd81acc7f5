"""Concatenated results of graphs of chunks, run by the interpreter, equal those of the whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.ir.axes.by_size import time_sizes
from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import Dim
from rnngraph.ir.verifier import verify
from rnngraph.passes.chunks.chunk_graph import chunk_graph, tail_graph
from rnngraph.passes.chunks.delays import soonest_timeline
from rnngraph.passes.pipeline import forbidden, meaning, run
from rnngraph.runtime.graph_source import DeclaredSource

BATCH, WIDTH = 2, 3
Arrays = Mapping[str, np.ndarray]


def ones_late(x: rg.Tensor) -> rg.Tensor:
    return rg.conv1d(x, WIDTH, 3, padding="same")


def behind_padding(x: rg.Tensor, before: int, *dilations: int, value: float = 0.0) -> rg.Tensor:
    """Return convolutions of one padding, each of which reads entries that are known before the first step."""
    x = rg.pad(x, {1: (before, 0)}, value=value)
    for dilation in dilations:
        x = rg.tanh(rg.conv1d(x, 3, 3, padding="valid", dilation=dilation))
    return x


def turned(x: rg.Tensor) -> rg.Tensor:
    """Return tanh of x, computed in time-major order."""
    return rg.transpose(rg.tanh(rg.transpose(x, (1, 0, 2))), (1, 0, 2))


NETS: dict[str, tuple[int, int, Callable[[rg.Tensor], Any]]] = {
    "causal, strided": (2, 0, lambda x: rg.conv1d(x, 4, 3, strides=2)),
    "same": (1, 1, lambda x: rg.conv1d(x, 4, 3, padding="same")),
    "same, strided": (2, 1, lambda x: rg.conv1d(x, 4, 3, padding="same", strides=2)),
    "strided twice": (4, 1, lambda x: rg.conv1d(rg.conv1d(x, 4, 3, "same", strides=2), 4, 3, "same", strides=2)),
    "strides beyond the kernel": (4, 0, lambda x: rg.conv1d(x, 4, 2, padding="same", strides=4)),
    "valid": (1, 2, lambda x: rg.conv1d(x, 4, 3, padding="valid")),
    "valid, dilated, strided": (3, 2, lambda x: rg.conv1d(x, 4, 5, padding="valid", dilation=2, strides=3)),
    "so many zeros": (3, 3, lambda x: rg.conv1d(rg.conv1d(x, 4, 4, (2, 5), 2, strides=3), 2, 3, padding=(0, 4))),
    "zeros that are never read": (2, 0, lambda x: rg.conv1d(x, 6, 1, padding=(0, 3), strides=2)),
    "a pool": (4, 0, lambda x: rg.max_pool1d(rg.conv1d(x, 4, 1, strides=2), 2, padding="same")),
    "pools of pools": (2, 2, lambda x: rg.max_pool1d(rg.max_pool1d(x, 3, 2, padding="same"), 2, 1, padding="same")),
    "a mean of what there is": (2, 1, lambda x: rg.average_pool1d(ones_late(x), 3, 2, padding="same")),
    "a recurrence behind": (2, 2, lambda x: rg.dynamic_rnn(rg.GRUCell(4), rg.conv1d(x, 4, 4, (1, 1), 2, strides=2))[0]),
    "recurrences before and behind": (
        1,
        3,
        lambda x: rg.dynamic_rnn(
            rg.LSTMCell(4), rg.conv1d(ones_late(rg.dynamic_rnn(rg.GRUCell(4), x)[0]), 3, 5, padding="same")
        )[0],
    ),
    "a causal convolution behind": (1, 1, lambda x: rg.conv1d(ones_late(x) + 1.0, 4, 3)),
    "a residual": (1, 3, lambda x: rg.conv1d(rg.relu(ones_late(x)), 3, 5, padding="same") + x),
    "branches": (
        1,
        3,
        lambda x: rg.concat([ones_late(x), rg.conv1d(x, 3, 7, padding="same"), rg.conv1d(x, 2, 3), x]),
    ),
    "several outputs": (
        2,
        1,
        lambda x: {
            "all": ones_late(x),
            "half": rg.conv1d(x, 3, 2, strides=2, padding="same"),
            "last": x[:, -1],
            "late": rg.dense(ones_late(x), 2)[:, -1],
        },
    ),
    "pads of other numbers": (
        2,
        1,
        lambda x: {
            "a": rg.conv1d(rg.pad(x, {1: (2, 3)}), 3, 3, padding="valid", strides=2),
            "b": rg.relu(rg.pad(x, {1: (1, 2)}, value=2.0)),
            "c": ones_late(x),
        },
    ),
    "two numbers before one value": (1, 1, lambda x: rg.max_pool1d(x, 3, 1, "same") + ones_late(x)),
    "steps before and after": (1, 1, lambda x: rg.conv1d(x[:, 1:], 3, 3) * x[:, :-1]),
    "every fourth": (4, 0, lambda x: x[:, 3::4]),
    "cut and strided": (3, 2, lambda x: rg.conv1d(x[:, 2:-3:3], 3, 3, padding="same")),
    "the last but one": (1, 0, lambda x: {"a": x[:, -3:-1], "b": x * 2.0}),
    "groups": (1, 1, lambda x: rg.conv1d(x, 6, 3, padding="same", groups=3)),
    "time first": (1, 2, lambda x: rg.conv1d(turned(ones_late(x)), 3, 3, padding="same")),
    "mirrored at the end": (1, 2, lambda x: rg.conv1d(rg.pad(x, {1: (0, 2)}, mode="reflect"), 3, 3, padding="valid")),
    "mirrored": (1, 2, lambda x: rg.conv1d(x, 3, 5, padding="reflect")),
    "mirrored, strided": (2, 2, lambda x: rg.conv1d(x, 3, 7, padding="reflect", strides=2)),
    "mirrored further than windows reach": (
        1,
        3,
        lambda x: rg.conv1d(rg.pad(x, {1: (3, 0)}, mode="reflect"), 3, 2, padding="valid"),
    ),
    "mirrored, late": (1, 5, lambda x: rg.conv1d(ones_late(ones_late(x)), 3, 7, padding="reflect")),
    "mirrored and repeated": (
        1,
        3,
        lambda x: rg.concat(
            [
                rg.conv1d(rg.pad(x, {1: (2, 3)}, mode="edge"), 3, 6, padding="valid"),
                rg.conv1d(x, 2, 3, padding="reflect"),
                rg.conv1d(x, 2, 5, padding="reflect"),
                ones_late(x),
            ]
        ),
    ),
    "mirrored, time first": (1, 1, lambda x: rg.conv1d(turned(x), 3, 3, padding="reflect")),
    "convolutions of one padding": (1, 0, lambda x: behind_padding(x, 4, 1, 1)),
    "convolutions of one number": (1, 0, lambda x: behind_padding(x, 6, 2, 1, value=0.5)),
    "convolutions of more padding": (1, 0, lambda x: behind_padding(x, 9, 1, 2, 1)[:, 1:]),
    "convolutions of less padding": (1, 2, lambda x: behind_padding(x, 3, 1, 1)),
    "convolutions, strided": (2, 0, lambda x: rg.conv1d(behind_padding(x, 3, 1), 3, 2, padding="valid", strides=2)),
    "convolutions behind a recurrence": (
        1,
        0,
        lambda x: behind_padding(rg.dynamic_rnn(rg.GRUCell(4), x)[0], 4, 1, 1) + rg.dense(x, 3),
    ),
    "convolutions beside a late one": (
        1,
        1,
        lambda x: {"a": behind_padding(x, 4, 1, 1), "b": ones_late(x)},
    ),
    "repeated at the end": (1, 2, lambda x: rg.conv1d(rg.pad(x, {1: (0, 2)}, mode="edge"), 3, 3, padding="valid")),
}


class Net:
    """Graphs of a declaration: for the whole sequence, for a chunk and for the end; with values of its parameters."""

    def __init__(self, declare: Callable[[rg.Tensor], Any]) -> None:
        lowered = DeclaredSource(declare(rg.placeholder("x", (None, None, WIDTH))), None, {}).stateful()
        self.graph = run(lowered.graph, meaning("inference"), forbidden("inference"))
        self.timeline = soonest_timeline(self.graph, time_sizes(self.graph))
        (self.length,) = self.timeline.stream_rate.lengths
        self.rows: Dim = self.graph.inputs[0].shape[0]
        self.random = np.random.default_rng(3)
        self.parameters = {
            node["label"]: self.random.standard_normal(node.shape).astype(node.dtype)
            for node in self.graph.inputs
            if node.op == "parameter"
        }
        self.begin = {name: np.zeros((BATCH, node.shape[1]), node.dtype) for name, node in lowered.initial.outputs}

    def whole(self, x: np.ndarray) -> Arrays | None:
        try:
            return interpret(self.graph, {**self.parameters, **self.begin, "x": x})
        except ValueError:  # the sequence is too short
            return None

    def run(self, graph: Graph, states: Arrays, x: np.ndarray, steps: int) -> Arrays:
        sizes = {self.length: steps, str(self.rows): BATCH}
        return interpret(graph, {**self.parameters, **states, "x": x}, sizes=sizes)

    def chunks(self, x: np.ndarray, cuts: Sequence[int]) -> tuple[list[Arrays], Arrays]:
        """Return the results of the chunks and of the end."""
        rate, made = self.timeline.stream_rate.rate, chunk_graph(self.timeline, self.rows)
        kinds = {node["label"]: node.tensor for node in verify(made.graph).inputs}
        states = dict(self.begin)
        for label, first in made.initial:
            states[label] = np.full((BATCH, kinds[label].shape[1]), interpret(Graph.of("first", [("", first)]), {})[""])
        found, now = [], 0
        for cut in cuts:
            results = self.run(made.graph, states, x[:, now * rate : (now + cut) * rate], cut)
            found.append({name: results[name] for name, _ in self.graph.outputs if name not in self.begin})
            states, now = {name: results[name] for name in states}, now + cut
        rest = x.shape[1] - now * rate
        tail = verify(tail_graph(self.timeline, self.rows, {self.length: rest}))
        return found, self.run(tail, states, x[:, now * rate :], rest)


@pytest.mark.parametrize("name", NETS)
def test_chunks_and_the_end_are_the_whole(name: str) -> None:
    rate, delay, declare = NETS[name]
    net = Net(declare)
    assert not net.timeline.refused
    assert (net.timeline.stream_rate.rate, net.timeline.delay) == (rate, delay)
    compared = 0
    for length in (*range(2 * rate + delay * rate + 3), 25):
        x = net.random.standard_normal((BATCH, length, WIDTH)).astype(np.float32)
        whole, steps = net.whole(x), length // rate
        for cuts in ([1] * steps, [0, steps - steps // 3, steps // 3]):
            try:
                chunks, end = net.chunks(x, cuts)
            except rg.GraphError as error:
                assert length % rate
                assert "differ from its first step" in str(error)  # noqa: PT017
                continue
            if whole is None or not chunks:
                continue
            for output in chunks[0]:
                growth = net.timeline.growth(net.graph.output(output))
                if growth is None:
                    if length:
                        assert_array_equal(end[output], whole[output])
                    continue
                joined = np.concatenate([*(chunk[output] for chunk in chunks), end[output]], 1)
                lag = delay * growth.per_step
                assert not joined[:, :lag].any()
                assert_allclose(joined[:, lag:], whole[output], rtol=2e-5, atol=2e-5)
                compared += 1
    assert compared > 5


def test_a_causal_graph_is_left_as_it_is() -> None:
    net = Net(lambda x: rg.dynamic_rnn(rg.LSTMCell(4), rg.conv1d(x, 3, 3))[0][:, -1])
    assert net.timeline.is_causal
    assert net.timeline.delay == 0


def test_the_timeline_has_the_delay_of_each_value() -> None:
    text = str(Net(NETS["same, strided"][2]).timeline)
    assert text.splitlines()[0] == "2 entries for each step, outputs 1 steps late"
    assert "x: 2 for each step, late by 0, 2 kept" in text


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda x: rg.concat([x, x], 1), "sequences are concatenated along time"),
        (
            lambda x: rg.conv1d(rg.concat([x[:, :2], x], 1), 3, 3),
            "neither a number, nor first steps, nor one known entry",
        ),
        (lambda x: rg.concat([rg.pad(x, {1: (1, 0)}, mode="reflect")[:, :-1], x[:, 1:2] * x]), "a slice 1:2 over time"),
    ],
)
def test_graphs_that_can_not_run_in_chunks(declare: Callable[[rg.Tensor], rg.Tensor], why: str) -> None:
    assert any(why in reason for reason in Net(declare).timeline.refused.values())
