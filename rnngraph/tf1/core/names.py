"""What the parts of ``tf1`` share: dtypes, and arguments that are refused."""

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
    """``tf.float32`` and others: the name of a dtype, with what TensorFlow's have."""

    __slots__ = ()

    @api
    def __new__(cls, name: str) -> DType:
        return str.__new__(cls, name)

    @property
    def name(self) -> str:
        """The name."""
        return str(self)

    @property
    def as_numpy_dtype(self) -> type[Any]:
        """NumPy's type."""
        return np.dtype(str(self)).type

    @property
    def base_dtype(self) -> DType:
        """Itself."""
        return self

    @property
    def is_floating(self) -> bool:
        """Whether it is of floats."""
        return str(self).startswith("float")

    @property
    def is_integer(self) -> bool:
        """Whether it is of ints."""
        return str(self).startswith("int")

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return np.dtype(str(self)).itemsize


class NarrowInt(DType):
    """``tf.uint8`` and others: ints of fewer bits, which are held as int32."""

    @api
    def __new__(cls, name: str) -> NarrowInt:
        made = str.__new__(cls, "int32")
        made.held = np.dtype(name)
        return made

    held: np.dtype[Any]

    @property
    def name(self) -> str:
        """The name."""
        return self.held.name


float32, float64, int32, int64 = DType("float32"), DType("float64"), DType("int32"), DType("int64")
int8, uint8, int16, uint16 = (NarrowInt(name) for name in NARROW)
bool_ = DType("bool")
string = DType("string")
"""Dtype of texts, which datasets carry. Of Tensors only the handle of a feedable iterator has it."""
newaxis = None


def cast_to(x: Any, dtype: Any) -> Tensor:
    """x in a dtype that a program gives; narrow ints are what is left of others' lowest bits."""
    found = functions.cast(x, dtype_name(dtype))
    if not isinstance(dtype, NarrowInt):
        return found
    limits = np.iinfo(dtype.held)
    low, count = int(limits.min), int(limits.max) - int(limits.min) + 1
    shifted = found - low
    left = shifted - functions.cast(functions.cast(shifted, "float64") / count, "int32") * count
    return functions.where(functions.less(left, 0), left + count, left) + low


@api
def as_dtype(type_value: Any) -> DType:
    """A dtype from all that TensorFlow takes for one."""
    return DType(dtype_name(type_value))


def dtype_name(dtype: Any) -> str:
    """A dtype's name from all that TensorFlow takes for one: ``tf.float32``, "float", float, np.float32."""
    if isinstance(dtype, NarrowInt):
        return "int32"
    if isinstance(dtype, str | type) and dtype in _ALIASES:
        return _ALIASES[dtype]
    return check_dtype(np.dtype(dtype) if isinstance(dtype, type) else dtype)


def initializer_from(given: Any) -> Any:
    """An initializer, of what programs give for one: itself, or the function of TensorFlow's that makes it."""
    made = given() if getattr(given, "makes_initializer", False) else given
    return getattr(made, "initializer", made)


def refuse(what: Any, remedy: str, **options: Any) -> None:
    """An error for the first option that is not None."""
    for name, value in options.items():
        if value is not None:
            raise ArgumentError(f"{what}: {name}={value!r} is not offered; {remedy}")
