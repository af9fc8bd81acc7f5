"""A Ctrl-C is deferred while something changes that must change as one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class DeferredInterrupt:
    """What changes within ``with interrupt:`` changes as one: a Ctrl-C that is watched for comes before or after it.

    Blocks nest. Handlers of signals run in the main thread only, so in any other there is nothing to put off.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._held = False
        self._before: Any = None
        self._came: tuple[int, FrameType | None] | None = None

    def watch(self) -> None:
        """Takes the place of Python's handler, once for many blocks: that costs as much as a small step."""
        before = signal.getsignal(signal.SIGINT)
        if before == self._note or not callable(before):  # not callable: ignored, or no business of Python's
            return
        self._before = before  # first, as the signal may come from the next line on
        try:
            signal.signal(signal.SIGINT, self._note)
        except ValueError:  # not the main thread
            return

    def release(self) -> None:
        """Gives the place back, unless somebody else has taken it meanwhile."""
        if signal.getsignal(signal.SIGINT) == self._note:
            try:
                signal.signal(signal.SIGINT, self._before)
            except ValueError:  # not the main thread, which watches itself
                return

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._depth or self._held:
            self._came = number, frame
            return
        try:
            self._before(number, frame)
        except BaseException:
            self.release()  # now: what it raises may leave no chance to, as where it comes on the way into ``release``
            raise

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        self._deliver()

    def _deliver(self) -> None:
        if self._came is not None and not self._depth and not self._held:
            came, self._came = self._came, None
            self._note(*came)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, a Ctrl-C waits until somebody asks for what is ``due``, or for the end."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        self._deliver()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Within, a Ctrl-C that would be ``held`` comes at once."""
        before, self._held = self._held, False
        try:
            yield
        finally:
            self._held = before

    def due(self) -> BaseException | None:
        """What a Ctrl-C that came meanwhile raises, which then is the caller's to raise."""
        if self._came is None:
            return None
        came, self._came = self._came, None
        try:
            self._before(*came)
        except BaseException as error:
            self.release()
            return error
        return None
