"""Type of checks of golden files, and printed IR without comments."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

Golden = Callable[[Path, str], None]


def without_commentary(text: str) -> list[str]:
    """Return the lines of printed IR without comments after ``#``."""
    lines = (re.sub(r"(^|\s+)#.*$", "", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line]
