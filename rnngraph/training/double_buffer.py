"""Memory for values that updates replace: beside the present ones, or theirs where nobody else sees it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from ..allocation import empty


def _holders(arrays: dict[str, np.ndarray], name: str) -> int:
    array = arrays[name]
    return sys.getrefcount(array)


_ALONE = _holders({"": np.empty(0)}, "")
"""Holders of an array that only the dictionary knows, as this Python counts them."""


def _held(arrays: dict[str, np.ndarray], name: str) -> bool:
    """Whether someone else may hold an array. Of one that lies in another's memory nobody can say: views of it hold
    the other.
    """
    array = arrays[name]  # as in ``_holders``
    return array.base is not None or sys.getrefcount(array) > _ALONE


def keep_alone(arrays: dict[str, np.ndarray]) -> None:
    """Arrays that are to be written over: one that someone else still holds is left to them, and copied."""
    for name in arrays:
        if _held(arrays, name):
            arrays[name] = np.array(arrays[name], order="C")


class Spares:
    """Arrays to write next values into, by name. One that someone else still holds is left to them."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def target(self, name: str, like: np.ndarray) -> np.ndarray:
        if name not in self._arrays or _held(self._arrays, name):
            self._arrays[name] = empty(like.shape, like.dtype, f"the new value of {name}")
        return self._arrays[name]

    def swap(self, present: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What was written for these names; what they had is the memory of the next targets."""
        written = {name: self._arrays[name] for name in present}
        self._arrays.update(present)
        return written
