"""Reads sorted tables of keys and values in LevelDB's format, such as the index of a checkpoint.

A table has blocks and a footer. Keys of a block are stored without the prefix that they share with the previous key. A
block is followed by a byte for its compression and a CRC-32C of both, which is checked. The footer has the location of
the index block, whose values are the locations of the others (LevelDB, ``doc/table_format.md``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...storage.protobuf import read_varint
from .checksums import masked_crc

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
PLAIN, SNAPPY = 0, 1


class Handle(NamedTuple):
    """Offset of a block in the file, and its size without compression byte and checksum, in bytes."""

    offset: int
    size: int


def entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a table, in order. Raises ``ValueError`` if it is damaged."""
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise ValueError("its footer is not that of a table")
    unused, position = _handle(data, len(data) - FOOTER)
    index, position = _handle(data, position)
    if any(data[position:-8]):
        raise ValueError("its footer is damaged")
    _block(data, unused)  # Check the block of filters, which TensorFlow leaves empty.
    for _, value in _entries(_block(data, index)):
        handle, _ = _handle(value, 0)
        yield from _entries(_block(data, handle))


def _handle(data: bytes, position: int) -> tuple[Handle, int]:
    """Read a handle at ``position``. Return (handle, position after it)."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return Handle(offset, size), position


def _block(data: bytes, handle: Handle) -> bytes:
    """Return the uncompressed bytes of a block. Raises ``ValueError`` if its checksum does not match."""
    offset, size = handle
    if offset + size + 5 > len(data):
        raise ValueError(f"the block of {size} bytes at {offset} is beyond the end of the file")
    kind, end = data[offset + size], offset + size + 1
    if masked_crc(data[offset:end]) != int.from_bytes(data[end : end + 4], "little"):
        raise ValueError(f"the block of {size} bytes at {offset} does not have the checksum with which it was written")
    if kind == SNAPPY:
        return _uncompressed(data[offset : offset + size])
    if kind != PLAIN:
        raise ValueError(f"the compression {kind} of a block is unknown; it must be {PLAIN} or {SNAPPY}")
    return data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of an uncompressed block. Keys are whole again, with their shared prefixes."""
    if len(block) < 4:
        raise ValueError("a block is truncated")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block is truncated")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        own, position = read_varint(block, position)
        size, position = read_varint(block, position)
        if shared > len(key) or position + own + size > end:
            raise ValueError("an entry of a block is beyond the end of the block")
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + size]
        position += size


MAX_UNCOMPRESSED = 1 << 30
"""Maximum bytes of a block after decompression."""


def _uncompressed(data: bytes) -> bytes:
    """Return the bytes of a block that Snappy compressed (Snappy, ``format_description.txt``)."""
    size, position = read_varint(data, 0)
    if size > MAX_UNCOMPRESSED:
        raise ValueError(f"a block has {size} bytes; at most {MAX_UNCOMPRESSED} are read")
    output = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        kind, count = tag & 3, tag >> 2
        if kind == 0:
            if count >= 60:
                width = count - 59
                count = int.from_bytes(data[position : position + width], "little")
                position += width
            count += 1
            if position + count > len(data):
                raise ValueError("a compressed block is truncated")
            output += data[position : position + count]
            position += count
            continue
        width = (0, 1, 2, 4)[kind]
        low = int.from_bytes(data[position : position + width], "little")
        position += width
        back, length = (low | (count >> 3) << 8, 4 + (count & 7)) if kind == 1 else (low, count + 1)
        if not 0 < back <= len(output) or len(output) + length > size:
            raise ValueError("a compressed block is damaged")
        start = len(output) - back
        piece = bytes(output[start : start + length])
        output += (piece * (length // len(piece) + 1))[:length]
    if len(output) != size:
        raise ValueError("a compressed block is damaged")
    return bytes(output)
