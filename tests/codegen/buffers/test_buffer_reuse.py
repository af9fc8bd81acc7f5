"""Loops over time overwrite values with results only after the values' last readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import declaration_checks
import numpy as np
import own_cells
import pytest
import teams
from interleaved import interleave_nothing
from native_calls import call_native

import rnngraph as rg
from rnngraph.codegen.buffers.buffer_reuse import BufferReuse
from rnngraph.codegen.buffers.views import View
from rnngraph.ir.graph import Node
from rnngraph.ir.interpreter import interpret

Arrays = dict[str, np.ndarray]


@pytest.mark.parametrize("units", [1, 16, 20, 33])
def test_a_state_that_is_read_together_with_its_next_value(units: int) -> None:
    """This state is double-buffered, because a tile stores values before the next tile reads the state."""
    x = rg.placeholder("x", (3, None, 9))
    outputs, _ = rg.dynamic_rnn(own_cells.LateReadCell(units), x)
    program = rg.compile({"outputs": outputs}, seed=1)
    feed = np.random.default_rng(2).normal(size=(3, 7, 9)).astype(np.float32)
    expected = interpret(program.inference.graph, {"x": feed, **program.parameters}, wide=True)["outputs"]
    np.testing.assert_allclose(program.inference(x=feed)["outputs"], expected, rtol=1e-5, atol=1e-6)


def trained(cell: Callable[[], rg.Cell], lengths: bool = False) -> tuple[rg.Program, Arrays]:
    """Return a net's program, and feeds with more steps than a chunk."""
    generator = np.random.default_rng(3)
    x, n = rg.placeholder("x", (2, None, 9)), rg.placeholder("n", (2,), "int64")
    outputs, _ = rg.dynamic_rnn(cell(), x, sequence_length=n if lengths else None)
    program = rg.compile({"outputs": outputs}, loss=rg.reduce_mean(rg.square(outputs)), seed=1, cache=False)
    feeds: Arrays = {"x": generator.normal(size=(2, 150, 9)).astype(np.float32)}
    if lengths:
        feeds["n"] = np.array([150, 83])
    return program, feeds


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[Node]:
    """Record the nodes that reuse another value's memory, over all compilations."""
    original, nodes = BufferReuse.places, set[Node]()

    def places(self: BufferReuse, *arguments: Any) -> dict[Node, View]:
        found = original(self, *arguments)
        nodes.update(found)
        return found

    monkeypatch.setattr(BufferReuse, "places", places)
    return nodes


def none_taken(self: BufferReuse, *arguments: Any) -> dict[Node, View]:
    return {}


