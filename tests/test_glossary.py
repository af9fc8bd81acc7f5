"""The glossary names existing files and rooms, and each word once."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
WORDS = [row for row in ROWS if row[0] not in ("word", "---")]


def test_the_glossary_lists_existing_names() -> None:
    assert len(WORDS) > 40
    for word, meaning, where in WORDS:
        assert meaning.endswith("."), word
        for path in re.findall(r"`([^`]+)`", where):
            assert (ROOT / "rnngraph" / path).exists(), f"{word}: {path}"


def test_a_word_is_defined_once() -> None:
    """A word with several meanings has a qualifier, such as a profile's slot."""
    words = [word for words, _, _ in WORDS for word in words.split(", ")]
    assert sorted({word for word in words if words.count(word) > 1}) == []
