"""TensorFlow 1.x's functions of tensors, with its names and arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.functions import activations, cumulative, padding, randomness, statistics
from ...declare.functions import basic as functions
from ...declare.functions.arrays import filling, moves
from ...declare.functions.basic import Axis
from ...declare.functions.elementary import angles, hyperbolic, normal
from ...declare.functions.randomness import KeepProb
from ...declare.tensor import Tensor, as_tensor, build, holds_tensors
from ...declare.tensor import constant as make_constant
from ...ir.types import FLOATS, Size, product
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core import elementwise
from ..core.names import cast_to, dtype_name, refuse
from ..core.operations import operation
from ..core.sizes import anchored, reshaped, sizes_in
from ..train.gradients import clipped_by_value

Function = Callable[..., Tensor]
_WRITTEN_OUT = 1 << 20
"""Elements of a constant of one number that is an array; a larger one is made in the run."""


def unary(function: Callable[[Any], Tensor], own_name: str = "") -> Function:
    """Return a function of one tensor. own_name: TensorFlow's, where it is another one."""

    def apply(x: Any, name: str | None = None) -> Tensor:
        return function(x)

    return _named(apply, function, own_name)


def binary(function: Callable[[Any, Any], Tensor], own_name: str = "") -> Function:
    """Return a function of two tensors. own_name: TensorFlow's, where it is another one."""

    def apply(x: Any, y: Any, name: str | None = None) -> Tensor:
        return function(x, y)

    return _named(apply, function, own_name)


def _activation(function: Callable[[Any], Tensor]) -> Function:
    def apply(features: Any, name: str | None = None) -> Tensor:
        return function(features)

    return _named(apply, function)


def reduction(function: Callable[[Any, Axis, bool], Tensor], own_name: str = "") -> Function:
    """Return a function over axes. own_name: TensorFlow's, where it is another one."""

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


