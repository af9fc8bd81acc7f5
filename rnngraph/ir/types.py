"""Types of the graph IR: dtypes, tensor types and tuple types. Sizes are re-exported from ``sizes``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..support.records import dataclass
from .sizes.polynomial import Dim as Dim  # re-exported: the sizes of shapes
from .sizes.polynomial import Shape as Shape
from .sizes.polynomial import Size as Size
from .sizes.polynomial import dim_text as dim_text
from .sizes.polynomial import evaluate as evaluate
from .sizes.polynomial import product as product
from .sizes.polynomial import quotient as quotient
from .sizes.polynomial import rename as rename
from .sizes.polynomial import size as size
from .sizes.polynomial import substitute as substitute
from .sizes.polynomial import symbols_of as symbols_of
from .sizes.polynomial import terms_of as terms_of
from .sizes.polynomial import uncommon as uncommon
from .sizes.polynomial import whole_quotient as whole_quotient
from .sizes.polynomial import without as without

DTYPES = ("float32", "float64", "int32", "int64", "bool")
"""Dtypes of inputs, parameters and results."""
NARROW = ("bfloat16", "int8", "uint8")
"""Further dtypes of parameters, and of operands of matmuls that quantization passes introduce.

In NumPy, a bfloat16 is represented by a rounded float32.
"""
HALF = "float16"
"""Dtype of the scales of weights in blocks, which quantization passes introduce."""
KEEP_NARROW = ("transpose", "reshape", "broadcast", "slice", "gather")
"""Ops that may read a narrow parameter directly, because they only move numbers. Before every other op, it is cast."""
PARAMETER_ARRAYS = {"bfloat16": "uint16"}
"""NumPy dtype of the arrays of parameters of a dtype that NumPy lacks. A bfloat16 is the upper half of a float32."""
SHORT_NAMES = dict(
    zip((*DTYPES, *NARROW, HALF), ("f32", "f64", "i32", "i64", "bool", "bf16", "i8", "u8", "f16"), strict=True)
)
LONG_NAMES = {short: long for long, short in SHORT_NAMES.items()}
FLOATS = ("float32", "float64")
DIFFERENTIABLE = (*FLOATS, "bfloat16")
"""Dtypes of values with adjoints. The adjoint of a bfloat16 value is float32."""
INTEGERS = ("int32", "int64")
ITEM_BYTES = {
    "float32": 4,
    "float64": 8,
    "int32": 4,
    "int64": 8,
    "bool": 1,
    "bfloat16": 2,
    "float16": 2,
    "int8": 1,
    "uint8": 1,
}


@dataclass(frozen=True, slots=True)
class TensorType:
    """Dtype and shape of a tensor."""

    dtype: str
    shape: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(name for dim in self.shape for name in symbols_of(dim))

    @property
    def plain_symbols(self) -> frozenset[str]:
        """Symbols outside of floor divisions, which a concrete shape determines."""
        return frozenset(name for dim in self.shape if isinstance(dim, Size) for name in dim.plain_symbols)

    def bytes_at(self, open_size: int) -> int:
        """Return the bytes of a value with every symbolic size taken as ``open_size``."""
        return evaluate(product(self.shape), dict.fromkeys(self.symbols, open_size)) * ITEM_BYTES[self.dtype]

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def __str__(self) -> str:
        return f"{SHORT_NAMES[self.dtype]}[{','.join(map(dim_text, self.shape))}]"


@dataclass(frozen=True, slots=True)
class TupleType:
    """Type of a scan, whose value is a tuple of tensors."""

    items: tuple[TensorType, ...]

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(name for item in self.items for name in item.symbols)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type = TensorType | TupleType
Unify = Callable[[Dim, Dim], Dim]
"""Function from two sizes that must be equal to the common size. It raises ``ValueError`` if they cannot be equal."""


def unify_strict(a: Dim, b: Dim) -> Dim:
    """Return the size if both are equal, else raise ``ValueError``. This is the rule for finished graphs."""
    if a != b:
        raise ValueError(f"size {dim_text(a)} does not match size {dim_text(b)}")
    return a


def unify_declared(a: Dim, b: Dim) -> Dim:
    """Return the int if one of two sizes is an int, else the first. This is the rule during declaration.

    Raises:
        ValueError: Both are ints, and they differ.
    """
    if isinstance(a, int) and isinstance(b, int):
        return unify_strict(a, b)
    return b if isinstance(b, int) else a


def dtype_of(array: np.ndarray) -> str:
    return str(array.dtype)


def array_dtype(dtype: str) -> str:
    """Return the NumPy dtype of the array of a parameter of ``dtype``."""
    return PARAMETER_ARRAYS.get(dtype, dtype)
