"""Clocks: symbolic numbers of steps that placeholders share, and the steps of each example."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..ir.types import Dim, dim_text, size, symbols_of
from ..support.errors import ShapeError, Where
from ..support.records import dataclass
from .examples import Examples, Listed


@dataclass(frozen=True)
class Clock:
    """Number of steps of a placeholder: a named size plus an offset. T-1 has offset -1.

    Attributes:
        name: Name of the size, or its text if the size has no single symbol.
        offset: Declared steps minus the size.
        fixed: True if the size is an int.
    """

    name: str
    offset: int
    fixed: bool

    def __str__(self) -> str:
        if self.fixed or not self.offset:
            return self.name
        return dim_text(size(self.name) + self.offset)


def clock_of(steps: Dim) -> Clock:
    """Return the name and offset of a number of steps: T and -1 for ``T - 1``."""
    names = symbols_of(steps)
    if len(names) == 1:
        (name,) = names
        rest = steps - size(name)
        if isinstance(rest, int):
            return Clock(name, rest, False)
    return Clock(dim_text(steps), 0, isinstance(steps, int))


def steps_by_clock(
    columns: Mapping[str, Examples], clocks: Mapping[str, Clock], where: Where | None
) -> dict[str, np.ndarray]:
    """Return {name of a time size: number of steps of each example, without offset}.

    Raise ``ShapeError`` if two placeholders of one clock differ in an example.
    """
    steps: dict[str, np.ndarray] = {}
    firsts: dict[str, Examples] = {}
    for column in columns.values():
        if column.spec.name not in clocks:
            continue
        clock = clocks[column.spec.name]
        lengths = column.lengths - clock.offset if clock.offset else column.lengths
        first = firsts.setdefault(clock.name, column)
        known = steps.setdefault(clock.name, lengths)
        wrong = np.flatnonzero(known != lengths)
        if wrong.size:
            index = int(wrong[0])
            raise ShapeError(
                f"example {index} has {first.lengths[index]} steps in {first.spec.name} ({clocks[first.spec.name]}) "
                f"and {column.lengths[index]} in {column.spec.name} ({clock}); give both as many",
                where,
            )
    return steps


def uneven_text(column: Listed) -> str:
    """Return a clause that names the first two different lengths in a column."""
    index = int(np.flatnonzero(column.lengths != column.lengths[0])[0])
    return f"examples of {column.spec.name} differ in length: {column.lengths[0]} steps, then {column.lengths[index]}"
