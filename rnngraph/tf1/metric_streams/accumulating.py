"""Base of the metrics of ``tf.metrics``: totals to which runs add, and functions from totals to a metric's value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor, build
from ...ir.types import FLOATS
from ...support.errors import ShapeError, shown
from ..core import elementwise
from ..core.graph import GraphKeys, get_default_graph
from ..core.variable import Assign
from ..core.variables import Variable

Metric = tuple[Tensor, Tensor]
"""(value of a metric, update). A run that computes the update adds to the metric. The update has the new value."""


class Total(NamedTuple):
    """Local variable to which runs add.

    Attributes:
        before: The variable.
        after: Tensor of the variable's value after the run's addition.
    """

    before: Any
    after: Tensor


def total(name: str, added: Tensor, dtype: str = "float32") -> Total:
    """Create a local variable of zeros under the open name scope, to which runs add ``added``.

    Raise ``ShapeError`` if ``added`` has symbolic sizes.
    """
    shape = tuple(added.shape)
    if not all(isinstance(size, int) for size in shape):
        raise ShapeError(f"a metric needs a Tensor of fixed shape, not {added!r}")
    collections = [GraphKeys.LOCAL_VARIABLES, GraphKeys.METRIC_VARIABLES]
    before: Any = Variable(np.zeros([int(str(size)) for size in shape], dtype), False, collections, name=name)
    return Total(before, before + functions.cast(added, dtype))


def metric_of(
    totals: Sequence[Total],
    compute: Callable[..., Tensor],
    metrics_collections: Any,
    updates_collections: Any,
    update: Callable[..., Tensor] | None = None,
) -> Metric:
    """Return the metric that ``compute`` returns from totals, in the given collections.

    Args:
        totals: The totals.
        compute: Function from the totals' values to the value of the metric.
        metrics_collections: Collections to which the value is added.
        updates_collections: Collections to which the update is added.
        update: Function from the totals' new values to the update, by default ``compute``.
    """
    graph = get_default_graph()
    value = compute(*(item.before for item in totals))
    updated = (update or compute)(*(item.after for item in totals))
    # A copy of the new value: only this Tensor, not its operands, depends on the assignments.
    after = build("reshape", updated, shape=updated.type.shape)
    graph.require(after, [Assign(item.before, item.after, None, "assign") for item in totals])
    graph.name("value", value)
    graph.name("update_op", after)
    for collections, item in ((metrics_collections, value), (updates_collections, after)):
        for key in [collections] if isinstance(collections, str) else collections or ():
            graph.add_to_collection(key, item)
    return value, after


def map_metric(metric: Metric, function: Callable[[Tensor], Tensor]) -> Metric:
    """Return a metric with a function applied to its value and its update."""
    return function(metric[0]), function(metric[1])


# Numbers -------------------------------------------------------------------------------------------


def floats(values: Any) -> Tensor:
    """Return numbers or bools as a float32 Tensor."""
    return functions.cast(as_tensor(values), "float32")


def weighted(values: Tensor, weights: Any) -> tuple[Tensor, Tensor]:
    """Return values times their weights, and the weights in the shape of the values.

    Args:
        values: The values.
        weights: None, a number, or a Tensor that broadcasts to the values. It may lack the values' last axis, along
            which it is then repeated, or have an additional last axis of size 1.
    """
    ones = functions.filled_like(values, 1.0, "float32")
    if weights is None:
        return values, ones
    factor = floats(weights)
    if factor.rank == values.rank + 1 and factor.shape[-1] == 1:
        factor = functions.squeeze(factor, -1)
    elif factor.rank and factor.rank == values.rank - 1:
        factor = functions.expand_dims(factor, -1)
    if factor.rank not in (0, values.rank):
        raise ShapeError(f"weights must be a number, or have the rank of {values!r}, not {shown(weights)}")
    return values * factor, ones * factor


def same_rank(labels: Any, predictions: Any) -> tuple[Tensor, Tensor]:
    """Return labels and predictions as Tensors of equal rank, without a last axis of size 1 that only one has."""
    a, b = as_tensor(labels), as_tensor(predictions)
    if a.rank == b.rank + 1 and a.shape[-1] == 1:
        a = functions.squeeze(a, -1)
    elif b.rank == a.rank + 1 and b.shape[-1] == 1:
        b = functions.squeeze(b, -1)
    if a.rank != b.rank:
        raise ShapeError(f"labels {a!r} and predictions {b!r} must have one shape")
    return a, b


def truth(x: Tensor) -> Tensor:
    """Return a bool Tensor that is True where x is not 0. Bools are returned unchanged."""
    return x if x.dtype == "bool" else functions.not_equal(x, 0.0 if x.dtype in FLOATS else 0)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient, and 0 where the denominator is not above 0."""
    return elementwise.div_no_nan(numerator, functions.maximum(denominator, 0.0))
