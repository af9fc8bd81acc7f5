"""Lines of scripts, and first lines of statements and calls that span several lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnngraph.support.source_lines import first_lines, source_line, source_lines

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


def test_lines_are_those_of_the_file_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "moved.py").write_text(f"x = 1\nname = {name!r}")
        monkeypatch.chdir(tmp_path / name)
        assert source_line("moved.py", 2) == f"name = {name!r}\n"
    Path("moved.py").write_text("y = 2\n")
    assert source_lines("moved.py") == ["y = 2\n"]
    assert [source_line("moved.py", line) for line in (0, 1, 2)] == ["", "y = 2\n", ""]
    Path("moved.py").unlink()
    assert source_lines("moved.py") == []


def test_a_script_in_the_working_directory_is_read_before_one_of_its_name_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    for folder, text in ((elsewhere, "a = 1\n"), (here, "b = 2\nc = 3\n")):
        folder.mkdir()
        (folder / "twice_named.py").write_text(text)
    monkeypatch.syspath_prepend(elsewhere)
    monkeypatch.chdir(tmp_path)
    assert source_lines("twice_named.py") == ["a = 1\n"]
    monkeypatch.chdir(here)
    assert source_line("twice_named.py", 2) == "c = 3\n"
