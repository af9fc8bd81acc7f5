"""``tf.app``: ``run`` reads the flags of the command line and calls a main function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Never

from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, is_ours, shown
from .flags import FLAGS


@api
def run(main: Callable[[list[str]], Any] | None = None, argv: Sequence[str] | None = None) -> Never:
    """Calls ``main`` of what the command line has beside flags, and ends the program with what it gives.

    main: by default the function of this name in the file that calls.
    """
    rest = FLAGS(argv)
    function = _main_of_caller() if main is None else main
    if not callable(function):
        raise DtypeError(f"tf.app.run takes a function, not {shown(main)}")
    raise SystemExit(function(rest))


def _main_of_caller() -> Any:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame):
        frame = frame.f_back
    found = None if frame is None else frame.f_globals.get("main")
    if found is None:
        raise ArgumentError("tf.app.run() finds no function main in the file that calls it; give it one")
    return found
