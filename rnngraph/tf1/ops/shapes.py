"""TensorFlow 1.x's functions of sizes, and small arithmetic functions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.matching import is_within
from ...declare.tensor import Tensor, as_tensor, build, holds_tensors
from ...ir.types import FLOATS, Size, product
from ...support.arguments import number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core import elementwise
from ..core.dtypes import dtype_name
from ..core.operations import operation
from ..core.sizes import anchored, shape_tensor, size_tensor, sizes_in
from .functions import constant

_MAX_NUMBERS = 1 << 28
"""Maximum length of a range of floats, which is stored as a constant: 1 GiB of float32."""


@operation
def shape(input: Any, name: str | None = None, out_type: Any = "int32") -> Tensor:
    """Return the shape of a tensor as a vector, which other functions accept as a shape even with symbolic sizes."""
    return shape_tensor(as_tensor(input), dtype_name(out_type))


@operation
def size(input: Any, name: str | None = None, out_type: Any = "int32") -> Tensor:
    """Return the number of elements of a tensor, as a scalar."""
    x = as_tensor(input)
    return size_tensor(x, product(x.type.shape), dtype_name(out_type))


@operation
def rank(input: Any, name: str | None = None) -> Tensor:
    """Return the rank of a tensor, as a scalar int32."""
    return constant(as_tensor(input).rank)


@operation
def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str = "range") -> Tensor:
    """Return the numbers from ``start`` up to, but not including, ``limit`` in steps of ``delta``.

    With one argument, it is the limit, and ``start`` is 0. ``start`` and ``limit`` may be entries of ``tf.shape``.
    """
    if limit is None:
        start, limit = 0, start
    if any(isinstance(item, float | np.floating) for item in (start, limit, delta)):
        begin, stop, spacing = (number(item, "a limit of tf.range") for item in (start, limit, delta))
        return _float_range(begin, stop, spacing, dtype)
    step = sizes_in([delta])[0]
    first, end = sizes_in([start, limit])
    if not isinstance(step, int) or not step:
        raise ArgumentError(f"tf.range needs a nonzero int as delta, not {shown(delta)}")
    count = end - first
    if isinstance(count, Size) and step != 1:
        raise ShapeError("tf.range up to a symbolic size needs delta=1; use delta=1, and multiply the result")
    if not isinstance(count, Size):
        count = max(0, -(-count // step))
    offset = functions.dimension(first, "int64")
    numbers = anchored(build("iota", size=count), [start, limit]) * step + offset
    return functions.cast(numbers, "int32" if dtype is None else dtype_name(dtype))


def _float_range(start: float, limit: float, delta: float, dtype: Any) -> Tensor:
    """Return a range of floats as a constant."""
    if not delta or not abs(limit - start) / abs(delta) < _MAX_NUMBERS:
        raise ArgumentError(
            f"tf.range from {start} to {limit} by {delta} does not end, or has more than {_MAX_NUMBERS} entries; "
            "use another delta"
        )
    return constant(np.arange(start, limit, delta), dtype or "float32")


@operation
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Broadcast a tensor to a shape."""
    sizes = sizes_in(shape)
    if None in sizes:
        raise ShapeError(
            f"tf.broadcast_to needs a shape of known sizes, not {shown(shape)}; use entries of tf.shape for symbolic "
            "sizes"
        )
    return anchored(build("broadcast", as_tensor(input), shape=tuple(sizes)), shape)


@operation
def convert_to_tensor(
    value: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None, dtype_hint: Any = None
) -> Tensor:
    """Convert a number, an array or a list of Tensors to a Tensor. A Tensor is returned unchanged.

    Args:
        dtype: Dtype of the result. Tensors are not converted: they must have it already.
        preferred_dtype: Dtype of the result without ``dtype``, if numbers and arrays can be converted to it.
        dtype_hint: Newer name of ``preferred_dtype``.
    """
    if isinstance(value, Tensor) or holds_tensors(value):
        x = as_tensor(value)
        if dtype is not None and x.dtype != dtype_name(dtype):
            raise DtypeError(f"tf.convert_to_tensor: {x!r} is not {dtype_name(dtype)}; convert it with tf.cast")
        return x
    preferred = preferred_dtype if dtype_hint is None else dtype_hint
    if dtype is None and preferred is not None:
        with contextlib.suppress(DtypeError):
            return constant(value, preferred)
    return constant(value, dtype)


@operation
def accumulate_n(inputs: Sequence[Any], shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Tensor:
    """Return the sum of several tensors of one shape. ``shape`` and ``tensor_dtype`` have no effect."""
    return add_n(inputs)


@operation
def add_n(inputs: Sequence[Any], name: str | None = None) -> Tensor:
    """Return the sum of several tensors of one shape."""
    if not isinstance(inputs, list | tuple) or not inputs:
        raise DtypeError(f"tf.add_n needs a list of Tensors, not {shown(inputs)}")
    total = as_tensor(inputs[0])
    for item in inputs[1:]:
        total = total + item
    return total


@operation
def negative(x: Any, name: str | None = None) -> Tensor:
    """Return -x."""
    return -as_tensor(x)


@operation
def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """Return a tensor through which no gradient passes."""
    x = as_tensor(input)
    return functions.stop_gradient(x) if x.dtype in FLOATS else x


@operation
def squared_difference(x: Any, y: Any, name: str | None = None) -> Tensor:
    """Return (x - y) squared."""
    return elementwise.squared_difference(x, y)


@operation
def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Return half the sum of squares."""
    return functions.reduce_sum(functions.square(t)) / 2.0


@operation
def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """Return x @ weights + biases."""
    return functions.matmul(x, weights) + biases


@operation
def bias_add(value: Any, bias: Any, data_format: Any = None, name: str | None = None) -> Tensor:
    """Return value + bias along the axis of channels: axis 1 for a ``data_format`` such as "NCHW", else the last."""
    x = as_tensor(value)
    if data_format is None or (isinstance(data_format, str) and data_format[:1] + data_format[-1:] == "NC"):
        return x + bias
    if not isinstance(data_format, str) or not data_format.startswith("NC") or x.rank < 2:
        raise ArgumentError(f'tf.nn.bias_add: data_format must be "NHWC" or "NCHW", not {shown(data_format)}')
    return x + functions.reshape(bias, (-1, *(1,) * (x.rank - 2)))


@operation
def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = "bool", name: str | None = None) -> Tensor:
    """Return a mask [..., maxlen] that is True for steps before a row's length.

    ``maxlen`` is the largest length by default.
    """
    longest = functions.reduce_max(as_tensor(lengths)) if maxlen is None else maxlen
    limits = functions.expand_dims(functions.cast(lengths, "int64"), -1)
    inside = anchored(is_within(sizes_in([longest])[0], limits), longest)
    return functions.cast(inside, dtype_name(dtype))
