"""Cumulative sums, products and extremes along an axis, which may be time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.types import FLOATS, INTEGERS, Dim, product
from ...support.api_guard import api
from ...support.arguments import flag
from ...support.errors import DtypeError, Where, user_line
from ...support.records import dataclass
from ..cell import Cell, Scope
from ..parameters import ScopeName
from ..running.drivers import run_steps
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
    """Associative operation of a cumulative function.

    Attributes:
        name: Name of the cumulative function.
        state: Name of the accumulated value in the state of a loop.
        combine: Function from (accumulated value, next entry) to the new accumulated value.
        neutral: Function from a dtype to the neutral element.
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
    """Return the larger operand; NaN if one is NaN. Of equal operands, the later one gets the gradient."""
    return chosen(logical_or(later >= earlier, not_equal(later, later)), later, earlier)


def _smaller(earlier: Tensor, later: Tensor) -> Tensor:
    """Return the smaller operand; NaN if one is NaN. Of equal operands, the later one gets the gradient."""
    return chosen(logical_or(later <= earlier, not_equal(later, later)), later, earlier)


def _log_of_sum(a: Tensor, b: Tensor) -> Tensor:
    """Return log(exp(a) + exp(b)), elementwise; the larger operand if it is infinite.

    The operands of ``minimum`` are in the order b, a, so that two equal numbers each get half of the gradient.
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
    """Return, for each entry, the sum of all entries up to it along ``axis``: [1, 2, 3] → [1, 3, 6].

    An axis of symbolic size becomes a loop, in which sums of ints are exact up to 2**53. Unless reversed, a stream runs
    the loop step by step.

    Args:
        x: Tensor.
        axis: An int.
        exclusive: Leave out the entry itself: [1, 2, 3] → [0, 1, 3].
        reverse: Sum from the end: [1, 2, 3] → [6, 5, 3].
    """
    return _cumulative(_SUM, x, axis, exclusive, reverse)


@api
def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Return, for each entry, the product of all entries up to it along ``axis``: [1, 2, 3] → [1, 2, 6].

    Args:
        x: Tensor; float if the axis has a symbolic size.
        axis: An int. A symbolic size becomes a loop, as for ``cumsum``.
        exclusive: Leave out the entry itself.
        reverse: Multiply from the end.

    Raises:
        DtypeError: The axis is symbolic, and x is not a float.
    """
    return _cumulative(_PRODUCT, x, axis, exclusive, reverse)


@api
def cummax(x: Any, axis: int = 0) -> Tensor:
    """Return, for each entry, the maximum of all entries up to it along ``axis``; NaN from the first NaN on.

    Of equal entries the last gets the gradient, as in torch. A symbolic size becomes a loop, as for ``cumsum``.
    """
    return _cumulative(_MAX, x, axis, False, False)


@api
def cummin(x: Any, axis: int = 0) -> Tensor:
    """Return, for each entry, the minimum of all entries up to it along ``axis``; NaN from the first NaN on.

    Of equal entries the last gets the gradient, as in torch. A symbolic size becomes a loop, as for ``cumsum``.
    """
    return _cumulative(_MIN, x, axis, False, False)


@api
def logcumsumexp(x: Any, axis: int = 0) -> Tensor:
    """Return log(cumsum(exp(x))) along ``axis`` without overflow or underflow.

    Args:
        x: float Tensor.
        axis: An int. A symbolic size becomes a loop, as for ``cumsum``.

    Raises:
        DtypeError: x is not a float.
    """
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        raise DtypeError(f"logcumsumexp needs floats, not {x!r}; convert with rg.cast")
    return _cumulative(_LOG_SUM, x, axis, False, False)


def _cumulative(fold: _Fold, x: Any, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Accumulate the entries of x along an axis by ``fold``: in rounds if the size is fixed, else by a loop."""
    x = as_tensor(x)
    position = one_axis(x.rank, axis)
    exclusive, reverse = flag(exclusive, "exclusive"), flag(reverse, "reverse")
    if isinstance(x.type.shape[position], int):
        return _fold_fixed_axis(fold, x, position, exclusive, reverse)
    line, kind = user_line(), x.dtype
    # float64 is exact for sums up to 2**53; products of ints are refused, because they grow beyond it
    if kind in INTEGERS and fold is not _PRODUCT:
        x = cast(x, "float64")
    steps, order, shape = _as_steps(fold.name, x, position, line)
    scope = ScopeName(fold.name, False, line)
    outputs, _ = run_steps(Running(steps.width, fold, x.dtype, exclusive), steps, scope, reverse, line)
    result = build("reshape", outputs, shape=shape, where=line)
    return cast(transpose(result, [order.index(other) for other in range(x.rank)]), kind)


def product_over_steps(x: Tensor, position: int) -> Tensor:
    """Return the product of the entries along an axis of symbolic size, computed by a loop. The axis is removed."""
    line = user_line()
    steps, _, shape = _as_steps("reduce_prod", x, position, line)
    scope = ScopeName("reduce_prod", False, line)
    _, state = run_steps(Running(steps.width, _PRODUCT, x.dtype, False), steps, scope, False, line)
    return build("reshape", state, shape=shape[1:], where=line)


def _as_steps(name: str, x: Tensor, position: int, line: Where | None) -> tuple[Tensor, tuple[int, ...], Any]:
    """Return x as [time, rows, units], where ``position`` is the axis of time.

    Returns:
        (x as [time, rows, units], the order of x's axes after the transpose, the shape after the transpose).
    """
    if x.dtype not in FLOATS:
        raise DtypeError(f"{name} along an axis of symbolic size needs floats, not {x!r}; convert with rg.cast", line)
    order = (position, *(other for other in range(x.rank) if other != position))
    transposed = transpose(x, order)
    shape = transposed.type.shape
    steps = build("reshape", transposed, shape=(shape[0], *_rows_and_units(shape[1:])), where=line)
    return steps, order, shape


def _rows_and_units(rest: tuple[Dim, ...]) -> tuple[Dim, int]:
    """Return the sizes (rows, units) to which the axes ``rest`` are merged.

    Units are all axes after the first if their sizes are fixed. Otherwise, there is one unit.
    """
    units = product(rest[1:])
    return (rest[0] if rest else 1, units) if isinstance(units, int) else (product(rest), 1)


class Running(Cell):
    """Cell whose output accumulates all inputs so far by ``fold``; with ``exclusive``, without the present input."""

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


def _fold_fixed_axis(fold: _Fold, x: Tensor, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """Accumulate entries along an axis of fixed size, in log2(size) rounds (Hillis and Steele 1986)."""
    size = x.type.shape[axis]
    assert isinstance(size, int)
    neutral = fold.neutral(x.dtype)
    result, count = (_shift(x, axis, 1, reverse, neutral) if exclusive else x), 1
    while count < size:
        result, count = fold.combine(_shift(result, axis, count, reverse, neutral), result), 2 * count
    return result


def _shift(x: Tensor, axis: int, count: int, reverse: bool, neutral: float) -> Tensor:
    """Shift x by ``count`` towards the end of an axis, or towards its start if ``reverse``. Fill with ``neutral``."""
    before: tuple[Any, ...] = (slice(None),) * axis
    size = x.type.shape[axis]
    assert isinstance(size, int)
    if count >= size:
        return filled_like(x, neutral)
    kept = x[(*before, slice(count, None))] if reverse else x[(*before, slice(0, size - count))]
    shape = (*x.type.shape[:axis], count, *x.type.shape[axis + 1 :])
    filling = build("broadcast", constant(neutral, x.dtype), shape=shape)
    return concat([kept, filling] if reverse else [filling, kept], axis)
