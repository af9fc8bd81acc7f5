"""Streams of a pool that can step together: rows of tables, which grow, and what callers know such a row by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never

import numpy as np

from ...support.allocation import zeros
from ...support.attribute_hints import OF_HANDLES, Telling
from ...support.errors import GraphError, ShapeError, user_line
from ..calls.prepared_call import CallSpec, PreparedCall
from ..calls.runner import Runner
from ..native.argument_block import Weights
from .row_graph import RowPort
from .row_steps import RowSteps

PURPOSE = "the states of a pool's streams"


class StreamTable:
    """Tables with a row for each stream: its states, and what is held of feeds."""

    def __init__(self, steps: RowSteps, capacity: int) -> None:
        self.steps, self.capacity = steps, 0
        self._tables: dict[str, np.ndarray] = {}
        self._free: list[int] = []  # rows that were given back
        self._used = 0  # rows that were ever taken, which are the first ones
        self._grow(capacity)

    def _grow(self, capacity: int) -> None:
        before, self.capacity = self.capacity, capacity
        ports = self.steps.kept.values()
        made = {port.name: zeros((capacity, *port.shape), port.dtype, PURPOSE) for port in ports}
        for name, array in self._tables.items():
            made[name][:before] = array
        self._tables = made
        self.steps.set_tables(made)

    def __len__(self) -> int:
        """Streams that are in it."""
        return self._used - len(self._free)

    def __bool__(self) -> bool:
        return True

    @property
    def has_room(self) -> bool:
        """Whether it takes another stream without growing."""
        return bool(self._free) or self._used < self.capacity

    def add(self, states: Sequence[np.ndarray], held: Mapping[str, np.ndarray]) -> int:
        """A row for a stream with these states and feeds, arrays of one row."""
        if not self._free:
            if self._used == self.capacity:
                self._grow(2 * self.capacity)
            self._free.append(self._used)
            self._used += 1
        row = self._free.pop()
        self.set_states(row, states)
        self.hold(row, held)
        return row

    def remove(self, row: int) -> None:
        """Frees a row. A handle that nobody has any more may do so at any moment in any thread: it waits for no lock,
        and nothing else happens.
        """
        self._free.append(row)

    def states(self, row: int) -> list[np.ndarray]:
        """Copies of a stream's states, arrays of one row."""
        return [self._tables[name][row : row + 1].copy() for name in self.steps.states]

    def set_states(self, row: int, states: Sequence[np.ndarray]) -> None:
        for name, array in zip(self.steps.states, states, strict=True):
            self._tables[name][row] = array[0]

    def step(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Steps these rows, an array that stays as it is, by what is fed, rows first; and gives these outputs."""
        steps, count = self.steps, len(rows)
        steps.name_rows(rows)
        for name, array in arrays.items():
            steps.fed[name][:count] = array
        steps.run(count)
        return [steps.outputs[name].rows_back(steps.given[name][:count]).copy() for name in outputs]

    def hold(self, row: int, held: Mapping[str, np.ndarray]) -> None:
        """held: feeds without a time axis that have rows, arrays of one row."""
        for name, array in held.items():
            if name in self._tables:
                self._tables[name][row] = self.steps.kept[name].rows_first(array)[0]


class StreamHandle(Telling):
    """One stream of a pool, from ``open`` to ``close``, or until nobody has the handle any more."""

    _instead = OF_HANDLES
    __slots__ = ("__weakref__", "_held", "_pool", "_row", "_table")

    def __init__(self, pool: Any, table: StreamTable, row: int, held: Mapping[str, np.ndarray]) -> None:
        self._pool, self._row, self._held = pool, row, held
        self._table: StreamTable | None = table  # None once it is closed

    def __del__(self) -> None:
        table = getattr(self, "_table", None)  # which one that somebody makes by himself does not have
        if table is not None:
            table.remove(self._row)

    def close(self) -> None:
        """End the stream, as ``pool.close(handle)`` does."""
        self._pool.close(self)

    def __repr__(self) -> str:
        return f"<StreamHandle {id(self):#x}{', closed' if self._table is None else ''}>"

    def __reduce__(self) -> Never:
        raise GraphError(
            f"{self!r} does not pickle or copy: it is a row of its pool; send pool.state_bytes(handle), and open a "
            "stream with it there"
        )


class RowBlocks:
    """Block of a step of the same rows of a table, again and again: what they are fed and give lies in its memory.

    numbers: none, as tables lie in one place. version: of the weights, which machine code for streams does not ask for.
    """

    version: int | None = None

    is_shared = False

    def __init__(self, table: StreamTable, rows: np.ndarray) -> None:
        """rows: int64, an array that stays as it is."""
        self._steps, self._rows, self._count = table.steps, rows, len(rows)
        self.numbers = np.zeros(0, np.int64)
        self.run: Callable[[], None] = self._steps.run_prepared

    def call(self, spec: CallSpec) -> PreparedCall:
        steps, count = self._steps, self._count
        memory = {name: port.rows_back(steps.fed[name][:count]) for name, port in steps.inputs.items()}
        memory |= {name: steps.outputs[name].rows_back(steps.given[name][:count]) for name in spec.leaves}
        return PreparedCall(spec, memory)

    def block(self, call: PreparedCall, arrays: list[Any] | None) -> tuple[RowBlocks, Weights]:
        steps = self._steps
        steps.name_rows(self._rows)
        weights = steps.prepare(self._count)
        self.run = steps.run_prepared
        return self, weights

    def ran(self, call: PreparedCall, arrays: list[Any] | None, held: Weights) -> None:
        """Do nothing: the step wrote the states of its rows where they lie."""


class PreparedRows(Runner):
    """Steps of the same rows of a table by arrays that fit as they are.

    of: how the call named its rows; another one has other rows.
    """

    def __init__(self, of: Any, table: StreamTable, rows: np.ndarray, structure: Any, leaves: Sequence[str]) -> None:
        """rows: int64, an array that stays as it is. structure, leaves: of what a step gives."""
        table.steps.make_room(len(rows))
        self.of, self._steps, self._memory = of, table.steps, table.steps.rows
        options = table.steps.graph.compiled.options
        spec = table.steps.call_spec(len(rows), structure, leaves)
        super().__init__(spec, RowBlocks(table, rows), options.threads)

    @property
    def has_memory(self) -> bool:
        """False once the table's memory of feeds and results was replaced by more."""
        return self._steps.rows is self._memory


def step_tables(
    tables: Sequence[StreamTable], every: np.ndarray, arrays: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> list[np.ndarray]:
    """Steps streams of one table or several, and gives these outputs of all. tables: of each row, or the only one.
    every: int64, the rows. arrays: what is fed, rows first.
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
        steps.name_rows(mine)
        for name, array in arrays.items():
            steps.fed[name][: len(mine)] = array[places]
    for table, places in parts:
        table.steps.run(len(every[places]))
    found = []
    for name in outputs:
        port = first.steps.outputs[name]
        whole = np.empty((len(every), *port.shape), port.dtype)
        for table, places in parts:
            whole[places] = table.steps.given[name][: len(every[places])]
        found.append(np.ascontiguousarray(port.rows_back(whole)))
    return found


def check_alike(tables: Sequence[StreamTable]) -> None:
    """Raises where arrays of these streams don't fit into one, as what they hold has sizes of its own."""
    first, *others = dict.fromkeys(tables)
    for other in others:
        pairs = zip(first.steps.arrays, other.steps.arrays, strict=True)
        wrong = next((mine for mine, its in pairs if mine.shape != its.shape), None)
        if wrong is not None:
            raise ShapeError(
                f"{wrong.name or 'the output'} has another shape for some of these streams, as they hold feeds of "
                "other sizes; give these to step, or to step_rows by themselves",
                user_line(),
            )


def one_row(port: RowPort, row: np.ndarray, whole: bool) -> np.ndarray:
    """A stream's own copy of what it gives."""
    row = row.copy()
    return np.expand_dims(row, port.axis) if whole and port.axis is not None else row
