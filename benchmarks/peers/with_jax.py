"""JAX: a jitted scan over time, with state-independent computation hoisted out of the scan, at two unroll factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import weights
from workloads import Call, Row

from peers import jax_cells

VERSION = jax.__version__

UNROLLINGS = (1, 4)

Weights = list[dict[str, jax.Array]]
Function = Callable[[Weights, dict[str, jax.Array]], Any]


def inference(row: Row) -> list[Call]:
    return [_call(forward(row, unroll), row) for unroll in UNROLLINGS]


def training(row: Row) -> list[Call]:
    return [_call(jax.value_and_grad(loss(row, unroll)), row) for unroll in UNROLLINGS]


def one_step(row: Row) -> list[Call]:
    """Return the call of one step on inputs [batch, width], without a scan. The state stays in JAX's arrays."""
    layers, x = arrays(row)[0], jnp.asarray(row.batch_major()[:, 0])

    @jax.jit
    def step(layers: Weights, states: Any, x: jax.Array) -> Any:
        after = []
        for layer, state in zip(layers, states, strict=True):
            state, x = jax_cells.STEPS[row.cell](layer, state, jax_cells.given(row, layer, x))
            after.append(state)
        return after, x

    states = [jax_cells.zero_state(row) for _ in layers]

    def call() -> object:
        nonlocal states
        states, output = jax.block_until_ready(step(layers, states, x))
        return [output]

    return [call]


def outputs(row: Row, result: Any) -> np.ndarray:
    joined = np.concatenate(result, -1)
    return joined[None] if joined.ndim == 2 else joined


def learnt(row: Row, result: Any) -> tuple[float, list[np.ndarray]]:
    value, gradients = result
    return float(value), [np.asarray(g) for cell in gradients for name, g in cell.items() if not name.islower()]


def forward(row: Row, unroll: int) -> Function:
    """Return a function of weights and feeds that returns one array of outputs [time, batch, hidden] per direction."""
    unroll = min(unroll, row.time)

    def run(cells: Weights, feeds: dict[str, jax.Array]) -> list[jax.Array]:
        if row.cell == "decode":
            return [jax_cells.decoding(cells[0], feeds["first"], row.time, unroll)]
        if row.cell == "attention":
            return [jax_cells.attending(cells[0], feeds["memory"], feeds["x"], unroll)]
        x, lengths = feeds["x"], feeds.get("n")
        for layer in range(row.layers):
            sides = cells[layer * row.directions : (layer + 1) * row.directions]
            halves = [_side(row, side, x, lengths, unroll, bool(k)) for k, side in enumerate(sides)]
            x = jnp.concatenate(halves, -1) if len(halves) > 1 else halves[0]
        return halves

    return run


def _side(
    row: Row, layer: dict[str, jax.Array], x: jax.Array, lengths: jax.Array | None, unroll: int, backward: bool
) -> jax.Array:
    """Run a cell over time in one direction, and return its outputs.

    Forward, steps after a row's end are computed too, as no earlier step depends on them, and zeros replace their
    outputs. Backward, the state stays zero until the row's last step.
    """
    running = None if lengths is None else (jnp.arange(row.time)[:, None] < lengths)[..., None]

    def body(state: Any, entering: Any) -> Any:
        entry, runs = entering
        after, output = jax_cells.STEPS[row.cell](layer, state, entry)
        if runs is not None:
            after = jax.tree.map(lambda new: jnp.where(runs, new, 0.0), after)
        return after, output

    entering = jax_cells.given(row, layer, x), running if backward else None
    options = {"unroll": unroll, "reverse": backward}
    _, outputs = jax.lax.scan(body, jax_cells.zero_state(row), entering, **options)
    return outputs if running is None else jnp.where(running, outputs, 0.0)


def loss(row: Row, unroll: int) -> Function:
    run = forward(row, unroll)

    def value(cells: Weights, feeds: dict[str, jax.Array]) -> jax.Array:
        halves = run(cells, feeds)
        return sum(jnp.mean(jnp.square(half)) for half in halves) / len(halves)

    return value


def arrays(row: Row) -> tuple[Weights, dict[str, jax.Array]]:
    """Return weights and feeds."""
    feeds = {"first": row.first()} if row.cell == "decode" else {"x": row.time_major()}
    if row.cell == "attention":
        feeds["memory"] = row.memory()
    lengths = row.lengths()
    if lengths is not None:
        feeds["n"] = lengths
    return jax.tree.map(jnp.asarray, (weights.drawn(row), feeds))


def _call(function: Function, row: Row) -> Call:
    cells, feeds = arrays(row)
    jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(cells, feeds))
