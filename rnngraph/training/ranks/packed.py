"""Packing of arrays into one array for each dtype, so that few arrays are added and sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...support.allocation import empty

ALIGNED = 64
"""Alignment of packed values in bytes: a cache line, as vector code expects."""


class Place(NamedTuple):
    """Shape, dtype and range of elements of a value in the packed array of its dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype
    first: int
    stop: int


class Packing:
    """Layout of values in packed arrays."""

    def __init__(self, kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> None:
        """Assign to each value a range of elements in one array per dtype. ``kinds`` are shapes and dtypes by name."""
        self.places: dict[str, Place] = {}
        self._sizes: dict[np.dtype, int] = {}
        for name, (shape, dtype_name) in kinds.items():
            dtype = np.dtype(dtype_name)
            first = self._sizes.get(dtype, 0)
            stop = first + int(np.prod(shape, dtype=np.int64))
            self.places[name] = Place(shape, dtype, first, stop)
            step = ALIGNED // dtype.itemsize
            self._sizes[dtype] = -(-stop // step) * step
        self._free: list[Packed] = []

    def room(self) -> Packed:
        """Return memory for one set of values, reused from earlier steps if possible.

        The first access to fresh pages takes longer than adding.
        """
        return self._free.pop() if self._free else self.make()

    def give_back(self, packed: Packed) -> None:
        """Return memory to the free list, for the next step."""
        self._free.append(packed)

    def make(self) -> Packed:
        """Return new memory, filled with zeros."""
        whole = {dtype: empty((size,), dtype, "gradients of a shard") for dtype, size in self._sizes.items()}
        for array in whole.values():
            array[...] = 0  # includes the gaps between values
        return Packed(whole, self.places)


class Packed:
    """Packed values: ``whole`` has one array for each dtype, and ``views`` the view of each value, by name."""

    def __init__(self, whole: Mapping[np.dtype, np.ndarray], places: Mapping[str, Place]) -> None:
        self.whole = list(whole.values())
        self.views = {
            name: whole[place.dtype][place.first : place.stop].reshape(place.shape) for name, place in places.items()
        }

    def take(self, other: Packed) -> None:
        """Copy the values of ``other``."""
        for own, theirs in zip(self.whole, other.whole, strict=True):
            np.copyto(own, theirs)

    def add(self, other: Packed) -> None:
        """Add the values of ``other``."""
        for own, theirs in zip(self.whole, other.whole, strict=True):
            np.add(own, theirs, out=own)
