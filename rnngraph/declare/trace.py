"""What is gathered while a cell is traced, and what its steps are given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..ir.node import Namer
from ..ir.types import TensorType
from ..support.errors import NameLookupError, StructureError, Where, did_you_mean, raised_line, shown
from .parameters import ParameterSpec

Method = TypeVar("Method", bound=Callable[..., Any])


def of_inner_cells(method: Method) -> Method:
    """Marks a ``nested_initial_state`` that gives those of ``self.cell`` or ``self.cells`` and nothing else."""
    method.is_of_inner_cells = True  # type: ignore[attr-defined]
    return method


class States(dict[str, Any]):
    """What ``step`` is given of the state: a dict that knows what to say of a name it has not."""

    def __missing__(self, name: str) -> Any:
        carried = did_you_mean(name, self) or f"; the cell carries {', '.join(self) or 'none'}"
        raise NameLookupError(f"no state is named {shown(name)}{carried}")


MOST_LEVELS = 4000
"""Of cells within one another: what makes a new one at each step would never end."""


@dataclass
class Trace:
    """What is gathered while one driver traces its cell. layer: what the layers of its cells begin with."""

    dtype: str
    where: Where | None
    layer: str = ""
    parameters: dict[ParameterSpec, str] = field(default_factory=dict)
    sites: list[str] = field(default_factory=list)
    running: set[tuple[int, TensorType]] = field(default_factory=set)
    """Cells in the middle of a step, by id, with the type of the input."""
    places: set[tuple[str, int]] = field(default_factory=set)
    """Lines that stand for what steps compute without a line of the user's: the driver's, and those that made cells."""
    unused: Namer = field(default_factory=Namer)

    def site(self, path: str) -> str:
        """A name for a dropout site that this driver has not given out before."""
        self.sites.append(self.unused(path))
        return self.sites[-1]


def driven(first: Generator[Any, Any, Any], begun: Callable[[Any], Generator[Any, Any, Any]]) -> Any:
    """What ``first`` returns, once each thing that it asks for is answered by the generator that ``begun`` makes of it,
    which may ask in turn: to any depth, and no function calls itself.
    """
    running, result = [first], None
    while running:
        try:
            asked = running[-1].send(result)
        except StopIteration as stop:
            running.pop()
            result = stop.value
        else:
            running.append(begun(asked))
            result = None
    return result


@contextmanager
def tracing(cell: object) -> Iterator[None]:
    """Where steps of a cell are run: the end of Python's stack becomes an error that says where it was reached."""
    try:
        yield
    except RecursionError as error:
        raise StructureError(
            f"{cell!r} runs steps inside of steps to the end of Python's stack, {sys.getrecursionlimit()} calls; a "
            "step that calls itself has no end, and cells that nest so deep give a nested_step in place of step, and a "
            "nested_initial_state in place of initial_state (see rg.Cell)",
            raised_line(error),
        ) from None
