"""Double buffers for values that steps replace. Arrays to which callers still refer are copied, not overwritten."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from ...support.allocation import empty


def _holders(arrays: dict[str, np.ndarray], name: str) -> int:
    """Return the reference count of an array in a dictionary while one local variable refers to it, too."""
    array = arrays[name]
    return sys.getrefcount(array)


_UNSHARED = _holders({"": np.empty(0)}, "")
"""Reference count of an array that only a dictionary holds, in this Python."""


def _is_shared(arrays: dict[str, np.ndarray], name: str) -> bool:
    """True if something else may refer to an array. Views count as references to their base."""
    array = arrays[name]  # holds one reference, as ``_holders`` does
    return array.base is not None or sys.getrefcount(array) > _UNSHARED


def copy_shared(arrays: dict[str, np.ndarray]) -> None:
    """Replace each array to which other code may refer by a copy, which can then be overwritten."""
    for name in arrays:
        if _is_shared(arrays, name):
            arrays[name] = np.array(arrays[name], order="C")


class DoubleBuffer:
    """Second array of each value, to which steps write the next value."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def target(self, name: str, like: np.ndarray) -> np.ndarray:
        """Return the array to which the next value of ``name`` is written.

        If there is none yet, or other code refers to it, the array is a new one in the shape and dtype of ``like``.
        """
        if name not in self._arrays or _is_shared(self._arrays, name):
            self._arrays[name] = empty(like.shape, like.dtype, f"the new value of {name}")
        return self._arrays[name]

    def swap(self, present: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the arrays to which the next values were written, and take the ``present`` ones to overwrite next."""
        written = {name: self._arrays[name] for name in present}
        self._arrays.update(present)
        return written
