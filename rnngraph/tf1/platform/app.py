"""``tf.app``: absl's ``run``, which leaves unknown flags to the main function, as in TensorFlow 1.15."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, shown
from .flags import FLAGS  # first: it says what to install where absl is missing

from absl import app  # isort: skip


@api
def run(main: Callable[[list[str]], Any] | None = None, argv: Sequence[str] | None = None) -> None:
    """Parse a command line, call ``main`` with what of it is no flag, and end the program with what that returns.

    main: by default the function of this name in the script.
    """
    function = getattr(sys.modules["__main__"], "main", None) if main is None else main
    if function is None:
        raise ArgumentError("tf.app.run() finds no function main in the script; give it one")
    if not callable(function):
        raise DtypeError(f"tf.app.run takes a function, not {shown(main)}")
    app.run(function, argv=None if argv is None else [*argv], flags_parser=lambda words: FLAGS(words, known_only=True))
