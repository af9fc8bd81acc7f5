"""First lines of statements and calls that span several lines."""

from __future__ import annotations

import pytest

from rnngraph.support.statements import first_lines

SOURCE = """\
cells = [
    cell(
        4,
    ),
    cell(5),
]
y = run(
    cells,

    key=[
        1,
    ],
)
def f():
    return g(
        1)
"""


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({2, 5}, {3: 2, 4: 2}),
        ({7}, dict.fromkeys(range(8, 14), 7)),
        ({7, 10}, {8: 7, 9: 7, 11: 10, 12: 10, 13: 7}),
        ({14}, {}),  # the body of a function does not continue its first line
        ({15}, {16: 15}),
        (set(), {}),
    ],
)
def test_continuation_lines_belong_to_the_innermost_call(known: set[int], expected: dict[int, int]) -> None:
    assert first_lines(SOURCE, known) == expected


def test_text_that_is_not_python_has_no_continuation_lines() -> None:
    assert first_lines("y = run(\n", {1}) == {}
    assert first_lines("y = run(\n\0)", {1}) == {}
