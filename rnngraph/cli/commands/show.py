"""``rnngraph show``: a stage on a terminal or in a pipe, whole, of some lines or layers, or as what a pass changed.

In a pipe a whole stage is the text that ``show`` gives. On a terminal it is coloured, what is longer than the window
goes through the pager ``less``, and what stands behind ``#`` begins in a column that depends on the window alone, so
that it is the same for all stages.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from ...inspection.explore.stages import changes_between
from ...program.callable_graph import CallableGraph
from ...runtime.native.stages import change_of
from ...support.display.colours import THEME, coloured
from ...support.errors import Where, did_you_mean
from ...support.stage_text import StageLine, StageText
from .command_error import CommandError
from .progress import progress

CONTEXT = 3
"""Lines around a change."""

GAP = "…"
COMMENT_ROOM = 44
"""Columns that a terminal keeps for comments where it has so many more than the code needs at least."""

NARROWEST = 60
PIPED_WIDTH = 140
PAGER = ("less", "--RAW-CONTROL-CHARS", "--quit-if-one-screen", "--chop-long-lines", "--no-init")


def show_stage(
    graph: CallableGraph, stage: str, layer: str | None = None, line: str | None = None, with_pager: bool = True
) -> None:
    """Prints a stage. layer, line: what is printed of it, as on the command line; None: all.

    Raises ``CommandError`` where there is no such stage, or where nothing of it is of the layer or line.
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
    lines = _chosen(text.lines, layer, line)
    _print(lines, stage, with_pager)


def show_change(
    graph: CallableGraph, name: str, layer: str | None = None, line: str | None = None, with_pager: bool = True
) -> None:  # fmt: skip
    """Prints what a pass changed: its law, and lines that went (-) and came (+). Comments don't count as changes.

    layer, line: whose changes are printed, as for ``show_stage``.
    Raises ``CommandError`` where no pass has the name, or where nothing is of the layer or line.
    """
    compiled = graph.full_graph()
    passes = [single.name for single in compiled.pipeline]
    if name not in passes:
        raise CommandError(f"no pass is named {name!r}; there are {', '.join(passes)}{did_you_mean(name, passes)}")
    before, after, law = change_of(compiled, name)
    head = [StageLine(f"# {name}: {law}")]
    if layer is not None or line is not None:
        _check_known([*before.lines, *after.lines], layer, line)
    changes = [*_changes(before.lines, after.lines, layer, line)]
    _print([*head, *(changes or [StageLine("# nothing changed")])], "diff", with_pager)


# Choosing lines ----------------------------------------------------------------------------------


def _check_known(lines: Sequence[StageLine], layer: str | None, line: str | None) -> None:
    """Raises ``CommandError`` where none of the lines is of the layer or of the line of the user's."""
    wheres = [where for item in lines for where in item.origins]
    if not wheres:
        raise CommandError(
            "lines of this stage don't know where they come from; those of graphs, loops, llvm and asm do"
        )
    if layer is not None and not any(_is_of_layer(where, layer) for where in wheres):
        layers = [*dict.fromkeys(where.layer for where in wheres if where.layer)]
        raise CommandError(f"nothing here is of a layer {layer!r}; there are {', '.join(layers) or 'none'}")
    if line is not None and not any(_is_of_line(where, line) for where in wheres):
        known = [text for _, text in sorted({((where.file, where.line), str(where)) for where in wheres})]
        raise CommandError(f"nothing here comes from line {line}; there are {', '.join(known) or 'none'}")


def _is_wanted(item: StageLine, layer: str | None, line: str | None) -> bool:
    """Whether one place that a line of a stage comes from is of the layer and of the line of the user's."""
    return any(
        (layer is None or _is_of_layer(where, layer)) and (line is None or _is_of_line(where, line))
        for where in item.origins
    )


def _chosen(lines: Sequence[StageLine], layer: str | None, line: str | None) -> list[StageLine]:
    """The lines of a layer or of a line of the user's, what they stand within, and a mark where others are left out."""
    _check_known(lines, layer, line)
    kept = {number for number, item in enumerate(lines) if _is_wanted(item, layer, line)}
    if not kept:
        raise CommandError(f"nothing here is of the layer {layer!r} and of line {line!r} at once")
    around = {outer for number in kept for outer in _around(lines, number)}
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
    """Whether a path of layers has ``wanted``, one name or several, as a part: ``cell_1`` is in ``rnn/cell_1/lstm``."""
    part = wanted.strip("/")
    return bool(part) and f"/{part}/" in f"/{where.layer}/"


def _is_of_line(where: Where, wanted: str) -> bool:
    """wanted: ``39`` or ``net.py:39``."""
    file, _, number = wanted.rpartition(":")
    return number == str(where.line) and (not file or f"/{where.file}".endswith(f"/{file.lstrip('./')}"))


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _around(lines: Sequence[StageLine], number: int) -> Iterable[int]:
    """The lines that a line stands within, by their indents."""
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
) -> Iterator[StageLine]:  # fmt: skip
    """Lines that went and that came, each group with what stands around it. A line of which only numbers behind names
    changed counts as the same. layer, line: of those that are given; None: of any.
    """
    changes = changes_between([item.text for item in before], [item.text for item in after]) or ()
    rows: list[tuple[str, StageLine, int]] = []  # mark, line, how many lines of the text after stand before it
    for kind, first, last, begin, end in changes:
        if kind in ("equal", "numbered"):
            rows += [(" ", after[place], place) for place in range(begin, end)]
            continue
        rows += [("-", item, begin) for item in before[first:last]]
        rows += [("+", after[place], place) for place in range(begin, end)]
    if layer is not None or line is not None:
        rows = [row for row in rows if row[0] == " " or _is_wanted(row[1], layer, line)]
    near = {
        place + distance
        for place, (mark, *_) in enumerate(rows)
        if mark != " "
        for distance in range(-CONTEXT, CONTEXT + 1)
    }
    last = -1
    for place in sorted(near & {*range(len(rows))}):
        mark, item, number = rows[place]
        if place > last + 1 or last < 0:
            yield StageLine(f"@ line {number + 1}")
        yield StageLine(f"{mark} {item.text}", item.origins)
        last = place


def _parted(text: str) -> tuple[str, str]:
    """Code without the blanks behind it, and the comment of a line that has both, in a diff behind its mark."""
    code, mark, comment = text.rpartition("  # ")
    return (code.rstrip(), f"# {comment}") if mark and code.strip(" +-") and "'" not in comment else (text.rstrip(), "")


# Printing ----------------------------------------------------------------------------------------


def _print(lines: Sequence[StageLine], stage: str, with_pager: bool, whole: str | None = None) -> None:
    """whole: the text as it is, for a pipe."""
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
    """Lines with their comments in one column, which depends on the window alone. The comment of a line that reaches
    it stands above.
    """
    column = max(width - COMMENT_ROOM, NARROWEST)
    aligned: list[StageLine] = []
    for item in lines:
        code, comment = _parted(item.text)
        if not comment:
            aligned.append(item)
        elif len(code) > column - 2:
            aligned += [StageLine(f"{'':<{column}}{comment}"), StageLine(code, item.origins)]
        else:
            aligned.append(StageLine(f"{code:<{column}}{comment}", item.origins))
    return aligned


def _with_marks(text: Text, stage: str) -> Text:
    """A diff's lines that went and came in one colour each."""
    if stage == "diff":
        text.highlight_regex(r"(?m)^- .*$", "ir.gone")
        text.highlight_regex(r"(?m)^\+ .*$", "ir.new")
    return text
