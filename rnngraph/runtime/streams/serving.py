"""Queue of requests (frames) of a pool of streams, and the thread that runs them in batches."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from time import monotonic
from typing import Any, Never
from weakref import WeakSet

from ...support.api_guard import api
from ...support.arguments import flag, number, whole_number
from ...support.attribute_hints import Unindexed
from ...support.errors import ArgumentError, GraphError
from ...support.records import NamedTuple

MAX_WAIT_S = 3600.0


class Frame(NamedTuple):
    """Request: inputs for one stream's step, and the future that receives the result.

    ``arrived`` is the arrival time in seconds of a monotonic clock.
    """

    handle: Any
    fed: Any
    future: Future[Any]
    arrived: float = 0.0


Run = Callable[[Sequence[Frame]], Sequence[Any]]
"""Function that steps streams, one frame each, and returns a result or an exception for each frame."""


@api
class Serving(Unindexed):
    """Runs frames of a pool's streams in batches, in order of arrival, with at most one frame of a stream per batch."""

    def __init__(self, run: Run, max_batch: int, max_wait: float) -> None:
        """Start the thread.

        Args:
            run: Function that steps streams, one frame each.
            max_batch: Maximum number of streams in a batch.
            max_wait: Maximum seconds that a frame waits for others while no batch runs.
        """
        self._step, self._process = run, os.getpid()
        self.max_batch, self.max_wait = whole_number(max_batch, "max_batch", 1), number(max_wait, "max_wait")
        if not 0 <= self.max_wait <= MAX_WAIT_S:
            raise ArgumentError(f"max_wait={max_wait} must be seconds, from 0 to {MAX_WAIT_S:.0f}")
        self._waiting: dict[Any, deque[Frame]] = {}  # by stream
        self._ready: deque[Any] = deque()  # streams with a waiting frame and no running one
        self._running: dict[Any, Frame] = {}  # by stream
        self._changed, self._is_open = threading.Condition(), True
        self._thread = threading.Thread(target=self._serve, daemon=True, name="rnngraph pool")
        _SERVING.add(self)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """True if frames are accepted: not after ``close``, and not in a forked child, which has no thread."""
        return self._is_open and self._process == os.getpid()

    def put(self, frame: Frame) -> None:
        """Queue a frame. After ``close``, its future receives an error."""
        with self._changed:
            if self._is_open:
                mine = self._waiting.setdefault(frame.handle, deque())
                mine.append(frame._replace(arrived=monotonic()))
                if len(mine) == 1 and frame.handle not in self._running:
                    self._ready.append(frame.handle)
                    if len(self._ready) in (1, self.max_batch):
                        self._changed.notify()
                return
        self._refuse([frame], "the pool stopped serving before this frame was run")

    def fed_before(self, handle: Any) -> list[Any]:
        """Return the inputs of a stream's running and waiting frames, in order."""
        with self._changed:
            running = self._running.get(handle)
            frames = [*([] if running is None else [running]), *self._waiting.get(handle, ())]
        return [frame.fed for frame in frames if not frame.future.cancelled()]

    def forget(self, handle: Any) -> None:
        """Discard the waiting frames of a closed stream; their futures receive an error."""
        with self._changed:
            frames = self._waiting.pop(handle, ())
            if handle in self._ready:
                self._ready.remove(handle)
        self._refuse(frames, "the stream was closed before this frame was run")

    @api
    def close(self, cancel: bool = False) -> None:
        """Accept no more frames, run the waiting ones, and end the thread. In a forked child, do nothing.

        Args:
            cancel: True to cancel waiting frames instead of running them.
        """
        cancels = flag(cancel, "cancel")
        if self._process != os.getpid():
            return
        with self._changed:
            self._is_open = False
            cancelled = [frame for frames in self._waiting.values() for frame in frames] if cancels else []
            if cancels:
                self._waiting.clear()
                self._ready.clear()
            self._changed.notify_all()
        for frame in cancelled:
            frame.future.cancel()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __reduce__(self) -> Never:
        raise GraphError(
            "a serving object owns a thread and cannot be pickled or copied; call serve of the copied pool"
        )

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while self._serve_batch():  # no reference to this batch's handles survives while waiting for the next
            pass

    def _serve_batch(self) -> bool:
        """Run one batch. Return False if there is none, and serving has ended."""
        batch = self._next()
        if batch is None:
            return False
        self._run(batch)
        with self._changed:
            self._running.clear()
            for frame in batch:
                if self._waiting.get(frame.handle):
                    self._ready.append(frame.handle)
                else:
                    self._waiting.pop(frame.handle, None)
        return True

    def _next(self) -> list[Frame] | None:
        """Wait for the next batch, and return it; None if serving has ended and no frame waits."""
        with self._changed:
            while not self._is_due():
                if not self._is_open and not self._ready:
                    return None
                self._changed.wait(self._time_left())
            handles = [self._ready.popleft() for _ in range(min(self.max_batch, len(self._ready)))]
            self._running = {handle: self._waiting[handle].popleft() for handle in handles}
            return [*self._running.values()]

    def _is_due(self) -> bool:
        if not self._ready:
            return False
        return not self._is_open or len(self._ready) >= self.max_batch or (self._time_left() or 0.0) <= 0

    def _time_left(self) -> float | None:
        """Return the seconds until the next batch must start; None if no frame is ready."""
        if not self._ready:
            return None
        first = min(self._waiting[handle][0].arrived for handle in self._ready)
        return first + self.max_wait - monotonic()

    def _run(self, batch: Sequence[Frame]) -> None:
        begun = [frame for frame in batch if _begins(frame.future)]
        for frame, outcome in zip(begun, self._step(begun), strict=True):
            # an error in a callback, or because a future already has a result, must not affect the other frames
            with suppress(BaseException):
                if isinstance(outcome, BaseException):
                    frame.future.set_exception(outcome)
                else:
                    frame.future.set_result(outcome)

    @staticmethod
    def _refuse(frames: Iterable[Frame], why: str) -> None:
        """Give the futures of frames an error."""
        for frame in frames:
            if _begins(frame.future):
                with suppress(InvalidStateError):
                    frame.future.set_exception(ArgumentError(why))


def _begins(future: Future[Any]) -> bool:
    """Mark a frame's future as running. Return False if it was cancelled."""
    try:
        return future.set_running_or_notify_cancel()
    except RuntimeError:  # the future already has a result
        return True


_SERVING: WeakSet[Serving] = WeakSet()


@atexit.register
def _end() -> None:
    """Stop all threads when the interpreter exits, before it frees memory that native code uses."""
    for serving in list(_SERVING):
        serving.close(cancel=True)
