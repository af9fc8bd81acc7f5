"""Streams of a pool that can step together: rows of tables, which grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...allocation import zeros
from .row_steps import RowSteps

PURPOSE = "the states of a pool's streams"


class StreamTable:
    """Tables with a row for each stream: its states, and what is held of feeds."""

    def __init__(self, steps: RowSteps, capacity: int) -> None:
        self.steps, self.capacity = steps, 0
        self._tables: dict[str, np.ndarray] = {}
        self._free: list[int] = []
        self._grow(capacity)

    def _grow(self, capacity: int) -> None:
        before, self.capacity = self.capacity, capacity
        ports = self.steps.kept.values()
        made = {port.name: zeros((capacity, *port.shape), port.dtype, PURPOSE) for port in ports}
        for name, array in self._tables.items():
            made[name][:before] = array
        self._tables = made
        self._free += range(capacity - 1, before - 1, -1)
        self.steps.set_tables(made)

    @property
    def is_empty(self) -> bool:
        """Whether no stream is in it."""
        return len(self._free) == self.capacity

    def add(self, states: Sequence[np.ndarray], held: Mapping[str, np.ndarray]) -> int:
        """A row for a stream with these states and feeds, arrays of one row."""
        if not self._free:
            self._grow(2 * self.capacity)
        row = self._free.pop()
        self.set_states(row, states)
        self.hold(row, held)
        return row

    def remove(self, row: int) -> None:
        self._free.append(row)

    def states(self, row: int) -> list[np.ndarray]:
        """Copies of a stream's states, arrays of one row."""
        return [self._tables[name][row : row + 1].copy() for name in self.steps.states]

    def set_states(self, row: int, states: Sequence[np.ndarray]) -> None:
        for name, array in zip(self.steps.states, states, strict=True):
            self._tables[name][row] = array[0]

    def hold(self, row: int, held: Mapping[str, np.ndarray]) -> None:
        """held: feeds without a time axis that have rows, arrays of one row."""
        for name, array in held.items():
            if name in self._tables:
                self._tables[name][row] = self.steps.kept[name].rows_first(array)[0]
