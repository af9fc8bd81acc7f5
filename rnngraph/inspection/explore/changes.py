"""Changes from one text of a graph to the next, line by line."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

from ...support.stage_text import StageLine

MAX_COMPARED = 20_000
"""Maximum lines of two texts that are compared. In longer texts, only equal beginnings and ends are matched."""

Change = tuple[str, int, int, int, int]
"""Kind of change, and the ranges of lines (start and stop before, start and stop after).

The kind is ``equal``, ``numbered`` (equal except numbers at the end of names), ``replace``, ``delete`` or ``insert``.
"""

_Span = tuple[int, int, int, int]


def changes_between(before: Sequence[StageLine], after: Sequence[StageLine]) -> list[Change] | None:
    """Return the changes from one stage's text to the next stage's, line by line; None if the texts are equal.

    Lines are equal if their texts and layers are. Remaining lines are matched without the numbers at the end of
    names, because passes renumber values. Comments are ignored, because they move with the widths of columns.
    """
    old, new = [_bare(line.text) for line in before], [_bare(line.text) for line in after]
    if old == new:
        return None
    layers, others = [*map(_layers, before)], [*map(_layers, after)]
    exact = _changes([*zip(old, layers, strict=True)], [*zip(new, others, strict=True)])
    names = [*zip(map(_unnumbered, old), layers, strict=True)]
    other_names = [*zip(map(_unnumbered, new), others, strict=True)]
    changes: list[Change] = []
    for kind, *span in exact:
        if kind != "replace":
            changes.append((kind, span[0], span[1], span[2], span[3]))
            continue
        first, last, start, end = span
        for tag, a, b, c, d in _changes(names[first:last], other_names[start:end]):
            changes.append(("numbered" if tag == "equal" else tag, first + a, first + b, start + c, start + d))
    return changes


def _changes(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Change]:
    """Return the edits (tag, old start, old end, new start, new end) from ``old`` to ``new``, as in ``difflib``."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    last, end = len(old) - tail, len(new) - tail
    changes: list[Change] = [("equal", 0, head, 0, head)] if head else []
    if last - head + end - head > MAX_COMPARED:
        changes.append(("replace", head, last, head, end))
    else:
        matcher = SequenceMatcher(None, old[head:last], new[head:end], autojunk=False)
        changes += [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in matcher.get_opcodes()]
    if tail:
        changes.append(("equal", last, len(old), end, len(new)))
    return changes


def _common(one: Iterable[Hashable], other: Iterable[Hashable]) -> int:
    """Return the length of the common beginning of two sequences."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _layers(line: StageLine) -> frozenset[str]:
    return frozenset(where.layer for where in line.origins)


def _bare(line: str) -> str:
    """Return a line without its comment."""
    return re.sub(r"\s*# .*$", "", line).rstrip()


def _unnumbered(line: str) -> str:
    """Return a line without the numbers at the end of names."""
    return re.sub(r"(?<=[A-Za-z])_\d+\b", "", line)
