"""What torch's functions over axes mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ....declare.functions import basic
from ....declare.functions.truths import reduce_all, reduce_any
from ...steps import Value
from ..tracing.registry import UnreadableError, meaning
from ..tracing.tensors import DTYPES
from ..tracing.tracer import Tracer
from ..tracing.values import Filled, dtype_of, shape_of
from .elementwise import pair
from .shapes import axis_of, reshaped


class Found(NamedTuple):
    """What ``max`` and the like give along an axis."""

    values: Any
    indices: Any


def _axes(x: Any, dim: Any) -> Any:
    """Axes from the front as a script has them; None for all."""
    rank = len(shape_of(x))
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return None
    if isinstance(dim, int):
        return axis_of(rank, dim)
    found = tuple(sorted(axis_of(rank, one) for one in dim))
    return found[0] if len(found) == 1 else found


def reduced(tracer: Tracer, function: Any, x: Any, dim: Any, keepdim: bool, dtype: str | None = None) -> Value:
    x = tracer.value(x, dtype)
    return tracer.call(function, x, *_given(_axes(x, dim)), **({"keepdims": True} if keepdim else {}))


def _given(axes: Any) -> list[Any]:
    return [] if axes is None else [axes]


@meaning("sum")
def _sum(tracer: Tracer, x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None, axis: Any = None) -> Any:
    return reduced(tracer, basic.reduce_sum, x, axis if dim is None else dim, keepdim, DTYPES[tracer.expected.dtype])


@meaning("mean")
def _mean(tracer: Tracer, x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None, axis: Any = None) -> Any:
    return reduced(tracer, basic.reduce_mean, x, axis if dim is None else dim, keepdim, DTYPES[tracer.expected.dtype])


def _spread_of(root: bool) -> Any:
    def mean(
        tracer: Tracer,
        x: Any,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: Any = None,
        axis: Any = None,
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        less = int(unbiased) if correction is None else int(correction)
        x = tracer.value(x)
        axes = _axes(x, axis if dim is None else dim)
        centred = tracer.script.operation("-", x, tracer.call(basic.reduce_mean, x, *_given(axes), keepdims=True))
        squares = tracer.call(basic.square, centred)
        options = {"keepdims": True} if keepdim else {}
        if less == 0:
            found = tracer.call(basic.reduce_mean, squares, *_given(axes), **options)
        else:
            places = range(len(shape_of(x))) if axes is None else (axes,) if isinstance(axes, int) else axes
            count: Any = 1
            for place in places:
                count = shape_of(x)[place] * count
            total = tracer.call(basic.reduce_sum, squares, *_given(axes), **options)
            found = tracer.script.operation("/", total, tracer.number(count - less, dtype_of(x)))
        return tracer.call(basic.sqrt, found) if root else found

    return mean


meaning("var")(_spread_of(False))
meaning("std")(_spread_of(True))


def _spread_and_mean(root: bool) -> Any:
    def mean(tracer: Tracer, x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
             **named: Any) -> Any:  # fmt: skip
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        spread = _spread_of(root)(tracer, x, dim, unbiased, keepdim, **named)
        return spread, reduced(tracer, basic.reduce_mean, x, named.get("axis", dim), keepdim)

    return mean


meaning("var_mean")(_spread_and_mean(False))
meaning("std_mean")(_spread_and_mean(True))


@meaning("norm", "linalg_norm", "linalg_vector_norm")
def _norm(tracer: Tracer, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None,
          ord: Any = None) -> Any:  # fmt: skip
    order = p if ord is None else ord
    if order in (2, 2.0, "fro", None):
        squares = tracer.call(basic.square, tracer.value(x))
        return tracer.call(basic.sqrt, reduced(tracer, basic.reduce_sum, squares, dim, keepdim))
    if not isinstance(order, int | float):
        raise UnreadableError(f"p={order!r}; numbers and 'fro' are read")
    far = tracer.call(basic.abs, tracer.value(x))
    if abs(order) == float("inf"):
        return reduced(tracer, basic.reduce_max if order > 0 else basic.reduce_min, far, dim, keepdim)
    if order == 1:
        return reduced(tracer, basic.reduce_sum, far, dim, keepdim)
    if order == 0:
        there = tracer.cast(tracer.call(basic.not_equal, far, 0.0), dtype_of(far))
        return reduced(tracer, basic.reduce_sum, there, dim, keepdim)
    power = int(order) if order == int(order) else float(order)
    total = reduced(tracer, basic.reduce_sum, tracer.script.operation("**", far, power), dim, keepdim)
    return tracer.script.operation("**", total, 1.0 / order)


@meaning("normalize")
def _normalize(tracer: Tracer, x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    x = tracer.value(x)
    length = tracer.call(basic.maximum, _norm(tracer, x, p, dim, True), float(eps))
    return tracer.script.operation("/", x, length)


def _extreme(function: Any, pairwise: Any, sign: str) -> Any:
    def mean(tracer: Tracer, x: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None,
             axis: Any = None) -> Any:  # fmt: skip
        dim = axis if dim is None else dim
        if other is not None or isinstance(dim, Value | Filled | torch.Tensor):
            other = dim if other is None else other
            return tracer.call(pairwise, *pair(tracer, x, other, DTYPES[tracer.expected.dtype]))
        if dim is None:
            return reduced(tracer, function, x, None, False)
        x = tracer.value(x)
        values = reduced(tracer, function, x, dim, keepdim)
        if dtype_of(x) == "bool":
            raise UnreadableError("of bool tensors; use any or all")
        return Found(values, _best(tracer, x, dim, keepdim, sign))  # the script has what is read only

    return mean


def _best(tracer: Tracer, x: Value, dim: int, keepdim: bool, sign: str) -> Value:
    if sign == "-":
        x = tracer.script.negative(x)
    return tracer.call(basic.argmax, x, axis_of(len(shape_of(x)), dim), **({"keepdims": True} if keepdim else {}))


meaning("max")(_extreme(basic.reduce_max, basic.maximum, "+"))
meaning("min")(_extreme(basic.reduce_min, basic.minimum, "-"))
meaning("amax")(lambda tracer, x, dim=(), keepdim=False: reduced(tracer, basic.reduce_max, x, dim, keepdim))
meaning("amin")(lambda tracer, x, dim=(), keepdim=False: reduced(tracer, basic.reduce_min, x, dim, keepdim))


def _arg(sign: str) -> Any:
    def mean(tracer: Tracer, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        x = tracer.value(x)
        if dim is None:
            x, dim = tracer.value(reshaped(tracer, x, [-1])), 0
        return _best(tracer, x, dim, keepdim, sign)

    return mean


meaning("argmax")(_arg("+"))
meaning("argmin")(_arg("-"))


@meaning("any")
def _any(tracer: Tracer, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return reduced(tracer, reduce_any, tracer.cast(x, "bool"), dim, keepdim)


@meaning("all")
def _all(tracer: Tracer, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return reduced(tracer, reduce_all, tracer.cast(x, "bool"), dim, keepdim)


@meaning("softmax", "_softmax")
def _softmax(tracer: Tracer, x: Any, dim: Any = None, dtype: Any = None) -> Any:
    return _over(tracer, basic.softmax, x, dim)


@meaning("log_softmax")
def _log_softmax(tracer: Tracer, x: Any, dim: Any = None, dtype: Any = None) -> Any:
    return _over(tracer, basic.log_softmax, x, dim)


@meaning("softmin")
def _softmin(tracer: Tracer, x: Any, dim: Any = None, dtype: Any = None) -> Any:
    return _over(tracer, basic.softmax, tracer.script.negative(tracer.value(x)), dim)


def _over(tracer: Tracer, function: Any, x: Any, dim: Any) -> Value:
    x = tracer.value(x, DTYPES[tracer.expected.dtype])
    rank = len(shape_of(x))
    if dim is None:  # as torch chose it before it asked for a dim
        dim = 0 if rank in (0, 1, 3) else 1
    axis = axis_of(rank, dim)
    return tracer.call(function, x, *([] if axis == rank - 1 else [axis]))


@meaning("logsumexp")
def _logsumexp(tracer: Tracer, x: Any, dim: Any, keepdim: bool = False) -> Any:
    x = tracer.value(x)
    largest = reduced(tracer, basic.reduce_max, x, dim, True)
    raised = tracer.call(basic.exp, tracer.script.operation("-", x, largest))
    total = tracer.call(basic.log, reduced(tracer, basic.reduce_sum, raised, dim, True))
    found = tracer.script.operation("+", total, largest)
    return found if keepdim else tracer.call(basic.squeeze, found, _axes(x, dim))


@meaning("topk")
def _topk(tracer: Tracer, x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The best, then the best of the others, and on."""
    x = tracer.value(x)
    rank = len(shape_of(x))
    if axis_of(rank, dim) != rank - 1:
        raise UnreadableError("it is read along the last axis")
    width, left = tracer.sizes.fix(shape_of(x)[-1]), x if largest else tracer.script.negative(x)
    values, indices = [], []
    for _ in range(int(k)):
        best = tracer.call(basic.argmax, left, hint="best")
        indices.append(best)
        values.append(tracer.call(basic.reduce_max, left, -1))
        hit = tracer.call(basic.one_hot, best, width, "bool")
        left = tracer.call(basic.where, hit, float("-inf"), left)
    found = tracer.call(basic.stack, values, -1)
    return Found(found if largest else tracer.script.negative(found), tracer.call(basic.stack, indices, -1))


@meaning("diff")
def _diff(tracer: Tracer, x: Any, n: int = 1, dim: int = -1) -> Any:
    x = tracer.value(x)
    index = (slice(None),) * axis_of(len(shape_of(x)), dim)
    for _ in range(n):
        later, earlier = (tracer.script.item(x, *index, part) for part in (slice(1, None), slice(None, -1)))
        x = tracer.script.operation("-", later, earlier)
    return x
