"""Types as users write and read them."""

from __future__ import annotations

from typing import Any

from ..errors import DtypeError, shown
from ..ir.types import DTYPES, SHORT_NAMES, Dim, TupleType, Type, dim_text


def public_dim(dim: Dim) -> int | str | None:
    if isinstance(dim, int):
        return dim
    return None if any(name.startswith("_") for name in dim.symbols) else dim_text(dim)


def public_type(kind: Type) -> str:
    """A type as users read it: a size that has no name yet is ``?``."""
    if isinstance(kind, TupleType):
        return f"({', '.join(map(public_type, kind.items))})"
    dims = [public_dim(dim) for dim in kind.shape]
    shape = ",".join("?" if dim is None else str(dim) for dim in dims)
    return f"{SHORT_NAMES[kind.dtype]}[{shape}]"


def check_dtype(dtype: Any) -> str:
    text = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype
    if not isinstance(text, str) or text not in DTYPES:
        hint = {"float": "float32", "int": "int64"}.get(text) if isinstance(text, str) else None
        remedy = f"write {hint}" if hint else f"use one of {', '.join(DTYPES)}"
        raise DtypeError(f"dtype {shown(dtype)} is not offered; {remedy}")
    return text
