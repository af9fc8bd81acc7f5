"""Double buffers for values that steps replace, and values that are written over where nobody else holds them."""

from __future__ import annotations

import sys
from collections.abc import Container, Mapping

import numpy as np

from ...support.allocation import empty


def _holders(arrays: dict[str, np.ndarray], name: str) -> int:
    array = arrays[name]
    return sys.getrefcount(array)


_UNSHARED = _holders({"": np.empty(0)}, "")
"""Holders of an array that only the dictionary knows, as this Python counts them."""


def _is_shared(arrays: dict[str, np.ndarray], name: str, beside: Container[int]) -> bool:
    """Whether someone else may hold an array. Of one that lies in another's memory nobody can say: views of it hold
    the other. beside: ids of arrays that we hold once more.
    """
    array = arrays[name]  # as in ``_holders``
    return array.base is not None or sys.getrefcount(array) > _UNSHARED + (id(array) in beside)


def copy_shared(arrays: dict[str, np.ndarray], beside: Container[int] = ()) -> None:
    """Copies what someone else holds of arrays that are to be written over: they keep theirs. beside: ids of arrays
    that we hold once more.
    """
    for name in arrays:
        if _is_shared(arrays, name, beside):
            arrays[name] = np.array(arrays[name], order="C")


class DoubleBuffer:
    """The second array of each value, for the next one to be written into. What someone else holds is left to them.

    arrays: by name.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def target(self, name: str, like: np.ndarray, beside: Container[int] = ()) -> np.ndarray:
        if name not in self.arrays or _is_shared(self.arrays, name, beside):
            self.arrays[name] = empty(like.shape, like.dtype, f"the new value of {name}")
        return self.arrays[name]

    def swap(self, present: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What was written for these names. Their ``present`` arrays are the next targets."""
        written = {name: self.arrays[name] for name in present}
        self.arrays.update(present)
        return written
