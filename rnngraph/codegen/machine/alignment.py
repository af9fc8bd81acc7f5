"""How memory is aligned: to a line of a cache, which every vector of every processor fits into."""

from __future__ import annotations

from ...ir.types import ITEM_BYTES, Dim, Size

ALIGNMENT = 64
_LARGEST_ELEMENT = max(ITEM_BYTES.values())


def padded(count: int) -> int:
    """A number of bytes, rounded up to whole cache lines."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def padded_bytes(elements: Dim, dtype: str) -> Dim:
    """Bytes of so many elements, with what keeps the next place aligned: to 64 bytes, or where the number is a formula
    that need not be a multiple of that, to the largest element. Not every processor reads across.
    """
    size_bytes = elements * ITEM_BYTES[dtype]
    if not isinstance(size_bytes, Size):
        return padded(size_bytes)
    if not any(factor % ALIGNMENT for _, factor in size_bytes.terms):
        return size_bytes
    element = _LARGEST_ELEMENT
    return Size(tuple((names, -(-factor // element) * element) for names, factor in size_bytes.terms)) + ALIGNMENT


def padded_row(width: Dim, dtype: str) -> Dim:
    """Elements of a row of ``width``, padded to 64 bytes; a width of 1 is not padded."""
    if not isinstance(width, int) or width == 1:
        return width
    return padded(width * ITEM_BYTES[dtype]) // ITEM_BYTES[dtype]
