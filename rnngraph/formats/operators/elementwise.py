"""Elementwise functions that foreign formats define differently from NumPy."""

from __future__ import annotations

from ...declare.functions.basic import cast, greater, less
from .backend import Backend, Item


def sign(b: Backend[Item], x: Item) -> Item:
    """Return the sign of each element. Unlike ``numpy.sign``, the sign of NaN is 0."""
    sides = [b.call(cast, b.call(function, x, 0), b.dtype(x)) for function in (greater, less)]
    return b.operation("-", *sides)
