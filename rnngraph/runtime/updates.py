"""Memory for values that updates replace: written beside the present ones, so that an update counts or does not."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from .native import aligned_bytes


def kept(array: np.ndarray) -> np.ndarray:
    """A copy that updates write over, element by element: it begins at a cache line."""
    copy = aligned_bytes(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _holders(arrays: dict[str, np.ndarray], name: str) -> int:
    array = arrays[name]
    return sys.getrefcount(array)


_ALONE = _holders({"": np.empty(0)}, "")
"""Holders of an array that only the dictionary knows, as this Python counts them."""


class Spares:
    """Arrays to write next values into, by name. One that someone else still holds is left to them.

    Of an array that lies in another's memory nobody can say so: views of it hold the other.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def target(self, name: str, like: np.ndarray) -> np.ndarray:
        known = name in self._arrays and self._arrays[name].base is None
        if not known or _holders(self._arrays, name) > _ALONE:
            self._arrays[name] = np.empty(like.shape, like.dtype)
        return self._arrays[name]

    def swap(self, present: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What was written for these names; what they had is the memory of the next targets."""
        written = {name: self._arrays[name] for name in present}
        self._arrays.update(present)
        return written
