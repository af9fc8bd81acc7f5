"""Signatures of feeds: names, shapes and memory layouts. Calls of one signature differ only in values.

Keys contain no dtypes: a prepared call expects the declared dtypes and checks them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from ...ir.types import FLOATS, TensorType
from ...support.records import NamedTuple

SMALL = 16 << 10
"""Maximum size of a copied array, in bytes. Copying a small array costs no more than reading its address."""
NUMBERS = {np.dtype(name): (float, np.float64, np.dtype(name).type) for name in FLOATS}
"""Types of numbers that a scalar feed of each dtype accepts without conversion."""
PLAIN = 0x101  # NumPy's flags of arrays that are C-contiguous and aligned


class Feed(NamedTuple):
    """Shape and layout of a feed. ``strides`` is set only for arrays with gaps that are read in place."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None

    def steps(self, axis: int | None) -> tuple[int, ...]:
        """Return the strides in bytes, with an axis of length 1 inserted at ``axis``, unless it is None."""
        side_by_side = [*accumulate((self.dtype.itemsize, *self.shape[:0:-1]), mul)][::-1]
        steps = side_by_side if self.strides is None else [*self.strides]
        return tuple(steps if axis is None else [*steps[:axis], self.dtype.itemsize, *steps[axis:]])


def feed_of(array: np.ndarray, copied: int = SMALL) -> Feed:
    """Return the shape and layout of an array. Arrays of at most ``copied`` bytes are copied."""
    has_gaps = array.nbytes > copied and array.flags.num & PLAIN != PLAIN
    return Feed(array.shape, array.dtype, array.strides if has_gaps else None)


def is_like(value: Any, feed: Feed) -> bool:
    """True if a value needs no conversion: an array of the feed's shape and dtype, or a float for a float scalar."""
    if type(value) is np.ndarray:
        return value.shape == feed.shape and (value.dtype is feed.dtype or value.dtype == feed.dtype)
    return not feed.shape and type(value) in NUMBERS.get(feed.dtype, ())


def lies_in_rows(array: np.ndarray) -> bool:
    """True if native code can read an array in place: aligned, contiguous last axis, strides of whole elements."""
    strides, item = array.strides, array.itemsize
    if array.ndim and array.shape[-1] > 1 and strides[-1] != item:
        return False
    return array.flags.aligned and not any(stride % item for stride in strides)


def one_mapping(feeds: Any, named: Mapping[str, Any]) -> Mapping[Any, Any] | None:
    """Return the feeds of a call: ``named`` if ``feeds`` is None, else ``feeds``.

    Return None if there are feeds in both, or if ``feeds`` is not exactly a dict.
    """
    if feeds is None:
        return named
    return feeds if not named and type(feeds) is dict else None


def passed_key(feeds: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return a key of unconverted feeds: the name, shape and strides of each array, or the name of a number."""
    return tuple(
        [
            (key, value.shape, feed_of(value).strides) if type(value) is np.ndarray else (key, (), None)
            for key, value in feeds.items()
        ]
    )


def converted_key(arrays: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
    """Return the signature key of feeds after conversion."""
    return ("converted", *passed_key(arrays))


def is_plain(value: Any, declared: TensorType | None) -> bool:
    """True if a feed needs no conversion.

    Such a feed is a plain ndarray of the declared dtype that is small or can be read in place, or a float for a float
    scalar. False if ``declared`` is None.
    """
    if declared is None:
        return False
    wanted = np.dtype(declared.dtype)
    if type(value) is np.ndarray:
        return value.dtype == wanted and (feed_of(value).strides is None or lies_in_rows(value))
    return not declared.shape and type(value) in NUMBERS.get(wanted, ())


def plain_names(
    feeds: Mapping[Any, Any] | None, name_of: Callable[[Any], str], types: Mapping[str, TensorType]
) -> dict[Any, str] | None:
    """Return the names of feeds by key; None if a feed needs conversion, or if ``feeds`` is None."""
    if feeds is None:
        return None
    names = {key: name_of(key) for key in feeds}
    return names if all(is_plain(value, types.get(names[key])) for key, value in feeds.items()) else None
