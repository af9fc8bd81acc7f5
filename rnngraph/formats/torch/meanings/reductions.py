"""What torch's functions over axes mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ....declare.functions import activations, basic
from ....declare.functions.normalization import normalize
from ....declare.functions.norms import matrix_norm, norm, vector_norm
from ....declare.functions.statistics import (
    count_nonzero,
    logsumexp,
    reduce_all,
    reduce_any,
    reduce_prod,
    reduce_std,
    reduce_var,
)
from ....ir.types import INTEGERS
from ...steps import Value
from ..tracing.kinds import Axes, Function, Number, Operand, Result
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, dtype_of, shape_of
from .elementwise import pair
from .shapes import axis_of, reshaped


class Found(NamedTuple):
    """What ``max`` and the like give along an axis."""

    values: Value
    indices: Value


def _axes(x: Operand, dim: Axes) -> int | tuple[int, ...] | None:
    """Axes from the front as a script has them; None for all."""
    rank = len(shape_of(x))
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return None
    if isinstance(dim, int):
        return axis_of(rank, dim)
    found = tuple(sorted(axis_of(rank, one) for one in dim))
    return found[0] if len(found) == 1 else found


def reduced(
    tracer: Tracer, function: Function, x: Operand, dim: Axes, keepdim: bool, dtype: str | None = None
) -> Value:
    x = tracer.value(x, dtype)
    return tracer.call(function, x, *_given(_axes(x, dim)), **({"keepdims": True} if keepdim else {}))


def _given(axes: Axes) -> list[Axes]:
    return [] if axes is None else [axes]


@meaning("sum")
def _sum(
    tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False, dtype: object = None, axis: Axes = None
) -> Result:
    return reduced(tracer, basic.reduce_sum, x, axis if dim is None else dim, keepdim, DTYPES[tracer.expected.dtype])


@meaning("mean")
def _mean(
    tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False, dtype: object = None, axis: Axes = None
) -> Result:
    return reduced(tracer, basic.reduce_mean, x, axis if dim is None else dim, keepdim, DTYPES[tracer.expected.dtype])


@meaning("prod")
def _prod(tracer: Tracer, x: Operand, dim: int | None = None, keepdim: bool = False, dtype: object = None) -> Result:
    kind = DTYPES[tracer.expected.dtype]
    if kind in INTEGERS:  # no loop over steps holds whole numbers
        for axis in range(len(shape_of(x))) if dim is None else (axis_of(len(shape_of(x)), dim),):
            tracer.sizes.fix(shape_of(x)[axis])
    return reduced(tracer, reduce_prod, x, dim, keepdim, kind)


@meaning("count_nonzero")
def _count_nonzero(tracer: Tracer, x: Operand, dim: Axes = None) -> Result:
    return reduced(tracer, count_nonzero, x, dim, False)


def _spread(function: Function) -> Function:
    def mean(
        tracer: Tracer,
        x: Operand,
        dim: Axes = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: Number | None = None,
        axis: Axes = None,
    ) -> Result:
        if isinstance(dim, bool):
            unbiased, dim = dim, None
        less = int(unbiased) if correction is None else correction
        options: dict[str, Any] = {"keepdims": True} if keepdim else {}
        options |= {"correction": less} if less else {}
        return tracer.call(function, tracer.value(x), *_given(_axes(x, axis if dim is None else dim)), **options)

    return mean


meaning("var")(_spread(reduce_var))
meaning("std")(_spread(reduce_std))


def _spread_and_mean(function: Function) -> Function:
    def mean(tracer: Tracer, x: Operand, dim: Axes = None, unbiased: bool = True, keepdim: bool = False,
             **named: Any) -> Result:  # fmt: skip
        if isinstance(dim, bool):
            unbiased, dim = dim, None
        spread = _spread(function)(tracer, x, dim, unbiased, keepdim, **named)
        return spread, reduced(tracer, basic.reduce_mean, x, named.get("axis", dim), keepdim)

    return mean


meaning("var_mean")(_spread_and_mean(reduce_var))
meaning("std_mean")(_spread_and_mean(reduce_std))


# Norms ----------------------------------------------------------------------------------------------


def length(tracer: Tracer, x: Value, order: Number | str, dim: Axes, keepdim: bool) -> Value:
    """The norm of vectors along axes."""
    options: dict[str, Any] = {"ord": order} if order != 2 else {}
    options |= {} if (axes := _axes(x, dim)) is None else {"axis": axes}
    return tracer.call(vector_norm, x, **options, **({"keepdims": True} if keepdim else {}))


@meaning("norm")
def _norm(
    tracer: Tracer,
    x: Operand,
    p: Number | str | None = "fro",
    dim: Axes = None,
    keepdim: bool = False,
    dtype: object = None,
) -> Result:
    """Of vectors, along several axes too."""
    if p not in ("fro", None) and not isinstance(p, int | float):
        raise UnreadableError(f"p={p!r}; numbers and 'fro' are read")
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    return length(tracer, x, 2 if p in ("fro", None) else p, dim, keepdim)


@meaning("linalg_vector_norm")
def _vector_norm(tracer: Tracer, x: Operand, ord: Number = 2, dim: Axes = None, keepdim: bool = False,
                 dtype: object = None) -> Result:  # fmt: skip
    return length(tracer, tracer.value(x, DTYPES[tracer.expected.dtype]), ord, dim, keepdim)


@meaning("linalg_norm")
def _linalg_norm(tracer: Tracer, x: Operand, ord: Number | str | None = None, dim: Axes = None, keepdim: bool = False,
                 dtype: object = None) -> Result:  # fmt: skip
    """Of matrices along two axes, of vectors along one."""
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    if ord is None or isinstance(dim, int) or (dim is None and len(shape_of(x)) == 1):
        return length(tracer, x, 2 if ord is None else ord, dim, keepdim)
    if dim is not None and len(dim) == 1:
        return length(tracer, x, ord, dim, keepdim)
    options = {"ord": ord, **({} if dim is None else {"axis": _in_order(x, dim)})}
    return tracer.call(norm, x, **options, **({"keepdims": True} if keepdim else {}))


@meaning("linalg_matrix_norm")
def _matrix_norm(
    tracer: Tracer,
    x: Operand,
    ord: Number | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    dtype: object = None,
) -> Result:
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    return tracer.call(matrix_norm, x, ord, _in_order(x, dim), **({"keepdims": True} if keepdim else {}))


def _in_order(x: Operand, dim: Sequence[int]) -> tuple[int, ...]:
    """Axes from the front, the one of the rows first."""
    return tuple(axis_of(len(shape_of(x)), one) for one in dim)


@meaning("normalize")
def _normalize(tracer: Tracer, x: Operand, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Result:
    options = {} if p == 2 else {"ord": p}
    return tracer.call(normalize, tracer.value(x), **options, axis=_axes(x, dim), epsilon=float(eps))


def _numbers(tracer: Tracer, x: Operand) -> Value:
    """x, and truth values as ints."""
    return tracer.value(x, "int32") if dtype_of(x) == "bool" else tracer.value(x)


def _extreme(function: Function, pairwise: Function, place: Function) -> Function:
    def mean(tracer: Tracer, x: Operand, dim: Any = None, keepdim: bool = False, *, other: Operand | None = None,
             axis: Axes = None) -> Result:  # fmt: skip
        dim = axis if dim is None else dim
        if other is not None or isinstance(dim, Value | Filled | torch.Tensor):
            other = dim if other is None else other
            return tracer.call(pairwise, *pair(tracer, x, other, DTYPES[tracer.expected.dtype]))
        x = _numbers(tracer, x)
        if dim is None:
            return reduced(tracer, function, x, None, False)
        values = reduced(tracer, function, x, dim, keepdim)
        return Found(values, _place(tracer, x, dim, keepdim, place))  # the script has what is read only

    return mean


def _place(tracer: Tracer, x: Value, dim: int, keepdim: bool, function: Function) -> Value:
    """The index of an extreme."""
    return tracer.call(function, x, axis_of(len(shape_of(x)), dim), **({"keepdims": True} if keepdim else {}))


meaning("max")(_extreme(basic.reduce_max, basic.maximum, basic.argmax))
meaning("min")(_extreme(basic.reduce_min, basic.minimum, basic.argmin))


def _extreme_of_axes(function: Function) -> Function:
    return lambda tracer, x, dim=(), keepdim=False: reduced(tracer, function, _numbers(tracer, x), dim, keepdim)


meaning("amax")(_extreme_of_axes(basic.reduce_max))
meaning("amin")(_extreme_of_axes(basic.reduce_min))


def _arg(function: Function) -> Function:
    def mean(tracer: Tracer, x: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
        x = tracer.value(x)
        if dim is not None:
            return _place(tracer, x, dim, keepdim, function)
        rank = len(shape_of(x))
        found = _place(tracer, tracer.value(reshaped(tracer, x, [-1])), 0, False, function)
        return reshaped(tracer, found, (1,) * rank) if keepdim and rank else found

    return mean


meaning("argmax")(_arg(basic.argmax))
meaning("argmin")(_arg(basic.argmin))


@meaning("any")
def _any(tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False) -> Result:
    return reduced(tracer, reduce_any, tracer.cast(x, "bool"), dim, keepdim)


@meaning("all")
def _all(tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False) -> Result:
    return reduced(tracer, reduce_all, tracer.cast(x, "bool"), dim, keepdim)


@meaning("softmax", "_softmax")
def _softmax(tracer: Tracer, x: Operand, dim: int | None = None, dtype: object = None) -> Result:
    return _over(tracer, activations.softmax, x, dim)


@meaning("log_softmax")
def _log_softmax(tracer: Tracer, x: Operand, dim: int | None = None, dtype: object = None) -> Result:
    return _over(tracer, activations.log_softmax, x, dim)


@meaning("softmin")
def _softmin(tracer: Tracer, x: Operand, dim: int | None = None, dtype: object = None) -> Result:
    return _over(tracer, activations.softmax, tracer.script.negative(tracer.value(x)), dim)


def _over(tracer: Tracer, function: Function, x: Operand, dim: int | None) -> Value:
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    rank = len(shape_of(x))
    if dim is None:  # as torch chose it before it asked for a dim
        dim = 0 if rank in (0, 1, 3) else 1
    axis = axis_of(rank, dim)
    return tracer.call(function, x, *([] if axis == rank - 1 else [axis]))


@meaning("logsumexp")
def _logsumexp(tracer: Tracer, x: Operand, dim: Axes, keepdim: bool = False) -> Result:
    return reduced(tracer, logsumexp, x, dim, keepdim, DTYPES[tracer.expected.dtype])


@meaning("diff")
def _diff(tracer: Tracer, x: Operand, n: int = 1, dim: int = -1) -> Result:
    x = tracer.value(x)
    index = (slice(None),) * axis_of(len(shape_of(x)), dim)
    for _ in range(n):
        later, earlier = (tracer.script.item(x, *index, part) for part in (slice(1, None), slice(None, -1)))
        x = tracer.script.operation("-", later, earlier)
    return x
