"""Cumulative functions along an axis that may be time: sums, products and extremes of all entries so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.types import FLOATS, INTEGERS, Dim, product
from ...support.api_guard import api
from ...support.arguments import flag
from ...support.errors import DtypeError, Where, user_line
from ..cell import Cell, Scope
from ..drivers import run_steps
from ..parameters import ScopeName
from ..tensor import Tensor, as_tensor, build, constant
from .basic import (
    abs,
    cast,
    concat,
    exp,
    filled_like,
    log1p,
    logical_or,
    maximum,
    minimum,
    not_equal,
    one_axis,
    transpose,
)
from .basic import where as chosen


@dataclass(frozen=True)
class _Fold:
    """A binary operation that a cumulative function repeats.

    combine: of (all entries before, the entry). neutral: of a dtype, the number that changes no other.
    """

    name: str
    state: str
    combine: Callable[[Tensor, Tensor], Tensor]
    neutral: Callable[[str], float]


def _lowest(dtype: str) -> float:
    return -np.inf if dtype in FLOATS else int(np.iinfo(dtype).min)


def _highest(dtype: str) -> float:
    return np.inf if dtype in FLOATS else int(np.iinfo(dtype).max)


def _larger(earlier: Tensor, later: Tensor) -> Tensor:
    """The larger; of equal ones the later, which receives the gradient; the last NaN, if any."""
    return chosen(logical_or(later >= earlier, not_equal(later, later)), later, earlier)


def _smaller(earlier: Tensor, later: Tensor) -> Tensor:
    """The smaller; of equal ones the later, which receives the gradient; the last NaN, if any."""
    return chosen(logical_or(later <= earlier, not_equal(later, later)), later, earlier)


def _log_of_sum(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)); of infinite ones the larger. Operands of an extreme are swapped, as the second of equal
    ones receives its gradient: so each of two equal numbers receives a half.
    """
    larger = maximum(a, b)
    difference = minimum(b, a) - larger
    return larger + log1p(exp(chosen(abs(larger) < np.inf, difference, -np.inf)))


_SUM = _Fold("cumsum", "sum", lambda earlier, later: earlier + later, lambda dtype: 0)
_PRODUCT = _Fold("cumprod", "product", lambda earlier, later: earlier * later, lambda dtype: 1)
_MAX = _Fold("cummax", "largest", _larger, _lowest)
_MIN = _Fold("cummin", "smallest", _smaller, _highest)
_LOG_SUM = _Fold("logcumsumexp", "log_sum", _log_of_sum, _lowest)


@api
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums along ``axis`` of all entries so far.

    exclusive: without the entry itself.
    reverse: from the end on.

    Along an axis of open size it is a loop, which a stream runs step by step unless reversed. There ints are exact up
    to 2**53.
    """
    return _cumulative(_SUM, x, axis, exclusive, reverse)


@api
def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Products along ``axis`` of all entries so far; ``exclusive``, ``reverse`` and open axes as for ``cumsum``.

    Along an axis of open size x is a float.
    """
    return _cumulative(_PRODUCT, x, axis, exclusive, reverse)


@api
def cummax(x: Any, axis: int = 0) -> Tensor:
    """Largest entry so far along ``axis``; NaN from the first NaN on. Open axes as for ``cumsum``.

    Of equal entries the last one receives the gradient, as in torch.
    """
    return _cumulative(_MAX, x, axis, False, False)


@api
def cummin(x: Any, axis: int = 0) -> Tensor:
    """Smallest entry so far along ``axis``; NaN from the first NaN on. Open axes as for ``cumsum``.

    Of equal entries the last one receives the gradient, as in torch.
    """
    return _cumulative(_MIN, x, axis, False, False)


