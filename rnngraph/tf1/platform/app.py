"""``tf.app``: absl's ``run``. The main function receives unknown flags, as in TensorFlow 1.15."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, shown
from .flags import FLAGS

from absl import app  # isort: skip  # after flags, whose error says what to install if absl is missing


@api
def run(main: Callable[[list[str]], Any] | None = None, argv: Sequence[str] | None = None) -> None:
    """Parse flags, call ``main`` with the list of the other arguments, and exit with its result.

    Args:
        main: Function of the list of arguments, the program's name first. By default, the script's function ``main``.
        argv: Command line, the program's name first. By default, ``sys.argv``.
    """
    function = getattr(sys.modules["__main__"], "main", None) if main is None else main
    if function is None:
        raise ArgumentError("tf.app.run() needs a function main in the script; define it, or pass main=")
    if not callable(function):
        raise DtypeError(f"main of tf.app.run must be a function, not {shown(main)}")
    app.run(function, argv=None if argv is None else [*argv], flags_parser=lambda words: FLAGS(words, known_only=True))
