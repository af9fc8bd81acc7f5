"""Symbols of in-memory code for Linux perf: a map of functions, or a jitdump with the script's lines.

Running code has no debug information. It comes from a debug build, whose instructions are the same.
"""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

from ...codegen.machine.line_table import ObjectLines, Row, Symbol, read_lines
from ...support.errors import FileError, GraphError, Where
from ...support.records import dataclass
from ...support.system import executable_page
from .compiled_graph import CompiledGraph
from .entry import NativeEntry

_MAGIC, _VERSION, _LOAD, _LINES = 0x4A695444, 1, 0, 2
_HEADER, _RECORD = struct.Struct("<IIIIIIQQ"), struct.Struct("<IIQ")
_MACHINES = {"x86_64": 62, "aarch64": 183}
"""ELF machine numbers by the first part of a target triple."""


@dataclass(frozen=True)
class _Loaded:
    """Object file of a debug build, and the address of the running code with the same instructions."""

    lines: ObjectLines
    base: int
    layers: dict[str, str]

    def title(self, function: Symbol) -> str:
        """Return the name of a function with the layers that it computes."""
        layers = self.layers.get(function.name, "")
        return f"{function.name} {layers}".strip()


def write_perf_map(compiled: CompiledGraph, jitdump: bool, where: Where | None) -> Path:
    """Append the code compiled for a graph so far to a file for perf, and return its path.

    A jitdump is in the working directory, a map of functions in the directory for temporary files.

    Raises:
        GraphError: Nothing has run yet, or the target is not Linux on x86-64 or AArch64.
        FileError: The file cannot be written.
    """
    machine = next((number for name, number in _MACHINES.items() if compiled.options.target.triple.startswith(name)), 0)
    if not machine or "linux" not in compiled.options.target.triple:
        raise GraphError("perf reads maps of code on Linux only, on x86-64 and AArch64; use profile instead", where)
    loaded = [_debug_build(compiled, entry) for entry in compiled.native_entries()]
    if not loaded:
        raise GraphError(f"the {compiled.kind} graph has no code yet; call it first, or prepare it", where)
    folder = Path.cwd() if jitdump else Path(tempfile.gettempdir())
    path = folder / (f"jit-{os.getpid()}.dump" if jitdump else f"perf-{os.getpid()}.map")
    try:
        if jitdump:
            compiled.marks.append(_dumped(path, loaded, machine))
        else:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(_symbols(loaded))
    except OSError as error:
        raise FileError(f"{path} can't be written: {error.strerror}", where) from error
    return path


def _debug_build(compiled: CompiledGraph, entry: NativeEntry) -> _Loaded:
    """Compile an entry again with line tables. Return its functions and lines, at the addresses of the loaded code."""
    from ...codegen.compile import debug_build  # slow to import, and not needed on a cache hit

    form = entry.key
    graph, name = compiled.sized(form.outputs, form.sizes, form.one_step, form.recompute), form.name
    object_code, layers = debug_build(graph, compiled.options.target, name, form.parts)
    lines = read_lines(object_code)
    offset = next(function.address for function in lines.functions if function.name == name)
    return _Loaded(lines, entry.address - offset, layers)


def _symbols(loaded: list[_Loaded]) -> Iterator[str]:
    """Yield the lines of the map of functions."""
    for item in loaded:
        for function in item.lines.functions:
            yield f"{item.base + function.address:x} {function.size:x} {item.title(function)}\n"


def _dumped(path: Path, loaded: list[_Loaded], machine: int) -> mmap:
    """Append functions and their source lines to a jitdump. Return a mapping of the file, by which perf finds it."""
    is_new = not path.exists()
    with path.open("ab+") as file:
        if is_new:
            file.write(_HEADER.pack(_MAGIC, _VERSION, _HEADER.size, machine, 0, os.getpid(), time.monotonic_ns(), 0))
        count = 0
        for item in loaded:
            for function in item.lines.functions:
                file.write(_record(_LINES, _lines_of(item, function)))
                file.write(_record(_LOAD, _code_of(item, function, count)))
                count += 1
        file.flush()
        return executable_page(file.fileno())


def _record(kind: int, content: bytes) -> bytes:
    """Return a record of a jitdump."""
    return _RECORD.pack(kind, _RECORD.size + len(content), time.monotonic_ns()) + content


def _lines_of(item: _Loaded, function: Symbol) -> bytes:
    """Return the bytes of the jitdump record that maps a function's addresses to source lines."""
    rows = _rows_of(item.lines, function)
    places = [
        struct.pack("<QII", item.base + row.address, row.line, 0) + row.file.encode("utf-8", "replace") + b"\0"
        for row in rows
    ]
    return struct.pack("<QQ", item.base + function.address, len(places)) + b"".join(places)


def _rows_of(lines: ObjectLines, function: Symbol) -> list[Row]:
    """Return the rows of a function's line table that have a line.

    The line of a row is that of all instructions from its address to that of the next row.
    """
    end = function.address + function.size
    return [row for row in lines.rows if function.address <= row.address < end and row.line]


def _code_of(item: _Loaded, function: Symbol, index: int) -> bytes:
    """Return the content of the record with a function's code."""
    address = item.base + function.address
    head = struct.pack("<IIQQQQ", os.getpid(), threading.get_native_id(), address, address, function.size, index)
    code = ctypes.string_at(address, function.size)
    return head + item.title(function).encode("utf-8", "replace") + b"\0" + code
