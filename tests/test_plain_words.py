"""Docstrings and errors obey a few mechanical rules. `CONTRIBUTING.md#style` has the rules that no test can check."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "rnngraph").rglob("*.py"))}

DOCSTRING = re.compile(r'(?:\A|:\n|:  #[^\n]*\n)[ ]*r?"""(.+?)(?:"""|\n\n)', re.DOTALL)
NO_NOUN = re.compile(r"(Its|Their|This|These|Those|It|What|Whether|Where|Who|How|Of|Such|The same)\b")
"""Beginnings that send a reader to another sentence, or to the code, for the noun."""
NO_END = re.compile(r"\b(for others|of both|of these|as such|does so|says so)$")
"""Ends of a first sentence without the noun."""
RIDDLE = re.compile(r"\b(?:is|are) (?:given|needed|told|made),? and\b")
"""Two halves of an error that leave the conclusion to the reader. "x needs y; got z" draws it."""

FIRST_SENTENCES = [
    (path, re.split(r"(?<=[.:;])\s", " ".join(match.group(1).split()))[0].rstrip(".:;"))
    for path, text in TEXTS.items()
    for match in DOCSTRING.finditer(text)
]


def test_docstrings_are_listed() -> None:
    assert len(FIRST_SENTENCES) > 7500


def test_first_sentences_name_the_object() -> None:
    assert [(path, text) for path, text in FIRST_SENTENCES if NO_NOUN.match(text) or NO_END.search(text)] == []


def test_first_sentences_of_a_pass_describe_it_before_its_guarantee() -> None:
    assert [(path, text) for path, text in FIRST_SENTENCES if "Law" in text] == []


def test_errors_name_the_mistake_in_one_clause() -> None:
    assert [(path, match.group()) for path, text in TEXTS.items() for match in RIDDLE.finditer(text)] == []
