"""Metadata of debug builds: lines, layers and phases, for ``gdb``, ``perf`` and ``objdump``.

A layer in a phase appears as an inlined function. For example, an instruction of a kernel has the script's line in the
function ``encoder/cell_0 forward``, inlined in ``scan2``. Code that several layers share has the names of all layers,
and the line of the first one. Instructions are the same with and without metadata.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from ...support.stage_text import StageLine, StageText
from ..loop_ir.origins import Origins, layers_text

DEFINITION = re.compile(r'(define .*?@"?([\w.$-]+)"?\(.*\).*?) \{$')
_CALL = re.compile(r"\bcall .*?@([\w.$-]+)\(")
MAX_COLUMN = 65535
"""Maximum column in LLVM's metadata. Lines whose origins have a larger number get the origins of their function."""


def with_debug_info(text: StageText, numbered: dict[Origins, int] | None = None, own: Origins = ()) -> StageText:
    """Return a module's LLVM text with metadata of the script's line and layer for each instruction.

    Args:
        text: Text of the module.
        numbered: Dictionary to which a number is added for the origins of each line. The number becomes the column of
            locations, which identifies the origins in assembly. None for locations without a column.
        own: Origins for functions that neither have origins, nor are called by code with origins.
    """
    lines = _with_origins_of_callers(text.lines, own)
    writer = _Metadata(lines, numbered)
    result: list[StageLine] = []
    function = ""
    for line, origins in lines:
        if head := DEFINITION.match(line):
            function = writer.function(head[2], origins)
            line = f"{head[1]} !dbg {function} {{"
        elif line == "}":
            function = ""
        elif function and line.startswith("  ") and not line.startswith("  ;"):
            line = f"{line}, !dbg {writer.place(function, origins)}"
        result.append(StageLine(line, origins))
    return StageText([*result, StageLine(""), *map(StageLine, writer.text())])


def _with_origins_of_callers(lines: Iterable[StageLine], own: Origins) -> list[StageLine]:
    """Return lines with their origins (script lines). Functions without any get the origins of all their calls."""
    lines = list(lines)
    known: set[str] = set()
    callers: dict[str, dict[str, None]] = {}
    of_calls: dict[str, Origins] = {}
    function = ""
    for line, origins in lines:
        if head := DEFINITION.match(line):
            function = head[2]
        elif line == "}":
            function = ""
        if origins:
            known.add(function)
        if call := _CALL.search(line):
            callers.setdefault(call[1], {})[function] = None
            of_calls[call[1]] = tuple(dict.fromkeys((*of_calls.get(call[1], ()), *origins)))
    lines_with_origins: list[StageLine] = []
    for line, origins in lines:
        if head := DEFINITION.match(line):
            function = head[2]
        inherited = origins
        if function and function not in known:
            inherited = _of_callers(function, callers, of_calls, known) or own
        lines_with_origins.append(StageLine(line, inherited))
        if line == "}":
            function = ""
    return lines_with_origins


def _of_callers(
    function: str, callers: dict[str, dict[str, None]], of_calls: dict[str, Origins], known: set[str]
) -> Origins:
    """Return the origins (script lines) of all direct and indirect calls of a function."""
    origins, pending, visited = dict.fromkeys(of_calls.get(function, ())), [function], set[str]()
    while pending:
        name = pending.pop()
        if name in visited:
            continue
        visited.add(name)
        origins |= dict.fromkeys(of_calls.get(name, ()))
        pending += [caller for caller in callers.get(name, ()) if caller not in known]
    return tuple(origins)


