"""Template files of exports, with words between ``@`` that are replaced."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> str:
    """Return the text of a file of ``templates``."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def filled(text: str, **words: str) -> str:
    """Return text with each ``@word@`` replaced. Raise ``KeyError`` for a word that is not in ``words``."""
    return re.sub(r"@(\w+)@", lambda match: words[match[1]], text)
