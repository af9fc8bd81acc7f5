"""Warnings of a command that come from no line of a script."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..support.errors import NO_LINE


@contextmanager
def warnings_of(title: str) -> Iterator[None]:
    """Print warnings without a line as the command's while the block runs; others as Python does.

    title: the command as its usage names it.
    """
    former: Any = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if (filename, lineno) == NO_LINE:
            print(f"{title}: warning: {message}", file=sys.stderr if file is None else file)
        else:
            former(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        if warnings.showwarning is show:  # a script may have set its own
            warnings.showwarning = former
