"""``tf.train.Coordinator``: stops the threads of a program together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...support.api_guard import api
from ..core.errors import OutOfRangeError


class Coordinator:
    """``tf.train.Coordinator``: a stop signal for threads, and the error of the first thread that failed."""

    @api
    def __init__(self, clean_stop_exception_types: Any = None) -> None:
        self._clean = tuple(clean_stop_exception_types or (OutOfRangeError,))
        self._stops = threading.Event()
        self._raised: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def should_stop(self) -> bool:
        """Return True once ``request_stop`` was called."""
        return self._stops.is_set()

    def request_stop(self, ex: Any = None) -> None:
        """Request that all threads stop.

        Args:
            ex: Error for ``join`` to raise, unless an earlier one is recorded. Errors of
                ``clean_stop_exception_types``, by default ``OutOfRangeError``, the end of data, are not raised.
        """
        error = ex[1] if isinstance(ex, tuple) else ex
        if isinstance(error, BaseException) and not isinstance(error, self._clean) and self._raised is None:
            self._raised = error
        self._stops.set()

    def clear_stop(self) -> None:
        """Discard the request to stop."""
        self._stops.clear()
        self._raised = None

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Wait until a stop is requested, and return True; False if ``timeout`` seconds pass first (None: no limit)."""
        return self._stops.wait(timeout)

    def register_thread(self, thread: threading.Thread) -> None:
        """Register a thread, for which ``join`` waits."""
        self._threads.append(thread)

    @contextmanager
    def stop_on_exception(self) -> Iterator[None]:
        """Request a stop if the block raises an error. The block ends silently. ``join`` raises the error.

        Errors that ``request_stop`` does not record, such as the end of data, are not raised by ``join``.
        """
        try:
            yield
        except BaseException as error:
            self.request_stop(error)

    def join(
        self,
        threads: Sequence[threading.Thread] | None = None,
        stop_grace_period_secs: float = 120,
        ignore_live_threads: bool = False,
    ) -> None:
        """Wait until all threads have ended. If one of them requested a stop with an error, raise the error.

        Args:
            threads: Threads to wait for, in addition to the registered ones.
            stop_grace_period_secs: Maximum seconds to wait after a stop was requested.
            ignore_live_threads: True to return although threads still run after these seconds.

        Raises:
            RuntimeError: Threads still run after these seconds.
        """
        waiting = [*(threads or ()), *self._threads]
        while any(item.is_alive() for item in waiting) and not self._stops.wait(0.01):
            pass
        ends = time.monotonic() + stop_grace_period_secs
        for item in waiting:
            item.join(max(0.0, ends - time.monotonic()))
        self._threads.clear()
        if self._raised is not None:
            raise self._raised
        if not ignore_live_threads and any(item.is_alive() for item in waiting):
            raise RuntimeError(
                f"threads still run {stop_grace_period_secs} s after a stop was requested; pass "
                "ignore_live_threads=True to leave them running"
            )

    def raise_requested_exception(self) -> None:
        """Raise the error of the requested stop, if any."""
        if self._raised is not None:
            raise self._raised

    @property
    def joined(self) -> bool:
        """True if ``join`` was called since a thread was registered last, or no thread was registered."""
        return not self._threads


class LooperThread(threading.Thread):
    """``tf.train.LooperThread``: calls a function at intervals until the coordinator stops.

    The interval is ``timer_interval_secs``, in seconds; None or 0 calls the function without pause.
    """

    @api
    def __init__(
        self,
        coord: Coordinator,
        timer_interval_secs: float | None,
        target: Callable[..., Any] | None = None,
        args: Any = None,
        kwargs: Any = None,
    ) -> None:
        super().__init__(daemon=True)
        self._coord, self._interval = coord, timer_interval_secs
        self._call, self._arguments, self._keywords = target, args or (), kwargs or {}
        coord.register_thread(self)

    @staticmethod
    def loop(
        coord: Coordinator,
        timer_interval_secs: float | None,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
    ) -> LooperThread:
        """Start a ``LooperThread``, and return it."""
        thread = LooperThread(coord, timer_interval_secs, target, args, kwargs)
        thread.start()
        return thread

    def run_loop(self) -> None:
        """Call the function once. ``run`` calls this method at each interval."""
        if self._call is not None:
            self._call(*self._arguments, **self._keywords)

    def run(self) -> None:
        """Call the function at intervals until the coordinator stops."""
        with self._coord.stop_on_exception():
            while not self._coord.should_stop():
                self.run_loop()
                if self._interval:
                    self._coord.wait_for_stop(self._interval)
