"""``rnngraph show``: print a stage, its part for a layer or line, or the changes of a pass.

In a pipe, a whole stage is the text of ``graph.show``. On a terminal, the text is highlighted, and long texts go
through the pager ``less``. Comments after ``#`` are aligned to a column that depends only on the window's width.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from ...inspection.explore.changes import changes_between
from ...program.callable_graph import CallableGraph
from ...runtime.graph_source import DeclaredSource
from ...runtime.native.stages import change_of
from ...support.display.colours import THEME, coloured
from ...support.errors import Where, did_you_mean
from ...support.source_lines import first_lines, source_lines
from ...support.stage_text import StageLine, StageText
from .command_error import CommandError
from .progress import progress

CONTEXT = 3
"""Lines of context around a change."""

CHANGED = "-+"
"""Marks of changed lines in a diff. Other lines are context."""

NUMBERED = (
    "# ~ marks lines that are equal except for numbers in names; lines with - have the old numbers, all others the new"
)
GAP = "…"
COMMENT_COLUMNS = 44
"""Columns reserved for comments on a terminal that is wide enough."""

MIN_CODE_COLUMNS = 60
PIPED_WIDTH = 140
PAGER = ("less", "--RAW-CONTROL-CHARS", "--quit-if-one-screen", "--chop-long-lines", "--no-init")


def show_stage(
    graph: CallableGraph, stage: str, layer: str | None = None, line: str | None = None, with_pager: bool = True
) -> None:
    """Print a compiler stage of a graph, or only the lines of one layer or script line.

    Args:
        graph: The graph.
        stage: Name of the stage.
        layer: Print only this layer, by its name or a part of its path; None for all.
        line: Print only the code of this script line, as ``39`` or ``net.py:39``; None for all.
        with_pager: Use a pager for long texts on a terminal.

    Raises:
        CommandError: The stage does not exist, or nothing in it belongs to the layer or line.
    """
    if stage not in graph.stages:
        hint = did_you_mean(stage, graph.stages)
        raise CommandError(f"no stage is named {stage!r}; there are {', '.join(graph.stages)}{hint}")
    with progress(f"making {stage}"):
        text = graph.show(stage)
    assert isinstance(text, StageText)
    if layer is None and line is None:
        _print([*text.lines], stage, with_pager, str(text))
        return
    lines = _selected_lines(text.lines, layer, _first_line(graph, text.lines, line))
    _print(lines, stage, with_pager)


def show_change(
    graph: CallableGraph, name: str, layer: str | None = None, line: str | None = None, with_pager: bool = True
) -> None:
    """Print what a compiler pass changes in a graph: the pass's purpose and law, and a diff.

    Args:
        graph: The graph.
        name: Name of the pass.
        layer: Print only changes of this layer, as for ``show_stage``.
        line: Print only changes of this script line, as for ``show_stage``.
        with_pager: Use a pager for long texts on a terminal.

    Raises:
        CommandError: The pass does not exist, or nothing belongs to the layer or line.
    """
    compiled = graph.full_graph()
    passes = [single.name for single in compiled.pipeline]
    if name not in passes:
        hint = f"; `--stage {name}` prints that stage" if name in graph.stages else did_you_mean(name, passes)
        raise CommandError(f"no pass is named {name!r}; there are {', '.join(passes)}{hint}")
    before, after, purpose, law = change_of(compiled, name)
    head = [StageLine(f"# {name}: {purpose}"), StageLine(f"# Law: {law}")]
    if layer is not None or line is not None:
        every = [*before.lines, *after.lines]
        line = _first_line(graph, every, line)
        _check_known(every, layer, line)
    changes = [*_changes(before.lines, after.lines, layer, line)]
    if any(item.text.startswith("~ ") for item in changes):
        head.append(StageLine(NUMBERED))
    _print([*head, *(changes or [StageLine("# nothing changed")])], "diff", with_pager)


# Choosing lines ----------------------------------------------------------------------------------


def _first_line(graph: CallableGraph, lines: Sequence[StageLine], wanted: str | None) -> str | None:
    """Return ``FILE:NUMBER`` of the first line of the call that ``wanted`` continues; else ``wanted`` itself."""
    wheres = {where for item in lines for where in item.origins}
    is_known = wanted is None or any(_is_of_line(where, wanted) for where in wheres)
    if wanted is None or is_known or not isinstance(graph.parts.source, DeclaredSource):
        return wanted  # a file from elsewhere could name any path on this machine
    number = wanted.rpartition(":")[2]
    for file in sorted({where.file for where in wheres}) if number.isdecimal() else ():
        if _is_of_line(Where(file, int(number)), wanted):
            known = {where.line for where in wheres if where.file == file}
            first = first_lines("".join(source_lines(file)), known).get(int(number))
            if first is not None:
                return f"{file}:{first}"
    return wanted


def _check_known(lines: Sequence[StageLine], layer: str | None, line: str | None) -> None:
    """Raise ``CommandError`` if no line of a stage belongs to ``layer``, or none to script line ``line``."""
    wheres = [where for item in lines for where in item.origins]
    if not wheres:
        raise CommandError(
            "this stage has no source locations; use --line and --layer with a graph's stage, loops, llvm or asm"
        )
    if layer is not None and not any(_is_of_layer(where, layer) for where in wheres):
        layers = [*dict.fromkeys(where.layer for where in wheres if where.layer)]
        raise CommandError(
            f"no line of this stage belongs to a layer {layer!r}; there are {', '.join(layers) or 'none'}"
        )
    if line is not None and not any(_is_of_line(where, line) for where in wheres):
        known = [text for _, text in sorted({((where.file, where.line), str(where)) for where in wheres})]
        raise CommandError(f"no line of this stage comes from line {line}; there are {', '.join(known) or 'none'}")


def _is_wanted(item: StageLine, layer: str | None, line: str | None) -> bool:
    """True if a stage's line has an origin in both the layer and the line of the script."""
    return any(
        (layer is None or _is_of_layer(where, layer)) and (line is None or _is_of_line(where, line))
        for where in item.origins
    )


