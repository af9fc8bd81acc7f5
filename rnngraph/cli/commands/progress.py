"""Spinner on a terminal, for steps of a command that take seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Context manager that shows ``text`` with a spinner on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    spinner, console = Spinner("dots", f"{text} …"), Console(stderr=True)
    with Live(spinner, console=console, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield
