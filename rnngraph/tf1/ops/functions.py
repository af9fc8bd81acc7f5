"""TensorFlow 1.x's functions of tensors, with its names and arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.functions import activations, statistics
from ...declare.functions import basic as functions
from ...declare.functions.arrays import filling, moves
from ...declare.functions.basic import Axis
from ...declare.functions.elementary import angles, hyperbolic, normal
from ...declare.tensor import Tensor, as_tensor, build, holds_tensors
from ...declare.tensor import constant as make_constant
from ...ir.types import FLOATS, Size, product
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core import elementwise
from ..core.dtypes import cast_to, dtype_name, refuse
from ..core.operations import operation
from ..core.shapes import filled_shape
from ..core.sizes import anchored, reshaped, sizes_in

Function = Callable[..., Tensor]
_MAX_STORED = 1 << 20
"""Maximum elements of a filled constant that is stored as an array. Larger constants are broadcast in the run."""


def unary(function: Callable[[Any], Tensor], own_name: str = "") -> Function:
    """Return a public function (x, name=None) that computes ``function(x)``. Its name may be ``own_name``."""

    def apply(x: Any, name: str | None = None) -> Tensor:
        return function(x)

    return _named(apply, function, own_name)


def binary(function: Callable[[Any, Any], Tensor], own_name: str = "") -> Function:
    """Return a public function (x, y, name=None) that computes ``function(x, y)``. Its name may be ``own_name``."""

    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return function(x, y)

    return _named(apply, function, own_name)


def _activation(function: Callable[[Any], Tensor]) -> Function:
    """Return a public function (features, name=None) that computes ``function(features)``."""

    def apply(features: Any, name: str | None = None) -> Tensor:
        return function(features)

    return _named(apply, function)


def reduction(function: Callable[[Any, Axis, bool], Tensor], own_name: str = "") -> Function:
    """Return a public reduction that computes ``function(x, axis, keepdims)``. Its name may be ``own_name``."""

    def apply(
        input_tensor: Any,
        axis: Axis = None,
        keepdims: bool | None = None,
        name: str | None = None,
        reduction_indices: Axis = None,
        keep_dims: bool | None = None,
    ) -> Tensor:
        return function(input_tensor, reduction_indices if axis is None else axis, bool(keepdims or keep_dims))

    return _named(apply, function, own_name)


def along_axis(function: Callable[[Any, int], Tensor]) -> Function:
    """Return a public function (logits, axis) that computes ``function`` along an axis, by default the last axis."""

    def apply(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
        return function(logits, _first_not_none(axis, dim, -1))

    return _named(apply, function)


def _named(apply: Function, function: Callable[..., Tensor], own_name: str = "") -> Function:
    """Make ``apply`` public, with the docstring of ``function``. Its name is ``own_name`` or that of ``function``."""
    apply.__name__ = apply.__qualname__ = own_name or function.__name__
    apply.__doc__ = function.__doc__
    return operation(apply)


def _first_not_none(*values: Any) -> Any:
    """Return the first value that is not None; None if all values are."""
    return next((value for value in values if value is not None), None)


def _operator(name: str, formula: str, function: Callable[[Tensor, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """Return a function of two operands that converts a number to the other's dtype. Its docstring has ``formula``."""

    def apply(x: Any, y: Any) -> Tensor:
        return function(x if isinstance(x, Tensor) else _in_dtype_of(x, y), y)

    apply.__name__, apply.__doc__ = name, f"Return {formula}, elementwise."
    return operation(apply)


def _in_dtype_of(value: Any, other: Any) -> Tensor:
    """Convert an operand to a Tensor. A number gets the dtype of the other operand."""
    if holds_tensors(value):
        return as_tensor(value)
    is_number = not isinstance(value, list | tuple) and np.ndim(value) == 0
    return make_constant(value, other.dtype if isinstance(other, Tensor) and is_number else None)


