"""What a stream keeps from one step to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class States:
    """A stream's states, double-buffered: what one step writes the next one reads."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.sides = [np.array(array, order="C") for array in arrays], [np.empty_like(array) for array in arrays]
        self.turn = 0

    @property
    def present(self) -> list[np.ndarray]:
        """The present states, not copied."""
        return self.sides[self.turn]

    def set(self, arrays: Sequence[np.ndarray]) -> None:
        for held, array in zip(self.present, arrays, strict=True):
            held[...] = array
