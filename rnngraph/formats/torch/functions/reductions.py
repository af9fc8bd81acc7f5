"""Handlers of functions along axes: reductions, norms, softmax, differences."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ....declare.functions import activations, basic
from ....declare.functions.indexing import take_along_axis
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
from ....ir.types import FLOATS, INTEGERS
from ...steps import Value
from ..tracing.kinds import Axes, Function, Number, Operand, Result
from ..tracing.registry import Handler, UnreadableError, reads
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Lazy, dtype_of, shape_of
from .elementwise import pair, ties
from .orders import ValuesAndIndices
from .shapes import axis_of, reshaped


def _axes(x: Operand, dim: Axes) -> int | tuple[int, ...] | None:
    """Return sorted nonnegative axes: an int for one axis, a tuple for several, None for all.

    An empty ``dim`` also means all axes.
    """
    rank = len(shape_of(x))
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return None
    if isinstance(dim, int):
        return axis_of(rank, dim)
    axes = tuple(sorted(axis_of(rank, one) for one in dim))
    return axes[0] if len(axes) == 1 else axes


def reduced(
    tracer: Tracer, function: Function, x: Operand, dim: Axes, keepdim: bool, dtype: str | None = None
) -> Value:
    """Declare a reduction of x over axes. Unless ``dtype`` is None, x is cast to it first."""
    x = tracer.value(x, dtype)
    return tracer.call(function, x, *_axis_argument(_axes(x, dim)), **keepdims(keepdim))


def _axis_argument(axes: Axes) -> list[Axes]:
    return [] if axes is None else [axes]


def keepdims(keepdim: bool) -> dict[str, bool]:
    """Return the option ``keepdims`` of reductions; {} for the default, False."""
    return {"keepdims": True} if keepdim else {}


@reads("sum")
def _sum(
    tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False, dtype: object = None, axis: Axes = None
) -> Result:
    return reduced(tracer, basic.reduce_sum, x, axis if dim is None else dim, keepdim, DTYPES[tracer.expected.dtype])


@reads("mean")
def _mean(
    tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False, dtype: object = None, axis: Axes = None
) -> Result:
    return reduced(tracer, basic.reduce_mean, x, axis if dim is None else dim, keepdim, DTYPES[tracer.expected.dtype])


@reads("prod")
def _prod(tracer: Tracer, x: Operand, dim: int | None = None, keepdim: bool = False, dtype: object = None) -> Result:
    kind = DTYPES[tracer.expected.dtype]
    if kind in INTEGERS:  # A product of ints along a symbolic axis would be a loop that carries ints.
        for axis in range(len(shape_of(x))) if dim is None else (axis_of(len(shape_of(x)), dim),):
            tracer.sizes.fix(shape_of(x)[axis])
    return reduced(tracer, reduce_prod, x, dim, keepdim, kind)


@reads("count_nonzero")
def _count_nonzero(tracer: Tracer, x: Operand, dim: Axes = None) -> Result:
    return reduced(tracer, count_nonzero, x, dim, False)


def _variance(function: Function) -> Handler:
    """Return a function that translates ``var`` or ``std`` along axes to calls of the ``rg`` function."""

    def read(
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
        options = {**keepdims(keepdim), **({"correction": less} if less else {})}
        axes = _axes(x, axis if dim is None else dim)
        return tracer.call(function, tracer.value(x), *_axis_argument(axes), **options)

    return read


reads("var")(_variance(reduce_var))
reads("std")(_variance(reduce_std))


def _variance_and_mean(function: Function) -> Handler:
    """Return a function that translates ``var_mean`` or ``std_mean`` to (variance or deviation, mean)."""

    def read(
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
        dim = axis if dim is None else dim
        variance = _variance(function)(tracer, x, dim, unbiased, keepdim, correction=correction)
        return variance, reduced(tracer, basic.reduce_mean, x, dim, keepdim)

    return read


reads("var_mean")(_variance_and_mean(reduce_var))
reads("std_mean")(_variance_and_mean(reduce_std))


# Norms ----------------------------------------------------------------------------------------------


def _norm_of_vectors(tracer: Tracer, x: Value, order: Number | str, dim: Axes, keepdim: bool) -> Value:
    """Declare the norm of vectors along axes."""
    options: dict[str, object] = {"ord": order} if order != 2 else {}
    options |= {} if (axes := _axes(x, dim)) is None else {"axis": axes}
    return tracer.call(vector_norm, x, **options, **keepdims(keepdim))


@reads("norm")
def _norm(
    tracer: Tracer,
    x: Operand,
    p: Number | str | None = "fro",
    dim: Axes = None,
    keepdim: bool = False,
    dtype: object = None,
) -> Result:
    """Declare a norm of vectors, whose entries may lie along several axes."""
    if p not in ("fro", None) and not isinstance(p, int | float):
        raise UnreadableError(f"p={p!r} is not supported; give a number or 'fro'")
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    return _norm_of_vectors(tracer, x, 2 if p in ("fro", None) else p, dim, keepdim)


@reads("linalg_vector_norm")
def _vector_norm(
    tracer: Tracer, x: Operand, ord: Number = 2, dim: Axes = None, keepdim: bool = False, dtype: object = None
) -> Result:
    return _norm_of_vectors(tracer, tracer.value(x, DTYPES[tracer.expected.dtype]), ord, dim, keepdim)


@reads("linalg_norm")
def _linalg_norm(
    tracer: Tracer,
    x: Operand,
    ord: Number | str | None = None,
    dim: Axes = None,
    keepdim: bool = False,
    dtype: object = None,
) -> Result:
    """Declare a matrix norm along two axes, or a vector norm along one. Without ``ord``, the axes form one vector."""
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    if ord is None or isinstance(dim, int) or (dim is None and len(shape_of(x)) == 1):
        return _norm_of_vectors(tracer, x, 2 if ord is None else ord, dim, keepdim)
    if dim is not None and len(dim) == 1:
        return _norm_of_vectors(tracer, x, ord, dim, keepdim)
    options = {"ord": ord, **({} if dim is None else {"axis": _in_order(x, dim)})}
    return tracer.call(norm, x, **options, **keepdims(keepdim))


@reads("linalg_matrix_norm")
def _matrix_norm(
    tracer: Tracer,
    x: Operand,
    ord: Number | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    dtype: object = None,
) -> Result:
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    return tracer.call(matrix_norm, x, ord, _in_order(x, dim), **keepdims(keepdim))


def _in_order(x: Operand, dim: Sequence[int]) -> tuple[int, ...]:
    """Return the axes ``dim`` of a matrix norm as nonnegative ints, in their order: (axis of rows, axis of columns)."""
    return tuple(axis_of(len(shape_of(x)), one) for one in dim)


@reads("normalize")
def _normalize(tracer: Tracer, x: Operand, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Result:
    options = {} if p == 2 else {"ord": p}
    return tracer.call(normalize, tracer.value(x), **options, axis=_axes(x, dim), epsilon=float(eps))


def _numbers(tracer: Tracer, x: Operand) -> Value:
    """Return x as a value, with bools cast to int32."""
    return tracer.value(x, "int32") if dtype_of(x) == "bool" else tracer.value(x)


def _extreme(function: Function, pairwise: Function, place: Function) -> Handler:
    """Return a function that translates torch's ``max`` or ``min``, each with its three kinds of arguments.

    The three kinds reduce all entries, reduce an axis to (values, indices), and compare two tensors elementwise.
    """

    def read(
        tracer: Tracer,
        x: Operand,
        dim: int | Operand | None = None,
        keepdim: bool = False,
        *,
        other: Operand | None = None,
        axis: int | None = None,
    ) -> Result:
        dim = axis if dim is None else dim
        if isinstance(dim, Value | Lazy | torch.Tensor):
            dim, other = None, dim
        if other is not None:
            dtype = DTYPES[tracer.expected.dtype]
            return tracer.call(pairwise, *pair(tracer, x, other, dtype), **ties(dtype))
        x = _numbers(tracer, x)
        if dim is None:
            return reduced(tracer, function, x, None, False)
        values, index = reduced(tracer, function, x, dim, keepdim), _argument_index(tracer, x, dim, keepdim, place)
        if dtype_of(x) in FLOATS and shape_of(x):
            values = tracer.call(basic.straight_through, _entries(tracer, x, dim, keepdim, index), values)
        return ValuesAndIndices(values, index)

    return read


def _argument_index(tracer: Tracer, x: Value, dim: int, keepdim: bool, function: Function) -> Value:
    """Declare ``argmax`` or ``argmin`` along an axis."""
    return tracer.call(function, x, axis_of(len(shape_of(x)), dim), **keepdims(keepdim))


def _entries(tracer: Tracer, x: Value, dim: int, keepdim: bool, index: Value) -> Value:
    """Declare the entries of x at indices along an axis. The gradient of a result goes to the indexed entry only."""
    axis = axis_of(len(shape_of(x)), dim)
    if keepdim:
        return tracer.call(take_along_axis, x, index, axis)
    entries = tracer.call(take_along_axis, x, tracer.call(basic.expand_dims, index, axis), axis)
    return tracer.call(basic.squeeze, entries, axis)


reads("max")(_extreme(basic.reduce_max, basic.maximum, basic.argmax))
reads("min")(_extreme(basic.reduce_min, basic.minimum, basic.argmin))


def _extreme_of_axes(function: Function) -> Handler:
    return lambda tracer, x, dim=(), keepdim=False: reduced(tracer, function, _numbers(tracer, x), dim, keepdim)


reads("amax")(_extreme_of_axes(basic.reduce_max))
reads("amin")(_extreme_of_axes(basic.reduce_min))


def _arg(function: Function) -> Handler:
    """Return a function that translates ``argmax`` or ``argmin``, by default of the flattened tensor."""

    def read(tracer: Tracer, x: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
        x = tracer.value(x)
        if dim is not None:
            return _argument_index(tracer, x, dim, keepdim, function)
        rank = len(shape_of(x))
        place = _argument_index(tracer, tracer.value(reshaped(tracer, x, [-1])), 0, False, function)
        return reshaped(tracer, place, (1,) * rank) if keepdim and rank else place

    return read


reads("argmax")(_arg(basic.argmax))
reads("argmin")(_arg(basic.argmin))


@reads("any")
def _any(tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False) -> Result:
    return reduced(tracer, reduce_any, tracer.cast(x, "bool"), dim, keepdim)


@reads("all")
def _all(tracer: Tracer, x: Operand, dim: Axes = None, keepdim: bool = False) -> Result:
    return reduced(tracer, reduce_all, tracer.cast(x, "bool"), dim, keepdim)


@reads("softmax", "_softmax")
def _softmax(tracer: Tracer, x: Operand, dim: int | None = None, dtype: object = None) -> Result:
    return _over(tracer, activations.softmax, x, dim)


@reads("_safe_softmax")
def _safe_softmax(tracer: Tracer, x: Operand, dim: int, dtype: object = None) -> Result:
    """Declare the softmax, and 0 where all entries are -inf."""
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    axis = axis_of(len(shape_of(x)), dim)
    return tracer.call(activations.masked_softmax, x, **({} if axis == len(shape_of(x)) - 1 else {"axis": axis}))


@reads("log_softmax")
def _log_softmax(tracer: Tracer, x: Operand, dim: int | None = None, dtype: object = None) -> Result:
    return _over(tracer, activations.log_softmax, x, dim)


@reads("softmin")
def _softmin(tracer: Tracer, x: Operand, dim: int | None = None, dtype: object = None) -> Result:
    return _over(tracer, activations.softmax, tracer.script.negative(tracer.value(x)), dim)


def _over(tracer: Tracer, function: Function, x: Operand, dim: int | None) -> Value:
    """Declare a function along an axis, such as softmax. None stands for torch's deprecated default axis."""
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    rank = len(shape_of(x))
    if dim is None:  # torch's deprecated default depends on the rank
        dim = 0 if rank in (0, 1, 3) else 1
    axis = axis_of(rank, dim)
    return tracer.call(function, x, *([] if axis == rank - 1 else [axis]))


@reads("logsumexp")
def _logsumexp(tracer: Tracer, x: Operand, dim: Axes, keepdim: bool = False) -> Result:
    return reduced(tracer, logsumexp, x, dim, keepdim, DTYPES[tracer.expected.dtype])


@reads("diff")
def _diff(tracer: Tracer, x: Operand, n: int = 1, dim: int = -1) -> Result:
    """Declare the ``n``-th differences of neighbouring entries along an axis."""
    x = tracer.value(x)
    index = (slice(None),) * axis_of(len(shape_of(x)), dim)
    for _ in range(n):
        later, earlier = (tracer.script.item(x, *index, part) for part in (slice(1, None), slice(None, -1)))
        x = tracer.script.operation("-", later, earlier)
    return x
