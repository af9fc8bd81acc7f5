"""Scans of logarithms whose exponential is taken: one linear recurrence, with the values of the scans."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

BATCH, STEPS, WIDTH = 2, 11, 5


def scanned(a: Any, v: Any, axis: int = 1) -> Any:
    total = rg.cumsum(a, axis=axis)
    return rg.exp(total + rg.logcumsumexp(v - total, axis=axis))


def log_g(x: Any) -> Any:
    return rg.where(x >= 0, rg.log(rg.relu(x) + 0.5), -rg.softplus(-x))


def min_gru(z: Any, f: Any, c: Any) -> Any:
    gate = z + f
    return scanned(-rg.softplus(gate), -rg.softplus(-gate) + log_g(c))


def min_lstm(z: Any, f: Any, c: Any) -> Any:
    difference = rg.softplus(-f) - rg.softplus(-z)
    return scanned(-rg.softplus(difference), -rg.softplus(-difference) + log_g(c))


def of_logarithms(z: Any, f: Any, c: Any) -> Any:
    """Time first, decays as logarithms of gates, and the terms of the sum in the other order."""
    z, f, c = (rg.transpose(x, (1, 0, 2)) for x in (z, f, c))
    a = rg.log(1 - 0.9 * rg.sigmoid(z)) + rg.log_sigmoid(f)
    total = rg.cumsum(a, axis=0)
    y = rg.exp(rg.logcumsumexp(rg.log(rg.square(c)) - total, axis=0) + total)
    return rg.transpose(y, (1, 0, 2))


def reversed_steps(z: Any, f: Any, c: Any) -> Any:
    return min_gru(z[:, ::-1], f[:, ::-1], c[:, ::-1])[:, ::-1]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def expected(name: str, z: np.ndarray, f: np.ndarray, c: np.ndarray) -> np.ndarray:
    candidate = np.where(c >= 0, c + 0.5, sigmoid(c))
    if name == "reversed_steps":
        return expected("min_gru", z[:, ::-1], f[:, ::-1], c[:, ::-1])[:, ::-1]
    log_ratio = np.logaddexp(0, -f) - np.logaddexp(0, -z)
    decay, value = {
        "min_gru": (sigmoid(-z - f), sigmoid(z + f) * candidate),
        "min_lstm": (sigmoid(-log_ratio), sigmoid(log_ratio) * candidate),
        "of_logarithms": ((1 - 0.9 * sigmoid(z)) * sigmoid(f), np.square(c)),
    }[name]
    h, outputs = np.zeros((len(z), z.shape[2])), []
    for now in range(z.shape[1]):
        h = decay[:, now] * h + value[:, now]
        outputs.append(h)
    return np.stack(outputs, 1)


RULES = {rule.__name__: rule for rule in (min_gru, min_lstm, of_logarithms, reversed_steps)}


def compiled(rule: Any) -> rg.Program:
    parts = [rg.placeholder(name, (None, None, WIDTH)) for name in "zfc"]
    y = rule(*parts)
    return rg.compile({"y": y}, loss=rg.reduce_mean(rg.square(y)))


def feeds(steps: int = STEPS, scale: float = 1.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(steps)
    return {name: (scale * generator.standard_normal((BATCH, steps, WIDTH))).astype("float32") for name in "zfc"}


def loops(program: rg.Program) -> list[str]:
    """Return the states of the loops."""
    return re.findall(r"carry (\w+)", str(program.inference.graph))


@pytest.mark.parametrize("name", RULES)
def test_one_loop_has_the_values_of_the_scans(name: str) -> None:
    program, fed = compiled(RULES[name]), feeds()
    assert loops(program) == ["h"]
    assert not {"log1p", "log"} & {node.op for node in program.inference.graph.walk()}
    whole = program.inference(fed)["y"]
    wide = [array.astype(np.float64) for array in fed.values()]
    assert_allclose(whole, expected(name, *wide), rtol=2e-6, atol=1e-6)
    _, gradients = program.training.gradients(fed, wrt=[*"zfc"])
    for place, key in enumerate("zfc"):
        change = np.zeros_like(wide[0])
        change[1, 4, 2] = change[0, 0, 1] = 1e-6
        ends = [
            np.mean(expected(name, *[x + sign * change * (n == place) for n, x in enumerate(wide)]) ** 2)
            for sign in (1, -1)
        ]
        assert_allclose((gradients[key] * change).sum() / 1e-6, (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
def test_long_sequences_and_large_gates(name: str) -> None:
    """The scans' cumulative sums would be large, and their differences imprecise."""
    fed = feeds(600, 30.0)
    whole = compiled(RULES[name]).inference(fed)["y"]
    wanted = expected(name, *(array.astype(np.float64) for array in fed.values()))
    assert_allclose(whole, wanted, rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm", "of_logarithms"])
def test_streams_have_the_bits_of_the_whole(name: str) -> None:
    program, fed = compiled(RULES[name]), feeds()
    whole, stream = program.inference(fed)["y"], program.inference.stream(batch=BATCH)
    for now in range(STEPS):
        assert_array_equal(stream.step({key: array[:, now] for key, array in fed.items()})["y"], whole[:, now])


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(lambda z, f, c: scanned(z, -rg.softplus(-f)), id="decays above 1"),
        pytest.param(lambda z, f, c: scanned(rg.log(1 + rg.square(z)), rg.log(rg.exp(c))), id="growth"),
        pytest.param(lambda z, f, c: scanned(-rg.softplus(z), c), id="inputs that are no logarithms"),
        pytest.param(lambda z, f, c: scanned(-rg.softplus(z), rg.log(c + 9)), id="logarithms of any sign"),
        pytest.param(
            lambda z, f, c: rg.exp(rg.cumsum(-rg.softplus(z), axis=1) + rg.logcumsumexp(log_g(c), axis=1)), id="apart"
        ),
        pytest.param(lambda z, f, c: rg.log(min_gru(z, f, c)) + rg.logcumsumexp(c, axis=1), id="another scan"),
    ],
)
def test_other_scans_keep_their_logarithms(rule: Any) -> None:
    assert "log_sum" in loops(compiled(rule))
