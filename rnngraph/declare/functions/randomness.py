"""Functions whose result differs between the training and the inference graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import number, seed_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, user_line, warn
from ..parameters import ScopeName
from ..tensor import Tensor, build, constant, like
from .basic import cast, cos, log, log1p, sqrt

KeepProb = float | Tensor


@api
def by_graph(*, training: Any, inference: Any) -> Tensor:
    """Select a value by graph. Each graph contains only its own value.

    Args:
        training: Value in the training graph.
        inference: Value in the inference graph, of the same dtype and shape. One of the two may be a Python number.
    """
    if not isinstance(training, Tensor) and not isinstance(inference, Tensor):
        training = constant(training)
    kind = training if isinstance(training, Tensor) else inference
    return build("by_graph", *(_broadcast_number(item, kind) for item in (training, inference)))


def _broadcast_number(value: Any, kind: Tensor) -> Tensor:
    """Convert ``value`` to a Tensor. A number is broadcast to the shape of ``kind``."""
    filled = like(value, kind)
    is_number = not isinstance(value, Tensor) and filled.rank == 0
    return build("broadcast", filled, shape=kind.type.shape) if is_number and kind.rank else filled


@api
def dropout(x: Tensor, keep_prob: KeepProb, seed: int | None = None) -> Tensor:
    """Apply dropout in the training graph, and return ``x`` in the inference graph.

    Kept units are divided by ``keep_prob``. Inside a cell's ``step``, a new mask is drawn at every step.

    Args:
        x: float [rows, units], or [rows, steps, …] with independent masks for all steps.
        keep_prob: Probability of keeping a unit: a float in (0, 1], or a scalar float placeholder.
        seed: Int that changes the masks.
    """
    where = user_line()
    _check_random(x, "dropout", where)
    check_keep_prob(keep_prob, "keep_prob", doubtful=0.5)
    if is_certain(keep_prob):
        return x
    scope = ScopeName("dropout", False, where)
    return drop(x, keep_prob, salt_of(seed), where, scope=scope, variational=False)


@api
def random_uniform(like: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw uniform random numbers in [low, high), which are multiples of (high - low) / 2**24.

    Like masks of ``rg.dropout``, they depend on the seed, the step and the row.

    Only the training graph may use them: see ``rg.by_graph``.

    Args:
        like: float Tensor with the shape and dtype of the result.
        low: Lower bound, included.
        high: Upper bound, excluded.
    """
    low, high = number(low, "low"), number(high, "high")
    return _unit(like, "random_uniform", "random_uniform") * (high - low) + low


@api
def random_normal(like: Tensor, mean: float = 0.0, stddev: float = 1.0) -> Tensor:
    """Draw normal random numbers by the Box-Muller transform (1958).

    Only the training graph may use them: see ``rg.by_graph``.

    Args:
        like: float Tensor with the shape and dtype of the result.
        mean: Mean of the distribution.
        stddev: Standard deviation of the distribution.
    """
    mean, stddev = number(mean, "mean"), number(stddev, "stddev")
    pair = (_unit(like, "random_normal", f"random_normal/{part}") for part in ("radius", "angle"))
    return normal_of(*pair) * stddev + mean


def normal_of(radius: Tensor, angle: Tensor) -> Tensor:
    """Return standard normal numbers from two uniform ones in [0, 1), by the Box-Muller transform (1958)."""
    return sqrt(-2.0 * log1p(-radius)) * cos(angle * (2.0 * math.pi))


def gumbel_of(unit: Tensor) -> Tensor:
    """Return numbers of the standard Gumbel distribution from uniform ones in [0, 1)."""
    return -log(-log(unit))


def _unit(like: Tensor, what: str, base: str) -> Tensor:
    """Draw random numbers from the uniform distribution on [0, 1)."""
    where = user_line()
    _check_random(like, what, where)
    return build("noise", like, scope=ScopeName(base, False, where), salt=0, what=what, where=where)


def _check_random(x: Any, what: str, where: Where | None) -> None:
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"{what} needs a float Tensor, not {x!r}", where)
    if not x.rank:
        raise ShapeError(f"{what} needs a Tensor [rows, …, units], not {x!r}; reshape it to (1,)", where)


# Parts of dropout -----------------------------------------------------------------------------------


def drop(x: Tensor, keep_prob: KeepProb, salt: int, where: Where | None, **attributes: Any) -> Tensor:
    """Build a dropout node. ``attributes`` are the site, or the scope that names the site, and ``variational``."""
    return build("dropout", x, keep_tensor(keep_prob, x.dtype), salt=salt, where=where, **attributes)


def keep_tensor(keep_prob: KeepProb, dtype: str) -> Tensor:
    return cast(keep_prob, dtype) if isinstance(keep_prob, Tensor) else constant(float(keep_prob), dtype)


def salt_of(seed: Any) -> int:
    """Return the int for a user's ``seed`` that is hashed with the name of a random site; None is 0."""
    if seed is None:
        return 0
    return seed_number(seed)


def is_certain(keep_prob: KeepProb) -> bool:
    """True if every unit is kept, so that no mask is needed."""
    return not isinstance(keep_prob, Tensor) and keep_prob == 1.0


def check_keep_prob(value: Any, what: str, doubtful: float = 0.3) -> None:
    """Check a keep probability. Values below ``doubtful`` look like a dropout rate and raise a warning."""
    where = user_line()
    if isinstance(value, Tensor):
        if value.rank != 0 or value.dtype not in FLOATS:
            raise DtypeError(f"{what} must be a scalar float, not {value!r}", where)
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise DtypeError(f"{what} must be a float in (0, 1] or a scalar placeholder, not {value!r}", where)
    if not 0 < value <= 1:
        raise ArgumentError(
            f"{what}={value} is outside (0, 1]; it is the probability to keep a unit, 1.0 keeps all", where
        )
    if value < doubtful:
        warn(
            f"{what}={value} keeps few units; it is the probability to keep, "
            f"not a dropout rate. For a rate of {value} give {what}={1 - value:g}",
            where,
        )
