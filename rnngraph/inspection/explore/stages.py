"""Stages of a graph: texts with source places of their lines, and the changes of each pass."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ...ir.graph import Graph
from ...passes.pipeline import Pass, forbidden, run
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.stages import NATIVE_STAGES, NativeStages, graph_text, lowered_text
from ...support.errors import RnnGraphError
from ...support.stage_text import StageLine

MAX_COMPARED = 20_000
"""Maximum lines of two texts that are compared; of longer texts only equal ends are found."""

ABOUT = {
    "declared": "What the script declares: tensors, drivers, and the cells that they run.",
    "lowered": "The declaration as one graph, from which both graphs come: every driver is one scan over time, dropout "
    "still a node.",
    "graph": "What this graph computes: after the split and before all optimisation.",
    "plan": "What runs together, and where values lie.",
    "loops": "Loops, vectors and register tiles.",
    "llvm": "LLVM's text, a function for each kernel.",
    "asm": "The processor's instructions.",
}

Change = tuple[str, int, int, int, int]
"""``equal``, ``numbered`` (equal except numbers at the end of names), ``replace``, ``delete`` or ``insert``; ranges of
the lines before, and after.
"""


@dataclass(frozen=True)
class Stage:
    """A stage.

    ``law`` is what a pass guarantees, ``seconds`` its time, ``before`` the stage it started from, and ``changes`` the
    differences to that; None: the text is unchanged.
    """

    name: str
    lines: Sequence[StageLine]
    about: str = ""
    law: str = ""
    seconds: float = 0.0
    before: str = ""
    changes: Sequence[Change] | None = None


@dataclass
class _Passes:
    """Results of passes in order, and their times with verification."""

    found: list[Stage]
    passes: dict[str, Pass]
    began: float = field(default_factory=time.perf_counter)

    def seen(self, name: str, graph: Graph) -> None:
        seconds = time.perf_counter() - self.began
        lines, before = graph.text().lines, self.found[-1]
        about, law = _docstring(self.passes[name])
        changes = changes_between([line.text for line in before.lines], [line.text for line in lines])
        self.found.append(Stage(name, lines, about, law, seconds, before.name, changes))
        self.began = time.perf_counter()


def stages_of_graph(compiled: CompiledGraph) -> list[Stage]:
    """Return all stages, from the declaration to machine instructions. Failed stages say why."""
    declared = compiled.declared().text().lines if compiled.declared is not None else ()
    lowered = Stage("lowered", lowered_text(compiled).lines, ABOUT["lowered"])
    passes = _Passes([lowered], {single.name: single for single in compiled.pipeline})
    run(compiled.lowered, compiled.pipeline, forbidden(compiled.kind), passes.seen)
    graph = Stage("graph", graph_text(compiled).lines, ABOUT["graph"])
    after = 1 + len(compiled.meaning)
    stages = [Stage("declared", declared, ABOUT["declared"]), *passes.found[:after], graph, *passes.found[after:]]
    native = NativeStages(compiled)
    for name in NATIVE_STAGES:
        began = time.perf_counter()
        try:
            lines = native.text(name).lines
        except RnnGraphError as error:
            lines = (StageLine(f"# {error}"),)
        stages.append(Stage(name, lines, ABOUT[name], seconds=time.perf_counter() - began))
    return stages


def _docstring(single: Pass) -> tuple[str, str]:
    """Return the purpose of a pass and its law, from the docstrings of its file and class."""
    module = (sys.modules[type(single).__module__].__doc__ or "").partition("\n\n")[0]
    about = " ".join(module.split())
    law = " ".join((type(single).__doc__ or "").partition("Law:")[2].partition("\n\n")[0].split())
    name = about.partition(":")[0]
    about = about.removeprefix(f"{name}: ") if re.fullmatch(r"\w+", name) else about
    return about.replace("``", ""), law.replace("``", "")


def changes_between(before: Sequence[str], after: Sequence[str]) -> list[Change] | None:
    """Return the changes from one text to the other, line by line; None if they are equal.

    Comments are ignored, because they move with the widths of columns.
    """
    old, new = [_bare(line) for line in before], [_bare(line) for line in after]
    if old == new:
        return None
    names, others = [_unnumbered(line) for line in old], [_unnumbered(line) for line in new]
    same = _common(names, others)
    tail = _common(names[same:][::-1], others[same:][::-1])
    ends = len(names) - tail, len(others) - tail
    changes: list[Change] = [("equal", 0, same, 0, same)] if same else []
    middle, other = names[same : ends[0]], others[same : ends[1]]
    if len(middle) + len(other) > MAX_COMPARED:
        changes.append(("replace", same, ends[0], same, ends[1]))
    else:
        matcher = SequenceMatcher(None, middle, other, autojunk=False)
        changes += [(tag, a + same, b + same, c + same, d + same) for tag, a, b, c, d in matcher.get_opcodes()]
    if tail:
        changes.append(("equal", ends[0], len(names), ends[1], len(others)))
    return [part for change in changes for part in _with_numbers(change, old, new)]


def _with_numbers(change: Change, old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """Split an ``equal`` change at lines whose names are numbered anew."""
    tag, first, last, other, _ = change
    if tag != "equal":
        return [change]
    parts: list[Change] = []
    for place in range(last - first):
        kind = "equal" if old[first + place] == new[other + place] else "numbered"
        if parts and parts[-1][0] == kind:
            parts[-1] = (kind, parts[-1][1], first + place + 1, parts[-1][3], other + place + 1)
        else:
            parts.append((kind, first + place, first + place + 1, other + place, other + place + 1))
    return parts


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the number of equal lines at the beginning of two texts."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _bare(line: str) -> str:
    return re.sub(r"\s*# .*$", "", line).rstrip()


def _unnumbered(line: str) -> str:
    return re.sub(r"(?<=[A-Za-z])_\d+\b", "", line)
