"""Loops that become LSTM, GRU and RNN nodes, with onnxruntime's results."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from declaration_checks import close
from onnx_files import assert_same, attributes, by_onnxruntime, node, ops, ours, spread, written

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

pytest.importorskip("onnx")
RECURRENT = ("LSTM", "GRU", "RNN", "Scan")


def loops(model: Any) -> dict[str, int]:
    return dict(Counter(op for op in ops(model) if op in RECURRENT))


def over(cell: Any, width: int = 3, **options: Any) -> rg.Program:
    outputs, state = rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, width)), **options)
    return spread(rg.compile({"outputs": outputs, "state": state}))


class PlainLSTM(rg.Cell):
    """User-defined LSTM with separate kernels and the forget gate last."""

    def __init__(self, units: int) -> None:
        self.units = units

    def state(self) -> Any:
        return {"h": self.units, "memory": self.units}

    def gate(self, p: rg.Scope, name: str, x: rg.Tensor, h: rg.Tensor) -> rg.Tensor:
        kernel, recurrent = (x.width, self.units), (self.units, self.units)
        return p.bias(f"b_{name}", (self.units,)) - h @ p.kernel(f"u_{name}", recurrent) + x @ p.kernel(name, kernel)

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h, c = state["h"], state["memory"]
        i, o, j, f = (self.gate(p, name, x, h) for name in "iojf")
        c = rg.tanh(j) * rg.hard_sigmoid(i) + c * rg.hard_sigmoid(f)
        h = rg.hard_sigmoid(o) * rg.relu(c)
        return h, {"h": h, "memory": c}


class MinimalGated(rg.Cell):
    """GRU with a single gate: u is its complement, and r is the gate itself."""

    def __init__(self, units: int) -> None:
        self.units = units

    def state(self) -> Any:
        return {"h": self.units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.units, state["h"]
        f = rg.sigmoid(x @ p.kernel("w", (x.width, n)) + h @ p.kernel("u", (n, n)) + p.bias("b", (n,)))
        new = rg.tanh(x @ p.kernel("w_n", (x.width, n)) + (f * h) @ p.kernel("u_n", (n, n)))
        h = h + f * (new - h)
        return h, {"h": h}


class Memories(rg.Cell):
    """LSTM that outputs its memory at every step, unlike ONNX's."""

    def __init__(self, units: int) -> None:
        self.units = units

    def state(self) -> Any:
        return {"h": self.units, "c": self.units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.units
        gates = rg.concat([x, state["h"]]) @ p.kernel("k", (x.width + n, 4 * n))
        i, j, f, o = rg.split(gates, 4)
        c = rg.sigmoid(f) * state["c"] + rg.sigmoid(i) * rg.tanh(j)
        h = rg.sigmoid(o) * rg.tanh(c)
        return c, {"h": h, "c": c}


RECOGNISED = [
    (rg.BasicRNNCell(4), {"RNN": 1}),
    (rg.BasicRNNCell(4, activation="softsign"), {"RNN": 1}),
    (rg.BasicLSTMCell(4, forget_bias=2.5), {"LSTM": 1}),
    (rg.BasicLSTMCell(1, state_is_tuple=False), {"LSTM": 1}),
    (rg.LSTMCell(4, use_peepholes=True, activation="relu"), {"LSTM": 1}),
    (rg.GRUCell(4), {"GRU": 1}),
    (rg.GRUCell(7, reset_after=True, recurrent_activation="hard_sigmoid_keras3"), {"GRU": 1}),
    (PlainLSTM(4), {"LSTM": 1}),
    (MinimalGated(4), {"GRU": 1}),
    (
        rg.MultiRNNCell([rg.GRUCell(4), rg.ResidualWrapper(rg.BasicLSTMCell(4)), rg.BasicRNNCell(2)]),
        {"GRU": 1, "LSTM": 1, "RNN": 1},
    ),
    (rg.MultiRNNCell([rg.BasicLSTMCell(n, state_is_tuple=False) for n in (4, 3)], state_is_tuple=False), {"LSTM": 2}),
    (rg.MultiRNNCell([rg.NASCell(4), rg.DropoutWrapper(rg.GRUCell(3), state_keep_prob=0.5)]), {"Scan": 1, "GRU": 1}),
    (rg.LSTMCell(4, cell_clip=1.0), {"Scan": 1}),
    (rg.LSTMCell(4, num_proj=2), {"Scan": 1}),
    (rg.BasicRNNCell(4, activation="gelu"), {"Scan": 1}),
    (Memories(4), {"Scan": 1}),
    (rg.NASCell(4), {"Scan": 1}),
    (rg.LayerNormBasicLSTMCell(4), {"Scan": 1}),
    (rg.IndRNNCell(4), {"Scan": 1}),
]


@pytest.mark.parametrize(("cell", "expected"), RECOGNISED, ids=lambda item: repr(item)[:40])
def test_operators_that_cells_become(cell: Any, expected: dict[str, int]) -> None:
    assert loops(written(over(cell))) == expected


def test_float64_stays_a_scan() -> None:
    x = rg.placeholder("x", (None, None, 3), "float64")
    assert loops(written(rg.compile(rg.dynamic_rnn(rg.GRUCell(4), x)[0]))) == {"Scan": 1}


def test_a_vector_of_the_row_is_no_bias() -> None:
    """ONNX's nodes have no addend that differs between rows."""

    class Conditioned(rg.Cell):
        def state(self) -> Any:
            return {"h": 4}

        def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
            h = rg.tanh(x @ p.kernel("k", (x.width, 4)) + state["h"] @ p.kernel("r", (4, 4)) + speaker)
            return h, {"h": h}

    speaker = rg.placeholder("speaker", (None, 4))
    assert loops(written(over(Conditioned()))) == {"Scan": 1}


def test_lengths_and_directions_are_the_nodes_own() -> None:
    n = rg.placeholder("n", (None,), "int32")
    model = written(over(rg.GRUCell(4), sequence_length=n, reverse=True))
    assert ops(model) == ["Transpose", "GRU", "Squeeze", "Squeeze", "Transpose"]
    gru = node(model, "GRU")
    assert gru.input[4] == "n"
    assert attributes(gru)["direction"] == b"reverse"


def test_a_mask_is_no_length() -> None:
    mask = rg.placeholder("mask", (None, None), "bool")
    assert loops(written(over(rg.GRUCell(4), mask=mask))) == {"Scan": 1}


def both_ways(initial_bw: Any = None) -> rg.Program:
    x, n = rg.placeholder("x", (None, None, 3)), rg.placeholder("n", (None,), "int32")
    forward, backward = (rg.LSTMCell(4, use_peepholes=True, activation=name) for name in ("tanh", "softsign"))
    outputs, states = rg.bidirectional_dynamic_rnn(forward, backward, x, n, initial_state_bw=initial_bw)
    return spread(rg.compile({"outputs": outputs, "states": states}))


def test_both_directions_are_one_node() -> None:
    model = written(both_ways())
    assert loops(model) == {"LSTM": 1}
    results = attributes(node(model, "LSTM"))
    assert results["direction"] == b"bidirectional"
    assert results["activations"] == ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Softsign", "Softsign"]


@pytest.mark.peers
def test_onnxruntime_gives_the_same_numbers_for_both_directions() -> None:
    pytest.importorskip("onnxruntime")
    state = rg.placeholder("h", (None, 4))
    generator = np.random.default_rng(0)
    feeds = {
        "x": generator.standard_normal((3, 6, 3)).astype(np.float32),
        "n": np.array([6, 0, 3], np.int32),
        "h": generator.standard_normal((3, 4)).astype(np.float32),
    }
    for initial in (None, (state, state * 2)):
        program = both_ways(initial)
        model = written(program)
        assert loops(model) == {"LSTM": 1}
        assert_same(by_onnxruntime(model, feeds), ours(program, feeds))


def test_a_direction_that_begins_with_the_other_ones_end_is_another_node() -> None:
    x = rg.placeholder("x", (None, None, 3))
    _, state = rg.dynamic_rnn(rg.GRUCell(4), x)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, initial_state=state, reverse=True)
    assert loops(written(spread(rg.compile(outputs)))) == {"GRU": 2}


