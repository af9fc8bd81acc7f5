"""Cache-line aligned memory, and addresses of arrays."""

from __future__ import annotations

from ctypes import addressof, c_char
from typing import Any

import numpy as np

from ...support.allocation import empty, reserve
from ...support.system import large_pages

LINE = 64
PAGE = 2 << 20
"""Bytes of a large page of x86-64 and of most ARM systems."""


def aligned_bytes(count: int, purpose: str = "memory of a call") -> np.ndarray:
    """Return ``count`` uninitialised bytes, aligned to a cache line.

    Raise ``OutOfMemoryError``, which names ``purpose``, if memory is short.
    """
    raw = empty((count + LINE,), np.uint8, purpose)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + count]


def paged_bytes(count: int, purpose: str) -> np.ndarray:
    """Return ``count`` aligned bytes, in large pages if the system has some and ``count`` fills one.

    Raise ``OutOfMemoryError`` if memory is short. Large pages cause fewer TLB misses: steps that read hundreds of
    megabytes take up to a third less time than with pages of 4 KiB.
    """
    if count >= PAGE:
        reserve(count, purpose)
        try:
            pages = large_pages(count)
        except OSError:
            pages = None
        if pages is not None:
            return np.frombuffer(pages, np.uint8)
    return aligned_bytes(count, purpose)


def address(array: np.ndarray) -> int:
    """Return the address of an array."""
    return int(array.__array_interface__["data"][0])


def writable_address(array: np.ndarray) -> int:
    """Return the address of a non-empty, writable, C-contiguous array, faster than ``address`` does."""
    buffer: Any = array  # NumPy's stubs declare the buffer protocol only for later Pythons
    return addressof(c_char.from_buffer(buffer))
