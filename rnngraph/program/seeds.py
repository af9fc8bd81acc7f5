"""The seeds of masks that calls draw where none is given."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..support.forks import Order, fork_lock


class SeedGenerator:
    """Draws seeds, the same ones for the same ``seed`` of a program. Safe to use from any thread."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generator = np.random.Generator(np.random.Philox(key=seed & (2**64 - 1)))
        self._lock = fork_lock(Order.LAST)

    def draw(self) -> int:
        """What ``integers(0, 2**63)`` of the generator gives, in a tenth of the time."""
        with self._lock:
            return int(self._generator.bit_generator.random_raw()) >> 1

    @property
    def source(self) -> tuple[int, int]:
        """Where the function lies that draws 64 bits, and what it is called with: for machine code that holds Python's
        lock, and takes the upper 63 of them.
        """
        generator = self._generator.bit_generator.ctypes
        return ctypes.cast(generator.next_uint64, ctypes.c_void_p).value or 0, generator.state_address

    @property
    def state(self) -> dict[str, Any]:
        """The generator's state, as what JSON can hold."""
        with self._lock:
            return _plain(self._generator.bit_generator.state)

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        with self._lock:
            self._generator.bit_generator.state = dict(state)


def _plain(state: Any) -> Any:
    """A bit generator's state with lists for arrays."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
