"""TensorFlow 1.x's functions that select entries, move them, or sum them by segment."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions import indexing, orders, sequences
from ...declare.functions.arrays import matrices, moves
from ...declare.functions.elementary.numbers import isfinite
from ...declare.functions.statistics import reduce_all, reduce_any
from ...declare.tensor import Tensor, as_tensor, build, constant, holds_tensors
from ...ir.types import product
from ...support.api_guard import api
from ...support.arguments import array_of
from ...support.errors import ArgumentError, NotOfferedError, ShapeError, shown
from ..core.dtypes import dtype_name
from ..core.operations import operation
from ..core.sizes import anchored, known_size, sizes_in
from ..table.missing import GUIDE
from .functions import converted, gather


@api
class TopKV2(NamedTuple):
    """Result of ``tf.nn.top_k``."""

    values: Any
    indices: Any


@operation
def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> TopKV2:
    """Return the k largest entries of the last axis in descending order, and their indices (int32).

    Equal entries keep their order. ``sorted=False`` has no effect.
    """
    x = as_tensor(input)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ArgumentError(f"tf.nn.top_k: k={shown(k)} must be an int of 1 or more")
    entries = x.type.shape[-1] if x.rank else None
    if not isinstance(entries, int) or entries < k:
        raise ShapeError(f"tf.nn.top_k with k={k} needs a last axis of fixed size {k} or more, not {x!r}")
    values, places = orders.top_k(x, k)
    return TopKV2(values, functions.cast(places, "int32"))


@operation
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Tensor:
    """Sort the entries along an axis."""
    return orders.sort(values, axis, _is_descending("tf.sort", direction))


@operation
def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Tensor:
    """Return the indices (int32) that sort the entries along an axis. The sort is stable even with ``stable=False``."""
    return functions.cast(orders.argsort(values, axis, _is_descending("tf.argsort", direction)), "int32")


@operation
def invert_permutation(x: Any, name: str | None = None) -> Tensor:
    """Return the inverse of a permutation, a vector of ints."""
    places = as_tensor(x)
    return functions.cast(orders.argsort(places, 0), places.dtype)


def _is_descending(what: str, direction: str) -> bool:
    """True for "DESCENDING", False for "ASCENDING". Raise ``ArgumentError`` for anything else."""
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ArgumentError(f'{what}: direction must be "ASCENDING" or "DESCENDING", not {shown(direction)}')
    return direction == "DESCENDING"


@operation
def in_top_k(predictions: Tensor, targets: Tensor, k: int, name: str | None = None) -> Tensor:
    """Return bool [batch]: True if fewer than k predictions of a row exceed the prediction for the row's target.

    Rows that contain an infinity or NaN, or whose target is not a class, are False.
    """
    hit = functions.one_hot(targets, predictions.width, "bool")
    target = functions.reduce_sum(functions.where(hit, predictions, 0), -1, keepdims=True)
    better = functions.reduce_sum(functions.cast(predictions > target, "int32"), -1)
    is_known = functions.logical_and(reduce_all(isfinite(predictions), -1), reduce_any(hit, -1))
    return functions.logical_and(is_known, better < int(k))


@operation
def boolean_mask(tensor: Any, mask: Any, name: str = "boolean_mask", axis: int | None = None) -> Tensor:
    """Return the entries at which a mask is True, along one axis that replaces the axes of the mask.

    The number of entries is computed before the native call. Masks in steps of loops, and random masks, are
    therefore not supported.
    """
    x = as_tensor(tensor)
    value = mask.node["value"] if isinstance(mask, Tensor) and mask.node.op == "constant" else mask
    mask_array = value if isinstance(value, Tensor) else array_of(value, "tf.boolean_mask needs a mask of bools")
    place, rank = functions.one_axis(x.rank, 0 if axis is None else axis), len(mask_array.shape)
    if mask_array.dtype != "bool" or not 0 < rank <= x.rank - place:
        raise ShapeError(f"tf.boolean_mask of {x!r} needs a bool mask of its leading axes, not {shown(mask)}")
    masked_shape = x.type.shape[place : place + rank]
    if isinstance(mask_array, Tensor):
        corner = x[(0,) * place + (slice(None),) * rank + (0,) * (x.rank - place - rank)]
        all_true = functions.known_by(corner, build("broadcast", constant(True), shape=masked_shape))
        count = functions.reduce_sum(functions.cast(mask_array, "int32"))
        mask_array = functions.logical_and(mask_array, all_true)  # so that the mask has the sizes of x
        flat = build("reshape", x, shape=(*x.type.shape[:place], product(masked_shape), *x.type.shape[place + rank :]))
        return gather(flat, _indices_of_true(functions.reshape(mask_array, [-1]), count), axis=place)
    if mask_array.shape != masked_shape:
        raise ShapeError(f"tf.boolean_mask needs a mask of shape {masked_shape}, not {mask_array.shape}")
    flat = build("reshape", x, shape=(*x.type.shape[:place], mask_array.size, *x.type.shape[place + rank :]))
    return gather(flat, constant(np.flatnonzero(mask_array), "int64"), axis=place)


def _indices_of_true(mask: Tensor, count: Tensor) -> Tensor:
    """Return the indices [count] at which a mask is True, in order. ``count`` is the number of True entries."""
    size = known_size(count.node, counted=True)
    if size is None:
        raise NotOfferedError(
            "tf.boolean_mask of this mask is not offered, because the number of entries is not known before the "
            "call; use tf.where(mask, x, tf.zeros_like(x)), or for a mean tf.reduce_sum(x * weights) / "
            f"tf.reduce_sum(weights) ({GUIDE})"
        )
    order = orders.argsort(functions.where(mask, 0, 1))
    return anchored(functions.gather(order, build("iota", size=size)), count)


@operation
def roll(input: Any, shift: int, axis: int, name: str | None = None) -> Tensor:
    """Shift the entries of an axis by ``shift`` places towards its end, cyclically."""
    if not isinstance(shift, int | np.integer) or not isinstance(axis, int | np.integer):
        raise ArgumentError(
            f"tf.roll shifts one axis by an int, not {shown(axis)} by {shown(shift)}; call it once for each axis"
        )
    return moves.roll(input, int(shift), int(axis))


@operation
def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor:
    """Return sums [num_segments, …]: entry i is the sum of the entries of ``data`` whose segment id is i."""
    x, ids = as_tensor(data), as_tensor(segment_ids)
    if ids.rank != 1 or not x.rank:
        raise ShapeError(f"tf.unsorted_segment_sum needs data [entries, …] and ids [entries], not {x!r} and {ids!r}")
    sums = build("broadcast", constant(0, x.dtype), shape=(num_segments, *x.type.shape[1:]))
    places = build("reshape", functions.cast(ids, "int64"), shape=(ids.type.shape[0], *(1,) * (x.rank - 1)))
    return indexing.sums_at(sums, 0, places, x)


@operation
def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return zeros of a shape, to which ``updates`` are added at ``indices`` [..., number of indexed axes]."""
    places, values, sizes = as_tensor(indices), as_tensor(updates), sizes_in(shape)
    axes = places.type.shape[-1] if places.rank else None
    if not isinstance(axes, int) or not 0 < axes <= len(sizes) or None in sizes:
        raise ShapeError(
            f"tf.scatter_nd needs a shape of known sizes, and indices with a last axis of 1 to {len(sizes)} entries, "
            f"not {shown(shape)} and {places!r}"
        )
    places = functions.cast(places, "int64")
    flat: Any = 0
    for axis, size in enumerate(sizes[:axes]):
        count = size if isinstance(size, int) else functions.cast(functions.dimension(size, "int32"), "int64")
        flat = flat * count + places[..., axis]
    entries, inner = places.type.shape[:-1], values.type.shape[places.rank - 1 :]
    rows = build("reshape", values, shape=(product(entries), *inner))
    ids = build("reshape", flat, shape=(product(entries),))
    outer: Any = sizes[:axes]
    sums = unsorted_segment_sum(rows, ids, product(outer))
    return anchored(build("reshape", sums, shape=tuple(sizes)), shape)


