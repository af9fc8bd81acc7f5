"""Arrays of several shapes in one array a dtype: what is added up and sent is few arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...support.allocation import empty

ALIGNED = 64
"""Bytes: a value begins where a vector does."""


class Place(NamedTuple):
    """A value's shape, dtype and elements in the array of that dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype
    first: int
    stop: int


class Packing:
    """Where each of some arrays lies in the array of its dtype."""

    def __init__(self, kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> None:
        """kinds: shape and dtype by name."""
        self.places: dict[str, Place] = {}
        self._sizes: dict[np.dtype, int] = {}
        for name, (shape, given) in kinds.items():
            dtype = np.dtype(given)
            first = self._sizes.get(dtype, 0)
            stop = first + int(np.prod(shape, dtype=np.int64))
            self.places[name] = Place(shape, dtype, first, stop)
            step = ALIGNED // dtype.itemsize
            self._sizes[dtype] = -(-stop // step) * step
        self._free: list[Packed] = []

    def room(self) -> Packed:
        """Memory for values that are added up: of an earlier step if there is some, as fresh pages take longer to touch
        than to add up.
        """
        return self._free.pop() if self._free else self.make()

    def give_back(self, packed: Packed) -> None:
        """Gives ``room`` back, for the next step."""
        self._free.append(packed)

    def make(self) -> Packed:
        whole = {dtype: empty((size,), dtype, "gradients of a shard") for dtype, size in self._sizes.items()}
        for array in whole.values():
            array[...] = 0  # between the values, too
        return Packed(whole, self.places)


class Packed:
    """whole: one array a dtype; views: each value within it, by name."""

    def __init__(self, whole: Mapping[np.dtype, np.ndarray], places: Mapping[str, Place]) -> None:
        self.whole = list(whole.values())
        self.views = {
            name: whole[place.dtype][place.first : place.stop].reshape(place.shape) for name, place in places.items()
        }

    def take(self, other: Packed) -> None:
        for mine, theirs in zip(self.whole, other.whole, strict=True):
            np.copyto(mine, theirs)

    def add(self, other: Packed) -> None:
        for mine, theirs in zip(self.whole, other.whole, strict=True):
            np.add(mine, theirs, out=mine)
