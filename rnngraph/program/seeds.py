"""Seeds of masks for calls without a seed."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..support.forks import LockLevel, fork_lock


class SeedGenerator:
    """Thread-safe generator of seeds, deterministic for a program's ``seed``."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generator = np.random.Generator(np.random.Philox(key=seed & (2**64 - 1)))
        self._lock = fork_lock(LockLevel.LAST)

    def draw(self) -> int:
        """Return the next seed: the value of NumPy's ``integers(0, 2**63)``, in a tenth of the time."""
        with self._lock:
            return int(self._generator.bit_generator.random_raw()) >> 1

    @property
    def source(self) -> tuple[int, int]:
        """Address and argument of a function that draws 64 bits, for machine code that holds the GIL.

        The seed is the upper 63 bits.
        """
        generator = self._generator.bit_generator.ctypes
        return ctypes.cast(generator.next_uint64, ctypes.c_void_p).value or 0, generator.state_address

    @property
    def state(self) -> dict[str, Any]:
        """State of the generator, as JSON values."""
        with self._lock:
            return _plain(self._generator.bit_generator.state)

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        with self._lock:
            self._generator.bit_generator.state = dict(state)


def _plain(state: Any) -> Any:
    """Return a bit generator's state with arrays converted to lists."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
