"""Dtypes, and checks of arguments, for all of ``tf1``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.public_types import check_dtype
from ...declare.tensor import Tensor
from ...support.api_guard import api
from ...support.errors import ArgumentError

NARROW = ("int8", "uint8", "int16", "uint16")
_ALIASES = {"float": "float32", "double": "float64", float: "float32", int: "int32"} | {
    kind: "int32" for name in NARROW for kind in (name, np.dtype(name).type)
}


class DType(str):
    """Dtype of ``tf``, such as ``tf.float32``, with TensorFlow's attributes."""

    __slots__ = ()

    @api
    def __new__(cls, name: str) -> DType:
        return str.__new__(cls, name)

    @property
    def name(self) -> str:
        """Name of the dtype."""
        return str(self)

    @property
    def as_numpy_dtype(self) -> type[Any]:
        """Scalar type of NumPy."""
        return np.dtype(str(self)).type

    @property
    def base_dtype(self) -> DType:
        """The dtype itself."""
        return self

    @property
    def is_floating(self) -> bool:
        """True for floating-point types."""
        return str(self).startswith("float")

    @property
    def is_integer(self) -> bool:
        """True for integer types."""
        return str(self).startswith("int")

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return np.dtype(str(self)).itemsize


class NarrowInt(DType):
    """Narrow integer type, such as ``tf.uint8``. Its values are stored as int32."""

    @api
    def __new__(cls, name: str) -> NarrowInt:
        dtype = str.__new__(cls, "int32")
        dtype.numpy_dtype = np.dtype(name)
        return dtype

    numpy_dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """Name of the dtype."""
        return self.numpy_dtype.name


float32, float64, int32, int64 = DType("float32"), DType("float64"), DType("int32"), DType("int64")
int8, uint8, int16, uint16 = (NarrowInt(name) for name in NARROW)
bool_ = DType("bool")
string = DType("string")
"""Dtype of strings, which datasets carry. The only Tensor of this dtype is the handle of a feedable iterator."""
newaxis = None


def cast_to(x: Any, dtype: Any) -> Tensor:
    """Convert x to a dtype. Narrow integers wrap around: 257 becomes 1 in ``tf.uint8``."""
    converted = functions.cast(x, dtype_name(dtype))
    if not isinstance(dtype, NarrowInt):
        return converted
    limits = np.iinfo(dtype.numpy_dtype)
    low, count = int(limits.min), int(limits.max) - int(limits.min) + 1
    shifted = converted - low
    left = shifted - functions.cast(functions.cast(shifted, "float64") / count, "int32") * count
    return functions.where(functions.less(left, 0), left + count, left) + low


@api
def as_dtype(type_value: Any) -> DType:
    """Return the dtype of a name, a Python type, or a NumPy type or dtype. Narrow integers become int32."""
    return DType(dtype_name(type_value))


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype. ``tf.float32``, "float", float and np.float32 have the name "float32"."""
    if isinstance(dtype, NarrowInt):
        return "int32"
    if isinstance(dtype, np.dtype):
        dtype = dtype.name
    if isinstance(dtype, str | type) and dtype in _ALIASES:
        return _ALIASES[dtype]
    return check_dtype(np.dtype(dtype) if isinstance(dtype, type) else dtype)


def initializer_from(value: Any) -> Any:
    """Return an initializer. A factory that was not called, such as ``tf.zeros_initializer``, is called."""
    initializer = value() if getattr(value, "makes_initializer", False) else value
    return getattr(initializer, "initializer", initializer)


CONSTRAINED = "assign the constrained value after each update, with tf.assign"
"""Remedy in errors about ``constraint=``, which TensorFlow's optimizers apply after each update."""


def refuse(what: Any, remedy: str, **options: Any) -> None:
    """Raise ``ArgumentError``, with ``remedy``, for the first option that is not None.

    Args:
        what: Function or class, for the error.
        remedy: What to do instead, for the error.
        options: Values by name of arguments that are not offered.
    """
    for name, value in options.items():
        if value is not None:
            raise ArgumentError(f"{what}: {name}={value!r} is not offered; {remedy}")
