"""Compares the results of contenders, and leaves out peers with different results, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from workloads import Call, Row

CLOSE = 1e-4
"""Tolerance relative to the largest output, the loss or the gradients' norm, because contenders sum in other orders."""

STEPS = 3
"""Number of calls of a stream before its state is compared."""


def agreeing(
    row: Row, kind: str, own: Call, variants: Mapping[str, Sequence[Call]], modules: Mapping[str, ModuleType]
) -> dict[str, list[Call]]:
    """Return the variants of a call whose results agree with those of ``own``, by peer. Warn about others.

    Every variant is called; those of streams have run ``STEPS`` steps afterwards.

    Args:
        row: The workload.
        kind: ``"inference"``, ``"training"`` or ``"one_step"``.
        own: rnngraph's call.
        variants: Variants of the call, by peer.
        modules: Modules of the peers, and of rnngraph.
    """
    expected, same = _seen(row, kind, own, modules["rnngraph"]), {}
    for name, calls in variants.items():
        kept = []
        for number, call in enumerate(calls):
            difference = _difference(expected, _seen(row, kind, call, modules[name]))
            if difference <= CLOSE:
                kept.append(call)
            else:
                what = f"{name}, way {number + 1}, {kind} of {row.name}"
                warnings.warn(f"{what} differs from ours by {difference:.2g} and is left out", stacklevel=2)
        if kept:
            same[name] = kept
    return same


def _seen(row: Row, kind: str, call: Call, module: Any) -> list[np.ndarray]:
    """Call a contender, and return its results in a form that is the same for all contenders.

    For training, these are the loss and the norm of all gradients except the biases', since frameworks have one or two
    biases. The norm does not depend on the order of gates.
    """
    if kind == "training":
        loss, gradients = module.learnt(row, call())
        squares = [float(np.square(g, dtype=np.float64).sum()) for g in gradients]
        return [np.array(loss), np.sqrt(sum(squares))]
    return [np.array(module.outputs(row, call())) for _ in range(STEPS if kind == "one_step" else 1)]


def _difference(expected: list[np.ndarray], actual: list[np.ndarray]) -> float:
    """Return the largest difference, relative to the largest expected value; infinity for unequal shapes and NaN."""
    worst = 0.0
    for mine, theirs in zip(expected, actual, strict=True):
        if mine.shape != theirs.shape or not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
            return float("inf")
        worst = max(worst, float(np.abs(mine - theirs).max() / np.abs(mine).max()))
    return worst
