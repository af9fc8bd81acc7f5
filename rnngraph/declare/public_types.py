"""Conversion of dtypes, types, indices and slices between the public API and the IR."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.attributes import MAX_DIVISOR
from ..ir.types import DTYPES, SHORT_NAMES, Dim, TupleType, Type, dim_text
from ..support.errors import DtypeError, ShapeError, Where, shown


def public_dim(dim: Dim) -> int | str | None:
    if isinstance(dim, int):
        return dim
    return None if any(name.startswith("_") for name in dim.symbols) else dim_text(dim)


def public_type(kind: Type) -> str:
    """Return a type as text for users, such as ``f32[?,T,3]``, with ``?`` for unnamed sizes."""
    if isinstance(kind, TupleType):
        return f"({', '.join(map(public_type, kind.items))})"
    dims = [public_dim(dim) for dim in kind.shape]
    shape = ",".join("?" if dim is None else str(dim) for dim in dims)
    return f"{SHORT_NAMES[kind.dtype]}[{shape}]"


DTYPE_WORDS = frozenset(
    (
        "float",
        "double",
        "half",
        "int",
        "bool",
        "string",
        "bfloat16",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
    )
)
"""Names of dtypes in NumPy, TensorFlow and torch."""


def dtype_word(value: Any) -> str | None:
    """Return the name of a dtype of any framework; None for other values."""
    if isinstance(value, np.dtype) or type(value).__name__ in ("DType", "dtype"):  # dtypes of TensorFlow and torch
        word = str(getattr(value, "name", value)).removeprefix("torch.")
    else:
        word = value.__name__ if isinstance(value, type) else value if isinstance(value, str) else ""
    return word if word in DTYPE_WORDS else None


def check_dtype(dtype: Any, offered: tuple[str, ...] = DTYPES) -> str:
    """Return the name of a dtype. Raise ``DtypeError`` if it is not one of ``offered``."""
    text = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype
    if not isinstance(text, str) or text not in offered:
        hint = {"float": "float32", "int": "int64"}.get(text) if isinstance(text, str) else None
        remedy = f"write {hint}" if hint else f"use one of {', '.join(offered)}"
        raise DtypeError(f"dtype {shown(dtype)} is not offered; {remedy}")
    return text


def position_of(index: int, dim: Dim, where: Where | None) -> Dim:
    if isinstance(dim, int) and not -dim <= index < dim:
        remedy = f"give {-dim} to {dim - 1}" if dim else "the axis has no entries"
        raise ShapeError(f"index {index} is outside an axis of {dim}; {remedy}", where)
    return index if index >= 0 else dim + index


def bounds_of(item: slice, dim: Dim, where: Where | None) -> tuple[Dim, Dim, int]:
    """Return (start, stop, step) of a slice of an axis of size ``dim``.

    With a negative step, start and stop are positions on the reversed axis.
    """
    for part in (item.start, item.stop, item.step):
        if part is not None and not isinstance(part, int | np.integer):
            raise DtypeError(f"a slice needs ints, not {shown(part)}", where)
    step = 1 if item.step is None else int(item.step)
    if step == 0:
        raise ShapeError("a slice's step can't be 0; give another one, or leave it out", where)
    if abs(step) > MAX_DIVISOR:
        raise ShapeError(f"a slice with step {step}; the step must lie within -{MAX_DIVISOR}..{MAX_DIVISOR}", where)
    if isinstance(dim, int):
        start, stop, step = item.indices(dim)
        if step > 0:
            return start, max(start, stop), step
        return dim - 1 - start, dim - 1 - min(stop, start), step
    first = position_of(int(item.start), dim, where) if item.start is not None else None
    last = position_of(int(item.stop), dim, where) if item.stop is not None else None
    if step < 0:  # positions in the reversed axis
        first, last = (None if position is None else dim - 1 - position for position in (first, last))
    return 0 if first is None else first, dim if last is None else last, step
