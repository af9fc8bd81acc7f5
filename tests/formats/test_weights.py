"""Weights of other frameworks against the layers' equations, in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import recurrent_layers as layers
from numpy.testing import assert_allclose

import rnngraph as rg

INPUTS, UNITS = 7, 5
SIZES = {"rnn": 1, "lstm": 4, "gru": 3}
CELLS: dict[str, Any] = {
    "rnn": lambda: rg.BasicRNNCell(UNITS),
    "lstm": lambda: rg.BasicLSTMCell(UNITS),
    "lstm_cell": lambda: rg.LSTMCell(UNITS, forget_bias=0.5),
    "gru": lambda: rg.GRUCell(UNITS),
    "gru_after": lambda: rg.GRUCell(UNITS, reset_after=True),
}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


def outputs_of(cell: rg.Cell, parameters: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    fed = rg.placeholder("x", (None, None, INPUTS))
    program = rg.compile(rg.dynamic_rnn(cell, fed, scope="layer")[0])
    name = next(iter(program.parameters)).split("/")[1]
    program.parameters.load({f"layer/{name}/{key}": array for key, array in parameters.items()})
    return program.inference(x=x)


def expected(kind: str, x: np.ndarray, w: np.ndarray, r: np.ndarray, b: np.ndarray, br: np.ndarray, order: str) -> Any:
    x, w, r, b, br = (array.astype(np.float64) for array in (x, w, r, b, br))
    if kind == "rnn":
        return layers.rnn(x, w, r, b + br)
    if kind.startswith("lstm"):
        return layers.lstm(x, w, r, b + br, order)
    return layers.gru(x, w, r, b, br, order, reset_after=kind == "gru_after")


@pytest.mark.parametrize("kind", ["rnn", "lstm", "lstm_cell", "gru_after"])
def test_torch(kind: str) -> None:
    count = SIZES[kind.split("_")[0]] * UNITS
    arrays = {
        "weight_ih_l1_reverse": normal(count, INPUTS),
        "weight_hh_l1_reverse": normal(count, UNITS),
        "bias_ih_l1_reverse": normal(count),
        "bias_hh_l1_reverse": normal(count, 1)[:, 0],
    }
    w, r, b, br = arrays.values()
    cell, x = CELLS[kind](), normal(2, 4, INPUTS)
    parameters = rg.weights.from_torch(cell, arrays)
    order = {"lstm": "ifgo", "gru": "rzn"}.get(kind.split("_")[0], "h")
    assert_allclose(outputs_of(cell, parameters, x), expected(kind, x, w.T, r.T, b, br, order), atol=1e-6)
    back = rg.weights.to_torch(cell, parameters)
    assert_allclose(back["weight_ih"], w)
    assert_allclose(back["weight_hh"], r)
    assert_allclose(back["bias_ih"] + back["bias_hh"], b + br, atol=1e-6)


def test_names_of_a_state_dict() -> None:
    cell = rg.GRUCell(UNITS, reset_after=True)
    arrays = {
        "weight_ih": normal(3 * UNITS, INPUTS),
        "weight_hh": normal(3 * UNITS, UNITS),
        "bias_ih": normal(3 * UNITS),
    }
    named = {f"module.encoder.{name}_l0": array for name, array in arrays.items()}
    actual = rg.weights.from_torch(cell, named)
    for name, array in rg.weights.from_torch(cell, arrays).items():
        assert_allclose(actual[name], array)
    with pytest.raises(rg.StructureError, match="of several layers"):
        rg.weights.from_torch(cell, named | {"module.decoder.weight_ih_l0": arrays["weight_ih"]})


def test_a_whole_state_dict() -> None:
    """The arrays are among those of other modules, within a checkpoint, or computed from others."""
    cell = rg.BasicRNNCell(UNITS)
    arrays = {"weight_ih": normal(UNITS, INPUTS), "weight_hh": normal(UNITS, UNITS), "bias_ih": normal(UNITS)}
    wanted = rg.weights.from_torch(cell, arrays)
    inside = {f"model.rnn.{name}_l0": array for name, array in arrays.items()}
    inside |= {"model.fc.0.weight": normal(2, UNITS), "model.fc.2.weight": normal(3, 2)}
    assert_same(rg.weights.from_torch(cell, inside), wanted)
    with pytest.raises(rg.StructureError, match=r"give arrays\['state_dict'\]"):
        rg.weights.from_torch(cell, {"epoch": 3, "state_dict": inside})
    u, v = normal(UNITS), normal(UNITS + 1)[:-1]
    long = np.sqrt(np.square(arrays["weight_ih"]).sum(1, keepdims=True))
    parts = {
        "weight_ih_l0_g": long,
        "weight_ih_l0_v": arrays["weight_ih"] * 3,
        "bias_ih_l0": arrays["bias_ih"],
        "parametrizations.weight_hh_l0.original": arrays["weight_hh"],
        "parametrizations.weight_hh_l0.0._u": u,
        "parametrizations.weight_hh_l0.0._v": v / (u @ arrays["weight_hh"] @ v),
    }
    assert_same(rg.weights.from_torch(cell, parts), wanted)
    with pytest.raises(rg.StructureError, match="is computed from weight_hh_orig"):
        rg.weights.from_torch(cell, {"weight_ih": arrays["weight_ih"], "weight_hh_orig": arrays["weight_hh"]})


def assert_same(actual: Any, wanted: Any) -> None:
    assert actual.keys() == wanted.keys()
    for name, array in wanted.items():
        assert_allclose(actual[name], array, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
def test_keras(kind: str) -> None:
    count = SIZES[kind.split("_")[0]] * UNITS
    bias = normal(2, count) if kind == "gru_after" else normal(count)
    arrays = [normal(INPUTS, count), normal(UNITS, count), bias]
    cell, x = CELLS[kind](), normal(2, 4, INPUTS)
    parameters = rg.weights.from_keras(cell, arrays)
    b, br = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    order = {"lstm": "ifgo", "gru": "zrn"}.get(kind.split("_")[0], "h")
    assert_allclose(outputs_of(cell, parameters, x), expected(kind, x, *arrays[:2], b, br, order), atol=1e-6)
    *kernels, back = rg.weights.to_keras(cell, parameters)
    assert all(np.array_equal(one, other) for one, other in zip(kernels, arrays, strict=False))
    assert back.shape == bias.shape
    # a cell stores only the sum of a gate's two biases
    assert_allclose(back.reshape(-1, count).sum(0), b + br, atol=1e-6)
    named = {
        f"layer/{name}:0": array for name, array in zip(("kernel", "recurrent_kernel", "bias"), arrays, strict=True)
    }
    assert all(np.array_equal(array, parameters[name]) for name, array in rg.weights.from_keras(cell, named).items())


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("directions", [False, True])
def test_onnx(kind: str, directions: bool) -> None:
    count = SIZES[kind.split("_")[0]] * UNITS
    arrays = {"W": normal(count, INPUTS), "R": normal(count, UNITS), "B": normal(2 * count)}
    cell, x = CELLS[kind](), normal(2, 4, INPUTS)
    stored = {name: array[None] for name, array in arrays.items()} if directions else arrays
    parameters = rg.weights.from_onnx(cell, stored)
    b, br = np.split(arrays["B"], 2)
    order = {"lstm": "iofg", "gru": "zrn"}.get(kind.split("_")[0], "h")
    actual = outputs_of(cell, parameters, x)
    assert_allclose(actual, expected(kind, x, arrays["W"].T, arrays["R"].T, b, br, order), atol=1e-6)
    back = rg.weights.to_onnx(cell, parameters)
    assert all(np.array_equal(back[name][0], arrays[name]) for name in "WR")
    restored = rg.weights.from_onnx(cell, back)
    assert all(np.allclose(array, parameters[name], atol=1e-6) for name, array in restored.items())


def test_peepholes_and_projections() -> None:
    cell = rg.LSTMCell(UNITS, use_peepholes=True)
    arrays = {"W": normal(4 * UNITS, INPUTS), "R": normal(4 * UNITS, UNITS), "P": normal(3 * UNITS)}
    actual = rg.weights.from_onnx(cell, arrays)
    i, o, f = np.split(arrays["P"], 3)
    assert [actual[f"w_{gate}_diag"].tolist() for gate in "iof"] == [i.tolist(), o.tolist(), f.tolist()]
    assert np.array_equal(rg.weights.to_onnx(cell, actual)["P"][0], arrays["P"])
    projected = rg.LSTMCell(UNITS, num_proj=3, forget_bias=0.0)
    arrays = {"weight_ih": normal(20, INPUTS), "weight_hh": normal(20, 3), "weight_hr": normal(3, UNITS)}
    parameters = rg.weights.from_torch(projected, arrays)
    assert parameters["kernel"].shape == (INPUTS + 3, 20)
    assert not parameters["bias"].any()
    assert np.array_equal(rg.weights.to_torch(projected, parameters)["weight_hr"], arrays["weight_hr"])


def test_cudnn_kernels_are_transposed_gate_by_gate() -> None:
    """cuDNN's buffer of a gate is [units, inputs] in C order; Keras presents it as [inputs, units]."""
    plain = [normal(INPUTS, 4 * UNITS), normal(UNITS, 4 * UNITS), normal(4 * UNITS)]
    buffers = [np.ascontiguousarray(gate.T).reshape(INPUTS, UNITS) for gate in np.split(plain[0], 4, 1)]
    recurrent = [np.ascontiguousarray(gate.T) for gate in np.split(plain[1], 4, 1)]
    half = plain[2] / 2
    stored = [np.concatenate(buffers, 1), np.concatenate(recurrent, 1), np.concatenate([half, half])]
    cell = rg.BasicLSTMCell(UNITS)
    actual, wanted = rg.weights.from_cudnn(cell, stored), rg.weights.from_keras(cell, plain)
    assert all(np.allclose(actual[name], array) for name, array in wanted.items())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: rg.weights.from_torch(rg.GRUCell(5), {}), "reset_after=True"),
        (lambda: rg.weights.from_torch(rg.MultiRNNCell([rg.GRUCell(5)]), {}), "the cells of a stack one by one"),
        (lambda: rg.weights.from_torch(rg.BasicRNNCell(5), {"weight_ih": normal(5, 3)}), "have no weight_hh"),
        (lambda: rg.weights.from_keras(rg.BasicRNNCell(4), [normal(3, 5), normal(5, 5)]), "of 5 units"),
        (lambda: rg.weights.from_keras(rg.BasicLSTMCell(4), [normal(3, 5), normal(5, 5)]), "4 gates"),
        (lambda: rg.weights.from_keras(rg.BasicRNNCell(5), "no"), "kernel, recurrent_kernel, bias"),
        (lambda: rg.weights.from_onnx(rg.GRUCell(5), {"W": normal(2, 15, 3), "R": normal(15, 5)}), "2 directions"),
        (
            lambda: rg.weights.to_keras(
                rg.LSTMCell(5, num_proj=2),
                {"kernel": normal(5, 20), "bias": normal(20), "projection/kernel": normal(5, 2)},
            ),
            "projection",
        ),
    ],
)
def test_errors_name_the_remedy(call: Any, text: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=text):
        call()


@pytest.mark.parametrize("cell", [rg.GRUCell(4, reset_after=True), rg.BasicLSTMCell(4)])
def test_arrays_of_cudnn_name_their_function(cell: rg.Cell) -> None:
    gates = 3 if isinstance(cell, rg.GRUCell) else 4
    arrays = [np.zeros((3, 4 * gates)), np.zeros((4, 4 * gates)), np.zeros(8 * gates)]
    with pytest.raises(rg.ShapeError, match=r"rg\.weights\.from_cudnn"):
        rg.weights.from_keras(cell, arrays)
    assert rg.weights.from_cudnn(cell, arrays)
