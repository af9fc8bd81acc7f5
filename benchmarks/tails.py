"""Measures the elementwise work of a cell, without its matrix products, for the floor.

In the cell's equations, a multiply-add of the unit's state replaces each matrix product. Functions and arithmetic stay
the same, state and coefficients fit into L1, and there are enough rows that no step waits for the previous one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import machine
import numpy as np
from workloads import Call

import rnngraph as rg

ROWS, STEPS, UNITS = 8, 65, 64
KINDS = ("RNN", "LSTM", "GRU", "GRU before", "peephole", "own peephole")


class Tail(rg.Cell):
    """Cell of one unit with the equations of ``kind``, without matrix products."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def state(self) -> Any:
        return {"h": UNITS} if self.kind in ("RNN", "GRU", "GRU before") else {"h": UNITS, "c": UNITS}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        h = state["h"]

        def coefficients(name: str) -> Any:
            values = np.random.default_rng([*name.encode()]).uniform(-1, 1, UNITS)
            return rg.constant(values.astype(np.float32))

        def product(name: str) -> Any:
            return coefficients(name) * h + coefficients(f"{name} alone")

        match self.kind:
            case "RNN":
                h = rg.tanh(product("h"))
                return h, {"h": h}
            case "GRU" | "GRU before":
                r, u = rg.sigmoid(product("r")), rg.sigmoid(product("u"))
                candidate = rg.tanh(product("c") + r * product("n"))
                h = u * h + (1 - u) * candidate
                return h, {"h": h}
        c, peephole = state["c"], "peephole" in self.kind

        def gate(name: str, seen: Any) -> Any:
            return rg.sigmoid(product(name) + coefficients(f"{name} seen") * seen if peephole else product(name))

        c = gate("f", c) * c + gate("i", c) * rg.tanh(product("j"))
        h = gate("o", c) * rg.tanh(c)
        return h, {"h": h, "c": c}


def tail_seconds(kind: str, training: bool = False) -> float:
    """Return the seconds of one unit of one row in one step; for training, of the forward and backward pass."""
    call = _call(kind, training)
    return (_least(lambda: call(STEPS)) - _least(lambda: call(1))) / (ROWS * (STEPS - 1) * UNITS)


def _least(call: Call) -> float:
    least = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - begin)
    return least


@lru_cache(maxsize=2 * len(KINDS))
def _call(kind: str, training: bool) -> Callable[[int], object]:
    """Return a function that runs a number of steps, and returns the last state or, for training, the gradient."""
    cell = Tail(kind)
    first = rg.state_placeholder("first", cell)
    x = rg.placeholder("x", (ROWS, None, 1))
    _, last = rg.dynamic_rnn(cell, x, initial_state=first)
    loss = sum(rg.reduce_sum(part) for part in ([last] if isinstance(last, rg.Tensor) else last))
    program = rg.compile({"last": last}, loss=loss, target=machine.TARGET)
    state = np.full((ROWS, UNITS), 0.1, np.float32)
    names = ["first"] if isinstance(first, rg.Tensor) else [f"first.{name}" for name in first._fields]
    feeds = dict.fromkeys(names, state)
    inputs = {steps: {**feeds, "x": np.zeros((ROWS, steps, 1), np.float32)} for steps in (1, STEPS)}
    if training:
        return lambda steps: program.training.gradients(inputs[steps], wrt=names)
    return lambda steps: program.inference(inputs[steps])