@operation
def sparse_to_dense(
    sparse_indices: Any,
    output_shape: Any,
    sparse_values: Any,
    default_value: Any = 0,
    validate_indices: bool = True,
    name: str | None = None,
) -> Tensor:
    """Return ``sparse_values`` at indices [n, rank] of a dense array, and ``default_value`` elsewhere.

    Indices must be distinct, which is not checked: ``validate_indices`` has no effect.
    """
    places, shape = as_tensor(sparse_indices), sizes_in(output_shape)
    sizes = [size for size in shape if isinstance(size, int)]
    if len(sizes) != len(shape) or places.rank > 2:
        raise ShapeError(
            f"tf.sparse_to_dense needs a shape of ints and indices [n, rank], not {shown(output_shape)} and {places!r}"
        )
    if places.rank < 2:
        places = functions.reshape(places, (-1, 1))
    strides = np.append(np.cumprod(sizes[:0:-1], dtype=np.int64)[::-1], 1)
    flat = functions.reduce_sum(functions.cast(places, "int64") * strides, 1)
    values, ones = converted(sparse_values), functions.filled_like(flat, 1)
    rows = values if values.rank else functions.cast(ones, values.dtype) * values
    count = math.prod(sizes)
    sums = unsorted_segment_sum(rows, flat, count)
    is_written = unsorted_segment_sum(functions.cast(ones, "int32"), flat, count) > 0
    dense = functions.where(is_written, sums, functions.cast(converted(default_value), values.dtype))
    return functions.reshape(dense, tuple(sizes))


