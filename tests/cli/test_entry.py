"""The command line in a process of its own, with its output in a pipe."""

import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import rnngraph as rg
from rnngraph import cli
from rnngraph.codegen.machine.target import target_of

SCRIPT = """
import sys

import rnngraph as rg
from neighbour import UNITS

x = rg.placeholder("x", shape=(None, None, 3))
lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
labels = rg.placeholder("labels", shape=(None,), dtype="int64")
keep = rg.placeholder("keep", shape=())
cell = rg.DropoutWrapper(rg.BasicRNNCell(UNITS), input_keep_prob=keep)
outputs, state = rg.dynamic_rnn(cell, x, sequence_length=lengths)
loss = rg.sparse_softmax_cross_entropy(labels=labels, logits=rg.dense(state, 2))
program = rg.compile({"state": state}, loss=loss)

if __name__ == "__main__":
    print("ran", sys.argv[1:])
"""


SMALL = 'import rnngraph as rg\nprogram = rg.compile({"y": 2.0 * rg.placeholder("x", (None,))}, cache=False)\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(SCRIPT)
    (tmp_path / "neighbour.py").write_text("UNITS = 4\n")
    return tmp_path


def rnngraph(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnngraph", *arguments]
    environment = {**os.environ, "FORCE_COLOR": "1"}  # a pipe stays plain even then
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_stages_are_listed(folder: Path) -> None:
    done = rnngraph(folder, "show", "net.py", "--stages")
    stages = done.stdout.split()
    assert (done.returncode, done.stderr) == (0, "")
    assert stages[:3] == ["declared", "lowered", "split"]
    assert stages[-4:] == ["plan", "loops", "llvm", "asm"]


def test_piped_text_equals_the_result_of_show(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    program = runpy.run_path(str(folder / "net.py"))["program"]
    assert rnngraph(folder, "show", "net.py").stdout == program.inference.show("graph")
    stages = {"inference": ("declared", "plan", "loops", "asm"), "training": ("graph", "fission", "llvm")}
    for graph in stages:
        for stage in stages[graph]:
            assert cli.main(["show", "net.py", "--graph", graph, "--stage", stage]) == 0
            assert capsys.readouterr() == (getattr(program, graph).show(stage), "")


def without_column(text: str) -> list[str]:
    """Return a stage's lines. Each comment follows its code after two spaces, also if it was a line above the code."""
    joined = re.sub(r"(?m)^ {40,}(# .*)\n(.*)$", r"\2  \1", text)
    return re.sub(r" +# ", "  # ", joined).rstrip().split("\n")


@pytest.mark.parametrize(
    "stage",
    ["graph", "asm", *(pytest.param(stage, marks=pytest.mark.exhaustive) for stage in ("declared", "loops", "llvm"))],
)
def test_terminal_gets_the_same_text_in_colour(folder: Path, stage: str) -> None:
    plain = rnngraph(folder, "show", "net.py", "--stage", stage).stdout
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX'")
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "rnngraph", "show", "net.py", "--stage", stage, "--no-pager"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=follower):
        os.close(follower)
        parts = []
        while True:
            try:
                part = os.read(leader, 1 << 16)
            except OSError:  # Linux reports the closed end as an error
                break
            if not part:
                break
            parts.append(part)
    os.close(leader)
    shown = b"".join(parts).decode().replace("\r\n", "\n")
    assert "\x1b[" in shown
    plain = plain if stage != "asm" else plain.expandtabs(8)
    assert without_column(re.sub(r"\x1b\[[\d;]*m", "", shown)) == without_column(plain)


def test_run_is_python(folder: Path) -> None:
    done = rnngraph(folder, "run", "net.py", "--rows", "3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran ['--rows', '3']\n", "")


def test_the_script_may_be_in_another_folder(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    done = rnngraph(folder / "elsewhere", "show", "../net.py")
    assert (done.returncode, done.stderr) == (0, "")


def test_bench_times_both_graphs(folder: Path) -> None:
    done = rnngraph(folder, "bench", "net.py", "--batch", "2", "--steps", "5", "--seconds", "0.01")
    assert (done.returncode, done.stderr) == (0, "")
    assert "batch 2, 5 steps" in done.stdout
    assert "\x1b[" not in done.stdout
    for graph in ("inference", "training"):
        (row,) = [line for line in done.stdout.splitlines() if graph in line]
        assert row.count(" ms") == 2


def test_profile_prints_layers_kernels_and_lines(folder: Path) -> None:
    options = ("--graph", "step", "--batch", "2", "--steps", "5", "--seconds", "0.01", "--plot", "profile.svg")
    done = rnngraph(folder, "profile", "net.py", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("step with B = 2, T = 5: ")
    assert all(words in done.stdout for words in ("bound by", "rnn/", "net.py:"))
    assert "\x1b[" not in done.stdout
    assert (folder / "profile.svg").read_text().startswith("<svg")


def test_characters_that_a_pipe_cannot_encode_are_question_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(f"print('σ')\n{SMALL}", encoding="utf-8")
    for name, value in (("argv", []), ("path", [*sys.path])):
        monkeypatch.setattr(sys, name, value)
    bare = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bare, encoding="cp1252", newline=""))
    assert cli.main(["show", str(tmp_path / "net.py"), "--stages"]) == 0
    assert bare.getvalue().startswith(b"?\ndeclared")


def test_pipe_that_closes_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m rnngraph show net.py --stage llvm | head -c 1; exit ${{PIPESTATUS[0]}}"
    (folder / "net.py").write_text(SCRIPT.replace("UNITS)", "UNITS, activation='gelu')"))
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 141)  # 0 if all of it fitted into the pipe
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("script", "arguments", "code", "message"),
    [
        (None, (), 2, "no such file"),
        ("x = 1\n", (), 2, "defines no program"),
        ("program = 'net'\n", (), 2, "program must be a Program from rg.compile, not str"),
        (SCRIPT, ("--stage", "lops"), 2, "no stage is named 'lops'; there are declared, lowered, "),
        (SCRIPT, ("--graph", "validation"), 2, "invalid choice: 'validation'"),
        (SCRIPT.replace("shape=(None, None, 3)", "shape=(None, 3)"), (), 1, "bad.py:12: DropoutWrapper("),
    ],
)
def test_mistakes(folder: Path, script: str | None, arguments: tuple[str, ...], code: int, message: str) -> None:
    if script is not None:
        (folder / "bad.py").write_text(script)
    done = rnngraph(folder, "show", "bad.py", *arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]


def test_errors_of_the_script_begin_in_the_script(folder: Path) -> None:
    (folder / "bad.py").write_text("def f():\n    return 1 / 0\n\n\nf()\n")
    done = rnngraph(folder, "run", "bad.py")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert 'bad.py", line 5' in done.stderr.splitlines()[1]
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_exit_code_of_the_script_is_kept(folder: Path) -> None:
    (folder / "leaves.py").write_text("import sys\nsys.exit(7)\n")
    assert rnngraph(folder, "run", "leaves.py").returncode == 7


def test_errors_of_syntax_alone_show_the_usage_of_the_subcommand(folder: Path) -> None:
    for arguments, has_usage in (
        (("export", "net.py", "--bogus"), True),
        (("export", "net.py", "--form", "streams"), True),
        (("export", "net.py", "--target", "arm64"), False),
        (("export", "absent.py"), False),
        (("export", "net.py", "--weights", "tail/*=int8"), False),
    ):
        done = rnngraph(folder, *arguments)
        assert done.returncode == 2, arguments
        assert done.stderr.startswith("usage: rnngraph export [-h] [-o FOLDER]") == has_usage, arguments
        assert has_usage or len(done.stderr.splitlines()) == 1, arguments
        assert done.stderr.splitlines()[-1].startswith("rnngraph export: error: "), arguments
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("arm64", "aarch64-linux or aarch64-linux-dotprod or aarch64-macos"),
        ("aarch64", "aarch64-linux or aarch64-linux-dotprod or aarch64-macos"),
        ("aarch64-apple-darwin", "aarch64-macos"),
        ("Darwin", "aarch64-macos or x86-64-macos or x86-64-v3-macos"),
        ("win64", "x86-64-windows or x86-64-v3-windows or x86-64-v4-windows"),
        ("x86_64-linux-avx2", "x86-64-v3 or x86-64-v3-windows or x86-64-v3-macos"),
    ],
)
def test_names_of_other_tools_for_targets_are_answered(name: str, targets: str) -> None:
    with pytest.raises(rg.ArgumentError, match=re.escape(f"{name} is {targets} here; use host, x86-64-v2, ")):
        target_of(name)


