"""Memory for machine code: where an array lies, and memory that begins at a cache line."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import Any

import numpy as np

from ...support.allocation import empty

LINE = 64


def aligned_bytes(count: int, purpose: str = "memory of a call") -> np.ndarray:
    """Fresh memory that begins at a cache line. Raises ``OutOfMemoryError``, which says the purpose."""
    raw = empty((count + LINE,), np.uint8, purpose)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + count]


def address(array: np.ndarray) -> int:
    """Where an array lies."""
    return int(array.__array_interface__["data"][0])


def writable_address(array: np.ndarray) -> int:
    """The address of a C-contiguous array that is not empty and may be written to, in half the time."""
    buffer: Any = array  # which NumPy's types say of later Pythons only
    return addressof(c_char.from_buffer(buffer))
