"""Cache-line aligned memory, and addresses of arrays."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import Any

import numpy as np

from ...support.allocation import empty

LINE = 64


def aligned_bytes(count: int, purpose: str = "memory of a call") -> np.ndarray:
    """Return uninitialised memory, aligned to a cache line. Raise ``OutOfMemoryError`` if memory is short."""
    raw = empty((count + LINE,), np.uint8, purpose)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + count]


def address(array: np.ndarray) -> int:
    """Return the address of an array."""
    return int(array.__array_interface__["data"][0])


def writable_address(array: np.ndarray) -> int:
    """Return the address of a non-empty, writable, C-contiguous array, faster than ``address`` does."""
    buffer: Any = array  # NumPy's stubs declare the buffer protocol only for later Pythons
    return addressof(c_char.from_buffer(buffer))
