"""Contenders must compute the same: a peer that computes something else is no peer, and is left out with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from workloads import Call, Row

CLOSE = 1e-4
"""Of the largest output, of the loss, and of the gradients' norm: float32, sums in different orders, many steps."""

STEPS = 3
"""So many steps that carry their state are compared."""


def agreeing(
    row: Row, kind: str, own: Call, ways: Mapping[str, Sequence[Call]], modules: Mapping[str, ModuleType]
) -> dict[str, list[Call]]:
    """The ways of each peer to make a call that give what ``own`` gives, itself of ``modules["rnngraph"]``.

    Every way is called; steps leave their state where ``STEPS`` calls lead. Those that differ are warned of.
    """
    expected, found = _seen(row, kind, own, modules["rnngraph"]), {}
    for name, calls in ways.items():
        kept = []
        for number, call in enumerate(calls):
            difference = _difference(expected, _seen(row, kind, call, modules[name]))
            if difference <= CLOSE:
                kept.append(call)
            else:
                what = f"{name}, way {number + 1}, {kind} of {row.name}"
                warnings.warn(f"{what} differs from ours by {difference:.2g} and is left out", stacklevel=2)
        if kept:
            found[name] = kept
    return found


def _seen(row: Row, kind: str, call: Call, module: Any) -> list[np.ndarray]:
    """What a contender computes, in a form that all share.

    Of training that is the loss and the norm of all gradients but the biases', of which frameworks have one or two:
    gates in another order have the same.
    """
    if kind == "training":
        loss, gradients = module.learnt(row, call())
        squares = [float(np.square(g, dtype=np.float64).sum()) for g in gradients]
        return [np.array(loss), np.sqrt(sum(squares))]
    return [np.array(module.outputs(row, call())) for _ in range(STEPS if kind == "one_step" else 1)]


def _difference(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """The largest, as a share of the largest that was expected; infinite for other shapes and for NaN."""
    worst = 0.0
    for mine, theirs in zip(expected, found, strict=True):
        if mine.shape != theirs.shape or not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
            return float("inf")
        worst = max(worst, float(np.abs(mine - theirs).max() / np.abs(mine).max()))
    return worst
