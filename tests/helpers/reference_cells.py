"""The further cells of TensorFlow 1.15's `tf.contrib.rnn`, in NumPy's float64, for `reference.run_cell`.

Each is a dataclass with its arguments; `step` runs one step at a variable scope. `memory` is True if the state is a
pair (c, h), of which only h is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


def logistic(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def rectified(x: Array) -> Array:
    return x * (x > 0.0)


def normalized(parameters: Mapping[str, Array], scope: str, x: Array) -> Array:
    deviation = np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-12)
    return (x - np.mean(x, axis=1, keepdims=True)) / deviation * parameters[f"{scope}/gamma"] + parameters[
        f"{scope}/beta"
    ]


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": logistic,
    "relu": rectified,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "identity": lambda x: x,
}


class Pair(NamedTuple):
    c: Any
    h: Any


@dataclass(frozen=True)
class Variant:
    """Base class of the cells."""

    units: int

    name = ""
    memory = False
    output_is_state = True

    @property
    def output(self) -> int:
        return self.units

    def widths(self, pair: Any) -> Any:
        return pair(self.units, self.output) if self.memory else self.units

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        """Run one step, and return (output, new state).

        Args:
            p: The cell's parameters, by name below the cell's scope.
            mask: Mask of recurrent dropout, divided by the keep probability, or None.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LayerNormLSTM(Variant):
    forget_bias: float = 1.0
    activation: str = "tanh"
    layer_norm: bool = True

    name = "layer_norm_basic_lstm_cell"
    memory = True

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        c, h = state
        act, n = FUNCTIONS[self.activation], self.units
        rows = np.hstack([x, h]) @ p["kernel"]
        gate = {name: rows[:, k * n : (k + 1) * n] for k, name in enumerate(["input", "transform", "forget", "output"])}
        if self.layer_norm:
            gate = {name: normalized(p, name, value) for name, value in gate.items()}
        else:
            gate = {name: v + p["bias"][k * n : (k + 1) * n] for k, (name, v) in enumerate(gate.items())}
        candidate = act(gate["transform"]) * (1.0 if mask is None else mask)
        c = logistic(gate["forget"] + self.forget_bias) * c + logistic(gate["input"]) * candidate
        if self.layer_norm:
            c = normalized(p, "state", c)
        h = logistic(gate["output"]) * act(c)
        return h, (c, h)


@dataclass(frozen=True)
class CoupledLSTM(Variant):
    use_peepholes: bool = False
    num_proj: int | None = None
    proj_clip: float | None = None
    forget_bias: float = 1.0
    activation: str = "tanh"
    layer_norm: bool = False

    name = "coupled_input_forget_gate_lstm_cell"
    memory = True

    @property
    def output(self) -> int:
        return self.num_proj or self.units

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        c, h = state
        act = FUNCTIONS[self.activation]
        rows = np.hstack([x, h]) @ p["W_0"]
        rows = rows if self.layer_norm else rows + p["B"]
        new, forget, out = np.hsplit(rows, 3)
        if self.layer_norm:
            new, forget, out = (
                normalized(p, "transform", new),
                normalized(p, "forget", forget),
                normalized(p, "output", out),
            )
        peep = p["W_F_diag"] * c if self.use_peepholes else 0.0
        kept = logistic(forget + peep + self.forget_bias)
        c = act(new) + kept * (c - act(new))
        if self.layer_norm:
            c = normalized(p, "state", c)
        h = act(c) * logistic(out + (p["W_O_diag"] * c if self.use_peepholes else 0.0))
        if self.num_proj is not None:
            h = h @ p["W_P_0"]
            if self.proj_clip is not None:
                h = np.minimum(np.maximum(h, -self.proj_clip), self.proj_clip)
        return h, (c, h)


