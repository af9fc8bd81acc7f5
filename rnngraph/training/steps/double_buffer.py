"""Double buffers for values that steps replace, and values that are written over where nobody else holds them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from ...support.allocation import empty


def _holders(arrays: dict[str, np.ndarray], name: str) -> int:
    array = arrays[name]
    return sys.getrefcount(array)


_UNSHARED = _holders({"": np.empty(0)}, "")
"""Holders of an array that only the dictionary knows, as this Python counts them."""


def _is_shared(arrays: dict[str, np.ndarray], name: str) -> bool:
    """True if someone else may hold an array. One that lies in another's memory counts as shared: views of it hold
    the other.
    """
    array = arrays[name]  # as in ``_holders``
    return array.base is not None or sys.getrefcount(array) > _UNSHARED


def copy_shared(arrays: dict[str, np.ndarray]) -> None:
    """Copy the arrays that someone else holds, before all are overwritten: others keep theirs."""
    for name in arrays:
        if _is_shared(arrays, name):
            arrays[name] = np.array(arrays[name], order="C")


class DoubleBuffer:
    """The second array of each value, for the next one to be written into. What someone else holds is left to them."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def target(self, name: str, like: np.ndarray) -> np.ndarray:
        if name not in self._arrays or _is_shared(self._arrays, name):
            self._arrays[name] = empty(like.shape, like.dtype, f"the new value of {name}")
        return self._arrays[name]

    def swap(self, present: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What was written for these names. Their ``present`` arrays are the next targets."""
        written = {name: self._arrays[name] for name in present}
        self._arrays.update(present)
        return written
