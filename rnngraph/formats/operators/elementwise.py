"""Functions of each element that foreign formats compute otherwise than NumPy."""

from __future__ import annotations

from ...declare.functions.basic import cast, greater, less
from .backend import Backend, Item


def sign(b: Backend[Item], x: Item) -> Item:
    """Return -1, 0 or 1, and of NaN 0, where ``numpy.sign`` has NaN."""
    sides = [b.call(cast, b.call(function, x, 0), b.dtype(x)) for function in (greater, less)]
    return b.operation("-", *sides)
