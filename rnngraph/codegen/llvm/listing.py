"""Annotated assembly, from the line locations of a debug build.

The instructions of a debug build are the same as those of the code that runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...support.stage_text import StageLine, StageText
from ..loop_ir.origins import Origins, origins_text
from .debug_info import DEFINITION

_PLACE = re.compile(r"\s*\.loc\s+\d+ (\d+) (\d+)")
_SECTION = re.compile(r"\s*\.(section|text|data|subsections_via_symbols)\b")
_DEBUG_SECTION = re.compile(r'\s*\.section\s+"?(\.debug|__DWARF|\.custom_section\.producers)')
_UNSHOWN = re.compile(r"\s*\.(cfi_|file\s+\d|loc\s)|\.?L(tmp|func_begin|debug_)\w*:")
_LABEL = re.compile(r'_?"?([A-Za-z_][\w.$-]*)"?:')
_END = re.compile(r"(\.?Lfunc_end\d+):")
_INSTRUCTION = re.compile(r"\s+[a-zA-Z]")


def listing(assembly: str, debug_text: StageText, numbered: Mapping[Origins, int]) -> StageText:
    """Return assembly text with a comment at each instruction whose script line differs from that of the previous one.

    Args:
        assembly: Assembly text of the debug build.
        debug_text: LLVM text of the debug build, with metadata.
        numbered: Numbers of origins from ``with_debug_info``, which are the columns of locations.
    """
    of_column, own = {number: origins for origins, number in numbered.items()}, _own_origins(debug_text)
    lines: list[StageLine] = []
    origins: Origins = ()
    of_function, is_debug = origins, False
    shown: Origins | None = None  # reset at the start of a function
    for line in assembly.removesuffix("\n").split("\n"):
        if _SECTION.match(line):
            is_debug = _DEBUG_SECTION.match(line) is not None
        if is_debug:
            continue
        if place := _PLACE.match(line):
            # Line 0 marks code that LLVM merged from several locations. It belongs to the code before it.
            origins = of_column.get(int(place[2]), of_function) if place[1] != "0" else origins
            continue
        if _UNSHOWN.match(line):
            continue
        if (label := _LABEL.match(line)) and label[1] in own:
            origins = of_function = own[label[1]]
            shown = None
        if not _INSTRUCTION.match(line):
            lines.append(StageLine(line))
            continue
        if origins != shown:
            shown = origins
            lines.append(StageLine(f"\t# {origins_text(origins)}", origins))
        lines.append(StageLine(line, origins))
    text = "\n".join(line.text for line in lines if not _END.match(line.text))
    return StageText(line for line in lines if not (end := _END.match(line.text)) or f"{end[1]}-" in text)


def _own_origins(debug_text: StageText) -> dict[str, Origins]:
    """Return {function: its script lines as a whole}, for code that belongs to no single kernel."""
    origins_by_name: dict[str, Origins] = {}
    name = ""
    for line, origins in debug_text.lines:
        if head := DEFINITION.match(line):
            name = head[2]
        elif line == "}":
            origins_by_name[name] = origins
    return origins_by_name
