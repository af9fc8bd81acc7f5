"""Cells in JAX: the computation that doesn't depend on the state, which is hoisted out of the scan, and the step.

``GIVEN[cell](layer, x)`` computes the steps' inputs from [time, batch, width]: a tree of arrays whose first axis is
time. For cells without an entry, it is the product with W plus b. ``STEPS[cell](layer, state, given)`` returns the
state and the output. ``layer`` holds the arrays of ``weights.drawn``; the state is (c, h), or a single array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import relu, sigmoid
from workloads import Row

Layer = dict[str, jax.Array]


def given(row: Row, layer: Layer, x: jax.Array) -> Any:
    function = GIVEN.get(row.cell)
    return function(layer, x) if function else x @ layer["W"] + layer["b"]


def zero_state(row: Row) -> tuple[jax.Array, ...]:
    """Return zeros [batch, width] for each part of the state."""
    widths = (row.units, row.hidden) if row.cell in WITH_MEMORY else (row.units,)
    return tuple(jnp.zeros((row.batch, width), jnp.float32) for width in widths)


WITH_MEMORY = ("LSTM", "peephole", "own peephole", "LayerNormBasicLSTM", "CoupledInputForgetGateLSTM", "NAS")
"""Cells whose state is (c, h). The state of other cells is one array."""


def _rnn(layer: Layer, state: Any, given: Any) -> Any:
    h = jnp.tanh(given + state[0] @ layer["U"])
    return (h,), h


def _lstm(layer: Layer, state: Any, given: Any) -> Any:
    c, h = state
    i, j, f, o = jnp.split(given + h @ layer["U"], 4, 1)
    c = sigmoid(f + 1.0) * c + sigmoid(i) * jnp.tanh(j)
    h = sigmoid(o) * jnp.tanh(c)
    h = h @ layer["R"] if "R" in layer else h
    return (c, h), h


def _peephole(layer: Layer, state: Any, given: Any) -> Any:
    c, h = state
    p_i, p_f, p_o = layer["P"]
    i, j, f, o = jnp.split(given + h @ layer["U"], 4, 1)
    c = sigmoid(f + p_f * c + 1.0) * c + sigmoid(i + p_i * c) * jnp.tanh(j)
    h = sigmoid(o + p_o * c) * jnp.tanh(c)
    return (c, h), h


def _gru(layer: Layer, state: Any, given: Any) -> Any:
    (h,) = state
    r, u, n = jnp.split(given, 3, 1)
    from_r, from_u, from_n = jnp.split(h @ layer["U"], 3, 1)
    r, u = sigmoid(r + from_r), sigmoid(u + from_u)
    h = u * h + (1 - u) * jnp.tanh(n + r * (from_n + layer["c"]))
    return (h,), h


def _gru_before(layer: Layer, state: Any, given: Any) -> Any:
    (h,), n = state, state[0].shape[1]
    r, u = jnp.split(sigmoid(given[:, : 2 * n] + h @ layer["U"][:, : 2 * n]), 2, 1)
    h = u * h + (1 - u) * jnp.tanh(given[:, 2 * n :] + (r * h) @ layer["U"][:, 2 * n :])
    return (h,), h


def _normed(x: jax.Array, gain: jax.Array, shift: jax.Array) -> jax.Array:
    """Normalise over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-12) * gain + shift


def _layer_norm_lstm(layer: Layer, state: Any, given: Any) -> Any:
    c, h = state
    gates = (given + h @ layer["U"]).reshape(len(h), 4, -1)
    i, j, f, o = _normed(gates, layer["G"][:4], layer["S"][:4]).swapaxes(0, 1)
    c = _normed(c * sigmoid(f + 1.0) + sigmoid(i) * jnp.tanh(j), layer["G"][4], layer["S"][4])
    h = jnp.tanh(c) * sigmoid(o)
    return (c, h), h


def _coupled(layer: Layer, state: Any, given: Any) -> Any:
    c, h = state
    j, f, o = jnp.split(given + h @ layer["U"], 3, 1)
    f = sigmoid(f + 1.0)
    c = f * c + (1 - f) * jnp.tanh(j)
    h = sigmoid(o) * jnp.tanh(c)
    return (c, h), h


def _nas(layer: Layer, state: Any, given: Any) -> Any:
    c, h = state
    inner, outer = jnp.split(h @ layer["U"], 8, 1), jnp.split(given, 8, 1)
    sums = [a + b for a, b in zip(inner, outer, strict=True)]
    product = relu(inner[3] * outer[3])
    memory = jnp.tanh(jnp.tanh(sigmoid(sums[0]) * relu(sums[1])) + c)
    c = memory * jnp.tanh(sigmoid(sums[2]) + product)
    left = jnp.tanh(jnp.tanh(sums[4]) * sigmoid(sums[5]))
    h = jnp.tanh(c * jnp.tanh(left + sigmoid(jnp.tanh(sums[6]) + sigmoid(sums[7]))))
    return (c, h), h


def _ugrnn(layer: Layer, state: Any, given: Any) -> Any:
    (s,) = state
    g, c = jnp.split(given + s @ layer["U"], 2, 1)
    g = sigmoid(g + 1.0)
    s = g * s + (1 - g) * jnp.tanh(c)
    return (s,), s


