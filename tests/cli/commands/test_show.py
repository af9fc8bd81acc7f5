"""``rnngraph show``: lines of a layer or of a script's line, diffs of passes, width of a terminal, the pager."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from systems import not_on_windows

import rnngraph as rg
from rnngraph import cli
from rnngraph.cli.commands.show import COMMENT_COLUMNS, GAP, MIN_CODE_COLUMNS, NUMBERED

SCRIPT = """
import rnngraph as rg

x = rg.placeholder("x", shape=(None, None, 3))
cells = [
    rg.DropoutWrapper(rg.BasicRNNCell(4), input_keep_prob=0.5),
    rg.GRUCell(5),
]
outputs, state = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
logits = rg.dense(outputs, 2)
program = rg.compile({"a_rather_long_name  # of an output": logits}, loss=rg.reduce_mean(logits))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Window(io.StringIO):
    """Standard output that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["show", "net.py", *arguments]) == 0
    return capsys.readouterr().out


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str, height: int = 25) -> str:
    window = Window()
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", window)
        patched.setenv("COLUMNS", str(width))
        patched.setenv("LINES", str(height))
        patched.setenv("TERM", "xterm-256color")
        assert cli.main(["show", "net.py", *arguments]) == 0
    return window.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_layer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    whole = shown(capsys).splitlines()
    lines = shown(capsys, "--layer", "cell_1").splitlines()
    kept = [line for line in lines if line.strip() != GAP]
    assert kept == [line for line in whole if line in kept]  # in their original order
    assert any("gru_cell" in line for line in kept)
    assert not any("basic_rnn_cell" in line or "dense" in line for line in kept)
    # the loop that contains the layer's lines is shown, too
    assert any(re.match(r"  \w+ = scan ", line) for line in kept)
    assert lines.count(GAP) + lines.count(f"  {GAP}") >= 2
    assert shown(capsys, "--layer", "multi_rnn_cell/cell_1/gru_cell") == shown(capsys, "--layer", "cell_1")


def test_cells_and_their_parameters_belong_to_their_layer_in_the_declaration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(capsys, "--stage", "declared", "--layer", "rnn/multi_rnn_cell/cell_1/gru_cell").splitlines()
    assert any("GRUCell(5)" in line for line in lines)
    assert sum(" = parameter" in line for line in lines) == 4
    assert not any("Basic" in line for line in lines)
    wrapped = shown(capsys, "--stage", "declared", "--layer", "cell_0")
    assert "DropoutWrapper" in wrapped
    assert "BasicRNNCell(4)" in wrapped
    assert "GRUCell" not in wrapped


def test_a_cell_at_two_positions_has_both_layers() -> None:
    cell = rg.GRUCell(3)
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([cell, cell]), rg.placeholder("x", shape=(None, None, 3)))
    lines = rg.compile(outputs).inference.show("declared").lines
    layers = [line.origins[0].layer for line in lines if "    GRUCell(3)" in line.text]
    assert layers == [f"rnn/multi_rnn_cell/cell_{number}/gru_cell" for number in range(2)]


@pytest.mark.parametrize("line", ["10", "net.py:10", "./net.py:10"])
def test_a_line_of_the_script_alone(capsys: pytest.CaptureFixture[str], line: str) -> None:
    lines = shown(capsys, "--graph", "training", "--line", line).splitlines()
    assert any("label='dense/kernel'" in item for item in lines)
    assert any("matmul" in item for item in lines)
    assert not any("gru_cell" in item for item in lines)


def test_a_continuation_line_selects_the_first_line_of_its_call(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "net.py").write_text(SCRIPT.replace("rg.dense(outputs, 2)", "rg.dense(\n    outputs,\n    2,\n)"))
    whole = shown(capsys, "--line", "10")
    assert "dense/kernel" in whole
    for line in ("11", "net.py:12", "13"):
        assert shown(capsys, "--line", line) == whole
    assert shown(capsys, "--diff", "fission", "--line", "12") == shown(capsys, "--diff", "fission", "--line", "10")
    assert cli.main(["show", "net.py", "--line", "8"]) == 2  # the list's last bracket: its first line declares nothing
    assert "no line of this stage comes from line 8" in capsys.readouterr().err


def test_a_layer_and_a_line_narrow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    both = shown(capsys, "--layer", "dense", "--line", "10")
    assert "dense/bias" in both
    assert cli.main(["show", "net.py", "--layer", "dense", "--line", "9"]) == 2
    assert "belongs to both layer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "cell_7"), "there are rnn/multi_rnn_cell"),
        (("--layer", ""), "no line of this stage belongs to a layer ''"),
        (("--line", "999"), "no line of this stage comes from line 999; there are net.py:4, "),
        (("--line", "other.py:10"), "no line of this stage comes from line other.py:10"),
        (("--diff", "fision"), "did you mean fission?"),
        (("--diff", "graph"), "no pass is named 'graph'"),
        (("--diff", "loops"), "; `--stage loops` prints that stage"),
        (("--stage", "lops"), "did you mean loops?"),
        (("--stages", "--layer", "dense"), "leave out --layer and --line"),
    ],
)
def test_errors_list_the_valid_names(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert cli.main(["show", "net.py", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("rnngraph show: error: ")  # usage would hide the message
    assert message in error


def code_of(line: str) -> str:
    """Return a line of a graph without its comment and the name of its origin."""
    return line.rpartition("  # ")[0].rstrip() or line.rstrip()


@pytest.mark.parametrize("name", ["split", "fission", "fuse_multiply_add"])
def test_a_diff_compares_one_graph_with_the_next(capsys: pytest.CaptureFixture[str], name: str) -> None:
    stages = shown(capsys, "--stages").split()
    purpose, law, *lines = shown(capsys, "--diff", name).splitlines()
    assert purpose.startswith(f"# {name}: ")
    assert law.startswith("# Law: ")
    assert "``" not in purpose + law
    stages.remove("graph")  # ``graph`` is between passes and changes nothing
    after = shown(capsys, "--stage", name).splitlines()[1:]
    came = [code_of(line[2:]) for line in lines if line.startswith("+ ")]
    went = [code_of(line[2:]) for line in lines if line.startswith("- ")]
    kept = [*map(code_of, after)]
    assert came
    assert all(line in kept for line in came)
    before = stages[stages.index(name) - 1]
    before_lines = [*map(code_of, shown(capsys, "--stage", before).splitlines())]
    before_lines = before_lines[before != "lowered" :]
    assert all(line in before_lines for line in went)
    assert len(before_lines) - len(went) + len(came) == len(kept)


def test_a_diff_of_a_layer_or_a_line_has_their_changes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def changed(*arguments: str) -> set[str]:
        return {line for line in shown(capsys, "--diff", "accumulate", *arguments).splitlines() if line[0] in "+-"}

    every, of_gru, of_dense = changed(), changed("--layer", "cell_1"), changed("--line", "10")
    assert of_gru
    assert of_dense
    assert of_gru | of_dense < every
    assert not of_gru & of_dense
    assert any("logits" in line for line in of_dense)
    both = shown(capsys, "--diff", "accumulate", "--layer", "cell_1", "--line", "10")
    assert both.splitlines()[2:] == ["# nothing changed"]
    assert cli.main(["show", "net.py", "--diff", "accumulate", "--layer", "cell_7"]) == 2
    assert "no line of this stage belongs to a layer 'cell_7'; there are " in capsys.readouterr().err


def test_a_pass_without_changes_prints_that(capsys: pytest.CaptureFixture[str]) -> None:
    purpose, law, nothing = shown(capsys, "--diff", "unroll").splitlines()
    assert purpose == "# unroll: run several steps per iteration of a loop, or without a loop."
    assert law == "# Law: values are unchanged, bit for bit."
    assert nothing == "# nothing changed"


def test_lines_that_are_only_renumbered_have_a_mark_that_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "--diff", "fission").splitlines()
    numbered = [line[2:] for line in lines if line.startswith("~ ")]
    assert numbered
    assert NUMBERED in lines
    after = [*map(code_of, shown(capsys, "--stage", "fission").splitlines())]
    assert all(code_of(line) in after for line in numbered)
    before = [*map(code_of, shown(capsys, "--stage", "state_shapes").splitlines())]
    assert not any(code_of(line) in before for line in numbered)


@not_on_windows("rich leaves the last column of a console free")
@pytest.mark.parametrize("width", [60, 160])
def test_comments_are_aligned_in_one_column_of_the_window(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    columns = set()
    for arguments in (("--stage", "graph"), ("--stage", "fission"), ("--diff", "fission"), ("--layer", "cell_1")):
        text = plain(on_terminal(monkeypatch, width, "--no-pager", "--graph", "training", *arguments))
        columns |= {line.index("# net.py:") for line in text.splitlines() if "# net.py:" in line and "gone" not in line}
    assert columns == {max(width - COMMENT_COLUMNS, MIN_CODE_COLUMNS)}


def test_names_with_the_sign_of_comments_are_no_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "output 'a_rather_long_name  # of an output' = " in plain(on_terminal(monkeypatch, 100, "--no-pager"))


@not_on_windows("a script with #! is no program")
def test_output_longer_than_the_window_is_paged_by_less(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pager = folder / "less"
    pager.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments.txt\ncat > text.txt\n')
    pager.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert on_terminal(monkeypatch, 100, height=10) == ""
    paged = (folder / "text.txt").read_text()
    assert "\x1b[" in paged
    assert "--RAW-CONTROL-CHARS" in (folder / "arguments.txt").read_text().split()
    assert paged == on_terminal(monkeypatch, 100, "--no-pager", height=10)
    assert on_terminal(monkeypatch, 100, height=1000) == paged


def test_without_a_pager_all_is_printed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert "graph inference" in plain(on_terminal(monkeypatch, 100, height=5))
