"""Recurrent layers in NumPy's float64, with arrays in torch's, Keras' and ONNX's layouts, as the readers' reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def run(step: Callable[[Array, tuple[Array, ...]], tuple[Array, ...]], x: Array, state: tuple[Array, ...]) -> Array:
    """Return the first state after each step [batch, time, units], for inputs x [batch, time, inputs]."""
    outputs = []
    for t in range(x.shape[1]):
        state = step(x[:, t], state)
        outputs.append(state[0])
    return np.stack(outputs, 1)


def lstm(x: Array, w: Array, r: Array, b: Array, order: str, h: Array | None = None, c: Array | None = None) -> Array:
    """Run an LSTM: w [inputs, 4 units], r [units, 4 units], b [4 units], with gates i, f, g, o in ``order``."""
    units = r.shape[0]

    def step(x: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        h, c = state
        gate = dict(zip(order, np.split(x @ w + h @ r + b, 4, -1), strict=True))
        c = sigmoid(gate["f"]) * c + sigmoid(gate["i"]) * np.tanh(gate["g"])
        return sigmoid(gate["o"]) * np.tanh(c), c

    zeros = np.zeros((len(x), units))
    return run(step, x, (zeros if h is None else zeros + h, zeros if c is None else zeros + c))


def gru(x: Array, w: Array, r: Array, b: Array, br: Array, order: str, reset_after: bool) -> Array:
    """Run a GRU: w [inputs, 3 units], r [units, 3 units], biases b and br [3 units].

    ``order`` is the order of the gates r, z, n in these arrays.
    """
    weights = dict(zip(order, zip(*(np.split(part, 3, -1) for part in (w, r, b, br)), strict=True), strict=True))

    def gate(name: str, x: Array, h: Array) -> Array:
        w, r, b, br = weights[name]
        return sigmoid(x @ w + h @ r + b + br)

    def step(x: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        (h,) = state
        reset, update = gate("r", x, h), gate("z", x, h)
        w, r, b, br = weights["n"]
        inner = reset * (h @ r + br) if reset_after else (reset * h) @ r + br
        return (update * h + (1 - update) * np.tanh(x @ w + b + inner),)

    return run(step, x, (np.zeros((len(x), r.shape[0])),))


def rnn(x: Array, w: Array, r: Array, b: Array) -> Array:
    """Run an RNN: w [inputs, units], r [units, units], b [units]."""
    return run(lambda x, state: (np.tanh(x @ w + state[0] @ r + b),), x, (np.zeros((len(x), r.shape[0])),))
