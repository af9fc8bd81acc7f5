"""Comparisons of entries' texts between checkouts detect differences, for every kind of entry."""

from __future__ import annotations

import itertools

import entry_texts
import pytest
from declarations import declare


def test_differences_are_named_and_shown() -> None:
    here, there = {"same": ["a\n"], "other": ["b\nc\n"], "new": [""]}, {"same": ["a\n"], "other": ["b\nd\n"], "old": []}
    actual = entry_texts.difference(here, there).splitlines()
    assert actual[:3] == ["new: new", "old: gone", "other: differs"]
    assert actual[-2:] == ["-d", "+c"]
    assert entry_texts.difference(here, here) == ""


@pytest.mark.filterwarnings("ignore:.*the loss does not depend:UserWarning")
def test_entries_are_those_that_calls_compile() -> None:
    texts: entry_texts.Texts = {}
    for name, call in itertools.islice(entry_texts.drawn("net", declare(0)), 4):
        with entry_texts._text_taken(texts.setdefault(name, []), to_the_end=False):
            call()
    names = {name.split(", ")[1]: ["@inference(" in text, "@training(" in text] for name, (text,) in texts.items()}
    of_inference, of_training = [True, False], [False, True]
    assert names == {
        "inference": of_inference,
        "training": of_training,
        "gradients": of_training,
        "evaluate": of_inference,
    }
    assert len({text for (text,) in texts.values()}) == 4
