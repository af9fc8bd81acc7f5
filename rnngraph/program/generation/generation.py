"""One generation: rows that read a prompt in chunks, and then the tokens that they choose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Never

import numpy as np

from ...declare.nest import flatten
from ...runtime.streams.states import GenerationState
from ...runtime.streams.stream import Stream, save_with
from ...support.api_guard import api
from ...support.attribute_hints import Unindexed
from ...support.errors import GraphError, Where, user_line
from .choice import Choice, nan_logits_error
from .chunk_runner import ChunkRunner
from .continuation import arrays_of, continuation
from .ports import TokenPorts
from .prompts import Ends

CHUNK = 128
"""Steps of a prompt per native call. They bound the memory for results, and the delay of an interrupt."""
STOPPED = -1
"""Token of a row that has stopped."""


class Reader:
    """Stream that reads tokens and returns its output for the last one.

    Attributes:
        stream: The stream.
        last: Output for the last token of each row: logits [rows, classes], or tokens [rows].
        begun: Number of tokens of each row that were generated before, since the last prompt, int64 [rows].
    """

    def __init__(
        self,
        stream: Stream[Any],
        ports: TokenPorts,
        prompt: np.ndarray,
        state: Any = None,
        where: Where | None = None,
    ) -> None:
        """Store a prompt, which is read later.

        Args:
            stream: Stream that begins at ``state``.
            ports: Input and output for tokens.
            prompt: Tokens [rows, tokens].
            state: State that chooses the first token after an empty prompt, as ``generate`` takes it.
            where: Line of the call.
        """
        after = continuation(state, prompt, ports, where)
        self.stream = stream
        self.last = np.zeros(0) if after is None else after.last
        self.begun = np.zeros(len(prompt), np.int64) if after is None else after.count.astype(np.int64)
        self._ports, self._prompt, self._position = ports, prompt, 0
        self._runner = ChunkRunner(stream, ports)

    @property
    def unread(self) -> int:
        """Number of tokens of the prompt that are not read yet."""
        return self._prompt.shape[1] - self._position

    @property
    def can_leave_last(self) -> bool:
        """True if only the output for the last token of a prompt must be computed.

        False for a net that draws its tokens itself, because it checks the logits of every step.
        """
        return not self._ports.draws

    def read_prompt(self, count: int, leaves_last: bool = False) -> None:
        """Read the next ``count`` tokens of the prompt, or those that are left.

        Args:
            count: Maximum number of tokens.
            leaves_last: Do not read the last token, which ``take_last`` then returns.
        """
        chunk = self._prompt[:, self._position : self._position + count]
        if not chunk.size:
            return
        if not self.can_leave_last:
            self._position += chunk.shape[1]
            self.last = flatten(self.stream.process({self._ports.input: chunk}))[self._ports.place][:, -1]
            return
        is_last = chunk.shape[1] == self.unread
        if is_last and not leaves_last and chunk.shape[1] > 1 and self._runner.has_last:
            self._position += chunk.shape[1]
            self.last = self._runner.last({self._ports.input: chunk})
            return
        before = chunk[:, :-1] if is_last else chunk
        if before.size:
            self._runner({self._ports.input: before})
        self._position += before.shape[1]
        if is_last and not leaves_last:
            self.read(self.take_last(), np.ones(len(chunk), bool))

    def take_last(self) -> np.ndarray:
        """Return the last token of each row, which the caller reads."""
        self._position += 1
        return np.asarray(self._prompt[:, -1])

    def read(self, tokens: np.ndarray, rows: np.ndarray) -> None:
        """Read one more token of the rows whose mask is True."""
        mask, tokens = None if rows.all() else rows, tokens.astype(self._ports.dtype, copy=False)
        last = flatten(self.stream.step({self._ports.input: tokens}, rows=mask))[self._ports.place]
        if mask is not None:  # rows that stopped keep the output from which their stop token was chosen
            last = np.where(mask.reshape(-1, *[1] * (last.ndim - 1)), last, self.last)
        self.last = last

    def state_after(self, nest: Any, count: np.ndarray) -> GenerationState:
        """Return the state of this generation. ``count`` is the number of its tokens, by row."""
        return GenerationState(nest, self._ports.output, self.last.copy(), self.begun + count)


@api
class Generation(Unindexed, Iterator[Any]):
    """Iterator over the tokens that a net generates after a prompt: ints, or int64 [rows] for prompts of several rows.

    ``state`` and ``save`` give the state after all tokens that were read and returned, from which another generation
    continues. An exception, such as ``KeyboardInterrupt``, ends the generation.
    """

    def __init__(
        self, reader: Reader, ports: TokenPorts, choice: Choice, ends: Ends, max_new: int | None, is_single: bool
    ) -> None:
        """Start a generation.

        Args:
            reader: Reads the prompt and the new tokens.
            ports: Input and output for tokens.
            choice: Chooses a token from the logits of each row.
            ends: Function that is true for a token that ends its row.
            max_new: Maximum number of new tokens; None for no limit.
            is_single: Tokens are those of the only row, as ints.
        """
        self._reader, self._ports, self._choice, self._ends = reader, ports, choice, ends
        self._limit, self._is_single, self._where = max_new, is_single, user_line()
        self._running: np.ndarray | None = None  # mask of rows; None before the first token
        self._unread: np.ndarray | None = None  # tokens that were returned and not read yet
        self._counts = np.zeros(len(reader.begun), np.int64)  # tokens that were returned, by row
        self._count, self._is_over, self._is_broken = 0, False, False

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> Any:
        if self._is_over or self._count == self._limit:
            raise StopIteration
        try:
            tokens = self._next()
            if tokens is not None:
                self._count += 1
                return int(tokens[0]) if self._is_single else tokens
        except BaseException:  # an interrupt after the step would lose its token
            self._is_over = self._is_broken = True
            raise
        self._is_over = True
        raise StopIteration

    def _next(self) -> np.ndarray | None:
        """Return the next token of each row; None if all rows have stopped."""
        self._read()
        last = self._reader.last
        running = np.ones(len(last), bool) if self._running is None else self._running
        if self._ports.classes is not None:
            if np.isnan(last.max(-1))[running].any():
                raise nan_logits_error(self._ports, self._where)
            last = np.asarray(self._choice(last))
        tokens = last.astype(np.int64)
        running = running & [not self._ends(int(token)) for token in tokens]
        self._running = running
        if not running.any():
            return None
        self._unread, self._counts = tokens, self._counts + running
        return np.where(running, tokens, STOPPED)

    def _read(self) -> None:
        """Read the tokens that were fed or returned and are not read yet."""
        while self._reader.unread:
            self._reader.read_prompt(CHUNK)
        if self._unread is not None and self._running is not None:
            self._reader.read(self._unread, self._running)
            self._unread = None

    def _read_all(self) -> Stream[Any]:
        if self._is_broken:
            raise GraphError("the generation ended by an exception, so its state is unknown; start another one")
        self._read()
        return self._reader.stream

    @property
    def state(self) -> Any:
        """State after the prompt and all tokens that were returned, for ``state=`` of another generation or stream.

        A token at which a row stopped is not in the state. The state has the output after the last token, so that a
        generation with an empty prompt continues.
        """
        return self._reader.state_after(self._read_all().state, self._counts)

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state after the prompt and all returned tokens to a file.

        The file is for ``state=`` of another generation or stream, of any process.
        """
        stream = self._read_all()
        save_with(stream, path, arrays_of(self._reader.state_after(None, self._counts)))

    def __reduce__(self) -> Never:
        raise GraphError("a generation can't be pickled or copied; save its state, and start another one from it")
