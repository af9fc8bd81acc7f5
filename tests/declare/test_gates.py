"""``recurrent_activation`` replaces the gates' sigmoid in every gated cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import reference_cells as cells
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import flatten

Function = Callable[[np.ndarray], np.ndarray]

FUNCTIONS: dict[str, tuple[Any, Function]] = {
    "keras2": ("hard_sigmoid", lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0)),
    "keras3": ("hard_sigmoid_keras3", lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "own": (lambda x: rg.sin(x) * 0.5 + 0.5, lambda x: np.sin(x) * 0.5 + 0.5),
    "none": (None, lambda x: x),
}
CELLS: dict[str, tuple[Callable[..., rg.Cell], reference.Spec]] = {
    "basic_lstm": (rg.BasicLSTMCell, reference.LSTM(5, name="basic_lstm_cell")),
    "lstm": (
        lambda n, **gate: rg.LSTMCell(n, use_peepholes=True, num_proj=3, cell_clip=0.9, **gate),
        reference.LSTM(5, True, 0.9, 3),
    ),
    "gru": (rg.GRUCell, reference.GRU(5)),
    "gru_after": (lambda n, **gate: rg.GRUCell(n, reset_after=True, **gate), reference.GRU(5, reset_after=True)),
    "layer_norm": (rg.LayerNormBasicLSTMCell, cells.LayerNormLSTM(5)),
    "coupled": (
        lambda n, **gate: rg.CoupledInputForgetGateLSTMCell(n, True, num_proj=2, **gate),
        cells.CoupledLSTM(5, True, 2),
    ),
    "ugrnn": (rg.UGRNNCell, cells.UGRNN(5)),
    "intersection": (lambda n, **gate: rg.IntersectionRNNCell(n, n, **gate), cells.Intersection(5)),
    "sru": (rg.SRUCell, cells.SRU(5)),
    "minimal": (rg.MinimalRNNCell, cells.Minimal(5)),
    "cfn": (rg.CFNCell, cells.CFN(5)),
}


def declared(cell: rg.Cell) -> rg.Program:
    x = rg.placeholder("x", (None, None, 3), "float64")
    outputs, state = rg.dynamic_rnn(cell, x)
    program = rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_sum(rg.square(outputs)))
    generator = np.random.default_rng(1)
    for name, array in program.parameters.items():
        program.parameters[name] = generator.normal(0.0, 0.9, array.shape)
    return program


def equations(monkeypatch: pytest.MonkeyPatch, gate: Function) -> None:
    """Replace the gates' sigmoid in the reference."""
    monkeypatch.setattr(reference, "sigmoid", gate)
    monkeypatch.setattr(cells, "logistic", gate)


@pytest.mark.parametrize("name", CELLS)
def test_equations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, spec = CELLS[name]
    gate, function = FUNCTIONS[list(FUNCTIONS)[list(CELLS).index(name) % 3]]
    program = declared(build(5, recurrent_activation=gate))
    x = np.random.default_rng(2).normal(size=(7, 6, 3)) * 2
    equations(monkeypatch, function)
    wanted, final = reference.dynamic_rnn(spec, program.parameters, x)
    result = program.inference(x=x)
    assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-11)
    for actual, expected in zip(flatten(result["state"]), flatten(final), strict=True):
        assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)
    if name == "gru":
        stream = program.inference.stream(batch=7)
        steps = [stream.step(x=x[:, step])["outputs"] for step in range(6)]
        assert_array_equal(np.stack(steps, axis=1), result["outputs"])


@pytest.mark.parametrize("key", ["keras2", "keras3", pytest.param("none", marks=pytest.mark.exhaustive)])
def test_gradients_of_a_gru_and_an_lstm(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients match central differences of the equations."""
    gate, function = FUNCTIONS[key]
    for name in ("gru_after",) if key == "keras3" else ("lstm",):
        build, spec = CELLS[name]
        program = declared(build(5, recurrent_activation=gate))
        x = np.random.default_rng(3).normal(size=(3, 4, 3))
        _, gradients = program.training.gradients(x=x, seed=1)
        equations(monkeypatch, function)
        parameters = {name: array.copy() for name, array in program.parameters.items()}
        generator = np.random.default_rng(4)
        for label, array in parameters.items():
            place = tuple(generator.integers(0, size) for size in array.shape)
            before, totals = array[place], []
            for moved in (before + 1e-6, before - 1e-6):
                array[place] = moved
                totals.append(np.square(reference.dynamic_rnn(spec, parameters, x)[0]).sum())
            array[place] = before
            slope = (totals[0] - totals[1]) / 2e-6
            assert_allclose(gradients[label][place], slope, rtol=1e-5, atol=1e-7, err_msg=f"{name} {label}")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(rg.ArgumentError, match="hard_sigmoid_keras3") as caught:
        rg.GRUCell(5, recurrent_activation="hardsigmoid")
    assert "test_gates.py" in str(caught.value)
    with pytest.raises(rg.DtypeError):
        rg.LSTMCell(5, recurrent_activation=3)
