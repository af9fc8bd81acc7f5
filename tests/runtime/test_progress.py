"""What a fit shows: a bar on a terminal, a line an epoch in a pipe, nothing when asked to keep silent."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rnngraph.runtime.progress import REDRAW_SECONDS, FitProgress


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, color_system=None, _environ={"TERM": "xterm"}), file


def run(terminal: bool, shown: bool = True, step_seconds: float = 0.25) -> str:
    """Two epochs of four steps of ten rows; validation takes a second."""
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
    # 8 steps of 0.25 s, five of them left after three; then the second of validation counts too: 4 in 2 s, 4 left
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
    # 1 s a step, and 3 + 10 are left
    assert "epoch 2/3" in file.getvalue()
    assert "7/10  loss 1  500 rows/s  13.0 s left" in plain(file.getvalue())


def test_an_error_leaves_the_terminal_as_it_was() -> None:
    where, file = console(True)

    def interrupted() -> None:
        with FitProgress(1, console=where) as progress:
            progress.begin_epoch(0, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l") >= 0  # the cursor is back


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
