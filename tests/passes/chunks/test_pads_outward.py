"""With padding along time, a stream is delayed by no more steps than necessary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.ir.interpreter import interpret
from rnngraph.passes.chunks.cut_padding import cut_padding
from rnngraph.passes.chunks.pads_outward import pads_outward

Net = Callable[[rg.Tensor], Any]


def recurrent(x: rg.Tensor) -> rg.Tensor:
    return rg.dynamic_rnn(rg.GRUCell(6), x)[0]


def turned(x: rg.Tensor) -> rg.Tensor:
    return rg.transpose(x, (0, 2, 1))


def window(x: rg.Tensor, dilation: int = 1, name: str = "window") -> rg.Tensor:
    return rg.conv1d(x, 5, 3, padding="valid", dilation=dilation, name=name)


NETS: dict[str, tuple[Net, int]] = {
    "behind a recurrence": (lambda x: window(rg.pad(recurrent(x), {1: (2, 0)})), 0),
    "transposed": (lambda x: window(turned(rg.pad(turned(recurrent(x)), {2: (2, 0)}))), 0),
    "transposed input": (lambda x: recurrent(window(turned(rg.pad(turned(x), {2: (2, 0)})))), 0),
    "behind a causal convolution": (
        lambda x: window(rg.pad(rg.conv1d(recurrent(x), 6, 3, padding="causal", name="first"), {1: (2, 0)})),
        0,
    ),
    "before a pool": (lambda x: rg.max_pool1d(rg.pad(recurrent(x), {1: (3, 0)}), 4, 1, padding="valid"), 0),
    "an activation between": (lambda x: window(rg.tanh(rg.pad(recurrent(x), {1: (2, 0)}) * 2.0)), 0),
    "a gate of both": (lambda x: (lambda y: window(y * rg.relu(y)))(rg.pad(recurrent(x), {1: (2, 0)})), 0),
    "two of them": (
        lambda x: window(rg.pad(rg.relu(window(rg.pad(recurrent(x), {1: (4, 0)}), 2, "wide")), {1: (2, 0)})),
        0,
    ),
    "cut behind": (lambda x: turned(turned(window(rg.pad(recurrent(x), {1: (2, 2)})))[:, :, :-2]), 0),
    "another number": (lambda x: window(rg.pad(recurrent(x), {1: (2, 0)}, value=0.5) + 1.0), 0),
    "padded along another axis, too": (
        lambda x: window(rg.pad(rg.pad(rg.relu(x) * rg.reduce_sum(x, -1, keepdims=True), {1: (2, 0)}), {2: (1, 1)})),
        0,
    ),
    "to a multiple, and cut off": (
        lambda x: rg.gather(turned(turned(rg.pad_to_multiple(recurrent(x), 4, 1)) * 2.0), rg.positions(x, 1), 1),
        0,
    ),
    "slices of time and width": (lambda x: rg.concat([recurrent(x)[:, :-1, :3] * 2.0, x[:, 1:, 1:]], 2), 1),
    "both sides": (lambda x: window(turned(rg.pad(turned(recurrent(x)), {2: (1, 1)}))), 1),
}


def program_of(net: Net) -> rg.Program[Any]:
    return rg.compile(net(rg.placeholder("x", ("B", "T", 4))), seed=0)


@pytest.mark.parametrize("name", NETS)
def test_values_are_unchanged(name: str) -> None:
    program = program_of(NETS[name][0])
    graph = program.inference.graph
    x = np.random.default_rng(0).standard_normal((2, 7, 4)).astype(np.float32)
    feeds = {"x": x, **{name: np.asarray(program.parameters[name]) for name in program.parameters}}
    rewritten = pads_outward(cut_padding(graph), {"T"})
    np.testing.assert_array_equal(interpret(rewritten, feeds)[""], interpret(graph, feeds)[""])


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_stream_is_delayed_only_by_the_steps_that_it_needs(name: str) -> None:
    net, delay = NETS[name]
    program = program_of(net)
    for rows, steps in ((1, 3), (3, 17)):
        x = np.random.default_rng(0).standard_normal((rows, steps, 4)).astype(np.float32)
        stream = program.inference.stream(batch=rows)
        assert stream.delay == delay
        found = [np.asarray(stream.step(x[:, step])) for step in range(steps)][delay:]
        whole = np.asarray(program.inference(x))
        np.testing.assert_array_equal(np.stack(found, 1), whole[:, : steps - delay])
