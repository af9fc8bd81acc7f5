"""Files that exports are made of, with words between ``@`` for what differs from net to net."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> str:
    """Return the text of a file of ``templates``."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def filled(text: str, **words: str) -> str:
    """Return a text with the given word in place of each ``@word@``."""
    return re.sub(r"@(\w+)@", lambda found: words[found[1]], text)
