"""Generations of many callers in one pool: prompts are read in slices between the steps of other callers."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Never
from weakref import WeakSet

import numpy as np

from ...runtime.streams.pool import StreamPool
from ...runtime.streams.stream import Stream
from ...support.api_guard import api
from ...support.arguments import flag, whole_number
from ...support.arguments import number as number_of
from ...support.attribute_hints import Unindexed
from ...support.errors import BusyError, GraphError, ShapeError, Where, user_line
from ...support.records import dataclass
from .choice import check_sampling
from .draws import Draws, draw_of
from .generation import Reader
from .handle import GenerationHandle, Request, RequestOptions
from .ports import TokenPorts
from .prompts import prompt_of, stops_at
from .token_rows import TokenRows

Open = Callable[[Any, Any], Stream[Any]]
"""Function that opens a stream of one row from a state and a number."""


@dataclass(frozen=True)
class GeneratorLimits:
    """Limits of a generator.

    Attributes:
        slots: Maximum number of callers that run.
        max_waiting: Maximum number of callers that wait for a slot.
        max_prefill: Maximum tokens of prompts that are read between two steps of the callers that run.
    """

    slots: int
    max_waiting: int
    max_prefill: int


@api
class Generator(Unindexed):
    """Generates tokens for many callers at once: rows of one pool, which join and leave between steps.

    Each caller gets the tokens that it would get alone, bit for bit. Prompts of newcomers are read in slices, so that
    the others wait for ``max_prefill`` tokens at most. ``submit`` may be called from any thread and from coroutines.
    """

    def __init__(
        self, open_stream: Open, pool: StreamPool[Any], ports: TokenPorts, draws: Draws, limits: GeneratorLimits
    ) -> None:
        """Compile all code that runs later, and start the thread.

        Args:
            open_stream: Function that opens a stream to read a prompt.
            pool: Streams of the callers that run.
            ports: Input and output for tokens.
            draws: Compiled draws.
            limits: Numbers of callers and of tokens.
        """
        self._open, self._ports, self._limits = open_stream, ports, limits
        self._rows = TokenRows(pool, ports, draws, limits.slots)
        self._changed = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._reading: deque[Request] = deque()  # callers with a slot whose prompts are being read
        self._is_open, self._process = True, os.getpid()
        self._tokens = self._read = self._steps = 0
        self._compile()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="rnngraph generator")
        _RUNNING.add(self)
        self._thread.start()

    def _compile(self) -> None:
        """Compile a prompt and a step, so that no caller waits for the compiler."""
        prompt = np.zeros((1, self._limits.max_prefill + 1), np.int64)
        reader = Reader(self._open(None, None), self._ports, prompt)
        reader.read_prompt(self._limits.max_prefill)
        reader.read_prompt(1, leaves_last=True)

    @api
    def submit(
        self,
        ids: Any,
        max_new: int = 100,
        sample: Any = None,
        stop: Any = None,
        *,
        number: int | None = None,
        state: Any = None,
        keep_state: bool = False,
    ) -> GenerationHandle:
        """Generate tokens after a prompt, together with those of other callers.

        Args:
            ids: Tokens of the prompt: ints [tokens]. It may be empty if ``state`` is that of a generation.
            max_new: Maximum number of new tokens.
            sample: As for ``inference.generate``. A function gets logits [classes], and runs in the generator's thread.
                Each ``seed`` of a dict is compiled, so give callers a ``number`` instead.
            stop: A token that ends the generation, several, or a function of a token, which runs in the generator's
                thread. The token is not returned.
            number: Number by which draws of ``rg.sample`` differ between callers; None: 0, or in a net that draws, the
                number in ``state``.
            state: State to start from: of a stream of one row or a generation, its bytes, or a file of ``save``.
            keep_state: True: ``state`` of the handle is the state after the prompt and all tokens.

        Returns:
            Iterator over the tokens as they come, also by ``async for``.

        Raises:
            BusyError: All slots are taken and ``max_waiting`` callers wait, or the generator is closed.
            DtypeError: The tokens are not integers.
            ShapeError: The prompt is empty and ``state`` is not that of a generation, or it has several rows.
        """
        where = user_line()
        prompt = prompt_of(ids, state, where)
        if np.ndim(ids) != 1:
            raise ShapeError("submit takes the tokens of one prompt, [tokens]; submit each row by itself", where)
        check_sampling(sample, number, self._ports, where)
        is_function = callable(sample)
        draw = None if sample is None or is_function else draw_of(sample, self._ports.classes or 0, where)
        if draw is not None:
            self._rows.prepare(draw)
        options = RequestOptions(
            stops_at(stop, where),
            whole_number(max_new, "max_new", 0),
            sample if is_function else None,
            draw,
            None if number is None else whole_number(number, "number"),
            flag(keep_state, "keep_state"),
            where,
        )
        self._require_room(where)
        stream = self._open(state, number if self._ports.draws else None)
        request = Request(Reader(stream, self._ports, prompt, state, where), options)
        with self._changed:
            self._require_room(where)
            self._waiting.append(request)
            self._changed.notify_all()
        return GenerationHandle(request, self._cancel)

    def _require_room(self, where: Where | None) -> None:
        """Raise ``BusyError`` if no other caller may wait."""
        if self._process != os.getpid():  # after a fork, a thread of the parent may hold the lock
            raise BusyError(
                "the generator belongs to the parent of this forked process; make a new generator in this process",
                where,
            )
        with self._changed:
            if not self._is_open:
                raise BusyError("the generator is closed; make another one", where)
            self._forget_cancelled()
            free = self._limits.slots - self.running
            if len(self._waiting) >= self._limits.max_waiting + max(free, 0):
                raise BusyError(
                    f"{self.running} generations run and {self.waiting} callers wait, as many as slots="
                    f"{self._limits.slots} and max_waiting={self._limits.max_waiting} allow; try again later",
                    where,
                )

    def _cancel(self, request: Request) -> None:
        request.is_cancelled = True
        if self._process != os.getpid():
            return
        with self._changed:
            if request in self._waiting:
                self._waiting.remove(request)
                request.end("cancelled")
            self._changed.notify_all()

    @property
    def classes(self) -> int | None:
        """Number of logits of a step, the size of the vocabulary; None if the net draws its tokens itself."""
        return self._ports.classes

    @property
    def running(self) -> int:
        """Number of callers that have a slot."""
        return len(self._reading) + len(self._rows.rows)

    @property
    def waiting(self) -> int:
        """Number of callers that wait for a slot."""
        return len(self._waiting)

    @property
    def counts(self) -> dict[str, int]:
        """Totals since the start: ``read``, tokens of prompts; ``new``, tokens that were generated; ``steps``."""
        return {"read": self._read, "new": self._tokens, "steps": self._steps}

    @property
    def is_running(self) -> bool:
        """True if callers are accepted: not after ``close``, and not in a forked child, which has no thread."""
        return self._is_open and self._process == os.getpid()

    @api
    def close(self, cancel: bool = False, timeout: float | None = None) -> None:
        """Accept no more callers, finish the generations of accepted callers, and end the thread.

        Args:
            cancel: End the accepted generations by ``BusyError`` instead of finishing them.
            timeout: Seconds after which generations that still run are ended, likewise; None for no limit.
        """
        cancels = flag(cancel, "cancel")
        seconds = None if timeout is None else number_of(timeout, "timeout")
        if self._process != os.getpid():
            return
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        if cancels:
            self._end_all()
        if self._thread is threading.current_thread():
            return
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._end_all()
            self._thread.join()

    def _end_all(self, error: BaseException | None = None) -> None:
        """End all generations with an error: ``error``, or else that the generator was closed."""
        if error is None:
            error = BusyError("the generator was closed before the generation ended; submit the prompt to another one")
        with self._changed:
            requests = [*self._waiting, *self._reading, *(row.request for row in self._rows.rows)]
            self._waiting.clear()
        for request in requests:
            request.is_cancelled = True
            request.end(None, error)

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(cancel=kind is not None)

    def __reduce__(self) -> Never:
        raise GraphError("a generator owns a thread and can't be pickled or copied; pickle the program instead")

    # The thread ----------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:  # no caller may wait for a thread that has ended
            self._is_open = False
            self._end_all(error)
            raise

    def _round(self) -> bool:
        """Read a slice of prompts and run one step. Return False when nothing is left to do."""
        with self._changed:
            while not (self._waiting or self._reading or self._rows.rows):
                if not self._is_open:
                    return False
                self._changed.wait()
            self._forget_cancelled()
            while self._waiting and self.running < self._limits.slots:
                self._reading.append(self._waiting.popleft())
        self._rows.leave(lambda request: request.is_cancelled)
        self._read_slice()
        if self._rows.rows:
            self._tokens += self._rows.step()
            self._steps += 1
        return True

    def _forget_cancelled(self) -> None:
        """End waiting callers that were cancelled or dropped. Requires the lock."""
        for request in [request for request in self._waiting if request.is_cancelled]:
            self._waiting.remove(request)
            request.end("cancelled")

    def _read_slice(self) -> None:
        """Read tokens of prompts, in turn, until ``max_prefill``; callers whose prompts are read join the rows.

        The last token of a prompt is read by the next step of the rows.
        """
        budget = self._limits.max_prefill
        for _ in range(len(self._reading)):
            request = self._reading[0]
            left, is_over = request.reader.unread, True
            count = min(budget, left)
            if request.is_cancelled:
                request.end("cancelled")
            else:
                try:
                    request.reader.read_prompt(count, leaves_last=True)
                    budget -= count
                    self._read += count
                    is_over = count == left
                    if is_over:
                        self._tokens += self._rows.join(request)
                except Exception as error:
                    request.end(None, error)
                    is_over = True
            self._reading.popleft()
            if not is_over:
                self._reading.append(request)
            if not budget:
                break


_RUNNING: WeakSet[Generator] = WeakSet()


@atexit.register
def _end() -> None:
    """Stop all threads before the interpreter frees memory that native code uses."""
    for generator in list(_RUNNING):
        generator.close(cancel=True)