tanh, sigmoid, exp, log = (unary(f) for f in (functions.tanh, functions.sigmoid, functions.exp, functions.log))
log1p, expm1, square, sqrt = (unary(f) for f in (functions.log1p, functions.expm1, functions.square, functions.sqrt))
sin, cos, atan = (unary(f) for f in (functions.sin, functions.cos, functions.atan))
erf, erfc = unary(functions.erf), unary(normal.erfc)
tan, asin, acos = unary(angles.tan), unary(angles.asin), unary(angles.acos)
sinh, cosh, asinh = unary(hyperbolic.sinh), unary(hyperbolic.cosh), unary(hyperbolic.asinh)
acosh, atanh = unary(hyperbolic.acosh), unary(hyperbolic.atanh)
abs, logical_not = unary(functions.abs), unary(functions.logical_not)

add, subtract = (
    binary(_operator("add", "x + y", lambda x, y: x + y)),
    binary(_operator("subtract", "x - y", lambda x, y: x - y)),
)
multiply, divide = (
    binary(_operator("multiply", "x * y", lambda x, y: x * y)),
    binary(_operator("divide", "x / y", elementwise.quotient)),
)
less_equal, greater_equal = (
    binary(_operator("less_equal", "x <= y", lambda x, y: x <= y)),
    binary(_operator("greater_equal", "x >= y", lambda x, y: x >= y)),
)
pow = binary(_operator("pow", "x ** y", elementwise.power))
maximum, minimum = binary(elementwise.maximum), binary(elementwise.minimum)
equal, not_equal = binary(functions.equal), binary(functions.not_equal)
less, greater = binary(functions.less), binary(functions.greater)
logical_and, logical_or = binary(functions.logical_and), binary(functions.logical_or)

relu, relu6, elu, selu = (
    _activation(f) for f in (elementwise.relu, elementwise.relu6, activations.elu, elementwise.selu)
)
softplus, softsign, swish = (_activation(f) for f in (activations.softplus, activations.softsign, activations.swish))
softmax, log_softmax = along_axis(activations.softmax), along_axis(activations.log_softmax)

reduce_sum, reduce_mean = reduction(functions.reduce_sum), reduction(functions.reduce_mean)
reduce_max, reduce_min = reduction(functions.reduce_max), reduction(functions.reduce_min)
reduce_all, reduce_any = reduction(statistics.reduce_all), reduction(statistics.reduce_any)


@operation
def identity(input: Any, name: str | None = None) -> Tensor:
    """Return a copy of a float Tensor. ``tf.gradients`` can differentiate with respect to the copy.

    Variables, constants, and Tensors of ints and bools are returned unchanged.
    """
    x = as_tensor(input)
    if x.node.op in ("parameter", "constant") or x.type.dtype not in FLOATS:
        return x
    return build("reshape", x, shape=x.type.shape)


@operation
def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Return x in another dtype."""
    if hasattr(x, "cast_to"):  # a sparse Tensor
        return x.cast_to(dtype_name(dtype))
    return cast_to(x, dtype)


@operation
def to_float(x: Any, name: str = "ToFloat") -> Tensor:
    """Return x as float32."""
    return functions.cast(x, "float32")


@operation
def constant(
    value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str = "Const", verify_shape: bool = False
) -> Tensor:
    """Return a Tensor with a constant value.

    Python floats become float32, ints int32. ``shape`` reshapes the value, and repeats its last entry as needed. With
    ``verify_shape``, the value must have that shape.
    """
    result = make_constant(value, None if dtype is None else dtype_name(dtype))
    array = np.array(value)
    if dtype is None and array.dtype.kind == "i" and not isinstance(value, np.ndarray | np.generic):
        result = make_constant(value, "int32")
    if shape is None:
        return result
    return make_constant(filled_shape(array, tuple(int(size) for size in shape), verify_shape), result.dtype)


def filled(value: Any, shape: Any, dtype: str) -> Tensor:
    """Return a tensor filled with one value. Sizes may be symbolic."""
    sizes = sizes_in(shape)
    fixed = [size for size in sizes if isinstance(size, int)]
    if None in sizes or any(size < 0 for size in fixed):
        raise ShapeError(f"{shown(shape)} is not a shape; all sizes must be known, and 0 or more")
    if len(fixed) == len(sizes) and math.prod(fixed) <= _MAX_STORED:
        return constant(value, dtype, fixed)
    return anchored(build("broadcast", make_constant(value, dtype), shape=tuple(sizes)), shape)


@operation
def zeros(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Return zeros of a shape: ints, or entries of ``tf.shape``."""
    return filled(0, shape, dtype_name(dtype))