def along(function: Callable[[Any, int], Tensor]) -> Function:
    def apply(logits: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
        return function(logits, _first(axis, dim, -1))

    return _named(apply, function)


def _named(apply: Function, function: Callable[..., Tensor], own_name: str = "") -> Function:
    apply.__name__ = apply.__qualname__ = own_name or function.__name__
    apply.__doc__ = function.__doc__
    return operation(apply)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _operator(text: str, function: Callable[[Tensor, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    def apply(x: Any, y: Any) -> Tensor:
        return function(x if isinstance(x, Tensor) else _beside(x, y), y)

    apply.__name__, apply.__doc__ = text, f"x {text} y, elementwise."
    return operation(apply)


def _beside(value: Any, other: Any) -> Tensor:
    """A number takes the dtype of the tensor that it stands beside."""
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
    binary(_operator("add", lambda x, y: x + y)),
    binary(_operator("subtract", lambda x, y: x - y)),
)
multiply, divide = (
    binary(_operator("multiply", lambda x, y: x * y)),
    binary(_operator("divide", lambda x, y: x / y)),
)
less_equal, greater_equal = (
    binary(_operator("less_equal", lambda x, y: x <= y)),
    binary(_operator("greater_equal", lambda x, y: x >= y)),
)
pow = binary(_operator("pow", elementwise.power))
maximum, minimum = binary(elementwise.maximum), binary(elementwise.minimum)
equal, not_equal = binary(functions.equal), binary(functions.not_equal)
less, greater = binary(functions.less), binary(functions.greater)
logical_and, logical_or = binary(functions.logical_and), binary(functions.logical_or)

relu, relu6, elu, selu = (
    _activation(f) for f in (activations.relu, activations.relu6, activations.elu, activations.selu)
)
softplus, softsign, swish = (_activation(f) for f in (activations.softplus, activations.softsign, activations.swish))
softmax, log_softmax = along(activations.softmax), along(activations.log_softmax)

reduce_sum, reduce_mean = reduction(functions.reduce_sum), reduction(functions.reduce_mean)
reduce_max, reduce_min = reduction(functions.reduce_max), reduction(functions.reduce_min)
reduce_all, reduce_any = reduction(statistics.reduce_all), reduction(statistics.reduce_any)


@operation
def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """features where they are positive, alpha times them elsewhere."""
    return activations.leaky_relu(features, alpha)


@operation
def identity(input: Any, name: str | None = None) -> Tensor:
    """A Tensor of the input's value, with a gradient of its own. Variables, constants and ints are the input itself."""
    x = as_tensor(input)
    if x.node.op in ("parameter", "constant") or x.type.dtype not in FLOATS:
        return x
    return build("reshape", x, shape=x.type.shape)


@operation
def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """x in another dtype."""
    if hasattr(x, "cast_to"):  # a sparse Tensor
        return x.cast_to(dtype_name(dtype))
    return cast_to(x, dtype)


@operation
def to_float(x: Any, name: str = "ToFloat") -> Tensor:
    """x as float32."""
    return functions.cast(x, "float32")


@operation
def constant(
    value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str = "Const", verify_shape: bool = False
) -> Tensor:
    """A constant. Python floats become float32 and ints int32; ``shape`` reshapes, and fills from the last value."""
    made = make_constant(value, None if dtype is None else dtype_name(dtype))
    array = np.array(value)
    if dtype is None and array.dtype.kind == "i" and not isinstance(value, np.ndarray | np.generic):
        made = make_constant(value, "int32")
    if shape is None:
        return made
    wanted = tuple(int(size) for size in shape)
    count = int(np.prod(wanted))
    if not 0 < array.size <= count or (verify_shape and array.shape != wanted):
        raise ShapeError(f"constant of {array.size} values does not fill shape {wanted}")
    filled = np.full(count, array.flat[-1])
    filled[: array.size] = array.ravel()
    return make_constant(filled.reshape(wanted), made.dtype)


def filled(value: Any, shape: Any, dtype: str) -> Tensor:
    """A value everywhere in a shape, whose sizes may be open."""
    sizes = sizes_in(shape)
    fixed = [size for size in sizes if isinstance(size, int)]
    if None in sizes or any(size < 0 for size in fixed):
        raise ShapeError(f"{shown(shape)} is no shape of a tensor; give sizes of 0 or more")
    if len(fixed) == len(sizes) and math.prod(fixed) <= _WRITTEN_OUT:
        return constant(value, dtype, fixed)
    return anchored(build("broadcast", make_constant(value, dtype), shape=tuple(sizes)), shape)


@operation
def zeros(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Zeros of a shape, of ints or of what ``tf.shape`` gives."""
    return filled(0, shape, dtype_name(dtype))


@operation
def ones(shape: Any, dtype: Any = "float32", name: str | None = None) -> Tensor:
    """Ones of a shape, of ints or of what ``tf.shape`` gives."""
    return filled(1, shape, dtype_name(dtype))


@operation
def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """A number everywhere in a shape, or a scalar Tensor."""
    if isinstance(value, Tensor) and value.node.op != "constant":
        return anchored(build("broadcast", value, shape=tuple(sizes_in(dims))), dims)
    return filled(value, dims, constant(value).dtype)


@operation
def zeros_like(tensor: Tensor, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Zeros in the shape of a tensor."""
    return filling.zeros_like(tensor, None if dtype is None else dtype_name(dtype))


@operation
def ones_like(tensor: Tensor, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Ones in the shape of a tensor."""
    return filling.ones_like(tensor, None if dtype is None else dtype_name(dtype))


@operation
def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
    adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Matrix product; of real numbers an adjoint is a transpose."""
    left, right = _swapped(a) if transpose_a or adjoint_a else a, _swapped(b) if transpose_b or adjoint_b else b
    return functions.matmul(left, right)


def _swapped(x: Any) -> Tensor:
    """x with its last two axes swapped."""
    x = functions.identity(x)
    if x.rank < 2:
        raise ShapeError(f"{x!r} is no matrix to transpose")
    return functions.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


@operation
def concat(values: Any, axis: Any, name: str = "concat") -> Tensor:
    """Tensors joined along an axis."""
    if isinstance(values, int):
        raise DtypeError("tf.concat takes the tensors first and the axis second, as from TensorFlow 1.0 on")
    return functions.concat(_alike(values) if isinstance(values, list | tuple) else [values], axis)


@operation
def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: int | None = None, name: str = "split"
) -> list[Tensor]:
    """A tensor cut along an axis, into equal pieces or into pieces of the given sizes."""
    if isinstance(value, int):
        raise DtypeError("tf.split takes the tensor first and the axis third, as from TensorFlow 1.0 on")
    return functions.split(_converted(value), num_or_size_splits, axis)


@operation
def stack(values: Sequence[Any], axis: int = 0, name: str = "stack") -> Tensor:
    """Tensors of one shape joined along a new axis."""
    return functions.stack(_alike(values), axis)


@operation
def unstack(value: Tensor, num: int | None = None, axis: int = 0, name: str = "unstack") -> list[Tensor]:
    """The entries of an axis of fixed size, without that axis."""
    value = functions.identity(_converted(value))
    entries = moves.unstack(value, axis)
    if num not in (None, len(entries)):
        raise ShapeError(f"num={num}, but axis {axis} of {value!r} has size {len(entries)}")
    return entries


@operation
def transpose(a: Any, perm: Sequence[int] | None = None, name: str = "transpose", conjugate: bool = False) -> Tensor:
    """A tensor with its axes in the order ``perm``."""
    return functions.transpose(a, perm)


@operation
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """A tensor in another shape. One entry may be -1; None keeps the size of that axis; others may be tf.shape's."""
    x, sizes = as_tensor(tensor), sizes_in(shape)
    wanted = product(sizes) if all(isinstance(size, int) and size >= 0 for size in sizes) else None
    elements = product(x.type.shape)
    if wanted is not None and isinstance(elements, Size):  # as many as a call finds
        x = build("ensure_shape", functions.reshape(x, [-1]), shape=(wanted,))
    return reshaped(x, sizes, shape)


@operation
def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """A tensor repeated ``multiples[a]`` times along each axis a, ints or what ``tf.shape`` gives."""
    x = _converted(input)
    counts = sizes_in(multiples)
    if len(counts) != x.rank:
        raise ShapeError(f"tf.tile takes a count for each axis of {x!r}, not {len(counts)}")
    for axis, count in enumerate(counts):
        if isinstance(count, Size):  # known at run time: copies along an axis of their own, which is then joined
            before, (size, *after) = x.type.shape[:axis], x.type.shape[axis:]
            apart = build("reshape", x, shape=(*before, 1, size, *after))
            x = build("broadcast", apart, shape=(*before, count, size, *after))
            x = anchored(build("reshape", x, shape=(*before, count * size, *after)), multiples)
    return moves.tile(x, [1 if isinstance(count, Size) else count for count in counts])


@operation
def expand_dims(input: Any, axis: int | None = None, name: str | None = None, dim: int | None = None) -> Tensor:
    """A tensor with an axis of 1 inserted."""
    position = _first(axis, dim)
    if position is None:
        raise ArgumentError("tf.expand_dims needs an axis")
    if isinstance(position, list | tuple) and len(position) == 1:
        position = position[0]
    return functions.expand_dims(input, position)


@operation
def squeeze(input: Any, axis: Axis = None, name: str | None = None, squeeze_dims: Axis = None) -> Tensor:
    """A tensor without axes of 1."""
    return functions.squeeze(input, _first(axis, squeeze_dims))


@operation
def atan2(y: Any, x: Any, name: str | None = None) -> Tensor:
    """The angle of the point (x, y)."""
    return angles.atan2(y, x)


@operation
def gather(
    params: Any, indices: Any, validate_indices: Any = None, name: str | None = None, axis: int | None = None,
    batch_dims: int = 0,
) -> Tensor:  # fmt: skip
    """Rows of ``params`` at ``indices``, or entries of another axis."""
    refuse("tf.gather", "use tf.gather_nd", batch_dims=batch_dims or None)
    return functions.gather(params, indices, axis or 0)


@operation
def embedding_lookup(
    params: Any, ids: Any, partition_strategy: str = "mod", name: str | None = None,
    validate_indices: bool = True, max_norm: float | None = None,
) -> Tensor:  # fmt: skip
    """Rows of a table at ``ids``."""
    refuse("tf.nn.embedding_lookup", "limit the rows yourself", max_norm=max_norm)
    if isinstance(params, list | tuple) and len(params) > 1:
        raise ArgumentError(
            f"tf.nn.embedding_lookup: a list is {len(params)} parts of a table; join them with tf.concat, "
            "or give one array"
        )
    return functions.gather(params[0] if isinstance(params, list | tuple) and len(params) == 1 else params, ids)


@operation
def one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int | None = None,
    dtype: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """on_value (1) at each index and off_value (0) elsewhere, on a new axis, by default the last."""
    number = _first(on_value, off_value, 1.0)
    kind = _converted(number).type.dtype if dtype is None else dtype_name(dtype)
    place = -1 if axis is None else axis
    return functions.one_hot(indices, depth, kind, place, _first(on_value, 1), _first(off_value, 0))


@operation
def argmax(
    input: Any, axis: int | None = None, name: str | None = None, dimension: int | None = None,
    output_type: Any = "int64",
) -> Tensor:  # fmt: skip
    """Index of the first largest entry along an axis, by default the first axis."""
    return functions.cast(functions.argmax(input, _first(axis, dimension, 0)), dtype_name(output_type))


@operation
def arg_max(input: Any, dimension: int, output_type: Any = "int64", name: str | None = None) -> Tensor:
    """Index of the first largest entry along an axis, as before TensorFlow 1.0."""
    return argmax(input, dimension, output_type=output_type)


@operation
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """t limited to a range."""
    return clipped_by_value(t, clip_value_min, clip_value_max)


@operation
def dropout(
    x: Tensor, keep_prob: KeepProb | None = None, noise_shape: Any = None, seed: int | None = None,
    name: str | None = None, rate: KeepProb | None = None,
) -> Tensor:  # fmt: skip
    """``rg.dropout`` with TensorFlow's arguments: it is part of the training graph only."""
    refuse("tf.nn.dropout", "give rg.DropoutWrapper variational_recurrent=True", noise_shape=noise_shape)
    if (keep_prob is None) == (rate is None):
        raise ArgumentError("tf.nn.dropout needs keep_prob, the probability to keep a unit, or rate, that to drop it")
    return randomness.dropout(x, 1.0 - rate if keep_prob is None else keep_prob, seed)  # type: ignore[operator]


@operation
def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: float = 0
) -> Tensor:  # fmt: skip
    """``rg.pad`` with TensorFlow's arguments."""
    return padding.pad(tensor, paddings, mode.lower() if isinstance(mode, str) else mode, constant_values)


@operation
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """Sums along an axis so far."""
    return cumulative.cumsum(x, axis, exclusive, reverse)


def _converted(value: Any) -> Tensor:
    """A Tensor itself; all else as a constant, with TensorFlow's dtype."""
    return as_tensor(value) if isinstance(value, Tensor) or holds_tensors(value) else constant(value)


def _alike(values: Sequence[Any]) -> list[Any]:
    """Numbers and lists take the dtype of the Tensors that they stand beside."""
    kinds = [value.dtype for value in values if isinstance(value, Tensor)]
    if not kinds:
        return [_converted(value) for value in values]
    return [
        as_tensor(value)
        if isinstance(value, Tensor | np.ndarray | np.generic) or holds_tensors(value)
        else make_constant(value, kinds[0])
        for value in values
    ]
