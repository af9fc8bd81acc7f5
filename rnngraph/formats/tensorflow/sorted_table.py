"""Sorted tables of keys and values, LevelDB's format, in which TensorFlow keeps the index of a checkpoint.

A table is blocks and a footer. A block's keys are written without what they share with the key before; behind it stand
a byte that says how it is compressed and a CRC-32C of both. Every block that is read is compared with its CRC. The
footer names the block whose values say where the others lie (LevelDB, ``doc/table_format.md``).
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
    """Where a block lies, and its bytes without what stands behind it."""

    offset: int
    size: int


def entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table, in order. Raises ``ValueError`` where it is damaged."""
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise ValueError("it does not end as a table does")
    unused, position = _handle(data, len(data) - FOOTER)
    index, position = _handle(data, position)
    if any(data[position:-8]):
        raise ValueError("its end is damaged")
    _block(data, unused)  # of filters, which TensorFlow leaves empty
    for _, value in _entries(_block(data, index)):
        handle, _ = _handle(value, 0)
        yield from _entries(_block(data, handle))


def _handle(data: bytes, position: int) -> tuple[Handle, int]:
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return Handle(offset, size), position


def _block(data: bytes, handle: Handle) -> bytes:
    offset, size = handle
    if offset + size + 5 > len(data):
        raise ValueError(f"a block at {offset} of {size} bytes reaches beyond its end")
    kind, end = data[offset + size], offset + size + 1
    if masked_crc(data[offset:end]) != int.from_bytes(data[end : end + 4], "little"):
        raise ValueError(f"the block of {size} bytes at {offset} has another checksum than it was written with")
    if kind == SNAPPY:
        return _uncompressed(data[offset : offset + size])
    if kind != PLAIN:
        raise ValueError(f"a block is compressed in an unknown way ({kind})")
    return data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise ValueError("a block is cut off")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block is cut off")
    position, key = 0, b""
    while position < end:
        shared, position = read_varint(block, position)
        own, position = read_varint(block, position)
        size, position = read_varint(block, position)
        if shared > len(key) or position + own + size > end:
            raise ValueError("a block's entry reaches beyond its end")
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + size]
        position += size


MOST_UNCOMPRESSED = 1 << 30


def _uncompressed(data: bytes) -> bytes:
    """What Snappy has compressed: literals, and copies of what came before (its ``format_description.txt``)."""
    size, position = read_varint(data, 0)
    if size > MOST_UNCOMPRESSED:
        raise ValueError("a block is too long")
    found = bytearray()
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
                raise ValueError("a compressed block is cut off")
            found += data[position : position + count]
            position += count
            continue
        width = (0, 1, 2, 4)[kind]
        low = int.from_bytes(data[position : position + width], "little")
        position += width
        back, length = (low | (count >> 3) << 8, 4 + (count & 7)) if kind == 1 else (low, count + 1)
        if not 0 < back <= len(found) or len(found) + length > size:
            raise ValueError("a compressed block is damaged")
        start = len(found) - back
        piece = bytes(found[start : start + length])
        found += (piece * (length // len(piece) + 1))[:length]
    if len(found) != size:
        raise ValueError("a compressed block is damaged")
    return bytes(found)
