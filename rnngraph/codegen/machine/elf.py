"""Reader of the sections of 64-bit ELF objects."""

from __future__ import annotations

import struct

from ...support.records import NamedTuple

_SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
"""Entry of a symbol table: name, kind, visibility, section, address, size."""
RELOCATION = struct.Struct("<QQq")
"""Relocation: place in the section, symbol (upper 32 bits) and kind (lower 32 bits), and number to add."""
CONTENTS, SYMBOLS, RELOCATIONS = 1, 2, 4
"""Kinds of sections."""
WRITABLE, IN_MEMORY, EXECUTABLE = 1, 2, 4
"""Flags of sections."""


class Section(NamedTuple):
    """Section of an object: name, kind, flags, the two sections to which it refers, alignment, and contents."""

    name: str
    kind: int
    flags: int
    link: int
    info: int
    alignment: int
    content: bytes


def sections_of(binary: bytes) -> list[Section]:
    """Return all sections of an ELF object file, in order.

    Raises:
        ValueError: The bytes are not a 64-bit little-endian ELF object, or the object is damaged.
        struct.error: The object is damaged.
        IndexError: The object is damaged.
    """
    if binary[:6] != b"\x7fELF\x02\x01":
        raise ValueError("the bytes are not a 64-bit little-endian ELF object")
    (first,) = struct.unpack_from("<Q", binary, 40)
    count, names = struct.unpack_from("<HH", binary, 60)
    headers = [_SECTION.unpack_from(binary, first + number * _SECTION.size) for number in range(count)]
    contents = [binary[header[4] : header[4] + header[5]] for header in headers]
    return [
        Section(text_at(contents[names], name), kind, flags, link, info, alignment, content)
        for (name, kind, flags, _, _, _, link, info, alignment, _), content in zip(headers, contents, strict=True)
    ]


def text_at(strings: bytes, start: int) -> str:
    """Return the text that starts at index ``start`` of a string table, and ends before the next zero byte."""
    return strings[start : strings.index(0, start)].decode("utf-8", "replace")
