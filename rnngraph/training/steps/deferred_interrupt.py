"""Deferral of a Ctrl-C while values change that must change together."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class DeferredInterrupt:
    """Context manager within which a Ctrl-C is deferred.

    Contexts nest. Python runs handlers of signals in the main thread only, so other threads have nothing to defer.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._deferring = False
        self._before: Any = None
        self._came: tuple[int, FrameType | None] | None = None

    def watch(self) -> None:
        """Install this object's SIGINT handler, once for many contexts, because that takes as long as a small step.

        Outside of the main thread, or if the present handler cannot be called from Python, nothing is installed.
        """
        before = signal.getsignal(signal.SIGINT)
        if before == self._note or not callable(before):  # not callable: ignored, or a handler that is not in Python
            return
        self._before = before  # set first, as the signal may come from the next line on
        try:
            signal.signal(signal.SIGINT, self._note)
        except ValueError:  # not the main thread
            return

    def release(self) -> None:
        """Restore the previous handler, unless another one has replaced this object's handler."""
        if signal.getsignal(signal.SIGINT) == self._note:
            try:
                signal.signal(signal.SIGINT, self._before)
            except ValueError:  # only the main thread can restore its handler
                return

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal of a Ctrl-C: remember it in a context that defers it, else call the previous handler."""
        if self._depth or self._deferring:
            self._came = number, frame
            return
        try:
            self._before(number, frame)
        except BaseException:
            self.release()  # now, because the error may prevent a later call of ``release``
            raise

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        self._deliver()

    def _deliver(self) -> None:
        """Call the previous handler for a remembered Ctrl-C, unless a context still defers it."""
        if self._came is not None and not self._depth and not self._deferring:
            came, self._came = self._came, None
            self._note(*came)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Context manager that defers a Ctrl-C until ``due`` is called, or until the context ends."""
        before, self._deferring = self._deferring, True
        try:
            yield
        finally:
            self._deferring = before
        self._deliver()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Context manager within which a Ctrl-C is delivered immediately, even inside of ``deferred``."""
        before, self._deferring = self._deferring, False
        try:
            yield
        finally:
            self._deferring = before

    def due(self) -> BaseException | None:
        """Handle a deferred Ctrl-C. Return the exception that its handler raises, for the caller to raise, or None."""
        if self._came is None:
            return None
        came, self._came = self._came, None
        try:
            self._before(*came)
        except BaseException as error:
            self.release()
            return error
        return None
