"""Notifications about compilations, each of which takes as long as thousands of steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[bool], None]
"""Function called with True when compilation begins and False when it ends. Calls may nest."""


class Notices:
    """Notifier of listeners when a program's graph is compiled.

    A listener is notified only of compilations in its own thread.
    """

    def __init__(self) -> None:
        self._listeners: list[tuple[int, Listener]] = []

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Context manager within which a listener is registered."""
        entry = threading.get_ident(), listener
        self._listeners.append(entry)
        try:
            yield
        finally:
            self._listeners.remove(entry)

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Context manager around a compilation, which notifies listeners."""
        this_thread = threading.get_ident()
        listeners = [listener for thread, listener in self._listeners if thread == this_thread]
        for listener in listeners:
            listener(True)
        try:
            yield
        finally:
            for listener in listeners:
                listener(False)
