"""TensorFlow 1.x's elementwise functions and reductions that rnngraph composes of other functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.functions import activations, cumulative, norms, padding, rounding, statistics
from ...declare.functions import basic as functions
from ...declare.functions.basic import Axis
from ...declare.functions.elementary import logarithms, numbers, remainders
from ...declare.tensor import Tensor, as_tensor, constant, holds_tensors, pair
from ...support.errors import ArgumentError, DtypeError, shown
from ..core import elementwise
from ..core.dtypes import dtype_name, refuse
from ..core.operations import operation
from ..core.sizes import floor_quotient, sizes_in
from ..train.gradients import clipped_by_value
from .functions import argmax, binary, identity, reduction, unary
from .shapes import xw_plus_b

MAX_EYE = 1 << 14
"""Maximum rows and columns of ``tf.eye``, which is stored as a constant: 1 GiB of float32."""

floor, ceil, round = unary(rounding.floor), unary(rounding.ceil), unary(elementwise.round)
rint = unary(rounding.round, "rint")
is_nan, is_inf = unary(numbers.isnan, "is_nan"), unary(numbers.isinf, "is_inf")
is_finite, log_sigmoid = unary(numbers.isfinite, "is_finite"), unary(activations.log_sigmoid)
floordiv = binary(floor_quotient, "floordiv")
floormod, truncatemod = binary(remainders.remainder, "floormod"), binary(remainders.fmod, "truncatemod")
div_no_nan = binary(elementwise.div_no_nan)
truncatediv, logical_xor = binary(remainders.trunc_divide, "truncatediv"), binary(functions.logical_xor)
reduce_prod = reduction(statistics.reduce_prod)
reduce_logsumexp = reduction(statistics.logsumexp, "reduce_logsumexp")


@operation
def xlogy(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return x log(y), with 0 where x is 0, even if y is NaN."""
    x, y = pair(x, y)
    return logarithms.xlogy(x, functions.where(functions.equal(x, 0), 0.0, y))


@operation
def crelu(features: Any, name: str | None = None, axis: int = -1) -> Tensor:
    """Concatenate relu(x) and relu(-x)."""
    x = as_tensor(features)
    sides = [elementwise.relu(side) for side in (x, 0 - x)]  # not -x, which is -0 for 0
    return functions.concat(sides, functions.one_axis(x.rank, axis))


@operation
def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """Return relu(x @ weights + biases)."""
    return elementwise.relu(xw_plus_b(x, weights, biases))


@operation
def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """Return the share of entries that are 0, as float32."""
    return functions.reduce_mean(functions.cast(functions.equal(as_tensor(value), 0), "float32"))


@operation
def sign(x: Any, name: str | None = None) -> Tensor:
    """Return the sign of x: -1, 0 or 1. As in TensorFlow, the sign of NaN is 0."""
    return elementwise.sign(x)


@operation
def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Tensor:
    """Return scalar * x."""
    return as_tensor(x) * scalar


@operation
def identity_n(input: Sequence[Any], name: str | None = None) -> list[Tensor]:
    """Return copies of the tensors."""
    if not isinstance(input, list | tuple):
        raise DtypeError(f"tf.identity_n needs a list of Tensors, not {shown(input)}")
    return [identity(item) for item in input]


@operation
def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """Return features where positive, and alpha * features elsewhere."""
    return activations.leaky_relu(features, alpha)


@operation
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """Return t clamped to [clip_value_min, clip_value_max]."""
    return clipped_by_value(t, clip_value_min, clip_value_max)


# Along axes --------------------------------------------------------------------------------------------


def _keeps(keepdims: Any, keep_dims: Any) -> bool:
    """Return ``keepdims``, or its older name ``keep_dims``; False if both are None."""
    return bool(keepdims or keep_dims)


@operation
def argmin(
    input: Any,
    axis: int | None = None,
    name: str | None = None,
    dimension: int | None = None,
    output_type: Any = "int64",
) -> Tensor:
    """Return the index of the first smallest entry along an axis, by default the first axis."""
    along = next((item for item in (axis, dimension) if item is not None), 0)
    return functions.cast(functions.argmin(input, along), dtype_name(output_type))


@operation
def arg_min(input: Any, dimension: int, output_type: Any = "int64", name: str | None = None) -> Tensor:
    """Return the index of the first smallest entry along an axis, as before TensorFlow 1.0."""
    return argmin(input, dimension, output_type=output_type)


