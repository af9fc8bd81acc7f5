"""TensorFlow 1.x's functions that choose entries, move them, or add them up by number."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions import orders, sequences
from ...declare.functions.arrays import matrices, moves
from ...declare.functions.statistics import reduce_all
from ...declare.tensor import Tensor, as_tensor, build, constant
from ...ir.types import product
from ...support.api_guard import api
from ...support.arguments import array_of
from ...support.errors import ArgumentError, NotOfferedError, ShapeError, shown
from ..core.names import dtype_name
from ..core.operations import operation
from ..core.sizes import anchored, known_size
from ..table.missing import GUIDE
from .functions import gather


@api
class TopKV2(NamedTuple):
    """What ``tf.nn.top_k`` gives."""

    values: Any
    indices: Any


@operation
def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> TopKV2:
    """The k largest entries of the last axis, the largest first, and their places (int32); of equal ones the first."""
    x = as_tensor(input)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ArgumentError(f"tf.nn.top_k: k={shown(k)} must be an int from 1 on")
    entries = x.type.shape[-1] if x.rank else None
    if not isinstance(entries, int) or entries < k:
        raise ShapeError(f"tf.nn.top_k chooses {k} of a fixed number of entries, at least as many, not of {x!r}")
    values, places = orders.top_k(x, k)
    return TopKV2(values, functions.cast(places, "int32"))


@operation
def in_top_k(predictions: Tensor, targets: Tensor, k: int, name: str | None = None) -> Tensor:
    """True where the target's prediction is among the k largest of its row: bool [batch]. False for a row that holds
    an infinity or NaN.
    """
    hit = functions.one_hot(targets, predictions.width, "bool")
    target = functions.reduce_sum(functions.where(hit, predictions, 0), -1, keepdims=True)
    better = functions.reduce_sum(functions.cast(predictions > target, "int32"), -1)
    is_finite = reduce_all(functions.abs(predictions) < float("inf"), -1)
    return functions.logical_and(is_finite, better < int(k))


@operation
def boolean_mask(tensor: Any, mask: Any, name: str = "boolean_mask", axis: int | None = None) -> Tensor:
    """Return the entries at which a mask holds, of one axis or of several that become one.

    How many entries there are is a number that a run computes before the call. In steps of loops, and of masks that
    are drawn, that is refused.
    """
    x = as_tensor(tensor)
    given = mask.node["value"] if isinstance(mask, Tensor) and mask.node.op == "constant" else mask
    chosen = given if isinstance(given, Tensor) else array_of(given, "tf.boolean_mask takes a mask of bools")
    place, rank = functions.one_axis(x.rank, 0 if axis is None else axis), len(chosen.shape)
    if chosen.dtype != "bool" or not 0 < rank <= x.rank - place:
        raise ShapeError(f"tf.boolean_mask of {x!r} takes a mask of bools over its axes, not {shown(mask)}")
    have = x.type.shape[place : place + rank]
    if isinstance(chosen, Tensor):
        corner = x[(0,) * place + (slice(None),) * rank + (0,) * (x.rank - place - rank)]
        everywhere = functions.known_by(corner, build("broadcast", constant(True), shape=have))
        count = functions.reduce_sum(functions.cast(chosen, "int32"))
        chosen = functions.logical_and(chosen, everywhere)  # so that both have the same sizes
        flat = build("reshape", x, shape=(*x.type.shape[:place], product(have), *x.type.shape[place + rank :]))
        return gather(flat, _places(functions.reshape(chosen, [-1]), count), axis=place)
    if chosen.shape != have:
        raise ShapeError(f"tf.boolean_mask takes a mask of the shape {have}, not {chosen.shape}")
    flat = build("reshape", x, shape=(*x.type.shape[:place], chosen.size, *x.type.shape[place + rank :]))
    return gather(flat, constant(np.flatnonzero(chosen), "int64"), axis=place)


def _places(mask: Tensor, count: Tensor) -> Tensor:
    """Return the places [count] of a vector at which it holds, in order."""
    size = known_size(count.node, counted=True)
    if size is None:
        raise NotOfferedError(
            "tf.boolean_mask of this mask is not offered, as how many entries there are is data that no run knows "
            "before the call; keep all: use tf.where(mask, x, tf.zeros_like(x)), for a mean "
            f"tf.reduce_sum(x * weights) / tf.reduce_sum(weights) ({GUIDE})"
        )
    order = orders.argsort(functions.where(mask, 0, 1))
    return anchored(functions.gather(order, build("iota", size=size)), count)


@operation
def roll(input: Any, shift: int, axis: int, name: str | None = None) -> Tensor:
    """Entries of an axis moved on by ``shift``, those that leave at the end to its begin."""
    if not isinstance(shift, int | np.integer) or not isinstance(axis, int | np.integer):
        raise ArgumentError(f"tf.roll moves one axis by an int, not {shown(axis)} by {shown(shift)}")
    return moves.roll(input, int(shift), int(axis))


@operation
def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: int, name: str | None = None) -> Tensor:
    """For each of so many segments the sum of the entries [entries, …] whose id it is."""
    x, ids = as_tensor(data), as_tensor(segment_ids)
    if ids.rank != 1 or not x.rank:
        raise ShapeError(f"tf.unsorted_segment_sum adds up {x!r} by ids [entries], not {ids!r}")
    flat = functions.reshape(x, (None, -1)) if x.rank != 2 else x
    hit = functions.one_hot(ids, num_segments, "bool")  # chosen, so that NaN stays in its segment
    chosen = functions.where(functions.expand_dims(hit, 2), functions.expand_dims(flat, 1), 0)
    added = functions.reduce_sum(chosen, 0)
    return added if x.rank == 2 else build("reshape", added, shape=(num_segments, *x.type.shape[1:]))


@operation
def confusion_matrix(
    labels: Any, predictions: Any, num_classes: int | None = None, dtype: Any = "int32", name: str | None = None,
    weights: Any = None,
) -> Tensor:  # fmt: skip
    """How often each class, a row, was taken for each other one, a column."""
    if num_classes is None:
        raise ArgumentError("tf.confusion_matrix needs num_classes=, as sizes are known before a run")
    found = (functions.cast(as_tensor(ids), "int64") for ids in (labels, predictions))
    rows, columns = (functions.one_hot(ids, num_classes, "float32") for ids in found)
    rows = rows if weights is None else rows * functions.expand_dims(functions.cast(as_tensor(weights), "float32"), 1)
    return functions.cast(functions.transpose(rows, (1, 0)) @ columns, dtype_name(dtype))


@operation
def diag(diagonal: Any, name: str | None = None) -> Tensor:
    """Numbers [..., n] on the diagonal of matrices [..., n, n]."""
    return matrices.diag_embed(diagonal)


@operation
def diag_part(input: Any, name: str | None = None) -> Tensor:
    """The diagonal [..., n] of square matrices [..., n, n]."""
    return matrices.diagonal(_squares(input), axis1=-2, axis2=-1)


@operation
def trace(x: Any, name: str | None = None) -> Tensor:
    """The sum of the diagonal of square matrices [..., n, n]."""
    return matrices.trace(_squares(x), axis1=-2, axis2=-1)


def _squares(x: Any) -> Tensor:
    x = as_tensor(x)
    if x.rank < 2 or x.type.shape[-1] != x.type.shape[-2]:
        raise ShapeError(f"the diagonal is one of square matrices [..., n, n], not of {x!r}")
    return x


@operation
def matrix_band_part(input: Any, num_lower: int, num_upper: int, name: str | None = None) -> Tensor:
    """Matrices [..., rows, columns] with 0 outside of a band: so many below and above the diagonal, -1 for all."""
    x = as_tensor(input)
    if not all(isinstance(count, int | np.integer) for count in (num_lower, num_upper)):
        raise ArgumentError(f"tf.matrix_band_part takes ints, not {shown((num_lower, num_upper))}")
    x = x if num_lower < 0 else matrices.triu(x, -int(num_lower))
    return x if num_upper < 0 else matrices.tril(x, int(num_upper))


@operation
def where(condition: Tensor, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition holds, y elsewhere."""
    if x is None or y is None:
        raise ArgumentError("tf.where(condition) gives as many rows as hold, which is not offered; give it x and y")
    rank = as_tensor(x).rank
    if condition.rank == 1 and rank > 1:  # rows are chosen
        condition = functions.reshape(condition, [None, *[1] * (rank - 1)])
    return functions.where(condition, x, y)


@operation
def reverse_sequence(
    input: Tensor, seq_lengths: Any, seq_axis: int | None = None, batch_axis: int | None = None,
    name: str | None = None, seq_dim: int | None = None, batch_dim: int | None = None,
) -> Tensor:  # fmt: skip
    """Each row's steps from its last real one to the first."""
    steps, rows = seq_dim if seq_axis is None else seq_axis, batch_dim if batch_axis is None else batch_axis
    rows = 0 if rows is None else rows
    if steps is None or {steps, rows} != {0, 1}:
        raise ArgumentError(f"tf.reverse_sequence of seq_axis={steps} and batch_axis={rows}; use the first two axes")
    return sequences.reverse_sequence(input, seq_lengths, steps)
