"""Declares ``keras.ops`` functions that reduce, sort or normalize along axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...declare.functions import activations, basic, orders
from ...declare.functions.basic import cast
from ...declare.functions.cumulative import cumprod, cumsum
from ...declare.functions.normalization import normalize
from ...declare.functions.norms import norm
from ...declare.functions.statistics import (
    count_nonzero,
    logsumexp,
    reduce_all,
    reduce_any,
    reduce_prod,
    reduce_std,
    reduce_var,
)
from ..steps import Function, Value
from .core.configuration import Layer
from .core.declaration import Declaration, Inputs, Unreadable
from .operands import Operation, along_axis, as_floats, as_truths, axis_of, one_axis, operands, option, plain


def _floats(b: Declaration, inputs: Inputs) -> Value:
    """Return the first operand as floats. Ints and bools become float32, as in ``keras.ops.mean``."""
    return as_floats(b, *operands(b, inputs, 1))


def _numbers(b: Declaration, inputs: Inputs) -> Value:
    """Return the first operand. Bools become int32."""
    (x,) = operands(b, inputs, 1)
    return b.script.call(cast, x, "int32") if x.tensor.dtype == "bool" else x


def _truths(b: Declaration, inputs: Inputs) -> Value:
    """Return the first operand as bools. Only 0 is False."""
    return as_truths(b, *operands(b, inputs, 1))


def _axis_options(layer: Layer, inputs: Inputs) -> dict[str, Any]:
    """Return the arguments ``axis`` and ``keepdims`` of a reduction. Raises ``Unreadable`` for other options."""
    if any(option(layer, inputs, key, 9) is not None for key in ("dtype", "initial", "where")):
        raise Unreadable("its arguments dtype, initial and where are not supported")
    keeps = {"keepdims": True} if option(layer, inputs, "keepdims", 2, False) else {}
    return {"axis": axis_of(option(layer, inputs, "axis", 1)), **keeps}


def _reduction(function: Function, operand: Callable[[Declaration, Inputs], Value]) -> Operation:
    """Return the operation for a reduction by ``function``.

    Args:
        function: Function of (tensor, axis, keepdims).
        operand: Function that returns the call's tensor, converted to a dtype that ``function`` takes.
    """
    return lambda b, layer, inputs: b.script.call(function, operand(b, inputs), **_axis_options(layer, inputs))


def _extreme(function: Function, of_truths: Function) -> Operation:
    """Return the operation for ``max`` or ``min``. Bools are reduced by ``of_truths``: ``any`` or ``all``."""

    def reduce(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        (x,) = operands(b, inputs, 1)
        return b.script.call(of_truths if x.tensor.dtype == "bool" else function, x, **_axis_options(layer, inputs))

    return reduce


def _argument_operation(function: Function) -> Operation:
    """Return the operation for ``argmax`` or ``argmin``."""

    def place(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        options = {"keepdims": True} if option(layer, inputs, "keepdims", 2, False) else {}
        axis = one_axis(option(layer, inputs, "axis", 1))
        return b.script.call(cast, b.script.call(function, _numbers(b, inputs), axis, **options), "int32")

    return place


def _count(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    (x,) = operands(b, inputs, 1)
    axis = axis_of(option(layer, inputs, "axis", 1))
    return b.script.call(cast, b.script.call(count_nonzero, x, axis=axis), "int32")


def _average(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    if inputs.keyword("weights", 1) is not None:
        raise Unreadable("its argument weights is not supported")
    return b.script.call(basic.reduce_mean, _floats(b, inputs), axis=axis_of(option(layer, inputs, "axis", 2)))


def _norm(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare a norm of vectors or matrices, as in NumPy."""
    order = option(layer, inputs, "ord", 9)
    if order is not None and not isinstance(order, int | float | str):
        raise Unreadable(f"ord must be a number or a string, not {order!r}")
    options: dict[str, object] = {} if order in (None, "euclidean") else {"ord": order}
    options |= {"keepdims": True} if option(layer, inputs, "keepdims", 9) else {}
    return b.script.call(norm, _floats(b, inputs), axis=axis_of(option(layer, inputs, "axis", 9)), **options)


