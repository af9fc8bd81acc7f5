"""The glossary names files and rooms that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_glossary_names_what_is_there() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
    )
    words = [row for row in rows if row[0] not in ("word", "---")]
    assert len(words) > 40
    for word, meaning, where in words:
        assert meaning.endswith("."), word
        for path in re.findall(r"`([^`]+)`", where):
            assert (ROOT / "rnngraph" / path).exists(), f"{word}: {path}"
