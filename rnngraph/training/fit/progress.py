"""Progress of a fit: a redrawn line on a terminal and in a notebook, else a line for each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from .progress_bars import Bar, NotebookBar, TerminalBar

if TYPE_CHECKING:
    from rich.console import Console

REDRAW_SECONDS = 0.2
"""Minimum seconds between two redraws of the line, each of which takes milliseconds."""

OMITTED_COLUMNS = ("epoch", "seconds", "learning_rate", "rows_per_second")
"""Columns of the history that the line of an epoch omits, or shows in another form."""

COMPILING = "compiling"


class FitProgress:
    """Context manager that shows the progress of a fit.

    A terminal or notebook has one line, which is redrawn. It shows the epoch, steps, the mean loss of the epoch so
    far, rows per second, and the time left until the fit ends. During a compilation, it says so. Everywhere, each epoch
    ends with a printed line. Speed and time left exclude steps in which something was compiled.

    Args:
        epochs: Number of epochs of the fit.
        shown: False to show nothing.
        console: Destination; None for standard error, which keeps a script's output clean.
        clock: Function that returns the time in seconds.
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
            from rich.console import Console  # imported when a fit begins

            console = Console(stderr=True)
        self._console = console
        self._bar: Bar | None = None
        self._begun = self._epoch_begun = self._last_step = self._next_draw = clock()
        self._epoch = self._steps = 0
        self._steps_of_epoch: int | None = 0
        self._nested, self._compiling_since, self._compiled = 0, 0.0, 0.0
        self._unsteady = 0.0
        self._steady_steps = self._rows = self._steady_rows = 0
        self._steady_seconds = self._compiled_of_epoch = 0.0
        self._loss = self._weight = 0.0

    def __enter__(self) -> FitProgress:
        self._begun = self._clock()
        if self._shown and self._console.is_jupyter:
            self._bar = NotebookBar()
        elif self._shown and self._console.is_terminal and not self._console.is_dumb_terminal:
            self._bar = TerminalBar(self._console)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def begin_epoch(self, epoch: int, steps: int | None, done: int = 0) -> None:
        """Start an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            steps: Number of steps of the epoch; None if unknown.
            done: Number of steps that an earlier, interrupted run took.
        """
        self._epoch, self._steps_of_epoch = epoch, steps
        self._steps = done
        self._unsteady += self._take_compiled()
        self._rows, self._loss, self._weight = 0, 0.0, 0.0
        self._steady_rows, self._steady_seconds, self._compiled_of_epoch = 0, 0.0, 0.0
        self._epoch_begun = self._last_step = self._clock()
        self._draw()

    def step(self, loss: float, rows: int, weight: float | None = None) -> None:
        """Count a step, and redraw the line if it is due.

        Args:
            loss: Mean loss of the step.
            rows: Number of rows of the step.
            weight: Weight of the loss in the epoch's mean; None for the number of rows.
        """
        weight = rows if weight is None else weight
        self._steps += 1
        self._rows += rows
        self._loss += float(loss) * weight
        self._weight += weight
        now = self._clock()
        seconds, compiled = now - self._last_step, self._take_compiled()
        if compiled:
            self._unsteady += seconds
            self._compiled_of_epoch += compiled
        else:
            self._steady_steps += 1
            self._steady_rows += rows
            self._steady_seconds += seconds
        self._last_step = now
        if now >= self._next_draw:
            self._draw()

    def compiling(self, begins: bool) -> None:
        """Record that a compilation begins (True) or ends (False). Compilations may nest."""
        self._nested += 1 if begins else -1
        if begins and self._nested == 1:
            self._compiling_since = self._clock()
            self._draw()
        elif not self._nested:
            self._compiled += self._clock() - self._compiling_since
            self._next_draw = self._clock()  # redraw at the next step

    def end_epoch(self, row: Mapping[str, float]) -> None:
        """Print the line of an epoch from its row of the history."""
        if not self._shown:
            return
        seconds = self._clock() - self._epoch_begun
        columns = [f"{name} {value:.4g}" for name, value in row.items() if name not in OMITTED_COLUMNS]
        line = f"epoch {self._epoch + 1}/{self._epochs}: {', '.join([*columns, self._speed(), _duration(seconds)])}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _take_compiled(self) -> float:
        """Return the seconds spent compiling since the previous call of this method."""
        seconds, self._compiled = self._compiled, 0.0
        return seconds

    def _draw(self) -> None:
        """Redraw the progress line, if there is one, and plan the next draw."""
        self._next_draw = self._clock() + REDRAW_SECONDS
        if self._bar is None:
            return
        parts = [f"loss {self._loss / self._weight:.4g}"] if self._weight else []
        if self._nested:
            parts.append(COMPILING)
        else:
            parts += [self._speed()] if self._steady_rows else []
            parts += [f"{_duration(left)} left"] if (left := self._seconds_left()) is not None else []
        self._bar.draw(f"{self._epoch + 1}/{self._epochs}", self._steps, self._steps_of_epoch, "  ".join(parts))

    def _seconds_left(self) -> float | None:
        """Return the estimated seconds until the fit ends; None before the first measurement, or if steps are unknown.

        The estimate is the remaining steps times the mean seconds per step, including the time between epochs.
        """
        if not self._steady_steps or self._steps_of_epoch is None:
            return None
        steps = self._steps_of_epoch * (self._epochs - self._epoch) - self._steps
        return (self._last_step - self._begun - self._unsteady) / self._steady_steps * steps

    def _speed(self) -> str:
        """Return text with the epoch's rows per second so far.

        Steps in which something was compiled count only if there are no others.
        """
        rows, seconds = self._steady_rows, self._steady_seconds
        if not rows:
            rows, seconds = self._rows, self._last_step - self._epoch_begun - self._compiled_of_epoch
        speed = rows / seconds if seconds > 0 else 0.0
        return f"{speed:,.0f} rows/s" if speed >= 10 else f"{speed:.2g} rows/s"


def _duration(seconds: float) -> str:
    """Return text such as ``3.2 s``, ``2:05`` or ``1:00:09``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
