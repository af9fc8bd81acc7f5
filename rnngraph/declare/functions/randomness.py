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
    """Return one value in the training graph, and another in the inference graph. Neither graph has the other's value.

    Args:
        training: Value in the training graph.
        inference: Value in the inference graph, of the same dtype and shape. One of the two may be a Python number.
    """
    if not isinstance(training, Tensor) and not isinstance(inference, Tensor):
        training = constant(training)
    kind = training if isinstance(training, Tensor) else inference
    return build("by_graph", *(_broadcast_number(item, kind) for item in (training, inference)))


def _broadcast_number(value: Any, kind: Tensor) -> Tensor:
    """Convert ``value`` to a Tensor. A number gets the dtype and the shape of ``kind``."""
    filled = like(value, kind)
    is_number = not isinstance(value, Tensor) and filled.rank == 0
    return build("broadcast", filled, shape=kind.type.shape) if is_number and kind.rank else filled


@api
def dropout(x: Tensor, keep_prob: KeepProb, seed: int | None = None) -> Tensor:
    """Apply dropout in the training graph, and return ``x`` in the inference graph.

    Kept units are divided by ``keep_prob``. Inside a cell's ``step``, a new mask is drawn at every step.

    Args:
        x: float [rows, units], or [rows, steps, …]. Each step has a mask of its own.
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
    """Draw uniform random numbers in [low, high), in steps of (high - low) / 2**24.

    Like masks of ``rg.dropout``, they depend on the seed of the call, the step and the row.

    Only the training graph may use them: see ``rg.by_graph``.

    Args:
        like: float Tensor with the shape and dtype of the result.
        low: Lower bound, included.
        high: Upper bound, excluded unless rounding reaches it, as in NumPy.
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
    """Convert pairs of uniform numbers in [0, 1) to standard normal numbers, by the Box-Muller transform (1958)."""
    return sqrt(-2.0 * log1p(-radius)) * cos(angle * (2.0 * math.pi))


def gumbel_of(unit: Tensor) -> Tensor:
    """Convert uniform numbers in [0, 1) to numbers of the standard Gumbel distribution. 0 becomes -inf."""
    return -log(-log(unit))


def _unit(like: Tensor, what: str, base: str) -> Tensor:
    """Draw uniform random numbers in [0, 1), in the shape and dtype of ``like``.

    Args:
        like: float Tensor.
        what: Name of the function, for errors.
        base: Name of the scope, by which separate draws get separate numbers.
    """
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
    """Apply dropout to x in the training graph, by masks that depend on ``salt`` and on the name of the draw.

    Args:
        x: float Tensor.
        keep_prob: Probability of keeping a unit.
        salt: As returned by ``salt_of``.
        where: Line of the declaration.
        **attributes: ``site`` is the name of the draw, or ``scope`` the scope that will name it. ``variational=True``
            draws one mask for all steps.
    """
    return build("dropout", x, keep_tensor(keep_prob, x.dtype), salt=salt, where=where, **attributes)


def keep_tensor(keep_prob: KeepProb, dtype: str) -> Tensor:
    return cast(keep_prob, dtype) if isinstance(keep_prob, Tensor) else constant(float(keep_prob), dtype)


def salt_of(seed: Any) -> int:
    """Return the int by which a user's ``seed`` changes random numbers; 0 for None."""
    if seed is None:
        return 0
    return seed_number(seed)


def is_certain(keep_prob: KeepProb) -> bool:
    """True if ``keep_prob`` is the number 1, so that dropout needs no mask."""
    return not isinstance(keep_prob, Tensor) and keep_prob == 1.0


def check_keep_prob(value: Any, what: str, doubtful: float = 0.3) -> None:
    """Raise an error unless ``value`` is in (0, 1] or a scalar float Tensor. ``what`` names it in errors.

    A number below ``doubtful`` is probably a dropout rate, and causes a warning.
    """
    where = user_line()
    if isinstance(value, Tensor):
        if value.rank != 0 or value.dtype not in FLOATS:
            raise DtypeError(f"{what} must be a scalar float, not {value!r}", where)
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise DtypeError(f"{what} must be a float in (0, 1] or a scalar placeholder, not {value!r}", where)
    if not 0 < value <= 1:
        raise ArgumentError(
            f"{what}={value} is outside (0, 1]; give the probability to keep a unit, where 1.0 keeps all", where
        )
    if value < doubtful:
        warn(
            f"{what}={value} keeps few units; it is the probability to keep, "
            f"not a dropout rate. For a rate of {value} give {what}={1 - value:g}",
            where,
        )