@dataclass(frozen=True)
class NAS(Variant):
    num_proj: int | None = None
    use_bias: bool = False

    name = "nas_cell"
    memory = True

    @property
    def output(self) -> int:
        return self.num_proj or self.units

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        c, h = state
        a = np.hsplit(x @ p["kernel"], 8)
        b = np.hsplit(h @ p["recurrent_kernel"] + (p["bias"] if self.use_bias else 0.0), 8)
        first = [
            logistic(a[0] + b[0]),
            rectified(a[1] + b[1]),
            logistic(a[2] + b[2]),
            rectified(a[3] * b[3]),
            np.tanh(a[4] + b[4]),
            logistic(a[5] + b[5]),
            np.tanh(a[6] + b[6]),
            logistic(a[7] + b[7]),
        ]
        second = [
            np.tanh(first[0] * first[1]),
            np.tanh(first[2] + first[3]),
            np.tanh(first[4] * first[5]),
            logistic(first[6] + first[7]),
        ]
        c = np.tanh(second[0] + c) * second[1]
        h = np.tanh(c * np.tanh(second[2] + second[3]))
        h = h if self.num_proj is None else h @ p["projection_weights"]
        return h, (c, h)


@dataclass(frozen=True)
class UGRNN(Variant):
    forget_bias: float = 1.0
    activation: str = "tanh"

    name = "ugrnn_cell"

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        rows = np.hstack([x, state]) @ p["kernel"] + p["bias"]
        g = logistic(rows[:, : self.units] + self.forget_bias)
        new = g * state + (1.0 - g) * FUNCTIONS[self.activation](rows[:, self.units :])
        return new, new


@dataclass(frozen=True)
class Intersection(Variant):
    forget_bias: float = 1.0
    y_activation: str = "relu"

    name = "intersection_rnn_cell"
    output_is_state = False

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        if x.shape[1] != self.units:
            x = x @ p["in_projection/kernel"] + p["in_projection/bias"]
        gh, h, gy, y = np.hsplit(np.hstack([x, state]) @ p["kernel"] + p["bias"], 4)
        gh, gy = logistic(gh + self.forget_bias), logistic(gy + self.forget_bias)
        new = gh * state + (1.0 - gh) * np.tanh(h)
        return gy * x + (1.0 - gy) * FUNCTIONS[self.y_activation](y), new


@dataclass(frozen=True)
class IndRNN(Variant):
    activation: str = "tanh"

    name = "ind_rnn_cell"

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        new = FUNCTIONS[self.activation](x @ p["kernel_w"] + state @ np.diag(p["kernel_u"][0]) + p["bias"])
        return new, new


@dataclass(frozen=True)
class SRU(Variant):
    activation: str = "tanh"

    name = "sru_cell"
    output_is_state = False

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        candidate, forget, reset, through = np.hsplit(x @ p["kernel"], 4)
        forget, reset = logistic(forget + p["bias"][: self.units]), logistic(reset + p["bias"][self.units :])
        c = candidate + forget * (state - candidate)
        return reset * FUNCTIONS[self.activation](c) + (1.0 - reset) * through, c


@dataclass(frozen=True)
class Minimal(Variant):
    activation: str = "tanh"

    name = "minimal_rnn_cell"

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        first, second = x.shape[1], x.shape[1] + self.units
        z = FUNCTIONS[self.activation](x @ p["kernel"][:first])
        u = logistic(z @ p["kernel"][first:second] + state @ p["kernel"][second:] + p["bias"])
        new = u * state + (1.0 - u) * z
        return new, new


@dataclass(frozen=True)
class CFN(Variant):
    activation: str = "tanh"

    name = "cfn_cell"

    def step(self, p: Mapping[str, Array], x: Array, state: Any, mask: Array | None) -> tuple[Array, Any]:
        n, act = self.units, FUNCTIONS[self.activation]
        theta = logistic(x @ p["kernel"][:, :n] + state @ p["recurrent_kernel"][:, :n] + p["bias"][:n])
        eta = logistic(x @ p["kernel"][:, n : 2 * n] + state @ p["recurrent_kernel"][:, n:] + p["bias"][n:])
        new = theta * act(state) + (1.0 - eta) * act(x @ p["kernel"][:, 2 * n :])
        return new, new
