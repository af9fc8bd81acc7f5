"""Profile as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from .breakdown import Part

Column = tuple[str, bool, Callable[[Any], str]]
"""A heading, True to align right, and a function that formats a part."""
Titled = tuple[str, Sequence[Column], Sequence[Part]]
"""Title, columns and rows of a table."""

BAR = "background:linear-gradient(90deg,rgba(80,140,220,.35) {0:.1f}%,transparent {0:.1f}%)"


def html_of(headline: str, tables: Iterable[Titled]) -> str:
    """Return a profile as HTML: its headline, and tables with each part's share as a bar."""
    lines = [f"<p>{escape(headline)}</p>"]
    for title, columns, parts in tables:
        heads = "".join(f'<th style="text-align:{_side(right)}">{escape(head)}</th>' for head, right, _ in columns)
        rows = []
        for part in parts:
            cells = [
                f'<td style="text-align:{_side(right)};{BAR.format(100 * part.share) if not number else ""}">'
                f"{escape(text(part))}</td>"
                for number, (_, right, text) in enumerate(columns)
            ]
            rows.append(f"<tr>{''.join(cells)}</tr>")
        lines.append(f"<p><b>{title}</b></p><table><tr>{heads}</tr>{''.join(rows)}</table>")
    return "".join(lines)


def _side(right: bool) -> str:
    return "right" if right else "left"
