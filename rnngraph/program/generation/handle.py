"""Generation of one caller of a generator: its tokens as they come, for threads and for coroutines."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal, Never

from ...support.api_guard import api
from ...support.attribute_hints import Unindexed
from ...support.errors import GraphError, Where
from ...support.records import dataclass
from .draws import Draw
from .generation import Reader
from .prompts import Ends

Finish = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class RequestOptions:
    """Options of one caller's generation.

    Attributes:
        ends: Function that is true for a token that ends the generation.
        max_new: Maximum number of new tokens.
        function: Function that chooses a token from logits [classes]; None without one.
        draw: Draw by ``rg.sample``; None without one.
        number: Number by which draws differ; None: 0.
        keeps_state: True to keep the state after all tokens.
        where: Line of the caller.
    """

    ends: Ends
    max_new: int
    function: Callable[[Any], Any] | None
    draw: Draw | None
    number: int | None
    keeps_state: bool
    where: Where | None


class Request:
    """Generation of one caller, as the thread of a generator runs it.

    Attributes:
        reader: Reads the prompt.
        options: Options of the caller.
        count: Number of new tokens so far.
        token: Token that is read next.
        is_cancelled: True once the caller wants no more tokens.
        state: State after all tokens, if it is kept.
    """

    def __init__(self, reader: Reader, options: RequestOptions) -> None:
        self.reader, self.options = reader, options
        self.count, self.token, self.is_cancelled = 0, 0, False
        self.changed = threading.Condition()
        self.unread: deque[int] = deque()
        self.finish: Finish | None = None
        self.error: BaseException | None = None
        self.state: Any = None
        self.waiters: list[tuple[Any, Any]] = []  # event loops and futures of coroutines
        self._process = os.getpid()

    @property
    def is_over(self) -> bool:
        """True if no more tokens follow."""
        return self.finish is not None or self.error is not None

    def deliver(self, token: int) -> None:
        """Pass a token on to the caller."""
        self.count, self.token = self.count + 1, token
        with self.changed:
            self.unread.append(token)
            self._notify()

    def end(self, finish: Finish | None, error: BaseException | None = None) -> None:
        """End the generation, unless it has ended."""
        with self.changed:
            if not self.is_over:
                self.finish, self.error = finish, error
                self._notify()

    def check_process(self) -> None:
        """Raise ``GraphError`` in the child of a fork, where no thread would end the caller's wait."""
        if self._process != os.getpid():
            raise GraphError("the generation runs in the process that forked this one; submit the prompt here")

    def _notify(self) -> None:
        self.changed.notify_all()
        waiters, self.waiters = self.waiters, []
        for loop, future in waiters:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_wake, future)


def _wake(future: Any) -> None:
    if not future.done():
        future.set_result(None)


@api
class GenerationHandle(Unindexed, Iterator[int]):
    """Iterator over one caller's tokens as they come, in threads by ``for`` and in coroutines by ``async for``.

    Leaving a ``with`` block cancels the generation if it still runs, and so does dropping the handle.
    """

    def __init__(self, request: Request, cancel: Any) -> None:
        """Make the handle of a request. ``cancel`` is called with the request to end it early."""
        self._request, self._cancel = request, cancel

    def __iter__(self) -> GenerationHandle:
        return self

    def __next__(self) -> int:
        request = self._request
        request.check_process()
        with request.changed:
            while not request.unread and not request.is_over:
                request.changed.wait()
            if request.unread:
                return request.unread.popleft()
        if request.error is not None:
            raise request.error
        raise StopIteration

    def __aiter__(self) -> GenerationHandle:
        return self

    async def __anext__(self) -> int:
        import asyncio  # takes as long to import as a quarter of this package

        request, loop = self._request, asyncio.get_running_loop()
        request.check_process()
        while True:
            with request.changed:
                if request.unread:
                    return request.unread.popleft()
                if request.error is not None:
                    raise request.error
                if request.is_over:
                    raise StopAsyncIteration
                future = loop.create_future()
                request.waiters.append((loop, future))
            await future

    @property
    def finish(self) -> Finish | None:
        """Reason of the end: ``"stop"``, ``"length"`` or ``"cancelled"``; None while it runs, or after an error."""
        return self._request.finish

    @property
    def state(self) -> Any:
        """State after the prompt and all tokens, of a generation with ``keep_state=True``. Waits for the end."""
        request = self._request
        if not request.options.keeps_state:
            raise GraphError("the state was not kept; submit the prompt with keep_state=True")
        request.check_process()
        with request.changed:
            while not request.is_over:
                request.changed.wait()
        if request.error is not None:
            raise request.error
        if request.state is None:
            raise GraphError("the generation was cancelled before its state was kept; submit the prompt again")
        return request.state

    @api
    def cancel(self) -> None:
        """End the generation early. Its row is free before the next step."""
        self._cancel(self._request)

    def __enter__(self) -> GenerationHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:
        request = getattr(self, "_request", None)  # missing if the constructor did not run
        if request is not None:
            request.is_cancelled = True  # takes no lock, because a handle may be collected in any thread

    def __reduce__(self) -> Never:
        raise GraphError("a generation can't be pickled or copied; send its tokens")
