"""Fragments of HTML: complete, readable, and without markup from users' names."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

import numpy as np
import pytest

from rnngraph.support.display.charts import MAX_POINTS, Line, panels
from rnngraph.support.display.html import MAX_COLOURED_LINES, code, folded, headed, picture, table

HOSTILE = "</pre></script><script>alert(1)</script>\"'&<img src=x onerror=y>"
VOID = {"br", "img"}


class Parsed(HTMLParser):
    """Parser of a fragment: elements, attributes and text. Elements must close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


@pytest.mark.parametrize("first", ["graph g", "define void @f() {", "\t.text"])
def test_code_is_the_text_whatever_is_in_it(first: str) -> None:
    text = f"{first}\n{HOSTILE}\n  a = add b, f32(1.0) : f32[2,3]  # net.py:1 {HOSTILE}\n  define @{HOSTILE}\n"
    parsed = Parsed(code(text))
    assert parsed.text == (text.expandtabs(8) if first == "\t.text" else text)
    assert set(parsed.tags) <= {"div", "style", "pre", "span"}
    assert {name for name, _ in parsed.attributes} <= {"style", "class"}


def test_code_has_colours_by_kind_of_word() -> None:
    first, second = (code(f"graph g\n  {name} = tanh x : f32[2]  # n.py:1\n") for name in ("a", "b"))
    assert first.replace(">a<", ">b<") == second
    assert "span" in first
    assert "--jp-mirror-editor-comment-color" in first


def test_long_code_stays_plain_and_whole() -> None:
    text = "  a = tanh x : f32[2]\n" * (MAX_COLOURED_LINES + 1)
    parsed = Parsed(code(text))
    assert (parsed.tags, parsed.text) == (["div", "style", "pre"], text)


def test_tables_show_their_rows() -> None:
    rows = [("a", HOSTILE, "1,024"), ("b", "", "0.5 us")]
    parsed = Parsed(table(("name", HOSTILE, "count"), rows, last_is_sum=True))
    assert parsed.text == f"name{HOSTILE}counta{HOSTILE}1,024b0.5 us"
    assert parsed.tags.count("tr") == 3
    aligns = [value for name, value in parsed.attributes if name == "style" and value and "text-align:right" in value]
    assert len(aligns) == 3  # the heading and both rows of the last column
    assert Parsed(table(("name",), [])).text == "name"


def test_folds_and_heads_take_any_title() -> None:
    parsed = Parsed(headed(HOSTILE, HOSTILE, folded(HOSTILE, table(("a",), [(1,)]), is_open=True)))
    assert parsed.text == f"{HOSTILE} {HOSTILE}{HOSTILE}a1"
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags


def test_pictures_keep_to_themselves() -> None:
    parsed = Parsed(picture(f"<svg>{HOSTILE}ä</svg>", HOSTILE))
    (source,) = [value or "" for name, value in parsed.attributes if name == "src"]
    assert base64.b64decode(source.removeprefix("data:image/svg+xml;base64,")).decode() == f"<svg>{HOSTILE}ä</svg>"
    assert parsed.tags == ["img"]
    assert ("alt", HOSTILE) in parsed.attributes


def points(svg: str) -> list[list[tuple[float, float]]]:
    points_texts = [value or "" for name, value in Parsed(svg).attributes if name == "points"]
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())] for text in points_texts]


def test_charts_draw_larger_values_higher_and_leave_gaps() -> None:
    places = np.arange(1.0, 6.0)
    line = Line(HOSTILE, np.array([3.0, np.nan, 1.0, np.inf, 2.0]))
    chart = panels(HOSTILE, places, {HOSTILE: [line, Line("other", np.zeros(5))]})
    (drawn, other) = points(chart)
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert drawn[0][1] < drawn[2][1] < drawn[1][1]  # 3, 2, 1: SVG's y axis points downwards
    assert len(other) == 5
    assert HOSTILE in Parsed(chart).text


@pytest.mark.parametrize("values", [[], [0.0], [2.0, 2.0], [float("nan")] * 3, [1e-30, 1e30], [-5.0, 1e-300]])
def test_charts_of_few_and_of_odd_values(values: list[float]) -> None:
    array = np.array(values)
    chart = panels("epoch", np.arange(float(len(values))), {"loss": [Line("training", array)]})
    assert all(np.isfinite(pair).all() for line in points(chart) for pair in line)
    assert "nan" not in chart.replace("training nan", "")
    assert "inf" not in chart


def test_charts_of_many_values_stay_small() -> None:
    count = 100 * MAX_POINTS
    chart = panels("epoch", np.arange(float(count)), {"loss": [Line("training", np.arange(float(count)))]})
    (drawn,) = points(chart)
    assert len(drawn) <= MAX_POINTS + 1
    assert len(chart) < 40_000
