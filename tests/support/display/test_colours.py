"""Colours of stages on a terminal."""

from __future__ import annotations

from rnngraph.support.display.colours import coloured


def keywords(text: str) -> list[str]:
    coloured_text = coloured(text, "graph")
    return [coloured_text.plain[span.start : span.end] for span in coloured_text.spans if span.style == "ir.keyword"]


def test_names_of_values_are_no_keywords() -> None:
    assert keywords("  key = random_key seed, step, row : i64[B,1]\n  step = iota : i64[T]\n") == []
    assert {*keywords("  for r0 in 0..n0 step 4:\n    for k in 0..8 unroll 2: += row[k]\n")} == {
        "for",
        "in",
        "step",
        "unroll",
    }