def _selected_lines(lines: Sequence[StageLine], layer: str | None, line: str | None) -> list[StageLine]:
    """Return a stage's lines of a layer or script line, with their enclosing lines, and marks for gaps."""
    _check_known(lines, layer, line)
    kept = {number for number, item in enumerate(lines) if _is_wanted(item, layer, line)}
    if not kept:
        raise CommandError(
            f"no line of this stage belongs to both layer {layer!r} and line {line!r}; give only one of them"
        )
    around = {outer for number in kept for outer in _enclosing(lines, number)}
    chosen: list[StageLine] = []
    last = -1
    for number in sorted(kept | around):
        if number > last + 1:
            chosen.append(StageLine(f"{' ' * _indent(lines[number].text)}{GAP}"))
        chosen.append(lines[number])
        last = number
    if last < len(lines) - 1:
        chosen.append(StageLine(GAP))
    return chosen


def _is_of_layer(where: Where, wanted: str) -> bool:
    """True if a layer's path contains ``wanted``, such as ``cell_1`` in ``rnn/cell_1/lstm``."""
    part = wanted.strip("/")
    return bool(part) and f"/{part}/" in f"/{where.layer}/"


def _is_of_line(where: Where, wanted: str) -> bool:
    """True if an origin is the script line ``wanted``, such as ``39`` or ``net.py:39``."""
    file, _, number = wanted.replace("\\", "/").rpartition(":")
    origin = where.file.replace("\\", "/")  # paths of Windows have colons, too
    return number == str(where.line) and (not file or f"/{origin}".endswith(f"/{file.lstrip('./')}"))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _enclosing(lines: Sequence[StageLine], number: int) -> Iterable[int]:
    """Yield the indices of the less indented lines above a line that enclose it."""
    depth = _indent(lines[number].text)
    for outer in range(number - 1, -1, -1):
        text = lines[outer].text
        if depth == 0:
            return
        if text.strip() and _indent(text) < depth and not text.lstrip().startswith(("#", ";")):
            depth = _indent(text)
            yield outer