def test_activations_have_their_numbers() -> None:
    model = written(over(rg.BasicLSTMCell(4, recurrent_activation="hard_sigmoid_keras3", activation="elu")))
    results = attributes(node(model, "LSTM"))
    assert results["activations"] == ["HardSigmoid", "Elu", "Elu"]
    np.testing.assert_allclose(results["activation_alpha"], [1 / 6, 1, 1], 1e-6)
    np.testing.assert_allclose(results["activation_beta"], [0.5], 1e-6)


# Numbers, by onnxruntime -----------------------------------------------------------------------------

ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity", "hard_sigmoid", "softsign", "softplus", "elu", "leaky_relu")


def cells(units: int) -> list[Any]:
    gates = [{}, {"recurrent_activation": "hard_sigmoid"}, {"recurrent_activation": "softsign"}]
    results: list[Any] = [rg.BasicRNNCell(units, activation=name) for name in ACTIVATIONS]
    results += [rg.LSTMCell(units, use_peepholes=True, activation=name) for name in ACTIVATIONS]
    results += [rg.BasicLSTMCell(units, state_is_tuple=False, **item) for item in gates]
    results += [
        rg.GRUCell(units, name, reset_after=after, **item)
        for after in (False, True)
        for item in gates
        for name in ACTIVATIONS
    ]
    return [*results, PlainLSTM(units), MinimalGated(units)]