class _Metadata:
    """Builder of a module's metadata. Nodes with equal text are shared."""

    def __init__(self, lines: Iterable[StageLine], numbered: dict[Origins, int] | None) -> None:
        self.numbered = numbered
        self.nodes: list[str] = []
        self.numbers: dict[str, str] = {}
        self.layers: dict[tuple[str, str], str] = {}
        self.functions: dict[str, tuple[str, int]] = {}
        self.file = next((origins[0].file for _, origins in lines if origins), "")
        self.unit = self._distinct(
            f"DICompileUnit(language: DW_LANG_C99, file: {self._file(self.file, separate_folder=False)}, "
            'producer: "rnngraph", isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug)'
        )
        self.type = self._node(f"!DISubroutineType(types: {self._node('!{null}')})")
        self.flags = [
            self._node('!{i32 7, !"Dwarf Version", i32 4}'),
            self._node('!{i32 2, !"Debug Info Version", i32 3}'),
        ]

    def function(self, name: str, origins: Origins) -> str:
        """Add metadata of a function, at its first script line. Return the node's name."""
        file, line = (origins[0].file, origins[0].line) if origins else (self.file, 0)
        number = self._subprogram(name, file, line)
        self.functions[number] = file, line
        return number

    def place(self, function: str, origins: Origins) -> str:
        """Add metadata of a location: the script line of ``origins`` in a function. Return the node's name."""
        if not origins:  # the code belongs to no line of a script
            return self._node(f"!DILocation(line: {self.functions[function][1]}, scope: {function})")
        first = origins[0]
        if not any(origin.layer for origin in origins) and first.file == self.functions[function][0]:
            return self._node(f"!DILocation(line: {first.line}, {self._column(origins)}scope: {function})")
        name = layers_text(origins)
        layer = self.layers.get((name, first.file))
        if layer is None:
            layer = self.layers[name, first.file] = self._subprogram(name, first.file, first.line)
        around = self._node(f"distinct !DILocation(line: {self.functions[function][1]}, scope: {function})", function)
        column = self._column(origins)
        return self._node(f"!DILocation(line: {first.line}, {column}scope: {layer}, inlinedAt: {around})")

    def _column(self, origins: Origins) -> str:
        """Return the field with the column of a location; empty if columns are not numbered."""
        if self.numbered is None:
            return ""
        number = self.numbered.setdefault(origins, len(self.numbered) + 1)
        return f"column: {number if number <= MAX_COLUMN else 0}, "

    def text(self) -> list[str]:
        """Return the lines with all metadata."""
        named = [f"!llvm.dbg.cu = !{{{self.unit}}}", f"!llvm.module.flags = !{{{', '.join(self.flags)}}}"]
        return [*named, *(f"!{number} = {node}" for number, node in enumerate(self.nodes))]

    def _subprogram(self, name: str, file: str, line: int) -> str:
        """Add metadata of a function, or of a layer that appears as one. Return the node's name."""
        where = self._file(file)
        return self._distinct(
            f"DISubprogram(name: {_quoted(name)}, scope: {where}, file: {where}, line: {line}, type: {self.type}, "
            f"scopeLine: {line}, spFlags: DISPFlagLocalToUnit | DISPFlagDefinition | DISPFlagOptimized, "
            f"unit: {self.unit})"
        )

    def _file(self, path: str, separate_folder: bool = True) -> str:
        """Add a file's node. Return the node's name.

        ``separate_folder`` stores the folder in a separate field, as line tables require.
        """
        folder, name = os.path.split(path if path.startswith("<") else os.path.abspath(path)) if path else ("", "")
        if not separate_folder:
            folder, name = "", f"{folder}/{name}"
        return self._node(f"!DIFile(filename: {_quoted(name or 'script')}, directory: {_quoted(folder)})")

    def _distinct(self, node: str) -> str:
        """Add a node that is not shared. Return the node's name."""
        self.nodes.append(f"distinct !{node}")
        return f"!{len(self.nodes) - 1}"

    def _node(self, text: str, key: str = "") -> str:
        """Add a node. Return the node's name. Nodes with equal text are shared if their keys are equal."""
        if text + key not in self.numbers:
            self.nodes.append(text)
            self.numbers[text + key] = f"!{len(self.nodes) - 1}"
        return self.numbers[text + key]


def _quoted(text: str) -> str:
    """Return quoted text in LLVM's syntax, in which only printable ASCII is not escaped."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return f'"{"".join(plain)}"'