# Comparing ---------------------------------------------------------------------------------------


def _changes(
    before: Sequence[StageLine], after: Sequence[StageLine], layer: str | None, line: str | None
) -> Iterator[StageLine]:
    """Yield the diff of two stages, with context. Lines that differ only in numbers of names are context, marked ``~``.

    ``layer`` and ``line`` select changes; None selects all.
    """
    changes = changes_between(before, after) or ()
    rows: list[tuple[str, StageLine, int]] = []  # (mark, line, position in ``after``)
    for kind, first, last, begin, end in changes:
        if kind in ("equal", "numbered"):
            mark = "~" if kind == "numbered" else " "
            rows += [(mark, after[place], place) for place in range(begin, end)]
            continue
        rows += [("-", item, begin) for item in before[first:last]]
        rows += [("+", after[place], place) for place in range(begin, end)]
    if layer is not None or line is not None:
        rows = [row for row in rows if row[0] not in CHANGED or _is_wanted(row[1], layer, line)]
    near = {
        place + distance
        for place, (mark, *_) in enumerate(rows)
        if mark in CHANGED
        for distance in range(-CONTEXT, CONTEXT + 1)
    }
    last = -1
    for place in sorted(near & {*range(len(rows))}):
        mark, item, number = rows[place]
        if place > last + 1 or last < 0:
            yield StageLine(f"@ line {number + 1}")
        yield StageLine(f"{mark} {item.text}", item.origins)
        last = place


def _split_comment(text: str) -> tuple[str, str]:
    """Split a line into code and comment. A line without code or without a comment is returned with "" as comment."""
    code, mark, comment = text.rpartition("  # ")
    return (
        (code.rstrip(), f"# {comment}") if mark and code.strip(" +-~") and "'" not in comment else (text.rstrip(), "")
    )


# Printing ----------------------------------------------------------------------------------------


def _print(lines: Sequence[StageLine], stage: str, with_pager: bool, whole: str | None = None) -> None:
    """Print a stage's lines; on a terminal with colours and a pager, into a pipe plain (``whole`` if given)."""
    if not sys.stdout.isatty():
        shown = _aligned(lines, PIPED_WIDTH) if stage == "diff" else lines
        sys.stdout.write("\n".join(item.text for item in shown) + "\n" if whole is None else whole)
        return
    console = Console(theme=THEME)
    plain = lines if stage in ("llvm", "asm") else _aligned(lines, console.width)
    text = _with_marks(coloured("\n".join(item.text for item in plain) + "\n", stage), stage)
    pager = shutil.which(PAGER[0]) if with_pager and len(lines) >= console.height else None
    if pager is None:
        console.print(text, soft_wrap=True, end="")
        return
    with console.capture() as captured:
        console.print(text, soft_wrap=True, end="")
    subprocess.run([pager, *PAGER[1:]], input=captured.get(), text=True, check=False)


def _aligned(lines: Sequence[StageLine], width: int) -> list[StageLine]:
    """Return code lines with their comments in one column. The comment of a long line goes on a line above."""
    column = max(width - COMMENT_COLUMNS, MIN_CODE_COLUMNS)
    aligned: list[StageLine] = []
    for item in lines:
        code, comment = _split_comment(item.text)
        if not comment:
            aligned.append(item)
        elif len(code) > column - 2:
            aligned += [StageLine(f"{'':<{column}}{comment}"), StageLine(code, item.origins)]
        else:
            aligned.append(StageLine(f"{code:<{column}}{comment}", item.origins))
    return aligned


def _with_marks(text: Text, stage: str) -> Text:
    """Return the text of a diff with its removed and added lines coloured; other texts unchanged."""
    if stage == "diff":
        text.highlight_regex(r"(?m)^- .*$", "ir.gone")
        text.highlight_regex(r"(?m)^\+ .*$", "ir.new")
    return text