@api
def logcumsumexp(x: Any, axis: int = 0) -> Tensor:
    """log(cumsum(exp(x))) along ``axis``, which neither overflows nor underflows. Open axes as for ``cumsum``."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        raise DtypeError(f"logcumsumexp needs floats, not {x!r}; convert with rg.cast")
    return _cumulative(_LOG_SUM, x, axis, False, False)


def _cumulative(fold: _Fold, x: Any, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    x = as_tensor(x)
    position = one_axis(x.rank, axis)
    exclusive, reverse = flag(exclusive, "exclusive"), flag(reverse, "reverse")
    if isinstance(x.type.shape[position], int):
        return _fixed(fold, x, position, exclusive, reverse)
    line, kind = user_line(), x.dtype
    if kind in INTEGERS and fold is not _PRODUCT:  # a product would wrap
        x = cast(x, "float64")
    steps, order, turned = _as_steps(fold.name, x, position, line)
    scope = ScopeName(fold.name, False, line)
    found, _ = run_steps(Running(steps.width, fold, x.dtype, exclusive), steps, scope, reverse, line)
    result = build("reshape", found, shape=turned, where=line)
    return cast(transpose(result, [order.index(other) for other in range(x.rank)]), kind)


def product_over_steps(x: Tensor, position: int) -> Tensor:
    """The product along an axis of open size, which is left out."""
    line = user_line()
    steps, _, turned = _as_steps("reduce_prod", x, position, line)
    scope = ScopeName("reduce_prod", False, line)
    _, state = run_steps(Running(steps.width, _PRODUCT, x.dtype, False), steps, scope, False, line)
    return build("reshape", state, shape=turned[1:], where=line)


def _as_steps(name: str, x: Tensor, position: int, line: Where | None) -> tuple[Tensor, tuple[int, ...], Any]:
    """(x as [time, rows, units], the order of axes with time first, the shape in that order)."""
    if x.dtype not in FLOATS:
        raise DtypeError(f"{name} along an axis of open size needs floats, not {x!r}; convert with rg.cast", line)
    order = (position, *(other for other in range(x.rank) if other != position))
    turned = transpose(x, order)
    shape = turned.type.shape
    steps = build("reshape", turned, shape=(shape[0], *_rows_and_units(shape[1:])), where=line)
    return steps, order, shape


def _rows_and_units(rest: tuple[Dim, ...]) -> tuple[Dim, int]:
    """Axes as rows and units: units are those after the first, if they are fixed."""
    units = product(rest[1:])
    return (rest[0] if rest else 1, units) if isinstance(units, int) else (product(rest), 1)


class Running(Cell):
    """What a fold makes of all inputs so far; ``exclusive``: of those before this one."""

    def __init__(self, width: int, fold: _Fold, dtype: str, exclusive: bool) -> None:
        self.width, self.fold, self.dtype, self.exclusive = width, fold, dtype, exclusive

    def state(self) -> Any:
        return {self.fold.state: self.width}

    def initial_state(self, p: Scope) -> Any:
        start = self.fold.neutral(self.dtype)
        return {self.fold.state: constant(np.full(self.width, start), self.dtype)} if start else None

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        before = state[self.fold.state]
        total = self.fold.combine(before, x)
        return before if self.exclusive else total, {self.fold.state: total}


def _fixed(fold: _Fold, x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Each round combines twice as many entries (Hillis and Steele 1986)."""
    size = x.type.shape[axis]
    assert isinstance(size, int)
    neutral = fold.neutral(x.dtype)
    result, count = (_shifted(x, axis, 1, reverse, neutral) if exclusive else x), 1
    while count < size:
        result, count = fold.combine(_shifted(result, axis, count, reverse, neutral), result), 2 * count
    return result


def _shifted(x: Tensor, axis: int, count: int, reverse: bool, neutral: float) -> Tensor:
    """x moved by ``count`` along a fixed axis, neutral numbers behind it."""
    before: tuple[Any, ...] = (slice(None),) * axis
    size = x.type.shape[axis]
    assert isinstance(size, int)
    if count >= size:
        return filled_like(x, neutral)
    kept = x[(*before, slice(count, None))] if reverse else x[(*before, slice(0, size - count))]
    shape = (*x.type.shape[:axis], count, *x.type.shape[axis + 1 :])
    around = build("broadcast", constant(neutral, x.dtype), shape=shape)
    return concat([kept, around] if reverse else [around, kept], axis)
