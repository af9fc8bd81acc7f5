"""Cells as readers of papers write them, against the same equations in NumPy, with ops in a step that no other test
has.

They have a product with weights for each head and a stabiliser, sums along units, a memory that is read and written by
similarity, and a clock whose phase is truncated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import flatten

Arrays = dict[str, np.ndarray]
Step = Callable[[Any, np.ndarray, Arrays], tuple[np.ndarray, Arrays]]
BATCH, TIME, WIDTH, UNITS = 4, 6, 5, 3


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Any) -> Any:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


class Own(rg.Cell):
    """Base class. ``num_units`` is the width of the state."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    @property
    def output_size(self) -> int:
        return self.num_units


class PhasedLSTM(Own):
    """Neil et al. 2016, with the time counted by the cell."""

    def state(self) -> Any:
        return {"t": rg.memory(1), "c": rg.memory(self.num_units), "h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        n, c, h = self.num_units, state["c"], state["h"]
        i, f, g, o = rg.split(rg.concat([x, h]) @ p.kernel("W", (x.width + n, 4 * n)) + p.bias("b", (4 * n,)), 4)
        tau = rg.exp(p.parameter("log_tau", (n,)))
        turns = (state["t"] - p.parameter("shift", (n,))) / tau
        phase, ratio = turns - rg.floor(turns), 0.3
        rising, falling = 2 * phase / ratio, 2 - 2 * phase / ratio
        k = rg.where(phase < ratio / 2, rising, rg.where(phase < ratio, falling, 0.001 * phase))
        new = rg.sigmoid(f) * c + rg.sigmoid(i) * rg.tanh(g)
        out = rg.tanh(new) * rg.sigmoid(o)
        c, h = k * new + (1 - k) * c, k * out + (1 - k) * h
        return h, {"t": state["t"] + 1, "c": c, "h": h}


def phased(P: Any, x: np.ndarray, s: Arrays) -> Any:
    i, f, g, o = np.split(np.concatenate([x, s["h"]], 1) @ P["W"] + P["b"], 4, 1)
    turns = (s["t"] - P["shift"]) / np.exp(P["log_tau"])
    phase = turns % 1.0
    k = np.where(phase < 0.15, phase / 0.15, np.where(phase < 0.3, 2 - phase / 0.15, 0.001 * phase))
    new = sigma(f) * s["c"] + sigma(i) * np.tanh(g)
    c, h = k * new + (1 - k) * s["c"], k * np.tanh(new) * sigma(o) + (1 - k) * s["h"]
    return h, {"t": s["t"] + 1, "c": c, "h": h}


class OrderedLSTM(Own):
    """ON-LSTM, Shen et al. 2019, chunks of two units."""

    def state(self) -> Any:
        return {"c": rg.memory(2 * self.num_units), "h": 2 * self.num_units}

    @property
    def output_size(self) -> int:
        return 2 * self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        levels, n = self.num_units, 2 * self.num_units
        total = rg.concat([x, state["h"]]) @ p.kernel("W", (x.width + n, 4 * n + 2 * levels))
        i, f, o, g, mi, mf = rg.split(total, [n, n, n, n, levels, levels])
        mi = 1 - rg.cumsum(rg.softmax(mi), axis=-1)
        mf = rg.cumsum(rg.softmax(mf), axis=-1)
        mi, mf = (rg.reshape(rg.tile(rg.expand_dims(gate, 2), (1, 1, 2)), (None, n)) for gate in (mi, mf))
        both = mi * mf
        f, i = rg.sigmoid(f) * both + (mf - both), rg.sigmoid(i) * both + (mi - both)
        c = f * state["c"] + i * rg.tanh(g)
        h = rg.sigmoid(o) * rg.tanh(c)
        return h, {"c": c, "h": h}


def ordered(P: Any, x: np.ndarray, s: Arrays) -> Any:
    n = s["h"].shape[1]
    total = np.concatenate([x, s["h"]], 1) @ P["W"]
    i, f, o, g, mi, mf = np.split(total, [n, 2 * n, 3 * n, 4 * n, 4 * n + n // 2], 1)
    mi, mf = np.repeat(1 - np.cumsum(softmax(mi), 1), 2, 1), np.repeat(np.cumsum(softmax(mf), 1), 2, 1)
    both = mi * mf
    c = (sigma(f) * both + mf - both) * s["c"] + (sigma(i) * both + mi - both) * np.tanh(g)
    h = sigma(o) * np.tanh(c)
    return h, {"c": c, "h": h}


class SLSTM(Own):
    """sLSTM of Beck et al. 2024: exponential gates with a stabiliser, two heads of recurrent weights."""

    heads = 2

    def state(self) -> Any:
        n = self.heads * self.num_units
        return {"c": rg.memory(n), "n": rg.memory(n), "m": rg.memory(n), "h": n}

    @property
    def output_size(self) -> int:
        return self.heads * self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        heads, d = self.heads, self.num_units
        n = heads * d
        by_head = rg.transpose(rg.reshape(state["h"], (None, heads, d)), (1, 0, 2))
        recurrent = rg.transpose(by_head @ p.kernel("R", (heads, d, 4 * d)), (1, 0, 2))  # [batch, heads, 4 d]
        recurrent = rg.reshape(rg.transpose(rg.reshape(recurrent, (None, heads, 4, d)), (0, 2, 1, 3)), (None, 4 * n))
        z, i, f, o = rg.split(x @ p.kernel("W", (x.width, 4 * n)) + recurrent + p.bias("b", (4 * n,)), 4)
        keep = -rg.softplus(-f) + state["m"]
        m = rg.maximum(keep, i)
        i, f = rg.exp(i - m), rg.exp(keep - m)
        c, total = f * state["c"] + i * rg.tanh(z), f * state["n"] + i
        h = rg.sigmoid(o) * c / total
        return h, {"c": c, "n": total, "m": m, "h": h}


def slstm(P: Any, x: np.ndarray, s: Arrays) -> Any:
    heads, d = P["R"].shape[:2]
    by_head = s["h"].reshape(-1, heads, d)
    recurrent = np.einsum("bhd,hde->bhe", by_head, P["R"]).reshape(-1, heads, 4, d)
    parts = x @ P["W"] + P["b"]
    z, i, f, o = np.split(parts + recurrent.transpose(0, 2, 1, 3).reshape(len(x), -1), 4, 1)
    keep = -np.log1p(np.exp(-f)) + s["m"]
    m = np.maximum(keep, i)
    c = np.exp(keep - m) * s["c"] + np.exp(i - m) * np.tanh(z)
    total = np.exp(keep - m) * s["n"] + np.exp(i - m)
    h = sigma(o) * c / total
    return h, {"c": c, "n": total, "m": m, "h": h}


class NTM(Own):
    """Graves et al. 2014: one head that reads and writes by content, with a gate, a shift and a sharpening."""

    rows = 5

    def state(self) -> Any:
        n = self.num_units
        return {"M": rg.memory(self.rows * n), "w": rg.memory(self.rows), "h": n}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        n, rows = self.num_units, self.rows
        M, w = rg.reshape(state["M"], (None, rows, n)), state["w"]
        h = rg.tanh(rg.concat([x, state["h"]]) @ p.kernel("W", (x.width + n, n)) + p.bias("b", (n,)))
        k, erase, add, beta, gate, shift, gamma = rg.split(h @ p.kernel("V", (n, 3 * n + 6)), [n, n, n, 1, 1, 3, 1])
        norm = rg.sqrt(rg.reduce_sum(rg.square(M), 2) * rg.reduce_sum(rg.square(k), 1, keepdims=True) + 1e-6)
        likeness = rg.squeeze(M @ rg.expand_dims(k, 2), 2) / norm
        content, gate = rg.softmax(rg.softplus(beta) * likeness), rg.sigmoid(gate)
        mixed, shift = gate * content + (1 - gate) * w, rg.softmax(shift)
        back, on = rg.concat([mixed[:, 1:], mixed[:, :1]]), rg.concat([mixed[:, -1:], mixed[:, :-1]])
        turned = shift[:, 0:1] * back + shift[:, 1:2] * mixed + shift[:, 2:] * on
        sharp = (turned + 1e-6) ** (1 + rg.softplus(gamma))
        w = sharp / rg.reduce_sum(sharp, 1, keepdims=True)
        along = rg.expand_dims(w, 2)
        M = M * (1 - along * rg.expand_dims(rg.sigmoid(erase), 1)) + along * rg.expand_dims(rg.tanh(add), 1)
        read = rg.squeeze(rg.expand_dims(w, 1) @ M, 1)
        return read, {"M": rg.reshape(M, (None, rows * n)), "w": w, "h": h}


def ntm(P: Any, x: np.ndarray, s: Arrays) -> Any:
    n = s["h"].shape[1]
    M = s["M"].reshape(len(x), -1, n)
    h = np.tanh(np.concatenate([x, s["h"]], 1) @ P["W"] + P["b"])
    k, erase, add, beta, gate, shift, gamma = np.split(h @ P["V"], np.cumsum([n, n, n, 1, 1, 3]), 1)
    norm = np.sqrt((M**2).sum(2) * (k**2).sum(1, keepdims=True) + 1e-6)
    content = softmax(np.log1p(np.exp(beta)) * np.einsum("brn,bn->br", M, k) / norm)
    mixed = sigma(gate) * content + (1 - sigma(gate)) * s["w"]
    shift = softmax(shift)
    turned = sum(shift[:, j : j + 1] * np.roll(mixed, j - 1, 1) for j in range(3))
    sharp = (turned + 1e-6) ** (1 + np.log1p(np.exp(gamma)))
    w = sharp / sharp.sum(1, keepdims=True)
    M = M * (1 - w[:, :, None] * sigma(erase)[:, None]) + w[:, :, None] * np.tanh(add)[:, None]
    return np.einsum("br,brn->bn", w, M), {"M": M.reshape(len(x), -1), "w": w, "h": h}


CELLS: dict[str, tuple[type[Own], Step]] = {
    "phased": (PhasedLSTM, phased),
    "ordered": (OrderedLSTM, ordered),
    "slstm": (SLSTM, slstm),
    "ntm": (NTM, ntm),
}


def starts(cell: rg.Cell, generator: np.random.Generator) -> Arrays:
    """Return initial states: counters from 0 on, positive sums and weights, others of any value."""
    results = {}
    for name, leaf in zip(cell.state(), flatten(cell.state_size), strict=True):
        array = generator.normal(size=(BATCH, leaf)) * 0.5
        results[name] = {"t": np.round(np.abs(4 * array)), "n": np.abs(array) + 0.5, "w": softmax(array)}.get(
            name, array
        )
    return results


def loop(step: Step, arrays: Arrays, names: list[str]) -> Any:
    """Return (outputs, states) of a loop over time."""
    weights = {name.split("/", 2)[2]: array for name, array in arrays.items() if "/" in name}
    states, outputs = {name: arrays[name] for name in names}, []
    for t in range(TIME):
        output, states = step(weights, arrays["x"][:, t], states)
        outputs.append(output)
    return np.stack(outputs, 1), states


def prepared(name: str) -> tuple[rg.Program, Arrays]:
    """Return a program with parameters of similar magnitudes, and its feeds, with x last."""
    generator, cell = np.random.default_rng(0), CELLS[name][0](UNITS)
    fed = starts(cell, generator)
    first = {key: rg.placeholder(key, (None, array.shape[1]), "float64") for key, array in fed.items()}
    outputs, states = rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, WIDTH), "float64"), initial_state=first)
    program = rg.compile({"outputs": outputs, "states": states}, loss=rg.reduce_sum(rg.square(outputs)))
    for key, array in program.parameters.items():
        program.parameters[key] = generator.normal(0.0, 0.4, array.shape)
    return program, fed | {"x": generator.normal(size=(BATCH, TIME, WIDTH))}


