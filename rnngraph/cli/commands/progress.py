"""A line on a terminal that says what takes seconds; nothing in a pipe or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show ``text`` with a spinner on standard error while the block runs, if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    spinner, console = Spinner("dots", f"{text} …"), Console(stderr=True)
    with Live(spinner, console=console, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield
