"""Expected texts that lie in files, and what of them counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

Golden = Callable[[Path, str], None]


def without_commentary(text: str) -> list[str]:
    """Lines of printed IR without what follows ``#``."""
    lines = (re.sub(r"(^|\s+)#.*$", "", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line]
