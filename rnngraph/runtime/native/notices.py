"""Notices that code is being compiled, which takes as long as thousands of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[bool], None]
"""Called with True where compiling begins and with False where it ends; both may nest."""


class Notices:
    """Tells listeners when the graphs of one program are compiled: each of its own thread only."""

    def __init__(self) -> None:
        self._listeners: list[tuple[int, Listener]] = []

    @contextmanager
    def told_to(self, listener: Listener) -> Iterator[None]:
        """Within this block ``listener`` is called."""
        entry = threading.get_ident(), listener
        self._listeners.append(entry)
        try:
            yield
        finally:
            self._listeners.remove(entry)

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Around whatever makes code."""
        mine = threading.get_ident()
        listeners = [listener for thread, listener in self._listeners if thread == mine]
        for listener in listeners:
            listener(True)
        try:
            yield
        finally:
            for listener in listeners:
                listener(False)
