"""Memory for machine code: where an array lies, and memory that begins at a cache line."""

from __future__ import annotations

import numpy as np

LINE = 64


def aligned_bytes(count: int) -> np.ndarray:
    """Fresh memory that begins at a cache line."""
    raw = np.empty(count + LINE, np.uint8)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + count]


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
