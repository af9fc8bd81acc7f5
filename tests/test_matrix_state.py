"""A matrix state, carried flat: values, derivative, streams and rows, at sizes that are no multiple of a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from own_cells import DeltaCell

import rnngraph as rg


class CopiedCell(rg.Cell):
    """Cell with a transposed copy of a state, which is read together with a second state."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns

    def state(self) -> Any:
        return {"turned": self.rows * self.columns, "h": self.columns}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        size = self.rows * self.columns
        turned = rg.transpose(rg.reshape(state["turned"], (None, self.rows, self.columns)), (0, 2, 1))
        h = rg.tanh(x @ p.kernel("w", (x.width, self.columns)) + rg.reduce_sum(turned, 2) * 0.5 + state["h"])
        return h, {"turned": rg.reshape(turned * rg.expand_dims(h, 2) + 0.5, (None, size)), "h": h}


def numpy_delta(kernel: np.ndarray, x: np.ndarray, S: np.ndarray, keys: int, values: int, decay: float) -> Any:
    outputs = []
    for t in range(x.shape[1]):
        q, k, v, b = np.split(x[:, t] @ kernel, [keys, 2 * keys, 2 * keys + values], axis=1)
        k = np.tanh(k)
        S = S * decay
        actual = np.einsum("bk,bkv->bv", k, S)
        S = S + np.einsum("bk,bv->bkv", k, (v - actual) / (1 + np.exp(-b)))
        outputs.append(np.einsum("bk,bkv->bv", q, S))
    return np.stack(outputs, 1), S


def numpy_copied(kernel: np.ndarray, x: np.ndarray, S: np.ndarray, h: np.ndarray) -> Any:
    outputs = []
    for t in range(x.shape[1]):
        turned = S.transpose(0, 2, 1)
        h = np.tanh(x[:, t] @ kernel + turned.sum(2) * 0.5 + h)
        S = (turned * h[:, :, None] + 0.5).reshape(S.shape)
        outputs.append(h)
    return np.stack(outputs, 1), S


@pytest.mark.parametrize(("keys", "values"), [(5, 7), (16, 16), (1, 3), (3, 1), (7, 25)])
@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_delta_rule(keys: int, values: int, decay: float) -> None:
    x, first = rg.placeholder("x", (None, None, 6), "float64"), rg.placeholder("S", (None, keys * values), "float64")
    outputs, state = rg.dynamic_rnn(DeltaCell(values, keys, decay), x, initial_state=first)
    program = rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_sum(rg.square(outputs)))
    generator = np.random.default_rng(0)
    fed, start = generator.normal(size=(3, 7, 6)), generator.normal(size=(3, keys * values))
    kernel = np.array(program.parameters["rnn/delta_cell/kernel"])
    wanted, final = numpy_delta(kernel, fed, start.reshape(3, keys, values), keys, values, decay)
    result = program.inference(x=fed, S=start)
    assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-12)
    assert_allclose(result["state"], final.reshape(3, -1), rtol=1e-11, atol=1e-12)
    _, gradients = program.training.gradients(x=fed, S=start, wrt=["x", "S"])
    inputs = {"rnn/delta_cell/kernel": kernel, "x": fed, "S": start}
    for name, array in inputs.items():
        direction = generator.normal(size=array.shape)
        moved = []
        for sign in (1e-6, -1e-6):
            k, f, s = (a + sign * direction if key == name else a for key, a in inputs.items())
            moved.append((numpy_delta(k, f, s.reshape(3, keys, values), keys, values, decay)[0] ** 2).sum())
        slope = (moved[0] - moved[1]) / 2e-6
        assert_allclose((gradients[name] * direction).sum(), slope, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("n", [3, 4, 7])
def test_a_state_that_is_turned_at_every_step(n: int) -> None:
    x, first = rg.placeholder("x", (None, None, 6), "float64"), rg.placeholder("S", (None, n * n), "float64")
    zeros = rg.constant(np.zeros(n))
    outputs, state = rg.dynamic_rnn(CopiedCell(n, n), x, initial_state=(first, zeros))
    program = rg.compile({"outputs": outputs, "state": state})
    generator = np.random.default_rng(0)
    fed, start = generator.normal(size=(3, 5, 6)), generator.normal(size=(3, n * n))
    kernel = np.array(program.parameters["rnn/copied_cell/w"])
    wanted, final = numpy_copied(kernel, fed, start.reshape(3, n, n), np.zeros((3, n)))
    result = program.inference(x=fed, S=start)
    assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-12)
    assert_allclose(result["state"].turned, final.reshape(3, -1), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("keys", "values"), [(5, 7), (16, 16)])
def test_bits(keys: int, values: int) -> None:
    """Bits agree for a stream, a single row, rows with lengths, and dropout of the state."""
    x, n = rg.placeholder("x", (None, None, 6)), rg.placeholder("n", (None,), "int64")
    cell = rg.DropoutWrapper(DeltaCell(values, keys), state_keep_prob=0.8)
    outputs, state = rg.dynamic_rnn(rg.MultiRNNCell([cell, DeltaCell(5, 3, 0.9)]), x)
    program = rg.compile({"outputs": outputs, "state": state})
    fed = np.random.default_rng(0).normal(size=(3, 7, 6)).astype(np.float32)
    whole = program.inference(x=fed)
    stream = program.inference.stream(batch=3)
    steps = [stream.step(x=fed[:, t])["outputs"] for t in range(3)]
    rest = stream.process(x=fed[:, 3:])
    assert_array_equal(np.concatenate([np.stack(steps, 1), rest["outputs"]], 1), whole["outputs"])
    assert_array_equal(rest["state"][0], whole["state"][0])
    alone = program.inference(x=fed[[1]])
    assert_array_equal(alone["outputs"], whole["outputs"][[1]])
    assert_array_equal(alone["state"][0], whole["state"][0][[1]])
    with_threads = rg.compile({"outputs": outputs, "state": state}, threads=2)
    assert_array_equal(with_threads.inference(x=fed)["outputs"], whole["outputs"])
    assert_array_equal(with_threads.inference(x=fed)["state"][0], whole["state"][0])
    short = rg.dynamic_rnn(DeltaCell(values, keys), x, sequence_length=n)
    cut = rg.compile({"outputs": short[0], "state": short[1]})
    full, some = cut.inference(x=fed[:, :4], n=[4, 4, 4]), cut.inference(x=fed, n=[4, 0, 7])
    assert_array_equal(some["outputs"][0, :4], full["outputs"][0])
    assert_array_equal(some["state"][0], full["state"][0])
    assert not some["state"][1].any()
