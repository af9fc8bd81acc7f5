"""Operations that move entries."""

from __future__ import annotations

from .backend import Backend, Item


def repeat(b: Backend[Item], x: Item, axis: int, count: int) -> Item:
    """Return x with each entry of an axis ``count`` times, one after the other, as ``numpy.repeat`` does."""
    if count == 1:
        return x
    shape = b.shape(x)
    apart = b.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    many = b.broadcast(apart, (*shape[: axis + 1], count, *shape[axis + 1 :]))
    return b.reshape(many, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))
