"""Packed weights that the entries of a program share, and files from which later processes read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from ..storage.stored_array import StoredArray

if TYPE_CHECKING:
    from ..storage.packed_files import PackedFiles

MIN_BYTES = 16 << 20
"""Minimum size of a file of packed weights, in bytes. Packing fewer bytes takes only some milliseconds."""


class PackedParts:
    """Cache of packed weights by the key of their stage. Parts are freed when no entry uses them."""

    def __init__(self) -> None:
        self._parts: WeakValueDictionary[tuple[str, int], np.ndarray] = WeakValueDictionary()

    def get(self, key: str, version: int) -> np.ndarray | None:
        """Return the weights that the stage with this key has packed, for this version of the parameters.

        Return None if they are not cached, or if the key is empty.
        """
        return self._parts.get((key, version)) if key else None

    def read(self, name: str, version: int, stored: np.ndarray | StoredArray) -> np.ndarray:
        """Return the array of a parameter. A value in a file is read once, and shared while some entry uses it."""
        if not isinstance(stored, StoredArray):
            return stored
        array = self._parts.get((name, version))
        if array is None:
            array = self._parts[name, version] = stored.read()
        return array

    def add(self, key: str, version: int, part: np.ndarray) -> None:
        """Add a part that other entries may share, unless its key is empty."""
        if key:
            self._parts[key, version] = part


class FiledParts:
    """Parts of one entry that are in a file, or will be written to it once they are packed."""

    def __init__(self, files: PackedFiles | None, key: str, sizes: Mapping[int, int]) -> None:
        """Read the file.

        Args:
            files: The files; None to neither read nor write.
            key: Key of the file.
            sizes: Bytes of each part, by the number of its stage.
        """
        self._files, self._key, self._sizes = files, key, sizes
        parts = None if files is None else files.load(key, [*sizes.values()])
        self._is_new = files is not None and parts is None
        self._parts = {} if parts is None else dict(zip(sizes, parts, strict=True))

    def get(self, number: int) -> np.ndarray | None:
        """Return the part of a stage; None if it was neither in the file nor added."""
        return self._parts.get(number)

    def add(self, number: int, part: np.ndarray) -> None:
        """Add a part that was packed, unless the file exists already, or does not include the stage."""
        if self._is_new and number in self._sizes:
            self._parts[number] = part

    def write(self) -> None:
        """Write the file, if there was none. All its parts must have been added."""
        if self._files is not None and self._is_new:
            self._files.store(self._key, [self._parts[number] for number in self._sizes])
