"""Slicing of symbolic axes, and ``take`` with constant indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...declare.functions.basic import gather
from ...declare.functions.indexing import clamped_slice, is_far
from ...ir.types import Dim
from .backend import Backend, Item
from .errors import UnreadableError

MAX_SINGLE = 256
"""Maximum entries that ``take`` selects one by one from an axis of symbolic size, because each is an op."""
ALL = slice(None)


def is_clamped(size: Dim, start: int | None, stop: int | None, step: int = 1) -> bool:
    """True for a slice of an axis of symbolic size that is always empty, or whose bounds may exceed the axis."""
    if isinstance(size, int):
        return False
    both = start is not None and stop is not None and (start < 0) == (stop < 0)
    is_empty = start is not None and stop is not None and both and (stop - start) * step <= 0
    return is_empty or is_far(size, start) or is_far(size, stop)


def indexed(b: Backend[Item], x: Item, index: Sequence[Any]) -> Item:
    """Index with ints, slices, ``...`` and None. Bounds are clamped, as in Python's slicing."""
    rank, entries = len(b.shape(x)), list(index)
    named = sum(entry is not None and entry is not ... for entry in entries)
    at = next((place for place, entry in enumerate(entries) if entry is ...), len(entries))
    whole = [*entries[:at], *[ALL] * (rank - named), *entries[at + 1 :]]
    axis, is_cut = 0, False
    for place, entry in enumerate(whole):
        if isinstance(entry, slice) and is_clamped(b.shape(x)[axis], entry.start, entry.stop, entry.step or 1):
            step = () if entry.step in (None, 1) else (entry.step,)
            x = b.call(clamped_slice, x, axis, entry.start, entry.stop, *step)
            whole[place], is_cut = ALL, True
        axis += entry is not None
    rest = whole if is_cut else entries
    return x if all(entry == ALL or entry is ... for entry in rest) else b.item(x, *rest)


def check_positions(places: np.ndarray, size: int, axis: int, negative: bool = True) -> None:
    """Raise ``UnreadableError`` if a position is out of bounds for an axis.

    Args:
        places: Positions along the axis.
        size: Size of the axis.
        axis: The axis, for errors.
        negative: True if negative positions are valid, and count from the end.
    """
    lowest = -size if negative else 0
    outside = places[(places < lowest) | (places >= size)]
    if outside.size:
        raise UnreadableError(
            f"index {outside.flat[0]} is out of bounds for axis {axis} of size {size}; "
            f"it must be {lowest} to {size - 1}"
        )


def take(b: Backend[Item], x: Item, places: np.ndarray, axis: int, declare: Callable[[np.ndarray], Item]) -> Item:
    """Return the entries of an axis at constant indices, as ``numpy.take`` does. Negative indices count from the end.

    Increasing, equally spaced indices become a slice. Along an axis of fixed size, indices out of bounds raise
    ``UnreadableError``.

    Args:
        b: The backend.
        x: The value.
        places: The indices.
        axis: The axis.
        declare: Function that returns an array of nonnegative indices as a value.
    """
    shape, ahead = b.shape(x), [ALL] * axis
    size = shape[axis]
    if isinstance(size, int):
        check_positions(places, size, axis)
    if places.ndim == 0:
        return b.item(x, *ahead, int(places))
    flat: list[int] = places.reshape(-1).tolist()
    step = flat[1] - flat[0] if len(flat) > 1 else 1
    is_even = bool(flat) and step > 0 and all(later - place == step for place, later in pairwise(flat))
    if is_even and (flat[0] >= 0) == (flat[-1] >= 0) and places.ndim == 1:
        return b.item(x, *ahead, slice(flat[0], flat[-1] + 1 or None, None if step == 1 else step))
    if isinstance(size, int):
        return b.call(gather, x, declare(np.where(places < 0, places + size, places)), *([axis] if axis else []))
    if min(flat, default=0) >= 0:
        return b.call(gather, x, declare(places), *([axis] if axis else []))
    if len(flat) > MAX_SINGLE:
        raise UnreadableError(
            f"it selects {len(flat)} entries from the end of an axis of symbolic size; at most {MAX_SINGLE} are "
            "supported, so fix the size"
        )
    parts = [b.item(x, *ahead, slice(place, place + 1 or None)) for place in flat]
    return b.reshape(b.concat(parts, axis), (*shape[:axis], *places.shape, *shape[axis + 1 :]))
