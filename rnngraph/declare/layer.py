"""The layer that is being declared: tensors know it from the start, and lowering gives it its whole name.

Until names are settled a layer begins with the number of its scope: ``@12/multi_rnn_cell/cell_0/lstm_cell``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from ..support.errors import Where

Result = TypeVar("Result")


@dataclass(frozen=True)
class Declaring:
    """What is being declared. cell: the line that made the cell whose step is traced. driver: the line that runs it."""

    layer: str = ""
    cell: Where | None = None
    driver: Where | None = None


_NOTHING = Declaring()
_declaring: ContextVar[Declaring] = ContextVar("declaring", default=_NOTHING)


def joined(*parts: str) -> str:
    """A path of names, without those that are empty."""
    return "/".join(part for part in parts if part)


@contextmanager
def within(layer: str, cell: Where | None = None, driver: Where | None = None) -> Iterator[None]:
    """What is declared here belongs to ``layer``, and to its cell's line where it has none of its own."""
    token = _declaring.set(Declaring(layer, cell, driver))
    try:
        yield
    finally:
        _declaring.reset(token)


def resumed_within(
    layer: str, cell: Where | None, driver: Where | None, steps: Generator[Any, Any, Result]
) -> Generator[Any, Any, Result]:
    """A generator that declares ``within`` whenever it runs, and not while it waits for an answer."""
    answer: Any = None
    while True:
        with within(layer, cell, driver):
            try:
                asked = steps.send(answer)
            except StopIteration as stop:
                result: Result = stop.value
                return result
        answer = yield asked


def in_layer(where: Where | None) -> Where | None:
    """A line, of the layer that is being declared unless it has one already."""
    layer, line = _declaring.get().layer, own_line(where)
    return line.of(layer) if line is not None and where is not None and layer and not where.layer else where


def own_line(where: Where | None) -> Where | None:
    """The line of what a step computes. Cells of one driver share its line, where the step has none in the user's code:
    they have the lines that made them.
    """
    now = _declaring.get()
    if where is None or now.cell is None or now.driver is None or where.place != now.driver.place:
        return where
    return now.cell
