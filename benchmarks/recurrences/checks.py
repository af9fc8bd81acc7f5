"""Compares every contender with the equations in float64, before it is timed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from workloads import Call

from .equations import run
from .rows import STEP, TRAINING, Row

CLOSE = 1e-4
"""Tolerance relative to the largest value, for float32, other orders of summation, and hundreds of steps."""
STEPS = 3
"""Number of steps of a stream that are compared."""


def agreeing(row: Row, variants: Mapping[str, Sequence[Call]]) -> dict[str, list[Call]]:
    """Return the calls whose results agree with the equations, by contender, and warn about the others."""
    expected, kept = reference(row), dict[str, list[Call]]()
    for name, calls in variants.items():
        for number, call in enumerate(calls, 1):
            difference = _difference(expected, results(row, call))
            if difference <= CLOSE:
                kept.setdefault(name, []).append(call)
            else:
                what = f"{name}, way {number}, {row.name}"
                warnings.warn(f"{what} differs from float64 by {difference:.2g} and is left out", stacklevel=2)
    return kept


def results(row: Row, call: Call) -> dict[str, np.ndarray]:
    """Call a contender, and return copies of its results by name: loss and gradients for training, else outputs."""
    result: Any = call()
    if row.call == TRAINING:
        return {"loss": np.array(result[0])} | {name: np.array(values) for name, values in result[1].items()}
    steps = [np.array(result)] + [np.array(call()) for _ in range(STEPS - 1 if row.call == STEP else 0)]
    return {"outputs": np.concatenate([step.reshape(row.batch, -1, row.channels) for step in steps], 1)}


def reference(row: Row) -> dict[str, np.ndarray]:
    """Return the results of the equations in float64, by name. Gradients need torch; without it there are none."""
    x = row.inputs().astype(np.float64)
    parameters = {name: values.astype(np.float64) for name, values in row.parameters().items()}
    if row.call != TRAINING:
        return {"outputs": run(np, row, np.repeat(x, STEPS, 1) if row.call == STEP else x, parameters)}
    try:
        import torch
    except ImportError:
        outputs = run(np, row, x, parameters)
        return {"loss": np.square(outputs).mean()}
    leaves = {name: torch.from_numpy(values).requires_grad_() for name, values in parameters.items()}
    loss, gradient = 0.0, np.empty_like(x)
    for one in range(row.batch):  # torch keeps all states; those of one row fit into memory
        leaf = torch.from_numpy(x[one : one + 1]).requires_grad_()
        part = run(torch, row, leaf, leaves).square().mean() / row.batch
        part.backward()
        loss, gradient[one] = loss + part.item(), leaf.grad[0].numpy()
    return {"loss": np.array(loss), "x": gradient} | {name: leaf.grad.numpy() for name, leaf in leaves.items()}


def _difference(expected: Mapping[str, np.ndarray], actual: Mapping[str, np.ndarray]) -> float:
    """Return the largest difference over common names, relative to the largest value; infinity for NaN."""
    worst = 0.0
    for name, values in actual.items():
        if name not in expected:
            continue
        if values.shape != expected[name].shape or not np.isfinite(values).all():
            return float("inf")
        worst = max(worst, float(np.abs(values - expected[name]).max() / np.abs(expected[name]).max()))
    return worst
