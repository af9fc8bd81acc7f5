"""Layer that is being declared. Tensors record this layer, and lowering resolves its full name.

Until scope names are resolved, a layer's path begins with the serial number of its scope, such as
``@12/multi_rnn_cell/cell_0/lstm_cell``.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

from ..ir.graph import Node
from ..support.errors import Where
from ..support.records import dataclass

Result = TypeVar("Result")


class StepVariables:
    """Local variables of one run of a ``step``, which name its values in printed graphs.

    The names cannot be read from the source. A line such as ``i, j, f, o = split(gates, 4)`` names several values. And
    values of built-in cells have the user's line that created the cell.
    """

    def __init__(self) -> None:
        self._frame: FrameType | None = None
        self._is_searched = False

    def find_frame(self) -> None:
        """Store the frame of the innermost running function ``step``. Called while the step builds its first value."""
        if self._is_searched:
            return
        self._is_searched, self._frame = True, sys._getframe(1)
        while self._frame is not None and self._frame.f_code.co_name != "step":
            self._frame = self._frame.f_back

    def names(self) -> dict[Node, str]:
        """Return the name of each value's first variable, by node, after the step has returned."""
        names: dict[Node, str] = {}
        for name, value in ({} if self._frame is None else self._frame.f_locals).items():
            node = value.node if hasattr(type(value), "node") else None  # AttributeErrors are slow
            if isinstance(node, Node):
                names.setdefault(node, name)
        return names


@dataclass(frozen=True)
class Declaring:
    """Context in which nodes are declared.

    Attributes:
        layer: The layer that is being declared; "" for none.
        is_step: True while a driver traces a step.
        cell: Line that created the traced cell.
        driver: Line that created the driver; None if it is unknown, as for a driver that a command declares.
        variables: Local variables of the step; None outside of steps.
    """

    layer: str = ""
    is_step: bool = False
    cell: Where | None = None
    driver: Where | None = None
    variables: StepVariables | None = None


_NOTHING = Declaring()
_declaring: ContextVar[Declaring] = ContextVar("declaring", default=_NOTHING)


def joined(*parts: str) -> str:
    """Join nonempty names to a path."""
    return "/".join(part for part in parts if part)


@contextmanager
def _declare(context: Declaring) -> Iterator[None]:
    token = _declaring.set(context)
    try:
        yield
    finally:
        _declaring.reset(token)


def within(layer: str) -> AbstractContextManager[None]:
    """Return a context manager that assigns ``layer`` to all nodes built in its block."""
    return _declare(Declaring(layer))


def within_step(
    layer: str, cell: Where | None, driver: Where | None, variables: StepVariables | None = None
) -> AbstractContextManager[None]:
    """Return a context manager for the trace of a step: nodes built in its block get ``layer``.

    Nodes without a line of their own in the user's code get ``cell``, the line that created the cell.
    """
    return _declare(Declaring(layer, True, cell, driver, variables))


def resumed_within(
    layer: str, cell: Where | None, driver: Where | None, steps: Generator[Any, Any, Result]
) -> Generator[Any, Any, Result]:
    """Run the generator ``steps`` in the context of ``within_step``, which is left whenever it is suspended."""
    answer: Any = None
    while True:
        with within_step(layer, cell, driver):
            try:
                request = steps.send(answer)
            except StopIteration as stop:
                result: Result = stop.value
                return result
        answer = yield request


def driver_of_step() -> str:
    """Return the layer of the driver whose step is being declared; "" outside of steps."""
    now = _declaring.get()
    return now.layer.partition("/")[0] if now.is_step else ""


def in_layer(where: Where | None) -> Where | None:
    """Return the source line to record for a new node, with the layer that is being declared.

    Return ``where`` unchanged if it is None, if it has a layer already, or if no layer is being declared.
    """
    now = _declaring.get()
    if now.variables is not None:
        now.variables.find_frame()
    layer, line = now.layer, own_line(where)
    return line.of(layer) if line is not None and where is not None and layer and not where.layer else where


def own_line(where: Where | None) -> Where | None:
    """Return the source line to record for a value that was declared at line ``where``; None if unknown.

    A value of a built-in cell's step has no line in the user's code: ``where`` is then the line of the driver, which
    does not identify the cell. Such a value gets the line that created the cell; other values keep ``where``.
    """
    now = _declaring.get()
    if where is None or now.cell is None or now.driver is None or where.place != now.driver.place:
        return where
    return now.cell
