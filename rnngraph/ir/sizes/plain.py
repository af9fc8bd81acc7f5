"""Sizes as values that JSON can store."""

from __future__ import annotations

from typing import Any

from .polynomial import Dim, Size


def plain_dim(dim: Dim) -> Any:
    """Return a size as values that JSON can store."""
    return dim.terms if isinstance(dim, Size) else dim


def restored_dim(value: Any) -> Dim:
    """Return the size that ``plain_dim`` stored."""
    if isinstance(value, int):
        return value
    return Size(tuple((tuple(map(_factor, names)), coefficient) for names, coefficient in value))


def _factor(text: str) -> str:
    """Parse a factor of a size: a name or a floor division."""
    if "//" not in text:
        return text
    from .text import parse_dim  # rarely needed, because few sizes have floor divisions

    dim = parse_dim(text)
    assert isinstance(dim, Size)
    return dim.terms[0][0][0]