def check_numbers(number: int, has_states: bool, lengths: bool) -> None:
    generator = np.random.default_rng(number)
    units, width, batch, time = (int(generator.choice([1, 3, 7, 17])) for _ in range(4))
    cell, options = cells(units)[number], {"reverse": number % 2 == 1}
    feeds: dict[str, Any] = {"x": generator.standard_normal((batch, time, width)).astype(np.float32)}
    if lengths:
        options["sequence_length"] = rg.placeholder("n", (None,), "int64")
        feeds["n"] = generator.integers(0, time + 1, batch)
    if has_states:
        options["initial_state"] = (
            cell.zero_state(batch) if number % 5 == 0 else state_of(cell, feeds, generator, batch)
        )
    program = over(cell, width, **options)
    for name, array in program.parameters.items():  # powers could grow from step to step
        program.parameters[name] = array / np.sqrt(units)
    model = written(program)
    assert "Scan" not in loops(model)
    graph = program.inference.graph
    expected = interpret(graph, {**feeds, **program.parameters}, wide=True)
    for name, array in by_onnxruntime(model, feeds).items():
        problem = close("float32", array, expected[name], interpret(graph, {**feeds, **program.parameters})[name])
        assert not problem, f"{name}: {problem}"


@pytest.mark.peers
@pytest.mark.parametrize("number", range(0, len(cells(1)), 11))
def test_onnxruntime_gives_the_same_numbers(number: int) -> None:
    pytest.importorskip("onnxruntime")
    check_numbers(number, number % 2 == 1, True)


@pytest.mark.exhaustive
@pytest.mark.peers
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("has_states", [False, True])
@pytest.mark.parametrize("number", range(len(cells(1))))
def test_onnxruntime_gives_the_same_numbers_for_all_cells(number: int, has_states: bool, lengths: bool) -> None:
    pytest.importorskip("onnxruntime")
    check_numbers(number, has_states, lengths)


def state_of(cell: Any, feeds: dict[str, Any], generator: np.random.Generator, batch: int) -> Any:
    """Return an initial state that is fed."""

    def fed(size: Any) -> rg.Tensor:
        name = f"state{len(feeds)}"
        feeds[name] = generator.standard_normal((batch, size)).astype(np.float32)
        return rg.placeholder(name, (None, size))

    return rg.map_structure(lambda zeros: fed(zeros.shape[-1]), cell.zero_state(batch))
