"""Alignment of memory to cache lines. No vector of any processor is longer than a cache line."""

from __future__ import annotations

from ...ir.types import ITEM_BYTES, Dim, Size

ALIGNMENT = 64
WAY_BYTES = 4096
"""Bytes between addresses that map to the same set of L1, on most processors."""
_MAX_ELEMENT_BYTES = max(ITEM_BYTES.values())


def padded(count: int) -> int:
    """Round a number of bytes up to a multiple of a cache line."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def padded_bytes(elements: Dim, dtype: str) -> Dim:
    """Return the bytes of ``elements``, rounded up so that the next allocation is aligned.

    Fixed sizes are rounded up to a multiple of 64 bytes. Symbolic sizes that are multiples of 64 stay unchanged. For
    others, each term is rounded up to a multiple of the largest element's size, and 64 bytes are added. Some
    processors do not support unaligned access.
    """
    size_bytes = elements * ITEM_BYTES[dtype]
    if not isinstance(size_bytes, Size):
        return padded(size_bytes)
    if not any(factor % ALIGNMENT for _, factor in size_bytes.terms):
        return size_bytes
    element = _MAX_ELEMENT_BYTES
    return Size(tuple((names, -(-factor // element) * element) for names, factor in size_bytes.terms)) + ALIGNMENT


def spread_row(row: Dim, dtype: str) -> Dim:
    """Return the number of elements of a padded row, extended to an odd number of cache lines if necessary.

    An empty row stays empty, and a symbolic one unchanged. If the bytes of a row were a power of two, the elements of a
    column would share few sets of a cache.
    """
    line = 64 // ITEM_BYTES[dtype]
    return row + line if isinstance(row, int) and row and row // line % 2 == 0 else row


def padded_row(width: Dim, dtype: str) -> Dim:
    """Return the number of elements of a row that is padded to a multiple of 64 bytes.

    A width that is 1 or symbolic is not padded.
    """
    if not isinstance(width, int) or width == 1:
        return width
    return padded(width * ITEM_BYTES[dtype]) // ITEM_BYTES[dtype]
