"""Reader of the undefined symbols of an object file: ELF, COFF, Mach-O or WebAssembly."""

from __future__ import annotations

from collections.abc import Iterator


def undefined_symbols(binary: bytes) -> list[str]:
    """Return the names of undefined symbols, as the linker reads them."""
    if binary[:4] == b"\x7fELF":
        return sorted(_elf(binary))
    if binary[:4] == b"\xcf\xfa\xed\xfe":
        return sorted(_mach_o(binary))
    if binary[:4] == b"\0asm":
        return sorted(_wasm(binary))
    if _number(binary, 0, 2) in (0x8664, 0xAA64):
        return sorted(_coff(binary))
    raise ValueError(f"neither an ELF, Mach-O, WebAssembly nor COFF file: it begins with {binary[:4]!r}")


def processor(binary: bytes) -> str:
    """Return the file format and the processor number in that format, as text."""
    if binary[:4] == b"\x7fELF":
        return f"ELF{32 * binary[4]} {_number(binary, 18, 2)}"
    if binary[:4] == b"\xcf\xfa\xed\xfe":
        return f"Mach-O {_number(binary, 4, 4):#x}"
    return "wasm" if binary[:4] == b"\0asm" else f"COFF {_number(binary, 0, 2):#x}"


def _number(binary: bytes, offset: int, count: int) -> int:
    return int.from_bytes(binary[offset : offset + count], "little")


def _text(binary: bytes, offset: int) -> str:
    return binary[offset : binary.index(b"\0", offset)].decode()


def _elf(binary: bytes) -> Iterator[str]:
    wide = binary[4] == 2
    word = 8 if wide else 4
    start, size, count = (
        _number(binary, offset, length)
        for offset, length in (((0x28, 8), (0x3A, 2), (0x3C, 2)) if wide else ((0x20, 4), (0x2E, 2), (0x30, 2)))
    )
    place, link, entry, section = (0x18, 0x28, 24, 6) if wide else (0x10, 0x18, 16, 14)
    for header in range(start, start + size * count, size):
        if _number(binary, header + 4, 4) != 2:  # section that is not a symbol table
            continue
        table, length = _number(binary, header + place, word), _number(binary, header + place + word, word)
        names = start + size * _number(binary, header + link, 4)
        strings = _number(binary, names + place, word)
        for symbol in range(table + entry, table + length, entry):  # the first symbol is always empty
            if _number(binary, symbol + section, 2) == 0:
                yield _text(binary, strings + _number(binary, symbol, 4))


def _coff(binary: bytes) -> Iterator[str]:
    table, count = _number(binary, 8, 4), _number(binary, 12, 4)
    strings = table + 18 * count
    skipped = 0
    for symbol in range(table, strings, 18):
        if skipped:  # auxiliary record of the symbol before
            skipped -= 1
            continue
        skipped = binary[symbol + 17]
        if _number(binary, symbol + 12, 2) == 0 and binary[symbol + 16] in (2, 105):  # external or weak external
            short = binary[symbol : symbol + 8]
            long = _number(binary, symbol, 4) == 0
            yield _text(binary, strings + _number(binary, symbol + 4, 4)) if long else short.rstrip(b"\0").decode()


def _mach_o(binary: bytes) -> Iterator[str]:
    command = 32
    for _ in range(_number(binary, 16, 4)):
        kind, size = _number(binary, command, 4), _number(binary, command + 4, 4)
        if kind == 2:
            table, count, strings = (_number(binary, command + offset, 4) for offset in (8, 12, 16))
            for symbol in range(table, table + 16 * count, 16):
                flags = binary[symbol + 4]
                if not flags & 0xE0 and not flags & 0x0E and flags & 1:  # undefined and external, not for debugging
                    yield _text(binary, strings + _number(binary, symbol, 4))
        command += size


def _wasm(binary: bytes) -> Iterator[str]:
    """Yield imported functions and globals, and undefined data. The memory itself is always imported."""
    at = 8
    while at < len(binary):
        section = binary[at]
        size, at = _leb(binary, at + 1)
        if section == 2:
            yield from _wasm_imports(binary, at)
        elif section == 0:
            name, body = _wasm_name(binary, at)
            if name == "linking":
                yield from _wasm_data(binary, body, at + size)
        at += size


def _wasm_imports(binary: bytes, at: int) -> Iterator[str]:
    count, at = _leb(binary, at)
    for _ in range(count):
        _, at = _wasm_name(binary, at)
        name, at = _wasm_name(binary, at)
        kind, at = binary[at], at + 1
        if kind in (0, 3):
            yield name
        if kind == 0:
            _, at = _leb(binary, at)
        elif kind == 3:
            at += 2
        else:  # a table has a type before its limits
            flags, at = _leb(binary, at + (kind == 1))
            for _ in range(1 + (flags & 1)):
                _, at = _leb(binary, at)


def _wasm_data(binary: bytes, at: int, end: int) -> Iterator[str]:
    _, at = _leb(binary, at)  # skips the version
    while at < end:
        kind = binary[at]
        size, at = _leb(binary, at + 1)
        if kind == 8:
            yield from _wasm_symbols(binary, at)
        at += size


def _wasm_symbols(binary: bytes, at: int) -> Iterator[str]:
    count, at = _leb(binary, at)
    for _ in range(count):
        kind = binary[at]
        flags, at = _leb(binary, at + 1)
        missing = flags & 0x10
        if kind == 1:
            name, at = _wasm_name(binary, at)
            if missing:
                yield name
            for _ in range(0 if missing else 3):
                _, at = _leb(binary, at)
            continue
        _, at = _leb(binary, at)
        if kind != 3 and (not missing or flags & 0x40):
            _, at = _wasm_name(binary, at)


def _wasm_name(binary: bytes, at: int) -> tuple[str, int]:
    length, at = _leb(binary, at)
    return binary[at : at + length].decode(), at + length


def _leb(binary: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = binary[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
