"""JAX: a jitted scan over time with the input half taken out of it; the faster of two unrollings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from timing import fastest
from workloads import Call, Row

VERSION = jax.__version__

UNROLLINGS = (1, 4)

Weights = list[dict[str, jax.Array]]


def inference(row: Row) -> Call:
    return fastest(*(_call(forward(row, unroll), row) for unroll in UNROLLINGS))


def training(row: Row) -> Call:
    return fastest(*(_call(jax.value_and_grad(loss(row, unroll)), row) for unroll in UNROLLINGS))


def forward(row: Row, unroll: int) -> Callable[[Weights, jax.Array], jax.Array]:
    step = _STEPS[row.cell]

    def run(weights: Weights, x: jax.Array) -> jax.Array:
        for layer in weights:
            zeros = jnp.zeros((row.batch, row.units), x.dtype)

            def body(state: Any, given: jax.Array, layer: dict[str, jax.Array] = layer) -> Any:
                return step(layer, state, given)

            _, x = jax.lax.scan(body, (zeros, zeros), x @ layer["W"] + layer["b"], unroll=min(unroll, row.time))
        return x

    return run


def loss(row: Row, unroll: int) -> Callable[[Weights, jax.Array], jax.Array]:
    run = forward(row, unroll)
    return lambda weights, x: jnp.mean(jnp.square(run(weights, x)))


def _rnn(layer: dict[str, jax.Array], state: Any, given: jax.Array) -> Any:
    h = jnp.tanh(given + state[0] @ layer["U"])
    return (h, h), h


def _lstm(layer: dict[str, jax.Array], state: Any, given: jax.Array) -> Any:
    c, h = state
    i, j, f, o = jnp.split(given + h @ layer["U"], 4, 1)
    c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


def _peephole(layer: dict[str, jax.Array], state: Any, given: jax.Array) -> Any:
    c, h = state
    p_i, p_f, p_o = layer["P"]
    i, j, f, o = jnp.split(given + h @ layer["U"], 4, 1)
    c = jax.nn.sigmoid(f + p_f * c + 1.0) * c + jax.nn.sigmoid(i + p_i * c) * jnp.tanh(j)
    h = jax.nn.sigmoid(o + p_o * c) * jnp.tanh(c)
    return (c, h), h


def _gru(layer: dict[str, jax.Array], state: Any, given: jax.Array) -> Any:
    h = state[0]
    r, u, n = jnp.split(given, 3, 1)
    from_r, from_u, from_n = jnp.split(h @ layer["U"], 3, 1)
    r, u = jax.nn.sigmoid(r + from_r), jax.nn.sigmoid(u + from_u)
    h = u * h + (1 - u) * jnp.tanh(n + r * (from_n + layer["c"]))
    return (h, h), h


def _gru_before(layer: dict[str, jax.Array], state: Any, given: jax.Array) -> Any:
    h, units = state[0], state[0].shape[1]
    r, u = jnp.split(jax.nn.sigmoid(given[:, : 2 * units] + h @ layer["U"][:, : 2 * units]), 2, 1)
    h = u * h + (1 - u) * jnp.tanh(given[:, 2 * units :] + (r * h) @ layer["U"][:, 2 * units :])
    return (h, h), h


_STEPS = {
    "RNN": _rnn,
    "LSTM": _lstm,
    "GRU": _gru,
    "GRU before": _gru_before,
    "peephole": _peephole,
    "own peephole": _peephole,
}


def _call(function: Callable[..., Any], row: Row) -> Call:
    weights, x = jax.tree.map(jnp.asarray, row.weights()), jnp.asarray(row.time_major())
    jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(weights, x))