@operation
def count_nonzero(
    input_tensor: Any = None,
    axis: Axis = None,
    keepdims: bool | None = None,
    dtype: Any = "int64",
    name: str | None = None,
    reduction_indices: Axis = None,
    keep_dims: bool | None = None,
    input: Any = None,
) -> Tensor:
    """Return the number of nonzero entries along axes."""
    along = reduction_indices if axis is None else axis
    count = statistics.count_nonzero(input_tensor if input is None else input, along, _keeps(keepdims, keep_dims))
    return functions.cast(count, dtype_name(dtype))


@operation
def norm(
    tensor: Any,
    ord: Any = "euclidean",
    axis: Axis = None,
    keepdims: bool | None = None,
    name: str | None = None,
    keep_dims: bool | None = None,
) -> Tensor:
    """Return the vector norm along one axis or all axes, or the matrix norm along two axes.

    All norms of TensorFlow are offered, except the spectral norm.
    """
    keeps = _keeps(keepdims, keep_dims)
    axes = axis if isinstance(axis, list | tuple) else None
    if axes is not None and len(axes) != 2:
        raise ArgumentError(f"tf.norm: axis={shown(axis)} must be None, an int, or a list of two ints")
    if isinstance(ord, str):
        if ord not in ("euclidean", "fro") or (ord == "fro" and axes is None):
            raise ArgumentError(
                f"tf.norm: ord={shown(ord)} is not offered; use 'euclidean', a positive number, or 'fro' with two axes"
            )
        return norms.vector_norm(tensor, 2, axis, keeps)
    if isinstance(ord, bool) or not isinstance(ord, int | float | np.number) or not ord > 0:
        raise ArgumentError(f"tf.norm: ord={shown(ord)} is not offered; use 'euclidean' or a positive number")
    if axes is not None:
        return norms.matrix_norm(tensor, float(ord), axes, keeps)
    return norms.vector_norm(tensor, float(ord), axis, keeps)


@operation
def arg_max(input: Any, dimension: int, output_type: Any = "int64", name: str | None = None) -> Tensor:
    """Return the index of the first largest entry along an axis, as before TensorFlow 1.0."""
    return argmax(input, dimension, output_type=output_type)


@operation
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Return cumulative sums along an axis.

    ``exclusive`` leaves each entry out of its own sum. ``reverse`` sums from the end.
    """
    return cumulative.cumsum(x, axis, exclusive, reverse)


@operation
def cumprod(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Return cumulative products along an axis.

    ``exclusive`` leaves each entry out of its own product. ``reverse`` multiplies from the end.
    """
    return cumulative.cumprod(x, axis, exclusive, reverse)


@operation
def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: float = 0
) -> Tensor:
    """Apply ``rg.pad`` with TensorFlow's arguments. ``paddings`` may be a Tensor that is known at declaration."""
    if isinstance(paddings, list | tuple) and holds_tensors(paddings):
        paddings = [sizes_in(pair) for pair in paddings]
    return padding.pad(tensor, paddings, mode.lower() if isinstance(mode, str) else mode, constant_values)


# Constants ----------------------------------------------------------------------------------------------


@operation
def eye(
    num_rows: int,
    num_columns: int | None = None,
    batch_shape: Any = None,
    dtype: Any = "float32",
    name: str | None = None,
) -> Tensor:
    """Return an identity matrix [num_rows, num_columns], by default square."""
    rows, columns = num_rows, num_rows if num_columns is None else num_columns
    refuse("tf.eye", "repeat the matrix with tf.tile", batch_shape=batch_shape)
    if not all(isinstance(size, int) and 0 < size <= MAX_EYE for size in (rows, columns)):
        raise ArgumentError(
            f"tf.eye needs ints from 1 to {MAX_EYE} as num_rows and num_columns, not {shown((rows, columns))}"
        )
    return constant(np.eye(rows, columns), dtype_name(dtype))


@operation
def linspace(start: float, stop: float, num: int, name: str | None = None) -> Tensor:
    """Return ``num`` evenly spaced numbers from ``start`` to ``stop``, which is included."""
    if not isinstance(num, int) or not 0 < num <= 1 << 28 or isinstance(num, bool):
        raise ArgumentError(f"tf.linspace needs an int num= from 1 to {1 << 28}, not {shown(num)}")
    try:
        return constant(np.linspace(float(start), float(stop), num), "float32")
    except (TypeError, ValueError, OverflowError):
        raise DtypeError(f"start and stop of tf.linspace must be numbers, not {shown((start, stop))}") from None
