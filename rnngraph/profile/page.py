"""A profile as HTML, as notebooks show it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .profile import Profile

BAR = "background:linear-gradient(90deg,rgba(80,140,220,.35) {0:.1f}%,transparent {0:.1f}%)"


def html_of(profile: Profile) -> str:
    """The tables of a profile, each part's share as a bar behind its name."""
    found = [f"<p>{escape(profile.headline())}</p>"]
    for title, columns, parts in profile.tables():
        heads = "".join(f'<th style="text-align:{_side(right)}">{escape(head)}</th>' for head, right, _ in columns)
        rows = []
        for part in parts:
            cells = [
                f'<td style="text-align:{_side(right)};{BAR.format(100 * part.share) if not number else ""}">'
                f"{escape(text(part))}</td>"
                for number, (_, right, text) in enumerate(columns)
            ]
            rows.append(f"<tr>{''.join(cells)}</tr>")
        found.append(f"<p><b>{title}</b></p><table><tr>{heads}</tr>{''.join(rows)}</table>")
    return "".join(found)


def _side(right: bool) -> str:
    return "right" if right else "left"
