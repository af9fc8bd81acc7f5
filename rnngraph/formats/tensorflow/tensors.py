"""Arrays of TensorFlow's dtypes: from their bytes, or from the numbers of a ``TensorProto``."""

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
"""NumPy's dtypes of stored bytes, by the numbers of TensorFlow's ``DataType``."""
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
"""Field of a ``TensorProto`` that holds the numbers of a dtype."""


def array_of_tensor(
    tensor: TensorProto, dtype: int, shape: tuple[int, ...], label: str, default: int | None = None
) -> np.ndarray:
    """Return the array of a ``TensorProto``. The last number of a list stands for all that follow.

    Args:
        tensor: The message.
        dtype: Number of TensorFlow's ``DataType``.
        shape: Shape of the array.
        label: Name of the array in errors.
        default: Value of all numbers where the list is empty; None: an empty list is damage.

    Raises:
        ValueError: The message does not hold such an array, or the dtype is not read.
    """
    if tensor.tensor_content:
        return array_of_bytes(tensor.tensor_content, dtype, shape, label)
    if dtype not in _VALUES:
        raise ValueError(f"{label} is of TensorFlow's type {dtype}, which is not read")
    numbers: np.ndarray = getattr(tensor, _VALUES[dtype])
    count = math.prod(shape)
    if not numbers.size and default is not None:
        numbers = np.full(min(count, 1), default, numbers.dtype)
    if numbers.size > count or (count and not numbers.size):
        raise ValueError(f"{label} has {numbers.size} numbers for shape {shape}")
    reserve(8 * count, f"the array {label}")
    whole = np.concatenate([numbers, np.repeat(numbers[-1:], count - numbers.size)])
    if _VALUES[dtype] == "half_val":  # 16 bits of a float each
        return array_of_bytes(whole.astype("<u2").tobytes(), dtype, shape, label)
    return whole.astype(DTYPES[dtype]).reshape(shape)


def array_of_bytes(data: bytes | memoryview, dtype: int, shape: tuple[int, ...], label: str) -> np.ndarray:
    """Return an array from its bytes, in native byte order; bfloat16 as float32.

    Raises:
        ValueError: The bytes are none of such an array, or the dtype is not read.
    """
    if dtype not in DTYPES:
        raise ValueError(f"{label} is of TensorFlow's type {dtype}, which is not read")
    if any(size < 0 for size in shape) or math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != len(data):
        raise ValueError(f"{label} has {len(data)} bytes, which are none of shape {list(shape)}")
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    if dtype == BFLOAT16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(array.dtype.newbyteorder("="))
