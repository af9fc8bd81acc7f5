"""TensorFlow 1.x's elementwise functions that are made of several of ours, and sums and counts of that kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.functions import activations, norms, rounding, statistics
from ...declare.functions import basic as functions
from ...declare.functions.basic import Axis
from ...declare.functions.elementary import logarithms, numbers, remainders
from ...declare.tensor import Tensor, as_tensor, constant, pair
from ...formats.operators.backend import TensorBackend
from ...formats.operators.elementwise import sign as sign_of
from ...support.errors import ArgumentError, DtypeError, shown
from ..core.names import dtype_name
from ..core.operations import operation
from ..core.sizes import floor_quotient
from .functions import binary, identity, reduction, unary

floor, ceil, round = unary(rounding.floor), unary(rounding.ceil), unary(rounding.round)
is_nan, is_inf = unary(numbers.isnan, "is_nan"), unary(numbers.isinf, "is_inf")
is_finite, log_sigmoid = unary(numbers.isfinite, "is_finite"), unary(activations.log_sigmoid)
floordiv = binary(floor_quotient, "floordiv")
floormod, truncatemod = binary(remainders.remainder, "floormod"), binary(remainders.fmod, "truncatemod")
truncatediv, logical_xor = binary(remainders.trunc_divide, "truncatediv"), binary(functions.logical_xor)
reduce_prod = reduction(statistics.reduce_prod)
reduce_logsumexp = reduction(statistics.logsumexp, "reduce_logsumexp")


@operation
def xlogy(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x log(y), and 0 where x is 0, even where y is NaN."""
    x, y = pair(x, y)
    return logarithms.xlogy(x, functions.where(functions.equal(x, 0), 0.0, y))


@operation
def div_no_nan(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y, and 0 where y is 0."""
    x, y = pair(x, y)
    zero = functions.equal(y, 0)
    return functions.where(zero, 0.0, x / functions.where(zero, 1.0, y))


@operation
def crelu(features: Any, name: str | None = None, axis: int = -1) -> Tensor:
    """relu(x) beside relu(-x)."""
    x = as_tensor(features)
    return functions.concat([functions.maximum(x, 0.0), functions.maximum(-x, 0.0)], functions.one_axis(x.rank, axis))


@operation
def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """relu(x weights + biases)."""
    return functions.maximum(as_tensor(x) @ as_tensor(weights) + biases, 0.0)


@operation
def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """The share of entries that are 0, float32."""
    return functions.reduce_mean(functions.cast(functions.equal(as_tensor(value), 0), "float32"))


@operation
def sign(x: Any, name: str | None = None) -> Tensor:
    """-1, 0 or 1; of NaN it is 0, as TensorFlow has it."""
    return sign_of(TensorBackend(), as_tensor(x))


@operation
def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Tensor:
    """A number times a tensor."""
    return as_tensor(x) * scalar


@operation
def identity_n(input: Sequence[Any], name: str | None = None) -> list[Tensor]:
    """The tensors themselves."""
    if not isinstance(input, list | tuple):
        raise DtypeError(f"tf.identity_n takes a list of Tensors, not {shown(input)}")
    return [identity(item) for item in input]


# Along axes --------------------------------------------------------------------------------------------


def _kept(keepdims: Any, keep_dims: Any) -> bool:
    return bool(keepdims or keep_dims)


@operation
def argmin(
    input: Any, axis: int | None = None, name: str | None = None, dimension: int | None = None,
    output_type: Any = "int64",
) -> Tensor:  # fmt: skip
    """Index of the first smallest entry along an axis, by default the first axis."""
    along = next((item for item in (axis, dimension) if item is not None), 0)
    return functions.cast(functions.argmin(input, along), dtype_name(output_type))


@operation
def arg_min(input: Any, dimension: int, output_type: Any = "int64", name: str | None = None) -> Tensor:
    """Index of the first smallest entry along an axis, as before TensorFlow 1.0."""
    return argmin(input, dimension, output_type=output_type)


@operation
def count_nonzero(
    input_tensor: Any = None, axis: Axis = None, keepdims: bool | None = None, dtype: Any = "int64",
    name: str | None = None, reduction_indices: Axis = None, keep_dims: bool | None = None, input: Any = None,
) -> Tensor:  # fmt: skip
    """How many entries are not 0 along axes."""
    along = reduction_indices if axis is None else axis
    count = statistics.count_nonzero(input_tensor if input is None else input, along, _kept(keepdims, keep_dims))
    return functions.cast(count, dtype_name(dtype))


@operation
def norm(
    tensor: Any, ord: Any = "euclidean", axis: Axis = None, keepdims: bool | None = None, name: str | None = None,
    keep_dims: bool | None = None,
) -> Tensor:  # fmt: skip
    """The norm of vectors along an axis, or along all, and of matrices along two: those that TensorFlow has, but for
    the largest singular value.
    """
    kept = _kept(keepdims, keep_dims)
    axes = axis if isinstance(axis, list | tuple) else None
    if axes is not None and len(axes) != 2:
        raise ArgumentError(f"tf.norm: axis={shown(axis)} must be None, an int, or two of them")
    if isinstance(ord, str):
        if ord not in ("euclidean", "fro") or (ord == "fro" and axes is None):
            raise ArgumentError(f"tf.norm: ord={shown(ord)}; use 'euclidean', of matrices 'fro', or a positive number")
        return norms.vector_norm(tensor, 2, axis, kept)
    if isinstance(ord, bool) or not isinstance(ord, int | float | np.number) or not ord > 0:
        raise ArgumentError(f"tf.norm: ord={shown(ord)}; use 'euclidean' or a positive number")
    if axes is not None:
        return norms.matrix_norm(tensor, float(ord), axes, kept)
    return norms.vector_norm(tensor, float(ord), axis, kept)


# Constants ----------------------------------------------------------------------------------------------


@operation
def eye(
    num_rows: int, num_columns: int | None = None, batch_shape: Any = None, dtype: Any = "float32",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal of a matrix."""
    rows, columns = num_rows, num_rows if num_columns is None else num_columns
    if batch_shape is not None or not all(isinstance(size, int) and 0 < size <= 1 << 14 for size in (rows, columns)):
        raise ArgumentError(f"tf.eye takes numbers of rows and columns, and no batch, not {shown((rows, columns))}")
    return constant(np.eye(rows, columns), dtype_name(dtype))


@operation
def linspace(start: float, stop: float, num: int, name: str | None = None) -> Tensor:
    """Numbers at equal distances."""
    if not isinstance(num, int) or not 0 < num <= 1 << 28 or isinstance(num, bool):
        raise ArgumentError(f"tf.linspace gives 1 number or more, not {shown(num)}")
    try:
        return constant(np.linspace(float(start), float(stop), num), "float32")
    except (TypeError, ValueError, OverflowError):
        raise DtypeError(f"tf.linspace goes from a number to another, not {shown((start, stop))}") from None
