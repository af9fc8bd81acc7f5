"""What differs between the two graphs: a choice by graph, dropout, and random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import number
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, user_line, warn
from ..parameters import ScopeName
from ..tensor import Tensor, build, constant, like
from .basic import cast, cos, log1p, sqrt

KeepProb = float | Tensor


@api
def by_graph(*, training: Any, inference: Any) -> Tensor:
    """``training`` in the training graph, ``inference`` in the inference graph; each graph holds its own only.

    One of them may be a Python number; Tensors have one dtype and one shape.
    """
    if not isinstance(training, Tensor) and not isinstance(inference, Tensor):
        training = constant(training)
    kind = training if isinstance(training, Tensor) else inference
    return build("by_graph", *(_filled(item, kind) for item in (training, inference)))


def _filled(value: Any, kind: Tensor) -> Tensor:
    """``value`` in the shape of ``kind`` where it is a number."""
    filled = like(value, kind)
    is_number = not isinstance(value, Tensor) and filled.rank == 0
    return build("broadcast", filled, shape=kind.type.shape) if is_number and kind.rank else filled


@api
def dropout(x: Tensor, keep_prob: KeepProb, seed: int | None = None) -> Tensor:
    """x with units dropped at random in the training graph; x itself in the inference graph.

    A kept unit is divided by keep_prob.

    x: [rows, units], or [rows, steps, …] with a mask of its own at every step; inside a cell's ``step`` it is drawn
        anew at every step.
    keep_prob, seed: as in ``rg.DropoutWrapper``.
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
    """Random numbers in [low, high), of the shape and dtype of ``like``, drawn as masks of ``rg.dropout`` are.

    They may reach the training graph only, by ``rg.by_graph``. Multiples of (high - low) / 2**24.
    """
    low, high = number(low, "low"), number(high, "high")
    return _unit(like, "random_uniform", "random_uniform") * (high - low) + low


@api
def random_normal(like: Tensor, mean: float = 0.0, stddev: float = 1.0) -> Tensor:
    """Normal random numbers of the shape and dtype of ``like``, drawn as masks of ``rg.dropout`` are.

    They may reach the training graph only, by ``rg.by_graph``. By the transform of Box and Muller (1958).

    mean, stddev: of the distribution.
    """
    mean, stddev = number(mean, "mean"), number(stddev, "stddev")
    radius = sqrt(-2.0 * log1p(-_unit(like, "random_normal", "random_normal/radius")))
    angle = _unit(like, "random_normal", "random_normal/angle") * (2.0 * math.pi)
    return radius * cos(angle) * stddev + mean


def _unit(like: Tensor, what: str, base: str) -> Tensor:
    """Uniform in [0, 1)."""
    where = user_line()
    _check_random(like, what, where)
    return build("noise", like, scope=ScopeName(base, False, where), salt=0, what=what, where=where)


def _check_random(x: Any, what: str, where: Where | None) -> None:
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"{what} needs a float Tensor, not {x!r}", where)
    if not x.rank:
        raise ShapeError(f"{what} needs a Tensor [rows, …, units], not {x!r}; reshape it to (1,)", where)


# What dropout is made of ----------------------------------------------------------------------------


def drop(x: Tensor, keep_prob: KeepProb, salt: int, where: Where | None, **attributes: Any) -> Tensor:
    """The node of dropout. attributes: the site, or the scope that names it, and whether it is variational."""
    return build("dropout", x, keep_tensor(keep_prob, x.dtype), salt=salt, where=where, **attributes)


def keep_tensor(keep_prob: KeepProb, dtype: str) -> Tensor:
    return cast(keep_prob, dtype) if isinstance(keep_prob, Tensor) else constant(float(keep_prob), dtype)


def salt_of(seed: Any) -> int:
    """What a seed of one's own adds to the masks of a site."""
    if seed is None:
        return 0
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise DtypeError(f"seed must be an int or None, not {seed!r}", user_line())
    return int(seed)


def is_certain(keep_prob: KeepProb) -> bool:
    """Whether every unit is kept, so that there is nothing to draw."""
    return not isinstance(keep_prob, Tensor) and keep_prob == 1.0


def check_keep_prob(value: Any, what: str, doubtful: float = 0.3) -> None:
    """A float in (0, 1] or a scalar float Tensor; warns below ``doubtful``, where it looks like a rate of dropping."""
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