@operation
def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    dtype: Any = "int32",
    name: str | None = None,
    weights: Any = None,
) -> Tensor:
    """Return the confusion matrix: counts of labels (rows) by predictions (columns)."""
    if num_classes is None:
        raise ArgumentError("tf.confusion_matrix needs num_classes=")
    classes = (functions.cast(as_tensor(ids), "int64") for ids in (labels, predictions))
    rows, columns = (functions.one_hot(ids, num_classes, "float32") for ids in classes)
    rows = rows if weights is None else rows * functions.expand_dims(functions.cast(as_tensor(weights), "float32"), 1)
    return functions.cast(functions.transpose(rows, (1, 0)) @ columns, dtype_name(dtype))


@operation
def diag(diagonal: Any, name: str | None = None) -> Tensor:
    """Return matrices [..., n, n] with a diagonal [..., n]."""
    return matrices.diag_embed(diagonal)


@operation
def diag_part(input: Any, name: str | None = None) -> Tensor:
    """Return the diagonal [..., n] of square matrices [..., n, n]."""
    return matrices.diagonal(_square_matrices(input), axis1=-2, axis2=-1)


@operation
def trace(x: Any, name: str | None = None) -> Tensor:
    """Return the trace of square matrices [..., n, n]."""
    return matrices.trace(_square_matrices(x), axis1=-2, axis2=-1)


def _square_matrices(x: Any) -> Tensor:
    """Return square matrices [..., n, n] as a Tensor. Raise ``ShapeError`` for other shapes."""
    x = as_tensor(x)
    *outer, rows, columns = x.type.shape if x.rank > 1 else (0, 0, 1)
    # A run checks that rows and columns are equal if one of them is symbolic.
    if rows != columns and not (isinstance(rows, int) and isinstance(columns, int)):
        size = rows if isinstance(rows, int) else columns
        x = build("ensure_shape", x, shape=(*outer, size, size))
    elif rows != columns:
        raise ShapeError(f"a diagonal needs square matrices [..., n, n], not {x!r}")
    return x


@operation
def matrix_band_part(input: Any, num_lower: int, num_upper: int, name: str | None = None) -> Tensor:
    """Return matrices [..., rows, columns] with 0 outside of a band around the diagonal.

    Args:
        input: The matrices.
        num_lower: Number of diagonals to keep below the main one, -1 for all.
        num_upper: Number of diagonals to keep above the main one, -1 for all.
        name: Name of the Tensor.
    """
    x = as_tensor(input)
    if not all(isinstance(count, int | np.integer) for count in (num_lower, num_upper)):
        raise ArgumentError(f"tf.matrix_band_part needs ints as band sizes, not {shown((num_lower, num_upper))}")
    x = x if num_lower < 0 else matrices.triu(x, -int(num_lower))
    return x if num_upper < 0 else matrices.tril(x, int(num_upper))


@operation
def where(condition: Tensor, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """Return x where the condition is True, y elsewhere. A vector condition selects whole rows.

    Raises:
        ArgumentError: x or y is missing. The shape of ``tf.where(condition)`` depends on the data.
    """
    if x is None or y is None:
        raise ArgumentError("tf.where(condition) is not offered, because its shape depends on the data; pass x and y")
    x, y = (as_tensor(item) if isinstance(item, list | tuple) and holds_tensors(item) else item for item in (x, y))
    condition, rank = as_tensor(condition), as_tensor(x).rank
    if condition.rank == 1 and rank > 1:  # a vector selects rows, as in TensorFlow
        condition = functions.reshape(condition, [None, *[1] * (rank - 1)])
    return functions.where(condition, x, y)


@operation
def reverse_sequence(
    input: Tensor,
    seq_lengths: Any,
    seq_axis: int | None = None,
    batch_axis: int | None = None,
    name: str | None = None,
    seq_dim: int | None = None,
    batch_dim: int | None = None,
) -> Tensor:
    """Reverse the steps of each row up to the row's length. Steps and rows are the first two axes, in any order."""
    steps, rows = seq_dim if seq_axis is None else seq_axis, batch_dim if batch_axis is None else batch_axis
    rows = 0 if rows is None else rows
    if steps is None or {steps, rows} != {0, 1}:
        raise ArgumentError(
            f"tf.reverse_sequence with seq_axis={steps}, batch_axis={rows} is not offered; use the first two axes"
        )
    return sequences.reverse_sequence(as_tensor(input), seq_lengths, steps)
