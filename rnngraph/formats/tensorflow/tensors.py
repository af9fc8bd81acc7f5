"""Decodes arrays of TensorFlow's dtypes, from bytes or from the numbers of a ``TensorProto``."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ...support.allocation import reserve
from .messages import TensorProto

BFLOAT16 = 14
DTYPES: Mapping[int, str] = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    8: "<c8",
    9: "<i8",
    10: "?",
    BFLOAT16: "<u2",
    17: "<u2",
    18: "<c16",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
"""NumPy's dtypes of stored bytes, by TensorFlow's ``DataType``."""
_VALUES = {
    1: "float_val",
    2: "double_val",
    3: "int_val",
    4: "int_val",
    5: "int_val",
    6: "int_val",
    9: "int64_val",
    10: "bool_val",
    17: "int_val",
    19: "half_val",
    BFLOAT16: "half_val",
}
"""Field of a ``TensorProto`` that has the numbers of a dtype, by TensorFlow's ``DataType``."""


def array_of_tensor(
    tensor: TensorProto, dtype: int, shape: tuple[int, ...], label: str, default: int | None = None
) -> np.ndarray:
    """Return the array that a ``TensorProto`` contains. If its list of numbers is too short, the last one is repeated.

    Args:
        tensor: The message.
        dtype: Number of TensorFlow's ``DataType``.
        shape: Shape of the array.
        label: Name of the array in errors.
        default: Number for an empty list; None if an empty list is an error.

    Raises:
        ValueError: The message has too many numbers or bytes for the shape, or none, or the dtype is not supported.
    """
    if tensor.tensor_content:
        return array_of_bytes(tensor.tensor_content, dtype, shape, label)
    if dtype not in _VALUES:
        raise ValueError(f"TensorFlow's DataType {dtype} of {label} is not supported; it must be a type of numbers")
    numbers: np.ndarray = getattr(tensor, _VALUES[dtype])
    count = math.prod(shape)
    if not numbers.size and default is not None:
        numbers = np.full(min(count, 1), default, numbers.dtype)
    if numbers.size > count or (count and not numbers.size):
        raise ValueError(f"{label} has {numbers.size} numbers; its shape is {list(shape)}")
    reserve(8 * count, f"the array {label}")
    whole = np.concatenate([numbers, np.repeat(numbers[-1:], count - numbers.size)])
    if _VALUES[dtype] == "half_val":  # The field has the bits of 16-bit floats, as ints.
        return array_of_bytes(whole.astype("<u2").tobytes(), dtype, shape, label)
    return whole.astype(DTYPES[dtype]).reshape(shape)


def array_of_bytes(data: bytes | memoryview, dtype: int, shape: tuple[int, ...], label: str) -> np.ndarray:
    """Return the array that bytes contain, in native byte order; bfloat16 becomes float32.

    Raises:
        ValueError: The bytes do not fit the shape, or the dtype is not supported.
    """
    if dtype not in DTYPES:
        raise ValueError(f"TensorFlow's DataType {dtype} of {label} is not supported; it must be a type of numbers")
    if any(size < 0 for size in shape) or math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != len(data):
        raise ValueError(f"{label} has {len(data)} bytes, which do not fit its shape {list(shape)}")
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    if dtype == BFLOAT16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(array.dtype.newbyteorder("="))
