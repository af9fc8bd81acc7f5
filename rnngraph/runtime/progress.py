"""What a fit shows while it goes on: a bar on a terminal, a line an epoch anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

REDRAW_SECONDS = 0.2
"""So seldom that drawing, some milliseconds, costs steps next to nothing."""

NOT_TOLD = ("epoch", "seconds", "learning_rate", "rows_per_second")
"""Columns of an epoch's row that its line leaves out, or tells in words of its own."""


class FitProgress:
    """Shows how far a fit has come; a context manager.

    epochs: how many the fit has in all. shown: False keeps silent. console: where to; standard error by
    default, so that a script's own output stays clean. clock: seconds.

    On a terminal one line is redrawn: epoch, steps, mean loss of the epoch so far, rows a second, time left of
    the whole fit. Anywhere else nothing but a line an epoch is written.
    """

    def __init__(
        self,
        epochs: int,
        shown: bool = True,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._epochs, self._shown, self._clock = epochs, shown, clock
        if console is None:
            from rich.console import Console  # only a fit that begins pays for it

            console = Console(stderr=True)
        self._console = console
        self._live = shown and self._console.is_terminal and not self._console.is_dumb_terminal
        self._bar: Progress | None = None
        self._begun = self._epoch_begun = self._last_step = self._next_draw = clock()
        self._epoch = self._steps = self._steps_of_epoch = 0
        self._done_of_fit = self._rows = 0
        self._loss = self._weight = 0.0

    def __enter__(self) -> FitProgress:
        self._begun = self._clock()
        if self._live:
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed}/{task.total}  {task.fields[status]}"),
                console=self._console,
                auto_refresh=False,  # no thread: a step that is due draws
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def begin_epoch(self, epoch: int, steps: int, done: int = 0) -> None:
        """epoch: counted from 0. steps: how many it has; done: how many of them an earlier run did."""
        self._epoch, self._steps_of_epoch = epoch, steps
        self._steps = done
        self._rows, self._loss, self._weight = 0, 0.0, 0.0
        self._epoch_begun = self._last_step = self._next_draw = self._clock()
        if self._bar is not None:
            if not self._bar.task_ids:
                self._bar.add_task("", epoch="", status="")
            self._draw()

    def step(self, loss: float, rows: int, weight: float | None = None) -> None:
        """Counts a step of ``rows`` rows whose mean loss is ``loss``; it counts ``weight`` in that of the epoch, or as
        many as its rows.
        """
        weight = rows if weight is None else weight
        self._steps += 1
        self._done_of_fit += 1
        self._rows += rows
        self._loss += float(loss) * weight
        self._weight += weight
        self._last_step = self._clock()
        if self._bar is not None and self._last_step >= self._next_draw:
            self._draw()

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Writes the line of an epoch. row: what the history keeps of it."""
        if not self._shown:
            return
        seconds = self._clock() - self._epoch_begun
        told = [f"{name} {value:.4g}" for name, value in row.items() if name not in NOT_TOLD]
        line = f"epoch {self._epoch + 1}/{self._epochs}: {', '.join([*told, self._speed(), _duration(seconds)])}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        assert self._bar is not None
        parts = [f"loss {self._loss / self._weight:.4g}", self._speed()] if self._weight else []
        if self._done_of_fit:
            left = (self._last_step - self._begun) / self._done_of_fit * self._steps_left()
            parts.append(f"{_duration(left)} left")
        self._bar.update(
            self._bar.task_ids[0],
            completed=self._steps,
            total=self._steps_of_epoch,
            epoch=f"{self._epoch + 1}/{self._epochs}",
            status="  ".join(parts),
            refresh=True,
        )
        self._next_draw = self._clock() + REDRAW_SECONDS

    def _steps_left(self) -> int:
        return self._steps_of_epoch * (self._epochs - self._epoch) - self._steps

    def _speed(self) -> str:
        """Of the epoch's steps, whatever follows them."""
        seconds = self._last_step - self._epoch_begun
        speed = self._rows / seconds if seconds > 0 else 0.0
        return f"{speed:,.0f} rows/s" if speed >= 10 else f"{speed:.2g} rows/s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