def _intersection_given(layer: Layer, x: jax.Array) -> Any:
    x = x @ layer["V"] + layer["v"]
    return x, x @ layer["W"] + layer["b"]


def _intersection(layer: Layer, state: Any, given: Any) -> Any:
    (s,), (x, from_input) = state, given
    gh, h, gy, y = jnp.split(from_input + s @ layer["U"], 4, 1)
    gh, gy = sigmoid(gh + 1.0), sigmoid(gy + 1.0)
    s = gh * s + (1 - gh) * jnp.tanh(h)
    return (s,), gy * x + (1 - gy) * relu(y)


def _independent(layer: Layer, state: Any, given: Any) -> Any:
    h = jnp.tanh(given + state[0] * layer["U"])
    return (h,), h


def _sru_given(layer: Layer, x: jax.Array) -> Any:
    """Return the parts of all steps that don't depend on the state: the new content, both gates, and the highway."""
    x_bar, f, r, x_through = jnp.split(x @ layer["W"], 4, 2)
    f_bias, r_bias = jnp.split(layer["b"], 2)
    f, r = sigmoid(f + f_bias), sigmoid(r + r_bias)
    return (1 - f) * x_bar, f, r, (1 - r) * x_through


def _sru(layer: Layer, state: Any, given: Any) -> Any:
    entering, f, r, through = given
    c = f * state[0] + entering
    return (c,), r * jnp.tanh(c) + through


def _minimal_given(layer: Layer, x: jax.Array) -> Any:
    z = jnp.tanh(x @ layer["V"])
    return z, z @ layer["W"] + layer["b"]


def _minimal(layer: Layer, state: Any, given: Any) -> Any:
    (h,), (z, from_input) = state, given
    u = sigmoid(from_input + h @ layer["U"])
    h = u * h + (1 - u) * z
    return (h,), h


def _chaos_free_given(layer: Layer, x: jax.Array) -> Any:
    gates, candidate = jnp.split(x @ layer["W"], [layer["b"].shape[0]], 2)
    return gates + layer["b"], jnp.tanh(candidate)


def _chaos_free(layer: Layer, state: Any, given: Any) -> Any:
    (h,), (gates, candidate) = state, given
    theta, eta = jnp.split(sigmoid(gates + h @ layer["U"]), 2, 1)
    h = theta * jnp.tanh(h) + (1 - eta) * candidate
    return (h,), h


def attending(layer: Layer, memory: jax.Array, x: jax.Array, unroll: int) -> jax.Array:
    """Run a GRU that attends to a memory [batch, entries, units], whose keys are computed once."""
    keys, units = memory @ layer["K"], layer["K"].shape[1]
    both = jnp.concatenate([layer["A"], layer["U"]])
    gates, candidate = both[:, : 2 * units], both[:, 2 * units :]

    def body(state: Any, given: jax.Array) -> Any:
        h, context = state
        joined = jnp.concatenate([context, h], 1)
        r, u = jnp.split(sigmoid(given[:, : 2 * units] + joined @ gates), 2, 1)
        joined = jnp.concatenate([context, r * h], 1)
        h = u * h + (1 - u) * jnp.tanh(given[:, 2 * units :] + joined @ candidate)
        scores = jax.nn.softmax(jnp.einsum("bew,bw->be", keys, h))
        context = jnp.einsum("be,bew->bw", scores, memory)
        return (h, context), context

    zeros = jnp.zeros((x.shape[1], units), x.dtype)
    return jax.lax.scan(body, (zeros, zeros), x @ layer["W"] + layer["b"], unroll=unroll)[1]


def decoding(layer: Layer, first: jax.Array, time: int, unroll: int) -> jax.Array:
    """Run a GRU that is fed its own outputs until its first unit signals the end."""

    def body(state: Any, _: None) -> Any:
        (h, x, done) = state
        (new,), _ = _gru_before(layer, (h,), x @ layer["W"] + layer["b"])
        output = jnp.where(done, 0.0, new)
        h = jnp.where(done, h, new)
        return (h, output, done | (new[:, :1] > 2.0)), output

    none = jnp.zeros((len(first), 1), bool)
    return jax.lax.scan(body, (jnp.zeros_like(first), first, none), length=time, unroll=unroll)[1]


GIVEN: dict[str, Callable[[Layer, jax.Array], Any]] = {
    "LayerNormBasicLSTM": lambda layer, x: x @ layer["W"],
    "NAS": lambda layer, x: x @ layer["W"],
    "IntersectionRNN": _intersection_given,
    "SRU": _sru_given,
    "MinimalRNN": _minimal_given,
    "CFN": _chaos_free_given,
}

STEPS: dict[str, Callable[[Layer, Any, Any], Any]] = {
    "RNN": _rnn,
    "LSTM": _lstm,
    "GRU": _gru,
    "GRU before": _gru_before,
    "peephole": _peephole,
    "own peephole": _peephole,
    "LayerNormBasicLSTM": _layer_norm_lstm,
    "CoupledInputForgetGateLSTM": _coupled,
    "NAS": _nas,
    "UGRNN": _ugrnn,
    "IntersectionRNN": _intersection,
    "IndRNN": _independent,
    "SRU": _sru,
    "MinimalRNN": _minimal,
    "CFN": _chaos_free,
}
