"""Packed weights that the entries of a program share."""

from __future__ import annotations

from weakref import WeakValueDictionary

import numpy as np

from ..storage.stored_array import StoredArray


class PackedParts:
    """Cache of packed weights, by (sources, layout). Parts are freed when no entry uses them."""

    def __init__(self) -> None:
        self._parts: WeakValueDictionary[tuple[str, int], np.ndarray] = WeakValueDictionary()

    def get(self, key: str, version: int) -> np.ndarray | None:
        """Return the part that a stage with this key packed from this version of the parameters, or None."""
        return self._parts.get((key, version)) if key else None

    def read(self, name: str, version: int, stored: np.ndarray | StoredArray) -> np.ndarray:
        """Return the value of a parameter, which all entries that read it share."""
        if not isinstance(stored, StoredArray):
            return stored
        array = self._parts.get((name, version))
        if array is None:
            array = self._parts[name, version] = stored.read()
        return array

    def add(self, key: str, version: int, part: np.ndarray) -> None:
        """Add a part for others to share, if it has a key."""
        if key:
            self._parts[key, version] = part
