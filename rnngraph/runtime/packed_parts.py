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
MIN_TABLE_BYTES = 1 << 20
"""Minimum size of a parameter that is in such a file although it is not packed, in bytes."""


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
        """Return a parameter's array, read from its file once if it lies in one, and shared by compiled entries."""
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
    """Parts of one entry that are in a file, or will be written to it once they are packed.

    A part is the result of a stage, under its number, or a large parameter that is not packed, under its name.
    """

    def __init__(self, files: PackedFiles | None, key: str, sizes: Mapping[int | str, int]) -> None:
        """Read the file.

        Args:
            files: The files; None to neither read nor write.
            key: Key of the file.
            sizes: Bytes of each part.
        """
        self._files, self._key, self._sizes = files, key, sizes
        parts = None if files is None else files.load(key, [*sizes.values()])
        self._is_new = files is not None and parts is None
        self._parts: dict[int | str, np.ndarray | StoredArray] = {}
        self._mapped = {} if parts is None else dict(zip(sizes, parts, strict=True))

    def get(self, name: int | str) -> np.ndarray | None:
        """Return a part as the bytes in the file; None if the file does not have it."""
        return self._mapped.get(name)

    def add(self, name: int | str, part: np.ndarray | StoredArray) -> None:
        """Add a part, unless the file exists already, or does not include the part."""
        if self._is_new and name in self._sizes:
            self._parts[name] = part

    def write(self) -> None:
        """Write the weights to their file, unless it existed. Map it into memory if some are not packed."""
        if self._files is None or not self._is_new:
            return
        self._files.store(self._key, [self._parts[name] for name in self._sizes])
        self._parts = {}
        if any(isinstance(name, str) for name in self._sizes):  # packed parts stay where they were packed
            parts = self._files.load(self._key, [*self._sizes.values()], is_own=True)
            self._mapped = {} if parts is None else dict(zip(self._sizes, parts, strict=True))
