"""Rows of a pool that generate tokens, one for each row in every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...runtime.streams.pool import StreamPool
from ...runtime.streams.stream_table import StreamHandle, arrange, last_outcomes
from ...support.bounded_cache import BoundedCache
from ...support.errors import DtypeError, NonFiniteError, RnnGraphError, ShapeError, shown
from ...support.records import NamedTuple
from .choice import largest, nan_logits_error
from .draws import MAX_DRAWS, Draw, DrawKey, Draws
from .handle import Request
from .ports import TokenPorts

Choices = Sequence[Any]
"""A token, or an exception, for each row."""


class Row(NamedTuple):
    """Generation that runs step by step.

    Attributes:
        request: The caller's generation.
        drawing: Stream of its draws; None if nothing is drawn.
        handle: Stream of the net; None for a row whose prompt was just read.
    """

    request: Request
    drawing: StreamHandle | None
    handle: StreamHandle | None = None


class TokenRows:
    """Generations that run together. All methods except ``prepare`` run in one thread.

    Attributes:
        rows: The rows, in the order of their memory once they step.
    """

    def __init__(self, pool: StreamPool[Any], ports: TokenPorts, draws: Draws, capacity: int) -> None:
        """Start without rows.

        Args:
            pool: Streams of the net.
            ports: Input and output for tokens.
            draws: Compiled draws.
            capacity: Number of rows at most.
        """
        self._pool, self._ports, self._draws, self._capacity = pool, ports, draws, capacity
        self._drawing: BoundedCache[DrawKey, StreamPool[np.ndarray]] = BoundedCache(MAX_DRAWS, is_pinned=len)
        self._rows: list[Row] = []
        self._is_arranged = True

    @property
    def rows(self) -> list[Row]:
        return self._rows

    @rows.setter
    def rows(self, rows: list[Row]) -> None:
        self._rows, self._is_arranged = rows, False

    def prepare(self, draw: Draw) -> None:
        """Compile a draw, in the caller's thread."""
        self._pool_of(draw.key)

    def _pool_of(self, key: DrawKey) -> StreamPool[np.ndarray]:
        return self._drawing.get_or_make(key, lambda: self._draws.pool(key, self._capacity, None))

    def join(self, request: Request) -> int:
        """Add a row for a generation. If its prompt is read, choose the first token; else the next step does so.

        Returns:
            Number of new tokens: 0 or 1.
        """
        options, drawing, reader = request.options, None, request.reader
        if not options.max_new and not reader.unread:
            self._end(Row(request, None), "length", reader.last)
            return 0
        if options.draw is not None:
            drawing = self._pool_of(options.draw.key).open(
                **options.draw.begin(options.number or 0, request.reader.begun)
            )
        row = Row(request, drawing)
        if reader.unread:
            request.token = int(reader.take_last()[0])
        elif not self._deliver(row, self._choose([row], reader.last)[0], reader.last):
            self._free(row)
            return request.count
        number = options.number if self._ports.draws else None
        keywords = {} if number is None else {"number": number}
        handle = self._pool.open(state=reader.stream.state, **keywords)
        self.rows = [*self.rows, row._replace(handle=handle)]
        return request.count

    def step(self) -> int:
        """Read the last token of every row, and choose the next one. Return the number of new tokens.

        Rows whose generation ends are removed.
        """
        rows, values = self._read_all()
        before = sum(row.request.count for row in rows)
        # requests that have all their tokens only needed the state after the last one
        going = [place for place, row in enumerate(rows) if row.request.count < row.request.options.max_new]
        choices = self._choose([rows[place] for place in going], values if len(going) == len(rows) else values[going])
        chosen = dict(zip(going, choices, strict=True))
        staying = []
        for place, row in enumerate(rows):
            if place not in chosen:
                self._end(row, "length", values[place : place + 1])
            elif self._deliver(row, chosen[place], values[place : place + 1]):
                staying.append(row)
                continue
            self._free(row)
        if len(staying) != len(rows):
            self.rows = staying
        return sum(row.request.count for row in rows) - before

    def leave(self, is_leaving: Callable[[Request], bool]) -> None:
        """Cancel the rows whose requests satisfy ``is_leaving``."""
        leaving = [row for row in self.rows if is_leaving(row.request)]
        if leaving:
            self.rows = [row for row in self.rows if row not in leaving]
        for row in leaving:
            row.request.end("cancelled")
            self._free(row)

    def _free(self, row: Row) -> None:
        """Close the streams of a generation, which frees their rows of the pools."""
        if row.handle is not None:
            self._pool.close(row.handle)
        if row.drawing is not None:
            row.drawing.close()

    def _read_all(self) -> tuple[list[Row], np.ndarray]:
        """Feed every row its last token. Return the rows left and their outputs; a row that fails ends."""
        if not self._is_arranged:
            self._arrange()
        rows = self.rows
        try:
            outcomes = self._read(rows)
        except Exception:  # no row has stepped, so each can step alone
            outcomes = [self._read_one(row) for row in rows]
        if isinstance(outcomes, np.ndarray):
            return rows, outcomes
        staying = [place for place, item in enumerate(outcomes) if not isinstance(item, Exception)]
        for row, item in zip(rows, outcomes, strict=True):
            if isinstance(item, Exception):
                row.request.end(None, item)
                self._free(row)
        if len(staying) < len(rows):
            self.rows = [rows[place] for place in staying]
        return self.rows, np.array([outcomes[place] for place in staying])

    def _arrange(self) -> None:
        """Order the rows such that a step copies no states."""
        order = arrange([_open(row.handle) for row in self.rows])
        self._rows, self._is_arranged = [self.rows[place] for place in order], True

    def _read_one(self, row: Row) -> Any:
        """Step one row. Return its logits or token, or the error of the step."""
        try:
            return self._read([row])[0]
        except Exception as error:
            return error

    def _read(self, rows: Sequence[Row]) -> np.ndarray | list[Any]:
        """Step the net. Return logits [rows, classes] or tokens [rows]; a list if some rows have an error instead.

        A row that drew from NaN logits has NaN logits, or the token -1. If an error is raised, no row has stepped.
        """
        ports = self._ports
        tokens = np.array([row.request.token for row in rows], ports.dtype)
        handles = [_open(row.handle) for row in rows]
        if ports.classes is not None and not ports.draws:
            try:
                whole: np.ndarray = flatten(self._pool.step_rows(handles, {ports.input: tokens}))[ports.place]
                return whole
            except RnnGraphError as error:
                if not error.has_run:
                    raise
            outcomes: list[Any] = last_outcomes(handles, self._pool._leaves)
        else:
            feeds = {one: {ports.input: token} for one, token in zip(handles, tokens, strict=True)}
            outcomes = self._pool._outcomes(feeds)
        nan = -1 if ports.classes is None else np.full(ports.classes, np.nan, np.float32)
        values = [
            item if isinstance(item, ShapeError | NonFiniteError) else flatten(item)[ports.place] for item in outcomes
        ]
        return [nan if isinstance(item, NonFiniteError) else item for item in values]

    def _choose(self, rows: Sequence[Row], values: np.ndarray) -> Choices:
        """Return a token or an exception for each row."""
        if not rows:
            return []
        if self._ports.classes is None:
            return [nan_logits_error(self._ports, None) if token < 0 else token for token in values.tolist()]
        choices: list[Any] = [None] * len(rows)
        groups: dict[Any, list[int]] = {}
        for place, (row, is_nan) in enumerate(zip(rows, np.isnan(values.max(-1)), strict=True)):
            if is_nan:
                choices[place] = nan_logits_error(self._ports, row.request.options.where)
            else:
                options = row.request.options
                chooser = options.function or (None if row.drawing is None else row.drawing._pool)
                groups.setdefault(chooser, []).append(place)
        for chooser, places in groups.items():
            logits = values if len(places) == len(rows) else values[places]
            if chooser is None:
                tokens: Choices = largest(logits).tolist()
            elif isinstance(chooser, StreamPool):
                tokens = chooser.step_rows([_open(rows[place].drawing) for place in places], logits=logits).tolist()
            else:
                tokens = [_by_function(chooser, row, len(row)) for row in logits]
            for place, token in zip(places, tokens, strict=True):
                choices[place] = token
        return choices

    def _deliver(self, row: Row, choice: Any, last: np.ndarray) -> bool:
        """Deliver a token, chosen from the output ``last``, or end the request. Return True if the row continues."""
        request = row.request
        options = request.options
        if isinstance(choice, BaseException):
            request.end(None, choice)
            return False
        try:
            is_end = options.ends(choice)
        except Exception as error:
            request.end(None, error)
            return False
        if is_end:
            self._end(row, "stop", last)
            return False
        request.deliver(choice)
        if request.count < options.max_new or options.keeps_state:
            return True
        request.end("length")
        return False

    def _end(self, row: Row, finish: Any, last: np.ndarray) -> None:
        """End a request whose state has read all of its tokens. ``last`` is the output after the last one."""
        request = row.request
        if request.options.keeps_state:
            nest = request.reader.stream.state if row.handle is None else self._pool.state(row.handle)
            request.reader.last = last
            request.state = request.reader.state_after(nest, np.array([request.count]))
        request.end(finish)


def _open(handle: StreamHandle | None) -> StreamHandle:
    assert handle is not None, "a row that steps has a stream, and one that draws another"
    return handle


def _by_function(function: Callable[[Any], Any], logits: np.ndarray, classes: int) -> Any:
    """Return the token that a function chooses, or the exception that it raises or that a wrong token deserves."""
    try:
        token = function(logits)
        if np.ndim(token) or np.asarray(token).dtype.kind not in "iu" or not 0 <= token < classes:
            raise DtypeError(f"sample= returned {shown(token)}, and must return an integer from 0 to {classes - 1}")
        return int(token)
    except Exception as error:
        return error
