"""Loading of object files into memory without LLVM. Importing LLVM takes longer than the rest of a cached call.

The module loads objects that LLVM writes for this package's functions on x86-64, in which code and constants refer to
each other by relative addresses. LLVM loads all other objects.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from ...support.records import NamedTuple
from ...support.system import ExecutableMemory
from .elf import CONTENTS, IN_MEMORY, RELOCATION, RELOCATIONS, SYMBOL, SYMBOLS, WRITABLE, Section, sections_of, text_at

_MACHINE = b"\x3e\x00"
"""ELF's number of x86-64."""
_DISTANCES = (2, 4)
"""Kinds of relocations that write the distance from the relocation's place to a symbol, in 32 bits."""


class LoadedObject(NamedTuple):
    """An object in memory, and the addresses of its symbols."""

    memory: ExecutableMemory
    addresses: Mapping[str, int]


def load(binary: bytes) -> LoadedObject | None:
    """Load an object file into executable memory. Return the memory and the addresses of its functions.

    Return None if this module cannot load the object, or if the system permits no executable memory.
    """
    if binary[18:20] != _MACHINE:
        return None
    try:
        sections = sections_of(binary)
        linked = _linked(sections)
        if linked is None:
            return None
        content, places = linked
        memory = ExecutableMemory(content)
    except (ValueError, IndexError, struct.error, OSError):
        return None
    addresses = dict[str, int]()
    for table in sections:
        for name, section, value in _symbols(table, sections) if table.kind == SYMBOLS else ():
            if section in places:
                addresses[name] = memory.address + places[section] + value
    return LoadedObject(memory, addresses)


def _linked(sections: Sequence[Section]) -> tuple[bytes, Mapping[int, int]] | None:
    """Return the relocated bytes of all sections that belong in memory, and {index of a section: its offset}.

    Return None for objects that this module cannot load: with writable sections, symbols of other objects, or other
    kinds of relocations.
    """
    content, places = bytearray(), dict[int, int]()
    for number, section in enumerate(sections):
        if section.flags & IN_MEMORY and section.content:
            if section.kind != CONTENTS or section.flags & WRITABLE:
                return None
            content += bytes(-len(content) % max(1, section.alignment))
            places[number] = len(content)
            content += section.content
    for relocations in sections:
        if relocations.kind != RELOCATIONS or relocations.info not in places:
            continue
        symbols = [*_symbols(sections[relocations.link], sections)]
        for place, symbol_and_kind, added in RELOCATION.iter_unpack(relocations.content):
            _, section_number, value = symbols[symbol_and_kind >> 32]
            if section_number not in places or symbol_and_kind & 0xFFFFFFFF not in _DISTANCES:
                return None
            start = places[relocations.info] + place
            struct.pack_into("<i", content, start, places[section_number] + value + added - start)
    return bytes(content), places


def _symbols(table: Section, sections: Sequence[Section]) -> Sequence[tuple[str, int, int]]:
    """Return the name, the index of the section, and the offset in the section, of each symbol of a table."""
    strings = sections[table.link].content
    entries = SYMBOL.iter_unpack(table.content)
    return [(text_at(strings, name), section, value) for name, _, _, section, value, _ in entries]
