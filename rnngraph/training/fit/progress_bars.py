"""Progress lines of a fit: one for terminals, and one for cells of notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 30


class Bar(Protocol):
    """Interface of a progress line."""

    def draw(self, epoch: str, done: int, steps: int | None, status: str) -> None:
        """Draw the line, or redraw it.

        Args:
            epoch: Text such as ``3/10``.
            done: Number of steps of the epoch so far.
            steps: Number of steps of the epoch; None if unknown.
            status: Text at the end of the line.
        """

    def stop(self) -> None:
        """Remove the line, and restore the screen."""


class TerminalBar:
    """Progress line drawn by rich, below other printed lines."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=WIDTH),
            TextColumn("{task.fields[count]}  {task.fields[status]}"),
            console=console,
            auto_refresh=False,  # no thread: steps redraw the line when it is due
            transient=True,
        )
        self._progress.start()

    def draw(self, epoch: str, done: int, steps: int | None, status: str) -> None:
        if not self._progress.task_ids:
            self._progress.add_task("", epoch="", count="", status="")
        task = self._progress.task_ids[0]
        self._progress.tasks[0].total = steps  # ``update(total=None)`` would keep the earlier total
        self._progress.update(task, completed=done, epoch=epoch, count=_count(done, steps), status=status, refresh=True)

    def stop(self) -> None:
        self._progress.stop()


class NotebookBar:
    """Progress line as an output of the running notebook cell, which IPython replaces."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, epoch: str, done: int, steps: int | None, status: str) -> None:
        full = 0 if not steps else min(WIDTH, WIDTH * done // steps)
        self._show(f"epoch {epoch} {'━' * full}{'─' * (WIDTH - full)} {_count(done, steps)}  {status}")

    def stop(self) -> None:
        if self._handle is not None:
            self._show("")

    def _show(self, text: str) -> None:
        """Show text as the output of the running cell, in place of earlier text."""
        data = {"text/plain": text}
        if self._handle is not None:
            self._handle.update(data, raw=True)
            return
        from IPython.display import display

        self._handle = display(data, raw=True, display_id=True)


def _count(done: int, steps: int | None) -> str:
    return f"{done}" if steps is None else f"{done}/{steps}"
