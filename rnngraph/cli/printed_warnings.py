"""Printing of warnings that do not belong to a line of a script."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..support.errors import NO_LINE


@contextmanager
def warnings_of(title: str) -> Iterator[None]:
    """Context manager in which warnings without a source line are printed as ``TITLE: warning: …``.

    Args:
        title: The command, as in its usage.
    """
    previous: Any = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if (filename, lineno) == NO_LINE:
            print(f"{title}: warning: {message}", file=sys.stderr if file is None else file)
        else:
            previous(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:  # unless a script has replaced it
            warnings.showwarning = previous
