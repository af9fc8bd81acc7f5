"""Progress display of a fit: a bar on a terminal, a line for each epoch in a pipe, nothing on request."""

from __future__ import annotations

import io
import re
import sys
import types
from typing import Any

import pytest
from rich.console import Console
from training import data, network

import rnngraph as rg
from rnngraph.training.fit import loop as fitting
from rnngraph.training.fit.progress import REDRAW_SECONDS, FitProgress


class Clock:
    """Clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    environment = {"TERM": "xterm"}
    drawn = Console(
        file=file, force_terminal=terminal, width=120, color_system=None, legacy_windows=False, _environ=environment
    )
    return drawn, file


def run(terminal: bool, shown: bool = True, step_seconds: float = 0.25) -> str:
    """Return the output of two epochs of four steps of ten rows; a validation takes a second."""
    clock = Clock()
    where, file = console(terminal)
    with FitProgress(2, shown, console=where, clock=clock) as progress:
        for epoch in range(2):
            progress.begin_epoch(epoch, 4)
            for step in range(4):
                clock.now += step_seconds
                progress.step(4.0 - step - epoch, 10)
            clock.now += 1
            progress.end_epoch(
                {"epoch": epoch, "loss": 2.5 - epoch, "validation_loss": 1 / 3, "seconds": 2.0, "learning_rate": 0.1}
            )
    return file.getvalue()


LINES = [
    "epoch 1/2: loss 2.5, validation_loss 0.3333, 40 rows/s, 2.0 s",
    "epoch 2/2: loss 1.5, validation_loss 0.3333, 40 rows/s, 2.0 s",
]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_pipe_gets_a_line_an_epoch() -> None:
    assert run(terminal=False).splitlines() == LINES


def test_a_terminal_gets_a_bar_and_the_lines() -> None:
    text = plain(run(terminal=True)).replace("\r", "\n")
    assert all(line in text for line in LINES)
    drawn = [re.sub(r" [━╸╺]* *", " ", line).strip() for line in text.splitlines() if "left" in line]
    # Of 8 steps of 0.25 s, five are left after three. With the validation's second, the 4 remaining steps take 2 s.
    assert "epoch 1/2 3/4 loss 3 40 rows/s 1.2 s left" in drawn
    assert "epoch 2/2 0/4 2.0 s left" in drawn
    assert "epoch 2/2 4/4 loss 1.5 40 rows/s 0.0 s left" in drawn


@pytest.mark.parametrize("terminal", [False, True])
def test_silence(terminal: bool) -> None:
    assert run(terminal, shown=False) == ""


def test_quick_steps_are_drawn_seldom() -> None:
    slow, quick = run(True, step_seconds=REDRAW_SECONDS), run(True, step_seconds=REDRAW_SECONDS / 8)
    assert slow.count("left") > quick.count("left")
    clock = Clock()
    where, file = console(True)
    with FitProgress(1, console=where, clock=clock) as progress:
        progress.begin_epoch(0, 1000)
        for _ in range(1000):
            clock.now += REDRAW_SECONDS / 100
            progress.step(1.0, 1)
        seen = file.getvalue().count("rows/s")
    assert 9 <= seen <= 11


def test_a_resumed_epoch_counts_only_its_own_steps() -> None:
    clock = Clock()
    where, file = console(True)
    with FitProgress(3, console=where, clock=clock) as progress:
        progress.begin_epoch(1, 10, done=6)
        clock.now += 1
        progress.step(1.0, 500)
    # one second for each of the 3 + 10 remaining steps
    assert "epoch 2/3" in file.getvalue()
    assert "7/10  loss 1  500 rows/s  13.0 s left" in plain(file.getvalue())


def drawn(file: io.StringIO) -> list[str]:
    """Return the texts of the bar, without the bar itself."""
    lines = plain(file.getvalue()).replace("\r", "\n").splitlines()
    return [re.sub(r" [━╸╺]* *", " ", line).strip() for line in lines if re.match(r"epoch \d", line)]


def test_the_bar_shows_compilation_and_estimates_from_steady_steps() -> None:
    """Six steps of 1 s: the first also compiles for 30 s, and a validation compiles for 20 s."""
    clock = Clock()
    where, file = console(True)
    with FitProgress(2, console=where, clock=clock) as progress:
        for epoch in range(2):
            progress.begin_epoch(epoch, 3)
            for step in range(3):
                if not step and not epoch:
                    progress.compiling(True)
                    progress.compiling(True)  # nested: the graph's passes
                    clock.now += 10
                    progress.compiling(False)
                    clock.now += 20
                    progress.compiling(False)
                clock.now += 1
                progress.step(1.0, 10)
            if not epoch:
                progress.compiling(True)
                clock.now += 20
                progress.compiling(False)
            progress.end_epoch({"loss": 1.0})
    lines = drawn(file)
    assert lines[:3] == ["epoch 1/2 0/3", "epoch 1/2 0/3 compiling", "epoch 1/2 1/3 loss 1"]
    assert "epoch 1/2 2/3 loss 1 10 rows/s 4.0 s left" in lines
    assert "epoch 1/2 3/3 loss 1 compiling" in lines
    assert "epoch 2/2 0/3 3.0 s left" in lines
    assert "epoch 2/2 3/3 loss 1 10 rows/s 0.0 s left" in lines
    assert "epoch 1/2: loss 1, 10 rows/s, 53.0 s" in plain(file.getvalue())


def test_an_epoch_that_only_compiled_tells_the_speed_of_the_rest() -> None:
    clock = Clock()
    where, file = console(False)
    with FitProgress(1, console=where, clock=clock) as progress:
        progress.begin_epoch(0, 1)
        progress.compiling(True)
        clock.now += 8
        progress.compiling(False)
        clock.now += 2
        progress.step(1.0, 100)
        progress.end_epoch({"loss": 1.0})
    assert file.getvalue() == "epoch 1/1: loss 1, 50 rows/s, 10.0 s\n"


def test_steps_without_a_known_number_are_counted() -> None:
    clock = Clock()
    where, file = console(True)
    with FitProgress(1, console=where, clock=clock) as progress:
        progress.begin_epoch(0, None)
        for _ in range(2):
            clock.now += 1
            progress.step(1.0, 10)
    assert drawn(file)[-1] == "epoch 1/1 2 loss 1 10 rows/s"


def test_a_notebooks_cell_moves_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook, one output of the cell is overwritten within an epoch, and lines are separate outputs."""
    shown: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            assert raw
            shown.append(data["text/plain"])

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        assert not shown
        shown.append(data["text/plain"])
        return Handle()

    package, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    clock, file = Clock(), io.StringIO()
    where = Console(file=file, force_jupyter=True, width=120, color_system=None)
    where.print = lambda text, **options: file.write(f"{text}\n")  # type: ignore[method-assign]
    with FitProgress(1, console=where, clock=clock) as progress:
        progress.begin_epoch(0, 3)
        for _ in range(3):
            clock.now += 1
            progress.step(1.0, 10)
        progress.end_epoch({"loss": 1.0})
    assert [re.sub(r"[━─]+", "|", text) for text in shown] == [
        "epoch 1/1 | 0/3  ",
        "epoch 1/1 | 1/3  loss 1  10 rows/s  2.0 s left",
        "epoch 1/1 | 2/3  loss 1  10 rows/s  1.0 s left",
        "epoch 1/1 | 3/3  loss 1  10 rows/s  0.0 s left",
        "",
    ]
    assert shown[2].count("━") == 20
    assert file.getvalue() == "epoch 1/1: loss 1, 10 rows/s, 3.0 s\n"


def test_a_fit_tells_of_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit reports compiling at the first step, the first batch of another size, and the first validation."""
    messages: list[str] = []

    class Told(FitProgress):
        def compiling(self, begins: bool) -> None:
            super().compiling(begins)
            if begins and (not messages or messages[-1] != "compiling"):
                messages.append("compiling")

        def step(self, loss: float, rows: int, weight: float | None = None) -> None:
            super().step(loss, rows, weight)
            messages.append(str(rows))

        def end_epoch(self, row: Any) -> None:
            super().end_epoch(row)
            messages.append("end")

    monkeypatch.setattr(fitting, "FitProgress", Told)
    program = network(cache=False)
    rg.Trainer(program, rg.SGD(0.1)).fit(data(7), batch_size=4, epochs=2, validation=data(4), shuffle=False)
    assert messages == ["compiling", "4", "compiling", "3", "compiling", "end", "4", "3", "end"]


def test_an_error_leaves_the_terminal_as_it_was() -> None:
    where, file = console(True)

    def interrupted() -> None:
        with FitProgress(1, console=where) as progress:
            progress.begin_epoch(0, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l") >= 0  # the cursor is visible again


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.0, "2.0 s"), (59.0, "59.0 s"), (61.0, "1:01"), (3600.0, "1:00:00"), (90061.0, "25:01:01")]
)
def test_long_times(seconds: float, text: str) -> None:
    clock = Clock()
    where, file = console(False)
    with FitProgress(1, console=where, clock=clock) as progress:
        progress.begin_epoch(0, 1)
        clock.now += seconds
        progress.step(1.0, 3)
        progress.end_epoch({"loss": 1.0})
    assert file.getvalue() == f"epoch 1/1: loss 1, {3 / seconds:.2g} rows/s, {text}\n"


def test_a_dumb_terminal_is_a_pipe() -> None:
    file = io.StringIO()
    where = Console(file=file, force_terminal=True, width=120, _environ={"TERM": "dumb"})
    with FitProgress(1, console=where) as progress:
        progress.begin_epoch(0, 1)
        progress.step(1.0, 1)
    assert file.getvalue() == ""
