"""Reader of the line tables (DWARF 4) and the function symbols of ELF objects.

It reads objects that this package wrote, and raises an error for other kinds of objects.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from ...support.records import NamedTuple, dataclass
from .elf import EXECUTABLE, RELOCATION, SYMBOL, SYMBOLS, sections_of, text_at

_FUNCTION = 2
_EXTENDED, _COPY, _ADVANCE, _LINE, _FILE, _COLUMN, _CONSTANT, _FIXED = 0, 1, 2, 3, 4, 5, 8, 9
_END, _SET_ADDRESS = 1, 2


class Row(NamedTuple):
    """Row of a line table: from ``address`` in the code section on, instructions belong to this line.

    Line 0 means that the line is unknown.
    """

    address: int
    file: str
    line: int
    column: int


class Symbol(NamedTuple):
    """Name and size of a function, and its address in the code section."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class ObjectLines:
    """Line table and functions of an object, in order of address."""

    rows: tuple[Row, ...]
    functions: tuple[Symbol, ...]


def read_lines(binary: bytes) -> ObjectLines:
    """Read the line table and the functions of a 64-bit ELF object with one code section.

    Raises:
        ValueError: The object is of another kind, or damaged.
    """
    try:
        return _read(binary)
    except (struct.error, IndexError, StopIteration) as error:
        raise ValueError("the ELF object is damaged") from error


def _read(binary: bytes) -> ObjectLines:
    sections = sections_of(binary)
    contents = {section.name: section.content for section in sections}
    executable = [number for number, section in enumerate(sections) if section.flags & EXECUTABLE and section.content]
    if len(executable) != 1:
        raise ValueError("the object does not have exactly one code section")
    functions: list[Symbol] = []
    for table in sections:
        if table.kind == SYMBOLS:
            for name, kind, _, section, address, size in SYMBOL.iter_unpack(table.content):
                if kind & 15 == _FUNCTION and section == executable[0]:
                    functions.append(Symbol(text_at(sections[table.link].content, name), address, size))
    starts = {place: start for place, _, start in RELOCATION.iter_unpack(contents.get(".rela.debug_line", b""))}
    rows = sorted(_rows(contents.get(".debug_line", b""), starts), key=lambda row: row.address)
    return ObjectLines(tuple(rows), tuple(sorted(functions, key=lambda function: function.address)))


class _Bytes:
    """Reader of consecutive numbers in bytes."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position

    def number(self, form: str) -> int:
        """Read a number at the position, in a format of the module ``struct``, and advance the position."""
        (value,) = struct.unpack_from(f"<{form}", self.data, self.position)
        self.position += struct.calcsize(f"<{form}")
        return int(value)

    def leb(self, signed: bool = False) -> int:
        """Read an integer of variable length (DWARF's LEB128) at the position, and advance the position."""
        value = shift = 0
        while True:
            byte = self.number("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value - (1 << shift) if signed and byte & 64 else value

    def text(self) -> str:
        """Read a text that ends with a zero byte."""
        value = text_at(self.data, self.position)
        self.position = self.data.index(0, self.position) + 1
        return value


def _rows(data: bytes, starts: Mapping[int, int]) -> Iterator[Row]:
    """Yield (address, file, line, column) rows of all line tables in a debug section.

    Args:
        data: Contents of the section with line programs.
        starts: Addresses that relocation would write into ``data`` for a code section at address 0, by their position
            in ``data``.
    """
    position = 0
    while position < len(data):
        reader = _Bytes(data, position)
        position = reader.number("I") + reader.position
        if reader.number("H") != 4:
            raise ValueError("the object has line tables of a version other than DWARF 4")
        program = reader.number("I") + reader.position
        shortest, _, _, base, span, special = (reader.number(form) for form in "BBBbBB")
        for _ in range(special - 1):
            reader.number("B")
        folders, files = [""], [""]
        while folder := reader.text():
            folders.append(folder)
        while name := reader.text():
            folder, _, _ = folders[reader.leb()], reader.leb(), reader.leb()
            separator = "\\" if "\\" in folder else "/"
            files.append(f"{folder}{separator}{name}" if folder else name)
        reader.position = program
        yield from _run(reader, position, _LineProgram(shortest, base, span, special, files), starts)


class _LineProgram(NamedTuple):
    """Header of a line program, in DWARF's terms.

    Attributes:
        shortest: Bytes of the shortest instruction of the processor.
        base: Minimum line increment of a special opcode.
        span: Number of line increments of special opcodes.
        special: First special opcode.
        files: Names of files, by number.
    """

    shortest: int
    base: int
    span: int
    special: int
    files: list[str]


def _run(reader: _Bytes, end: int, program: _LineProgram, starts: Mapping[int, int]) -> Iterator[Row]:
    """Run a DWARF line program up to position ``end``. Yield its rows of (address, file, line, column)."""
    shortest, base, span, special, files = program
    address, file, line, column = 0, 1, 1, 0
    while reader.position < end:
        code = reader.number("B")
        if code >= special:
            address += (code - special) // span * shortest
            line += base + (code - special) % span
            yield Row(address, files[file], line, column)
        elif code == _EXTENDED:
            next_position = reader.leb() + reader.position
            kind = reader.number("B")
            if kind == _END:
                yield Row(address, "", 0, 0)
                address, file, line, column = 0, 1, 1, 0
            elif kind == _SET_ADDRESS:
                address = starts.get(reader.position, 0)
            reader.position = next_position
        elif code == _COPY:
            yield Row(address, files[file], line, column)
        elif code == _ADVANCE:
            address += reader.leb() * shortest
        elif code == _LINE:
            line += reader.leb(signed=True)
        elif code == _FILE:
            file = reader.leb()
        elif code == _COLUMN:
            column = reader.leb()
        elif code == _CONSTANT:
            address += (255 - special) // span * shortest
        elif code == _FIXED:
            address += reader.number("H")
        elif code == 12:  # the number of an instruction set, which is not needed
            reader.leb()
