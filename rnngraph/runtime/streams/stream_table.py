"""Tables of streams that can step together, with one row per stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never, TypeAlias

import numpy as np

from ...support.allocation import zeros
from ...support.attribute_hints import OF_HANDLES, Telling
from ...support.errors import GraphError, NonFiniteError, ShapeError, user_line
from ..calls.prepared_call import CallSpec, PreparedCall
from ..calls.runner import Runner
from ..native.argument_block import Weights
from .row_graph import RowPort
from .row_steps import RowSteps

PURPOSE = "the states of a pool's streams"
RowError: TypeAlias = NonFiniteError | ShapeError
"""Error of one stream in a step that has run: it drew from NaN logits, or is past the end of a table of positions."""


class StreamTable:
    """Table of streams: a row has the states and held feeds of one stream."""

    def __init__(self, steps: RowSteps, capacity: int) -> None:
        self.steps, self.capacity = steps, 0
        self._tables: dict[str, np.ndarray] = {}
        self._free: list[int] = []  # free rows below _used
        self._used = 0  # number of rows that are or were in use; they are the first rows
        self._grow(capacity)

    def _grow(self, capacity: int) -> None:
        before, self.capacity = self.capacity, capacity
        ports = self.steps.stored.values()
        grown = {port.name: zeros((capacity, *port.shape), port.dtype, PURPOSE) for port in ports}
        for name, array in self._tables.items():
            grown[name][:before] = array
        self._tables = grown
        self.steps.set_tables(grown)

    def __len__(self) -> int:
        """Number of streams in the table."""
        return self._used - len(self._free)

    def __bool__(self) -> bool:
        return True

    @property
    def has_room(self) -> bool:
        """True if another stream fits without growth."""
        return bool(self._free) or self._used < self.capacity

    def add(self, states: Sequence[np.ndarray], held_feeds: Mapping[str, np.ndarray]) -> int:
        """Add a stream with these states and held feeds, arrays of one row. Return its row."""
        if not self._free:
            if self._used == self.capacity:
                self._grow(2 * self.capacity)
            self._free.append(self._used)
            self._used += 1
        row = min(self._free)
        self._free.remove(row)
        self.set_states(row, states)
        self.store(row, held_feeds)
        return row

    def remove(self, row: int) -> None:
        """Free a row.

        Python may delete a handle at any moment in any thread. This method therefore takes no lock and does nothing
        else.
        """
        self._free.append(row)

    def arrange(self, handles: Sequence[StreamHandle]) -> bool:
        """Move all streams of the table to its first rows. Return True if a stream has moved.

        Args:
            handles: Handles of all streams, which stay alive and open meanwhile.
        """
        has_moved = False
        for handle in sorted(handles, key=lambda item: item._row, reverse=True):
            place = min(self._free, default=handle._row)
            if place < handle._row:
                for table in self._tables.values():
                    table[place] = table[handle._row]
                self._free.remove(place)
                self._free.append(handle._row)
                handle._row, has_moved = place, True
        return has_moved

    def states(self, row: int) -> list[np.ndarray]:
        """Return copies of a stream's states, arrays of one row."""
        return [self._tables[name][row : row + 1].copy() for name in self.steps.states]

    def set_states(self, row: int, states: Sequence[np.ndarray]) -> None:
        for name, array in zip(self.steps.states, states, strict=True):
            self._tables[name][row] = array[0]

    def step(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Run one step of the streams in these rows of the table. Return the outputs, with rows first.

        ``rows`` must not change, and inputs have rows first.
        """
        steps, count = self.steps, len(rows)
        steps.select_rows(rows)
        for name, array in arrays.items():
            steps.fed[name][:count] = array
        steps.run(count, count == len(self))
        results = [steps.outputs[name].rows_back(steps.result_arrays[name][:count]).copy() for name in outputs]
        steps.check_draws(outputs, slice(count))
        return results

    def results_at(self, place: int, leaves: Sequence[str], whole: bool) -> list[np.ndarray] | RowError:
        """Return copies of one stream's results in the last call, or its error; ``place`` is its row in that call.

        Results have the axis of rows if ``whole``.
        """
        steps = self.steps
        try:
            steps.check_draws(leaves, slice(place, place + 1))
        except (NonFiniteError, ShapeError) as error:
            return error
        return [one_row(steps.outputs[name], steps.result_arrays[name][place], whole) for name in leaves]

    def store(self, row: int, held_feeds: Mapping[str, np.ndarray]) -> None:
        """Store the feeds of one stream that have rows and no time axis."""
        for name, array in held_feeds.items():
            if name in self._tables:
                self._tables[name][row] = self.steps.stored[name].rows_first(array)[0]


class StreamHandle(Telling):
    """Handle of one stream of a pool, valid from ``open`` to ``close``. Deleting the handle closes the stream, too."""

    _instead = OF_HANDLES
    __slots__ = ("__weakref__", "_held_feeds", "_pool", "_row", "_table")

    def __init__(self, pool: Any, table: StreamTable, row: int, held_feeds: Mapping[str, np.ndarray]) -> None:
        self._pool, self._row, self._held_feeds = pool, row, held_feeds
        self._table: StreamTable | None = table  # None once closed

    def __del__(self) -> None:
        table = getattr(self, "_table", None)  # the attribute is missing if the constructor did not run
        if table is not None:
            table.remove(self._row)

    def close(self) -> None:
        """Close the stream, as ``pool.close(handle)`` does."""
        self._pool.close(self)

    def __repr__(self) -> str:
        return f"<StreamHandle {id(self):#x}{', closed' if self._table is None else ''}>"

    def __reduce__(self) -> Never:
        raise GraphError(
            f"{self!r} is a row of its pool and cannot be pickled or copied; send pool.state_bytes(handle), and "
            "open a stream with it there"
        )


class RowBlocks:
    """Argument block for repeated steps of the same rows, in the table's own buffers.

    Attributes:
        numbers: Empty, because no address changes from call to call.
        version: None, because these steps never become direct calls, which compare the version of the weights.
    """

    version: int | None = None

    is_shared = False

    def __init__(self, table: StreamTable, rows: np.ndarray) -> None:
        """Make the block. ``rows`` are int64 indices that must not change."""
        self._table, self._steps, self._rows, self._count = table, table.steps, rows, len(rows)
        self.numbers = np.zeros(0, np.int64)
        self.run: Callable[[], None] = self._steps.run_prepared

    def call(self, spec: CallSpec) -> PreparedCall:
        steps, count = self._steps, self._count
        memory = {name: port.rows_back(steps.fed[name][:count]) for name, port in steps.inputs.items()}
        names = (*spec.leaves, *spec.flags)
        memory |= {name: steps.outputs[name].rows_back(steps.result_arrays[name][:count]) for name in names}
        return PreparedCall(spec, memory)

    def block(self, call: PreparedCall, arrays: list[Any] | None) -> tuple[RowBlocks, Weights]:
        steps = self._steps
        steps.select_rows(self._rows)
        weights = steps.prepare(self._count, self._count == len(self._table))
        self.run = steps.run_prepared
        return self, weights

    def record_run(self, call: PreparedCall, arrays: list[Any] | None, context: Weights) -> None:
        """Do nothing: the step updated the states in place."""


class PreparedRows(Runner):
    """Runner of repeated steps of the same rows of a table, for feeds that need no conversion.

    Attributes:
        of: Key by which the caller recognises the rows.
    """

    def __init__(self, of: Any, table: StreamTable, rows: np.ndarray, structure: Any, leaves: Sequence[str]) -> None:
        """Prepare the call.

        Args:
            rows: int64 indices, which must not change.
            structure: Structure of a step's results.
            leaves: Names of a step's results.
        """
        table.steps.make_room(len(rows))
        self.of, self._steps, self._memory = of, table.steps, table.steps.rows
        options = table.steps.graph.compiled.options
        spec = table.steps.call_spec(len(rows), structure, leaves)
        super().__init__(spec, RowBlocks(table, rows), options.threads)

    @property
    def has_memory(self) -> bool:
        """True until the table replaces its buffers by larger ones."""
        return self._steps.rows is self._memory


def step_tables(
    tables: Sequence[StreamTable], every: np.ndarray, arrays: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> list[np.ndarray]:
    """Step streams of one or several tables. Return the outputs of all streams.

    Args:
        tables: The table of each row, or the only table.
        every: Row of each stream in its table, int64.
        arrays: Inputs, rows first.
        outputs: Names of the outputs.
    """
    first = tables[0]
    if len(tables) == 1:
        return first.step(every, arrays, outputs)
    parts: list[tuple[StreamTable, Any]] = [(first, slice(None))]
    if len(set(tables)) > 1:
        parts = [(table, [i for i, mine in enumerate(tables) if mine is table]) for table in dict.fromkeys(tables)]
        check_alike([table for table, _ in parts])
    for table, places in parts:
        mine, steps = every[places], table.steps
        steps.select_rows(mine)
        for name, array in arrays.items():
            steps.fed[name][: len(mine)] = array[places]
    for table, places in parts:
        table.steps.run(len(every[places]), len(every[places]) == len(table))
    results = []
    for name in outputs:
        port = first.steps.outputs[name]
        whole = np.empty((len(every), *port.shape), port.dtype)
        for table, places in parts:
            whole[places] = table.steps.result_arrays[name][: len(every[places])]
        results.append(np.ascontiguousarray(port.rows_back(whole)))
    for table, places in parts:
        table.steps.check_draws(outputs, slice(len(every[places])))
    return results


def step_each(
    tables: Sequence[StreamTable], frames: Sequence[tuple[int, Mapping[str, np.ndarray], bool]], leaves: Sequence[str]
) -> list[list[np.ndarray] | RowError]:
    """Step streams of one or several tables, whose buffers have room. Return the results or the error of each stream.

    Args:
        tables: The table of each stream.
        frames: Row, inputs, and True for results with a row axis, of each stream.
        leaves: Names of the results.
    """
    parts: dict[StreamTable, list[int]] = {}
    for number, table in enumerate(tables):
        parts.setdefault(table, []).append(number)
    for table, numbers in parts.items():
        for place, number in enumerate(numbers):
            table.steps.rows[place] = frames[number][0]
            for name, array in frames[number][1].items():
                table.steps.fed[name][place] = array
    for table, numbers in parts.items():
        table.steps.run(len(numbers), len(numbers) == len(table))
    places = {number: place for numbers in parts.values() for place, number in enumerate(numbers)}
    return [
        table.results_at(places[number], leaves, frame[2])
        for number, (table, frame) in enumerate(zip(tables, frames, strict=True))
    ]


def last_outcomes(handles: Sequence[StreamHandle], leaves: Sequence[str]) -> list[list[np.ndarray] | RowError]:
    """Return each stream's results or error, after a step of these streams raised an error that ``has_run``.

    Args:
        handles: Handles of the streams, in the order of the step.
        leaves: Names of the results.
    """
    counts, outcomes = Counter[StreamTable](), []
    for handle in handles:
        table = handle._table
        assert table is not None
        outcomes.append(table.results_at(counts[table], leaves, False))
        counts[table] += 1
    return outcomes


def arrange(handles: Sequence[StreamHandle]) -> list[int]:
    """Move the streams of a table to its first rows, so that one step of all of them copies no states.

    Streams move only if ``handles`` are all streams of one table.

    Args:
        handles: Open handles of one pool.

    Returns:
        Indices of ``handles``, sorted by row, also if no stream moved.
    """
    if not handles:
        return []
    pool = handles[0]._pool
    with pool._lock:
        tables = {handle._table for handle in handles}
        table = tables.pop() if len(tables) == 1 else None
        if table is not None and len(table) == len(handles) and table.arrange(handles):
            pool._recent = pool._prepared = None
        return sorted(range(len(handles)), key=lambda place: handles[place]._row)


def check_alike(tables: Sequence[StreamTable]) -> None:
    """Raise ``ShapeError`` if results of these streams differ in shape, because they hold feeds of different sizes."""
    first, *others = dict.fromkeys(tables)
    for other in others:
        pairs = zip(first.steps.arrays, other.steps.arrays, strict=True)
        wrong = next((mine for mine, its in pairs if mine.shape != its.shape), None)
        if wrong is not None:
            raise ShapeError(
                f"{wrong.name or 'the output'} has different shapes for these streams, because they hold feeds of "
                "different sizes; run them in separate calls of step or step_rows",
                user_line(),
            )


def one_row(port: RowPort, row: np.ndarray, whole: bool) -> np.ndarray:
    """Return a copy of one stream's part of a result, with the axis of rows if ``whole``."""
    row = row.copy()
    return np.expand_dims(row, port.axis) if whole and port.axis is not None else row
