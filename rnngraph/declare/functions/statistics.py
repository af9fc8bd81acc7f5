"""Reductions composed of several ops: products, variances, log-sums, counts, any and all, selection by mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.types import FLOATS, Dim
from ...support.api_guard import api
from ...support.arguments import flag, number
from ...support.errors import DtypeError
from ..tensor import Tensor, as_tensor, build, constant, floats
from .basic import (
    Axis,
    abs,
    axes_of,
    cast,
    dimension,
    equal,
    exp,
    log,
    logical_and,
    maximum,
    not_equal,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_sum,
    sqrt,
    square,
    stop_gradient,
    where,
)
from .cumulative import product_over_steps


def root(x: Tensor) -> Tensor:
    """Return the square root, with a gradient of 0 at 0."""
    is_zero = equal(x, 0)
    return where(is_zero, 0, sqrt(where(is_zero, 1, x)))


@api
def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) over ``axis`` without overflow.

    The result is -inf if all entries are -inf or there are no entries, and inf if the maximum is inf.

    Args:
        x: float Tensor.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.
    """
    x = floats(x, "logsumexp")
    if not axes_of(x, axis):
        return x
    largest = stop_gradient(reduce_max(x, axis, True))
    shift = where(abs(largest) < np.inf, largest, 0)
    total = log(reduce_sum(exp(x - shift), axis, keepdims))
    return total + build("reshape", shift, shape=total.type.shape)


@api
def reduce_prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the product over ``axis``; 1 if there are no entries. Ints wrap.

    Args:
        x: Tensor; float if an axis is symbolic.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.

    Raises:
        DtypeError: An axis is symbolic, and x is not a float.
    """
    x = as_tensor(x)
    axes = axes_of(x, axis)
    shape = x.type.shape
    for position in reversed(axes):
        x = _product(x, position)
    if flag(keepdims, "keepdims") and axes:
        x = build("reshape", x, shape=tuple(1 if place in axes else dim for place, dim in enumerate(shape)))
    return x


def _product(x: Tensor, position: int) -> Tensor:
    """Return the product along an axis, by halving the axis repeatedly."""
    size = x.type.shape[position]
    if not isinstance(size, int):
        return product_over_steps(x, position)
    before: tuple[Any, ...] = (slice(None),) * position
    if size == 0:
        return reduce_sum(x, position) * 0 + 1
    rest: Tensor | None = None
    while size > 1:
        if size % 2:
            last = x[(*before, slice(size - 1, size))]
            rest = last if rest is None else rest * last
        size //= 2
        x = x[(*before, slice(0, size))] * x[(*before, slice(size, 2 * size))]
    x = x if rest is None else x * rest
    return build("reshape", x, shape=(*x.type.shape[:position], *x.type.shape[position + 1 :]))


@api
def reduce_var(x: Any, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """Return the variance over ``axis``, computed in float64.

    Args:
        x: float Tensor.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.
        correction: The sum of squared deviations is divided by n - correction. 0: as in NumPy and TensorFlow. 1:
            unbiased, as in torch. If the divisor is not positive, the result is NaN or infinite, as in NumPy.
    """
    return _variance(x, axis, keepdims, correction, "reduce_var", lambda variance: variance)


def moments(x: Tensor, axis: Axis) -> tuple[Tensor, Tensor, Tensor]:
    """Return (mean, x - mean, variance) over ``axis``, which keeps a size of 1.

    All three are computed in the dtype of x, as normalizations need them; ``reduce_var`` computes in float64.
    """
    mean = reduce_mean(x, axis, keepdims=True)
    centred = x - mean
    return mean, centred, reduce_mean(square(centred), axis, keepdims=True)


@api
def reduce_std(x: Any, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Tensor:
    """Return the standard deviation over ``axis``, the root of ``reduce_var``.

    The gradient is 0 where all entries are equal.

    Args:
        x: float Tensor.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.
        correction: As for ``reduce_var``.
    """
    return _variance(x, axis, keepdims, correction, "reduce_std", root)


def _variance(
    x: Any, axis: Axis, keepdims: bool, correction: float, name: str, finish: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return ``finish`` of the variance over ``axis``, computed in float64. ``name`` names the function in errors."""
    x = floats(x, name)
    less = number(correction, "correction")
    wide = cast(x, "float64")
    squares = square(wide - reduce_mean(wide, axis, True))
    count: Dim = 1
    for position in axes_of(x, axis):
        count = count * x.type.shape[position]
    freedom = constant(max(count - less, 0.0), "float64") if isinstance(count, int) else None
    if freedom is None:
        freedom = maximum(dimension(count, "float64") - less, 0)
    return cast(finish(reduce_sum(squares, axis, keepdims) / freedom), x.dtype)


@api
def count_nonzero(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return the number (int64) of entries over ``axis`` that are neither 0 nor False. NaN counts as nonzero."""
    x = as_tensor(x)
    hits = x if x.dtype == "bool" else not_equal(x, 0)
    return reduce_sum(cast(hits, "int64"), axis, keepdims)


@api
def reduce_any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return True if any entry over ``axis`` of a bool tensor is True; False without entries.

    Args:
        x: bool Tensor.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.

    Raises:
        DtypeError: x is not bool.
    """
    return _reduce_bools(x, axis, keepdims, reduce_max, "reduce_any")


@api
def reduce_all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Return True if all entries over ``axis`` of a bool tensor are True; True without entries.

    Args:
        x: bool Tensor.
        axis: As for ``reduce_sum``.
        keepdims: As for ``reduce_sum``.

    Raises:
        DtypeError: x is not bool.
    """
    return _reduce_bools(x, axis, keepdims, reduce_min, "reduce_all")


def _reduce_bools(x: Any, axis: Axis, keepdims: bool, extreme: Callable[..., Tensor], name: str) -> Tensor:
    """Reduce a bool Tensor to bools: ``extreme`` is ``reduce_max`` for "any", and ``reduce_min`` for "all"."""
    if isinstance(x, bool):
        raise DtypeError(
            f"{name} needs a bool Tensor, not {x}; == and != compare Tensors as objects: write rg.equal or rg.not_equal"
        )
    x = as_tensor(x)
    if x.dtype != "bool":
        raise DtypeError(f"{name} needs bools, not {x!r}; compare first, as in rg.not_equal(x, 0)")
    return extreme(cast(x, "int32"), axis, keepdims) > 0


def selected(hit: Tensor, x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
    """Return the entry of x along ``axis`` where a mask is True; 0 if it is True nowhere. -0 stays -0.

    Args:
        hit: bool, True for at most one entry along the axis.
        x: Numbers that broadcast with the mask.
        axis: An int.
        keepdims: Keep the axis with a size of 1.
    """
    value = reduce_sum(where(hit, x, 0), axis, keepdims)
    if x.dtype not in FLOATS:
        return value
    sign = reduce_sum(where(hit, build("copysign", constant(1, x.dtype), x), 0), axis, keepdims)
    is_negative_zero = logical_and(equal(value, 0), sign < 0)  # a sum of a negative zero and zeros is positive
    return where(is_negative_zero, -(0.0 - value), value)