def _normalize(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare ``normalize``: x divided by its norm along an axis."""
    x, order = _floats(b, inputs), option(layer, inputs, "order", 2, 2)
    if not isinstance(order, int | float):
        raise Unreadable(f"order must be a number, not {order!r}")
    epsilon = option(layer, inputs, "epsilon", 3)
    epsilon = 1e-7 if epsilon is None else plain(b, epsilon)
    axis = axis_of(option(layer, inputs, "axis", 1, -1))
    if order != 2 and not isinstance(axis, int):
        raise Unreadable(f"order={order} over several axes is not supported")
    options = {} if order == 2 else {"ord": order}
    return b.script.call(normalize, x, **options, axis=axis, epsilon=epsilon)


def _cumulative(function: Function) -> Operation:
    def along(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
        if option(layer, inputs, "dtype", 2) is not None:
            raise Unreadable("its argument dtype is not supported")
        return b.script.call(function, _numbers(b, inputs), one_axis(option(layer, inputs, "axis", 1)))

    return along


# Sorting --------------------------------------------------------------------------------------------


def _sort(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    return b.script.call(orders.sort, *operands(b, inputs, 1), one_axis(option(layer, inputs, "axis", 1, -1)))


def _argsort(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    axis = one_axis(option(layer, inputs, "axis", 1, -1))
    return b.script.call(cast, b.script.call(orders.argsort, *operands(b, inputs, 1), axis), "int32")


def _top_k(b: Declaration, layer: Layer, inputs: Inputs) -> list[Value]:
    (x,), count = operands(b, inputs, 1), option(layer, inputs, "k", 1)
    if type(count) is not int:
        raise Unreadable(f"k must be a whole number, not {count!r}")
    values, places = b.script.call(orders.top_k, x, count, hint=("values", "places"))
    return [values, b.script.call(cast, places, "int32")]


def _median(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    return b.script.call(orders.median, _floats(b, inputs), **_axis_options(layer, inputs))


def _quantile(b: Declaration, layer: Layer, inputs: Inputs) -> Value:
    """Declare the quantile ``q`` along an axis. A list of quantiles is stacked along a new first axis."""
    share, over = inputs.keyword("q", 1), _axis_options(layer, inputs)
    method = option(layer, inputs, "method", 3, "linear")
    over |= {} if method == "linear" else {"method": method}
    shares = share if isinstance(share, list | tuple) else [share]
    if not shares or not all(isinstance(one, int | float) for one in shares):
        raise Unreadable(f"q must be a number or a list of numbers, not {share!r}")
    x = _floats(b, inputs)
    quantiles = [b.script.call(orders.quantile, x, one, **over) for one in shares]
    return b.script.call(basic.stack, quantiles) if isinstance(share, list | tuple) else quantiles[0]


OPERATIONS: Mapping[str, Operation] = {
    "Mean": _reduction(basic.reduce_mean, _floats),
    "Sum": _reduction(basic.reduce_sum, _numbers),
    "Prod": _reduction(reduce_prod, _numbers),
    "Var": _reduction(reduce_var, _floats),
    "Std": _reduction(reduce_std, _floats),
    "Logsumexp": _reduction(logsumexp, _floats),
    "Any": _reduction(reduce_any, _truths),
    "All": _reduction(reduce_all, _truths),
    **dict.fromkeys(("Max", "Amax"), _extreme(basic.reduce_max, reduce_any)),
    **dict.fromkeys(("Min", "Amin"), _extreme(basic.reduce_min, reduce_all)),
    "Argmax": _argument_operation(basic.argmax),
    "Argmin": _argument_operation(basic.argmin),
    "CountNonzero": _count,
    "Average": _average,
    "Norm": _norm,
    "Normalize": _normalize,
    "Softmax": along_axis(activations.softmax, -1),
    "LogSoftmax": along_axis(activations.log_softmax, -1),
    "Cumsum": _cumulative(cumsum),
    "Cumprod": _cumulative(cumprod),
    "Sort": _sort,
    "Argsort": _argsort,
    "TopK": _top_k,
    "Median": _median,
    "Quantile": _quantile,
}