@pytest.mark.parametrize("name", CELLS)
def test_equations_and_gradients(name: str) -> None:
    program, fed = prepared(name)
    arrays = {**{key: np.array(array) for key, array in program.parameters.items()}, **fed}
    step, names = CELLS[name][1], [*fed][:-1]
    wanted, final = loop(step, arrays, names)
    result = program.inference(fed)
    assert_allclose(result["outputs"], wanted, rtol=1e-11, atol=1e-12)
    for key, array in final.items():
        assert_allclose(getattr(result["states"], key), array, rtol=1e-11, atol=1e-12, err_msg=key)
    generator, wrt = np.random.default_rng(1), [key for key in fed if key != "t"]
    _, gradients = program.training.gradients(fed, wrt=wrt)
    for key in [*program.parameters, *wrt]:
        direction, near = generator.normal(size=arrays[key].shape), []
        for sign in (1e-6, -1e-6):
            near.append((loop(step, {**arrays, key: arrays[key] + sign * direction}, names)[0] ** 2).sum())
        slope = (near[0] - near[1]) / 2e-6
        assert_allclose((gradients[key] * direction).sum(), slope, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CELLS)
def test_streams_and_rows_have_the_same_bits(name: str) -> None:
    program, fed = prepared(name)
    whole = program.inference(fed)["outputs"]
    alone = program.inference({key: array[[2]] for key, array in fed.items()})
    assert_array_equal(alone["outputs"], whole[[2]])
    x, stream = fed.pop("x"), program.inference.stream(BATCH)
    steps = [stream.step({"x": x[:, t], **(fed if t == 0 else {})})["outputs"] for t in range(3)]
    rest = stream.process(x=x[:, 3:])["outputs"]
    assert_array_equal(np.concatenate([np.stack(steps, 1), rest], 1), whole)
