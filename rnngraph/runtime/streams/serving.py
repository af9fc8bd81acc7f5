"""A pool of streams that serves many callers: a queue of frames, and the thread that runs them in batches."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple, Never
from weakref import WeakSet

from ...support.api_guard import api
from ...support.arguments import flag, number, whole_number
from ...support.attribute_hints import Unindexed
from ...support.errors import ArgumentError, GraphError

LONGEST_WAIT = 3600.0


class Frame(NamedTuple):
    """What a stream is fed for a step, and who waits for it. arrived: when, by a clock that never goes back."""

    handle: Any
    fed: Any
    future: Future[Any]
    arrived: float = 0.0


Run = Callable[[Sequence[Frame]], Sequence[Any]]
"""Steps streams, one frame each, and gives of each its result or its error."""


@api
class Serving(Unindexed):
    """Runs frames of a pool's streams: at most one of each stream in a batch, in the order in which they came."""

    def __init__(self, run: Run, max_batch: int, max_wait: float) -> None:
        """max_batch: streams of a batch. max_wait: seconds that a frame waits for others at most, while none runs."""
        self._step, self._process = run, os.getpid()
        self.max_batch, self.max_wait = whole_number(max_batch, "max_batch", 1), number(max_wait, "max_wait")
        if not 0 <= self.max_wait <= LONGEST_WAIT:
            raise ArgumentError(f"max_wait={max_wait} must be seconds, from 0 to {LONGEST_WAIT:.0f}")
        self._waiting: dict[Any, deque[Frame]] = {}  # by stream
        self._ready: deque[Any] = deque()  # streams of which a frame waits and none runs
        self._running: dict[Any, Frame] = {}  # by stream
        self._changed, self._is_open = threading.Condition(), True
        self._thread = threading.Thread(target=self._serve, daemon=True, name="rnngraph pool")
        _SERVING.add(self)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether frames are taken: until it is closed, and not in the child of a fork, which has no thread for it."""
        return self._is_open and self._process == os.getpid()

    def put(self, frame: Frame) -> None:
        """Takes a frame; where it stopped just now, the future says so."""
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
        """What is fed to a stream by the frames of it that run or wait, in their order."""
        with self._changed:
            running = self._running.get(handle)
            frames = [*([] if running is None else [running]), *self._waiting.get(handle, ())]
        return [frame.fed for frame in frames if not frame.future.cancelled()]

    def forget(self, handle: Any) -> None:
        """Frames of a stream that was closed are not run."""
        with self._changed:
            frames = self._waiting.pop(handle, ())
            if handle in self._ready:
                self._ready.remove(handle)
        self._refuse(frames, "the stream was closed before this frame was run")

    @api
    def close(self, cancel: bool = False) -> None:
        """Takes no more frames, runs those that wait, and ends the thread. cancel: what waits is cancelled instead."""
        cancels = flag(cancel, "cancel")
        if self._process != os.getpid():
            return
        with self._changed:
            self._is_open = False
            left = [frame for frames in self._waiting.values() for frame in frames] if cancels else []
            if cancels:
                self._waiting.clear()
                self._ready.clear()
            self._changed.notify_all()
        for frame in left:
            frame.future.cancel()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __reduce__(self) -> Never:
        raise GraphError("what serves a pool does not pickle or copy: it is a thread; call serve of a pool there")

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while self._serve_batch():  # who waits for the next one holds no handles of this one
            pass

    def _serve_batch(self) -> bool:
        """Runs a batch; False at the end."""
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
        """The next batch; None at the end."""
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
        """Seconds until a batch begins with what waits; None: until something comes."""
        if not self._ready:
            return None
        first = min(self._waiting[handle][0].arrived for handle in self._ready)
        return first + self.max_wait - monotonic()

    def _run(self, batch: Sequence[Frame]) -> None:
        begun = [frame for frame in batch if _begins(frame.future)]
        for frame, outcome in zip(begun, self._step(begun), strict=True):
            with suppress(BaseException):  # of a callback, or where somebody else set it: the others wait for theirs
                if isinstance(outcome, BaseException):
                    frame.future.set_exception(outcome)
                else:
                    frame.future.set_result(outcome)

    @staticmethod
    def _refuse(frames: Iterable[Frame], why: str) -> None:
        for frame in frames:
            if _begins(frame.future):
                with suppress(InvalidStateError):
                    frame.future.set_exception(ArgumentError(why))


def _begins(future: Future[Any]) -> bool:
    """Whether a frame is to be run: it was not cancelled."""
    try:
        return future.set_running_or_notify_cancel()
    except RuntimeError:  # somebody else gave it a result
        return True


_SERVING: WeakSet[Serving] = WeakSet()


@atexit.register
def _end() -> None:
    """No thread is in native code while the interpreter gives its memory back."""
    for serving in list(_SERVING):
        serving.close(cancel=True)