CELLS: dict[str, tuple[Callable[[], rg.Cell], int, int]] = {
    "LSTM": (lambda: rg.BasicLSTMCell(16), 4, 4),
    "LSTM of part of a line": (lambda: rg.BasicLSTMCell(20), 4, 4),
    "peephole, whose products are computed backward": (lambda: rg.LSTMCell(16, use_peepholes=True), 2, 2),
    "GRU, its gates side by side": (lambda: rg.GRUCell(16, reset_after=True), 3, 3),
    "GRU, its gates not in whole lines": (lambda: rg.GRUCell(20, reset_after=True), 2, 2),
    "RNN, whose states sums read": (lambda: rg.BasicRNNCell(16), 0, 0),
    "stack": (lambda: rg.MultiRNNCell([rg.BasicLSTMCell(16), rg.BasicLSTMCell(16)]), 7, 7),
}
"""Cell by name, with the number of reused buffers in its derivative: without lengths, and with lengths."""


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_derivatives_reuse_the_memory_of_their_operands(
    name: str, lengths: bool, taken: set[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    interleave_nothing(monkeypatch)  # because it compiles chunks of few steps
    cell, *either = CELLS[name]
    wanted = either[lengths]
    program, feeds = trained(cell, lengths)
    loss, gradients = program.training.gradients(feeds)
    assert len(taken) == wanted
    memory = program.training.memory(T=150)  # plans a second time
    monkeypatch.setattr(BufferReuse, "places", none_taken)
    program, feeds = trained(cell, lengths)
    loss_apart, apart = program.training.gradients(feeds)
    more = program.training.memory(T=150)
    assert (memory.arena < more.arena) == (wanted > 0)
    assert memory.residuals == more.residuals
    assert np.array_equal(loss, loss_apart)
    for label, gradient in apart.items():
        assert np.array_equal(gradients[label], gradient), label


def test_derivatives_of_equal_layers_share_code() -> None:
    """Only the last layer has another derivative, because the loss reads just its last state."""
    x = rg.placeholder("x", (None, None, 64))
    cells = [rg.DropoutWrapper(rg.LSTMCell(128), input_keep_prob=0.5) for _ in range(4)]
    _, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    h = states[-1].h
    program = rg.compile({"h": h}, rg.reduce_mean(rg.square(h)), seed=1, cache=False, target="x86-64-v4")
    functions = [line for line in program.training.show("loops").splitlines() if line.startswith("# scan d_")]
    assert len(functions) == 2


class Following(rg.Cell):
    """Cell whose step reads its input elementwise."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h = rg.tanh(x + state["h"] * p.kernel("u", (self.num_units,)))
        return h, {"h": h}


LATER: dict[str, tuple[Callable[[rg.Tensor, rg.Tensor], rg.Tensor], int]] = {
    "nothing": (lambda before, after: rg.reduce_sum(after, axis=1), 1),
    "a sum over time": (lambda before, after: rg.reduce_sum(after * before, axis=1), 0),
    "a step": (lambda before, after: rg.reduce_sum(after, axis=1) * before[:, -1], 0),
    "a later step, beside": (lambda before, after: rg.reduce_sum(after[:, :-1] * before[:, 1:], axis=1), 0),
    "as a result": (lambda before, after: rg.reduce_sum(after, axis=1, keepdims=True) + before, 0),
}


@pytest.mark.parametrize("name", LATER)
def test_values_that_are_read_later_are_not_overwritten(name: str, taken: set[Node]) -> None:
    """A sequence that a later scan reads in the opposite direction is preserved too."""
    later, wanted = LATER[name]
    x = rg.placeholder("x", (2, None, 16))
    before, _ = rg.dynamic_rnn(rg.BasicRNNCell(16), x)
    (_, after), _ = rg.bidirectional_dynamic_rnn(Following(16), Following(16), before)
    program = rg.compile({"y": later(before, after)}, seed=1)
    feed = np.random.default_rng(2).normal(size=(2, 300, 16)).astype(np.float32)
    found = program.inference(x=feed)["y"]
    expected = interpret(program.inference.graph, {"x": feed, **program.parameters}, wide=True)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len(taken) == wanted


@pytest.mark.parametrize("share", [teams.share_everything, teams.share_in_pipelines])
@pytest.mark.parametrize("name", ["stack", "GRU, its gates side by side"])
def test_workers_take_places_over_too(
    name: str, share: Callable[[pytest.MonkeyPatch], None], taken: set[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is reused safely in whatever order workers run. The reference reuses no memory."""
    share(monkeypatch)
    program, feeds = trained(CELLS[name][0])
    graphs = program.training
    compiled = graphs.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    fed = declaration_checks.inputs_of(compiled.graph, feeds)
    sizes = graphs.sizes(fed, names, None, compiled)
    graph = compiled.sized(names, sizes)
    with monkeypatch.context() as patch:
        patch.setattr(BufferReuse, "places", none_taken)
        alone = call_native(compiled.entry(names, sizes), program.parameters, fed, sizes)
    for reverse in (False, True):
        taken.clear()
        found = teams.in_turns(monkeypatch, graph, program.parameters, fed, sizes, 3, reverse)
        assert taken
        for label, array in alone.items():
            assert np.array_equal(found[label], array), label
