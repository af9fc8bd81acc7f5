"""Reads the lengths of an HDF5 attribute's strings before the library allocates memory for them.

A string of variable length is stored in a heap; the attribute has the length and location. The library trusts lengths
of up to 4 GB. Only object headers of version 1 are supported, the version that h5py and Keras write (HDF5's file
format specification, IV.A).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

ATTRIBUTE, CONTINUATION = 0x0C, 0x10
VARIABLE_LENGTH = 9
MAX_BLOCKS = 1000


def lengths_of_texts(data: bytes, address: int, name: str) -> list[int]:
    """Return the lengths of an attribute's strings; an empty list if it has no strings of variable length.

    Args:
        data: The file.
        address: Position of the object's header in the file.
        name: Name of the attribute.

    Raises:
        ValueError: The header is damaged, or lacks the attribute, or stores it in an unsupported form.
    """
    for kind, start, size in _messages(data, address):
        if kind == ATTRIBUTE:
            lengths = _lengths(data[start : start + size], name.encode())
            if lengths is not None:
                return lengths
    raise ValueError(f"the attribute {name!r} must be stored in its object header, as Keras does")


def _messages(data: bytes, address: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, position in the file, size in bytes) of each message of an object header."""
    version, _, count, _, size = _unpacked("<BBHII", data, address)
    if version != 1:
        raise ValueError(f"an object header has version {version}; it must be 1")
    blocks = [(address + 16, size)]
    for start, length in blocks:
        end = start + length
        while start + 8 <= end and count:
            kind, size, _ = _unpacked("<HHI", data, start)
            start += 8
            if kind == CONTINUATION and len(blocks) < MAX_BLOCKS:
                place, extent = _unpacked("<QQ", data, start)
                blocks.append((place, extent))
            yield kind, start, size
            start, count = start + size, count - 1


def _lengths(message: bytes, name: bytes) -> list[int] | None:
    """Return the lengths of the strings in an attribute message; None if it is not the attribute ``name``.

    The list is empty for an attribute that does not have strings of variable length.
    """
    version, _, *sizes = _unpacked("<BBHHH", message, 0)
    if version not in (1, 2, 3):
        raise ValueError(f"an attribute has version {version}; it must be 1, 2 or 3")
    places, start = [], 9 if version == 3 else 8
    for size in sizes:  # of the name, the type and the shape, in this order
        places.append(start)
        start += -(-size // 8) * 8 if version == 1 else size
    if message[places[0] : places[0] + sizes[0]].rstrip(b"\0") != name:
        return None
    (kind,) = _unpacked("<B", message, places[1])
    if kind & 0x0F != VARIABLE_LENGTH:
        return []
    return [_unpacked("<I", message, place)[0] for place in range(start, len(message) - 15, 16)]


def _unpacked(form: str, data: bytes, start: int) -> tuple[int, ...]:
    """Unpack a struct at ``start``. Raises ``ValueError`` beyond the end of the data."""
    try:
        return struct.unpack_from(form, data, start)
    except (struct.error, OverflowError):
        raise ValueError("an object header is truncated; use an undamaged copy") from None