def test_a_command_takes_kinds_of_weights(folder: Path) -> None:
    export = ("export", "net.py", "--form", "sequence", "--no-link", "-o", "out")
    done = rnngraph(folder, *export, "--weights", "*kernel=bfloat16:force", "--weights", "float32", "--external")
    assert done.returncode == 0, done.stderr
    assert f"out{os.sep}net.safetensors" in done.stdout
    assert " *   rnn/basic_rnn_cell/kernel: bfloat16" in (folder / "out/net.h").read_text()
    shown = rnngraph(folder, "show", "net.py", "--stage", "asm")
    forced = rnngraph(folder, "show", "net.py", "--stage", "asm", "--weights", "int8:force")
    assert shown.stdout != forced.stdout
    assert rnngraph(folder, "show", "net.py", "--stage", "asm", "--weights", "float32").stdout == shown.stdout
    warned = rnngraph(folder, "show", "net.py", "--weights", "int8")
    assert warned.stderr.startswith("rnngraph show: warning: --weights int8 changes nothing: ")
    assert "; --weights int8:force makes them narrow" in warned.stderr
    for wrong, words in (
        (["--weights", "external"], "export --external"),
        (["--weights", "int3"], "not a weight format; write float32, bfloat16, int8"),
        (["--weights", "int8", "--weights", "bfloat16"], "two kinds for '*'"),
    ):
        done = rnngraph(folder, *export, *wrong)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_commands_that_write_take_o(folder: Path) -> None:
    for command in ("export", "import", "explore", "profile", "show"):
        assert "-o " in rnngraph(folder, command, "--help").stdout


def test_show_writes_the_text_of_a_pipe_to_a_file(folder: Path) -> None:
    (folder / "net.py").write_text(f"{SCRIPT}\nprint('from the script')\n")
    for arguments in (("--stage", "loops"), ("--stage", "asm", "--line", "12"), ("--stages",)):
        printed = rnngraph(folder, "show", "net.py", *arguments)
        done = rnngraph(folder, "show", "net.py", *arguments, "-o", "stage.txt")
        written = (folder / "stage.txt").read_text()
        assert (done.returncode, printed.stdout) == (0, f"from the script\n{written}"), done.stderr
        assert done.stdout == f"from the script\nstage.txt: {len(written.splitlines()):,} lines\n"
    done = rnngraph(folder, "show", "net.py", "-o", "absent/stage.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("rnngraph show: error: can't write absent/stage.txt")


def test_numbers_that_are_none_are_named(folder: Path) -> None:
    done = rnngraph(folder, "export", "net.py", "--max-block", "many")
    assert done.stderr.splitlines()[-1] == "rnngraph export: error: argument --max-block: 'many' is not a whole number"


def test_existing_lines_are_printed_in_order(folder: Path) -> None:
    done = rnngraph(folder, "show", "net.py", "--line", "99")
    lines = re.findall(r"net\.py:(\d+)", done.stderr.splitlines()[-1])
    assert len(lines) > 1
    assert lines == sorted(lines, key=int)


def test_warnings_of_the_script_keep_its_lines(folder: Path) -> None:
    (folder / "net.py").write_text(f"import warnings\nwarnings.warn('mine')\n{SCRIPT}")
    done = rnngraph(folder, "show", "net.py", "--stages")
    assert re.match(r".*net\.py:2: UserWarning: mine\n", done.stderr)


def test_progress_is_for_terminals(folder: Path) -> None:
    command = [sys.executable, "-m", "rnngraph", "explore", "net.py", "-o", "page.html"]
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX'")
    controller, terminal = pty.openpty()
    os.set_blocking(controller, False)
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=terminal, timeout=300)
    said = os.read(controller, 1 << 16).decode()
    assert done.returncode == 0
    assert "making the page of net.py" in said
    assert done.stdout.decode().startswith("page.html: ")
    piped = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=300, text=True)
    assert piped.stderr == ""
