"""TensorFlow 1.x's functions for arithmetic, casts and slices, for which rnngraph has operators or other names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...declare.functions import basic as functions
from ...declare.functions import normalization, statistics
from ...declare.functions.arrays.moves import flip
from ...declare.functions.basic import Axis
from ...declare.functions.elementary import powers
from ...declare.tensor import Tensor, as_tensor, pair, take_slice
from ...ir.types import FLOATS
from ...support.errors import ArgumentError, ShapeError
from ..core.elementwise import quotient
from ..core.operations import operation
from ..core.sizes import anchored, apply_computed_slices, sizes_in, slice_between
from .functions import unary
from .numbers import floordiv

reciprocal, rsqrt = unary(powers.reciprocal), unary(powers.rsqrt)


@operation
def truediv(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return x / y. Ints are divided in float64, as in Python."""
    return quotient(x, y)


@operation
def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return x / y. For ints, the quotient is rounded down."""
    x, y = pair(x, y)
    return x / y if x.dtype in FLOATS else floordiv(x, y)


@operation
def to_int32(x: Any, name: str = "ToInt32") -> Tensor:
    """Return x as int32."""
    return functions.cast(x, "int32")


@operation
def to_int64(x: Any, name: str = "ToInt64") -> Tensor:
    """Return x as int64."""
    return functions.cast(x, "int64")


@operation
def to_double(x: Any, name: str = "ToDouble") -> Tensor:
    """Return x as float64."""
    return functions.cast(x, "float64")


@operation
def reverse(tensor: Any, axis: Sequence[int], name: str | None = None) -> Tensor:
    """Return a tensor with the entries along ``axis`` reversed."""
    if not isinstance(axis, list | tuple):
        raise ArgumentError(f"tf.reverse needs a list of axes, not {axis!r}")
    return flip(tensor, axis)


@operation
def slice_of(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """Return a slice: ``size`` entries of each axis, starting at ``begin``. A size of -1 extends to the end."""
    x, starts, counts = as_tensor(input_), sizes_in(begin), sizes_in(size)
    if not len(starts) == len(counts) == x.rank:
        raise ShapeError(
            f"tf.slice of {x!r} needs {x.rank} entries in begin and in size, not {len(starts)} and {len(counts)}"
        )
    index = []
    for start, count, dim in zip(starts, counts, x.type.shape, strict=True):
        if isinstance(start, int) and isinstance(dim, int):
            if not 0 <= start <= dim:
                raise ShapeError(f"begin={start} of tf.slice is outside an axis of size {dim}; give 0 to {dim}")
            if isinstance(count, int) and start + count > dim:
                raise ShapeError(
                    f"tf.slice reads {count} entries from {start} on, but the axis has size {dim}; read at most "
                    f"{dim - start}, or -1 for all"
                )
        stop = None if count == -1 else start + count
        index.append(slice_between("tf.slice", start, stop, 1, dim))
    cut, left = apply_computed_slices(x, tuple(index))
    return take_slice(x, left) if cut is x else anchored(take_slice(cut, left), _as_list(begin) + _as_list(size))


@operation
def strided_slice(
    input_: Any,
    begin: Any,
    end: Any,
    strides: Any = None,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
    var: Any = None,
    name: str | None = None,
) -> Tensor:
    """Return a slice of the first axes, from ``begin`` up to, but not including, ``end`` in steps of ``strides``.

    If bit i of ``begin_mask`` is set, ``begin[i]`` is ignored: the slice of axis i starts at the axis's first entry. If
    bit i of ``end_mask`` is set, ``end[i]`` is ignored.
    """
    if ellipsis_mask or new_axis_mask or shrink_axis_mask:
        raise ArgumentError("tf.strided_slice offers only begin_mask and end_mask; write x[...] for the other masks")
    x, starts, ends = as_tensor(input_), sizes_in(begin), sizes_in(end)
    steps = [1] * len(starts) if strides is None else sizes_in(strides)
    if not len(starts) == len(ends) == len(steps) <= x.rank:
        raise ShapeError(
            f"tf.strided_slice of {x!r} needs begin, end and strides of one length, at most {x.rank}, not "
            f"{len(starts)}, {len(ends)} and {len(steps)}"
        )
    index = []
    for axis, (start, stop, step, dim) in enumerate(zip(starts, ends, steps, x.type.shape, strict=False)):
        first, last = (None if mask >> axis & 1 else place for mask, place in ((begin_mask, start), (end_mask, stop)))
        index.append(slice_between("tf.strided_slice", first, last, step, dim))
    cut, left = apply_computed_slices(x, tuple(index))
    return x[left] if cut is x else anchored(cut[left], _as_list(begin) + _as_list(end))


def _as_list(value: Any) -> list[Any]:
    """Return a list or tuple as a list; a list of one entry for anything else, such as a vector."""
    return list(value) if isinstance(value, list | tuple) else [value]


@operation
def l2_normalize(
    x: Any, axis: Axis = None, epsilon: float = 1e-12, name: str | None = None, dim: Axis = None
) -> Tensor:
    """Return x divided by its Euclidean norm along axes, or by sqrt(epsilon) where the norm is smaller."""
    return normalization.normalize(x, 2, dim if axis is None else axis, math.sqrt(epsilon))


@operation
def moments(
    x: Any,
    axes: Axis,
    shift: Any = None,
    name: str | None = None,
    keep_dims: bool | None = None,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Return (mean, variance) along axes. ``shift`` has no effect, as in TensorFlow 1.15."""
    mean, _, variance = statistics.moments(as_tensor(x), axes)
    if keep_dims or keepdims:
        return mean, variance
    return functions.squeeze(mean, axes), functions.squeeze(variance, axes)