@operation
def ones(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Return ones of a shape: ints, or entries of ``tf.shape``."""
    return filled(1, shape, dtype_name(dtype))


@operation
def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """Return a tensor filled with a number or a scalar Tensor."""
    if not isinstance(value, Tensor):
        return filled(value, dims, constant(value).dtype)
    if value.node.op == "constant":
        return filled(value.node["value"], dims, value.dtype)
    return anchored(build("broadcast", value, shape=tuple(sizes_in(dims))), dims)


@operation
def zeros_like(tensor: Tensor, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Return zeros in the shape of a tensor. ``optimize`` has no effect."""
    return filling.zeros_like(tensor, None if dtype is None else dtype_name(dtype))


@operation
def ones_like(tensor: Tensor, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Return ones in the shape of a tensor. ``optimize`` has no effect."""
    return filling.ones_like(tensor, None if dtype is None else dtype_name(dtype))


@operation
def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return the matrix product a @ b. ``adjoint_a`` and ``adjoint_b`` only transpose, because no dtype is complex."""
    left, right = _transposed(a) if transpose_a or adjoint_a else a, _transposed(b) if transpose_b or adjoint_b else b
    return functions.matmul(left, right)


def _transposed(x: Any) -> Tensor:
    """Return matrices with their last two axes swapped. Raise ``ShapeError`` for a rank below 2."""
    x = functions.identity(x)
    if x.rank < 2:
        raise ShapeError(f"tf.matmul can transpose only matrices, not {x!r}")
    return moves.swapaxes(x, -2, -1)


@operation
def concat(values: Any, axis: Any, name: str = "concat") -> Tensor:
    """Concatenate tensors along an axis."""
    if isinstance(values, int):
        raise DtypeError("tf.concat has the tensors first and the axis second since TensorFlow 1.0; swap them")
    return functions.concat(_converted_together(values) if isinstance(values, list | tuple) else [values], axis)


@operation
def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str = "split"
) -> list[Tensor]:
    """Split a tensor along an axis, into a number of equal parts, or into parts of given sizes."""
    if isinstance(value, int):
        raise DtypeError("tf.split has the tensor first and the axis third since TensorFlow 1.0; swap them")
    return functions.split(converted(value), num_or_size_splits, axis)


@operation
def stack(values: Sequence[Any], axis: int = 0, name: str = "stack") -> Tensor:
    """Stack tensors of one shape along a new axis. A Tensor in place of the list is returned unchanged for axis 0."""
    if isinstance(values, Tensor) and axis == 0:
        return values
    return functions.stack(_converted_together(values), axis)


@operation
def unstack(value: Tensor, num: int | None = None, axis: int = 0, name: str = "unstack") -> list[Tensor]:
    """Return the list of a tensor's entries along an axis of fixed size."""
    value = functions.identity(converted(value))
    entries = moves.unstack(value, axis)
    if num not in (None, len(entries)):
        raise ShapeError(f"tf.unstack: num={num}, but axis {axis} of {value!r} has size {len(entries)}; leave out num=")
    return entries


@operation
def transpose(a: Any, perm: Sequence[int] | None = None, name: str = "transpose", conjugate: bool = False) -> Tensor:
    """Permute the axes of a tensor to the order ``perm``; by default reverse them."""
    return functions.transpose(a, perm)


@operation
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """Reshape a tensor.

    One size may be -1, None keeps the size of its axis, and other sizes are ints or entries of ``tf.shape``.
    """
    x, sizes = as_tensor(tensor), sizes_in(shape)
    count = product(sizes) if all(isinstance(size, int) and size >= 0 for size in sizes) else None
    elements = product(x.type.shape)
    if count is not None and isinstance(elements, Size):  # the run checks that x has this number of elements
        x = build("ensure_shape", functions.reshape(x, [-1]), shape=(count,))
    return reshaped(x, sizes, shape)


@operation
def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """Repeat a tensor ``multiples[a]`` times along each axis a. Multiples are ints or entries of ``tf.shape``."""
    x = converted(input)
    counts = sizes_in(multiples)
    if len(counts) != x.rank:
        raise ShapeError(f"tf.tile needs one multiple for each axis of {x!r}, not {len(counts)}")
    for axis, count in enumerate(counts):
        if isinstance(count, Size):  # a symbolic count: broadcast along a new axis, and merge the axes
            before, (size, *after) = x.type.shape[:axis], x.type.shape[axis:]
            repeated = build("reshape", x, shape=(*before, 1, size, *after))
            x = build("broadcast", repeated, shape=(*before, count, size, *after))
            x = anchored(build("reshape", x, shape=(*before, count * size, *after)), multiples)
    return moves.tile(x, [1 if isinstance(count, Size) else count for count in counts])


@operation
def expand_dims(input: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
    """Insert an axis of size 1."""
    position = _first_not_none(axis, dim)
    if position is None:
        raise ArgumentError("tf.expand_dims needs an axis")
    if isinstance(position, list | tuple) and len(position) == 1:
        position = position[0]
    return functions.expand_dims(input, position)


@operation
def squeeze(input: Any, axis: Axis = None, name: str | None = None, squeeze_dims: Axis = None) -> Tensor:
    """Remove the axes ``axis`` of size 1, by default all axes of size 1."""
    return functions.squeeze(input, _first_not_none(axis, squeeze_dims))


@operation
def atan2(y: Any, x: Any, name: str | None = None) -> Tensor:
    """Return the angle of the point (x, y) in radians, from -π to π."""
    return angles.atan2(y, x)


@operation
def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    name: str | None = None,
    axis: int | None = None,
    batch_dims: int = 0,
) -> Tensor:
    """Return the entries of ``params`` at ``indices`` along an axis, by default the first axis.

    ``validate_indices`` has no effect: fed indices are checked at each call, and computed ones are clamped to the axis.
    """
    refuse("tf.gather", "use tf.gather_nd", batch_dims=batch_dims or None)
    return functions.gather(params, indices, axis or 0, negative=False)


@operation
def embedding_lookup(
    params: Any,
    ids: Any,
    partition_strategy: str = "mod",
    name: str | None = None,
    validate_indices: bool = True,
    max_norm: float | None = None,
) -> Tensor:
    """Return the rows of an embedding table at ``ids``. ``partition_strategy`` and ``validate_indices`` have no effect.

    Fed ids are checked at each call, and computed ones are clamped to the table.
    """
    refuse("tf.nn.embedding_lookup", "clip the rows with tf.clip_by_norm", max_norm=max_norm)
    if isinstance(params, list | tuple) and len(params) > 1:
        raise ArgumentError(
            f"tf.nn.embedding_lookup: a table of {len(params)} arrays is not offered; join them with tf.concat, "
            "or pass one array"
        )
    table = params[0] if isinstance(params, list | tuple) and len(params) == 1 else params
    return functions.gather(table, ids, negative=False)


@operation
def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """Return one-hot vectors of ``depth`` entries: ``on_value`` (1) at the index, ``off_value`` (0) elsewhere.

    The vectors are along a new axis ``axis``, by default the last.
    """
    number = _first_not_none(on_value, off_value, 1.0)
    kind = converted(number).type.dtype if dtype is None else dtype_name(dtype)
    place = -1 if axis is None else axis
    return functions.one_hot(indices, depth, kind, place, _first_not_none(on_value, 1), _first_not_none(off_value, 0))


@operation
def argmax(
    input: Any,
    axis: int | None = None,
    name: str | None = None,
    dimension: int | None = None,
    output_type: Any = "int64",
) -> Tensor:
    """Return the index of the first largest entry along an axis, by default the first axis."""
    return functions.cast(functions.argmax(input, _first_not_none(axis, dimension, 0)), dtype_name(output_type))


def converted(value: Any) -> Tensor:
    """Convert a value to a Tensor. Numbers and arrays become constants with TensorFlow's default dtype."""
    return as_tensor(value) if isinstance(value, Tensor) or holds_tensors(value) else constant(value)


def _converted_together(values: Sequence[Any]) -> list[Any]:
    """Convert values to Tensors. Numbers and lists get the dtype of the first Tensor, or TensorFlow's default dtype.

    If there is a Tensor, arrays keep their dtype.
    """
    kinds = [value.dtype for value in values if isinstance(value, Tensor)]
    if not kinds:
        return [converted(value) for value in values]
    return [
        as_tensor(value)
        if isinstance(value, Tensor | np.ndarray | np.generic) or holds_tensors(value)
        else make_constant(value, kinds[0])
        for value in values
    ]
