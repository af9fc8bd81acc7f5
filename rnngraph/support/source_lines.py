"""Lines of the user's scripts, and continuation lines of statements that span several lines."""

from __future__ import annotations

import ast
import linecache
import os
from collections.abc import Collection


def source_lines(file: str) -> list[str]:
    """Return the lines of a source file as it is now; empty if it cannot be read."""
    cached = linecache.cache.get(file)
    if cached is not None and cached[-1] != file and os.path.isfile(file):
        # Python looks for relative names in sys.path, too, and keeps a file that it found there.
        del linecache.cache[file]
    linecache.checkcache(file)  # the file may have changed since, or be another one in another working directory
    return linecache.getlines(file)


def source_line(file: str, line: int) -> str:
    """Return a line, counted from 1, of a source file as it is now; empty if the file has no such line."""
    lines = source_lines(file)
    return lines[line - 1] if 1 <= line <= len(lines) else ""


def first_lines(source: str, known: Collection[int]) -> dict[int, int]:
    """Return {continuation line: first line of the innermost statement or expression that continues on it}.

    Args:
        source: Python source. If it cannot be parsed, no line is a continuation.
        known: Lines to which values are attributed. They never count as continuations, and only their statements and
            expressions have continuation lines.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    spans = {
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) or (isinstance(node, ast.stmt) and not hasattr(node, "body"))
    }
    firsts: dict[int, int] = {}
    for first, last in sorted(spans, key=lambda span: (span[0], -span[1])):  # inner spans after outer ones
        if first in known:
            firsts.update((line, first) for line in range(first + 1, last + 1) if line not in known)
    return firsts
