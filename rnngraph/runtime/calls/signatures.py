"""Signatures of feeds: their names, shapes and dtypes. Calls with feeds of one signature are alike but for numbers.

Keys hold no dtypes: what is prepared takes the declared ones, and looks for itself whether feeds have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from ...ir.types import FLOATS, TensorType

SMALL = 16 << 10
"""Bytes up to which an array is copied: that takes no longer than to find out where one lies."""
NUMBERS = {np.dtype(name): (float, np.float64, np.dtype(name).type) for name in FLOATS}
"""The types of the numbers that are fed to a scalar of a dtype without conversion."""
PLAIN = 0x101  # NumPy's flags of arrays that are C-contiguous and aligned


class Feed(NamedTuple):
    """How a feed looks. strides: of one that is read where it lies, and is not C-contiguous."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None

    def steps(self, axis: int | None) -> tuple[int, ...]:
        """Bytes from one element to the next along each axis; ``axis`` of length 1 is not in the shape, and added."""
        side_by_side = [*accumulate((self.dtype.itemsize, *self.shape[:0:-1]), mul)][::-1]
        steps = side_by_side if self.strides is None else [*self.strides]
        return tuple(steps if axis is None else [*steps[:axis], self.dtype.itemsize, *steps[axis:]])


def feed_of(array: np.ndarray, copied: int = SMALL) -> Feed:
    """copied: bytes up to which arrays are copied."""
    lies_apart = array.nbytes > copied and array.flags.num & PLAIN != PLAIN
    return Feed(array.shape, array.dtype, array.strides if lies_apart else None)


def is_like(value: Any, feed: Feed) -> bool:
    """True if a value is copied as it is: an array of a feed's shape and dtype, or a number for a scalar."""
    if type(value) is np.ndarray:
        return value.shape == feed.shape and (value.dtype is feed.dtype or value.dtype == feed.dtype)
    return not feed.shape and type(value) in NUMBERS.get(feed.dtype, ())


def lies_in_rows(array: np.ndarray) -> bool:
    """Whether native code can read an array where it lies: aligned, the last axis side by side."""
    strides, item = array.strides, array.itemsize
    if array.ndim and array.shape[-1] > 1 and strides[-1] != item:
        return False
    return array.flags.aligned and not any(stride % item for stride in strides)


def one_mapping(feeds: Any, named: Mapping[str, Any]) -> Mapping[Any, Any] | None:
    """The one mapping that holds all feeds of a call, if there is one."""
    if feeds is None:
        return named
    return feeds if not named and type(feeds) is dict else None


def given_key(given: Mapping[Any, Any]) -> tuple[Any, ...]:
    """The key of feeds as they are given, by what they are fed by. It says how large ones lie in memory, too."""
    return tuple(
        [
            (key, value.shape, feed_of(value).strides) if type(value) is np.ndarray else (key, (), None)
            for key, value in given.items()
        ]
    )


def converted_key(arrays: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
    """The key of feeds that had to be converted, likewise."""
    return ("converted", *given_key(arrays))


def is_plain(value: Any, declared: TensorType | None) -> bool:
    """Whether a feed needs no conversion: an array of NumPy's own type and of the declared dtype, which is small or can
    be read where it lies, or a number for a scalar.
    """
    if declared is None:
        return False
    wanted = np.dtype(declared.dtype)
    if type(value) is np.ndarray:
        return value.dtype == wanted and (feed_of(value).strides is None or lies_in_rows(value))
    return not declared.shape and type(value) in NUMBERS.get(wanted, ())


def plain_names(
    given: Mapping[Any, Any] | None, name_of: Callable[[Any], str], types: Mapping[str, TensorType]
) -> dict[Any, str] | None:
    """The names of feeds by what they are fed by; None where one is not plain."""
    if given is None:
        return None
    names = {key: name_of(key) for key in given}
    return names if all(is_plain(value, types.get(names[key])) for key, value in given.items()) else None
