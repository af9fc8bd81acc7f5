"""What the parts of ``tf1`` share: dtypes, namespaces, arguments that are accepted or refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.public_types import check_dtype
from ...declare.tensor import Tensor
from ...support.api_guard import api
from ...support.errors import ArgumentError, NotOfferedError
from .absent import not_offered

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


class Namespace:
    """A path of TensorFlow's. A name that is not offered raises an error that names what to use instead."""

    def __init__(self, path: str, members: dict[str, Any]) -> None:
        self.__dict__.update(members)
        self._path = path

    def __getattr__(self, name: str) -> Any:
        raise missing(self.__dict__.get("_path", ""), name)

    def __dir__(self) -> list[str]:
        return sorted(name for name in self.__dict__ if not name.startswith("_"))

    def __repr__(self) -> str:
        return f"<rnngraph.tf1.{self._path}>"


def missing(path: str, name: str) -> AttributeError:
    """The error for a name that ``tf.<path>`` does not have."""
    if name.startswith("_"):  # Python itself asks for these
        return AttributeError(f"tf has no {name}")
    error: NotOfferedError = not_offered(f"{path}.{name}" if path else name)
    return error


def refuse(what: Any, remedy: str, **options: Any) -> None:
    """An error for the first option that is not None."""
    for name, value in options.items():
        if value is not None:
            raise ArgumentError(f"{what}: {name}={value!r} is not offered; {remedy}")
