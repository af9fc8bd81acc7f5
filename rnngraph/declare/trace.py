"""Records of the tracing of a cell, and the containers that a step receives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Any, TypeVar

from ..ir.node import Namer, Node
from ..ir.types import TensorType
from ..support.errors import NameLookupError, StructureError, Where, did_you_mean, raised_line, shown
from ..support.records import dataclass
from .parameters import ParameterSpec

Method = TypeVar("Method", bound=Callable[..., Any])


def of_inner_cells(method: Method) -> Method:
    """Mark a method ``nested_initial_state`` that only returns the initial states of inner cells.

    A cell with a marked method starts from zeros if its inner cells do.
    """
    method.is_of_inner_cells = True  # type: ignore[attr-defined]
    return method


class States(dict[str, Any]):
    """State that ``step`` receives: a dict that suggests similar names for a missing one."""

    def __missing__(self, name: str) -> Any:
        carried = did_you_mean(name, self) or f"; the cell carries {', '.join(self) or 'none'}"
        raise NameLookupError(f"no state is named {shown(name)}{carried}")


class Inputs(dict[str, Any]):
    """Several inputs that ``step`` receives: a dict that suggests similar names for a missing one."""

    def __missing__(self, name: str) -> Any:
        hint = did_you_mean(name, self) or f"; the driver is given {', '.join(self) or 'none'}"
        raise NameLookupError(f"no input is named {shown(name)}{hint}")


MAX_LEVELS = 4000
"""Maximum nesting depth of cells. A step that creates a new cell in each call would otherwise never end."""


@dataclass
class Trace:
    """Record of the trace of one driver's cell."""

    dtype: str
    """Dtype of the driver's inputs."""
    where: Where | None
    """Line of the driver's declaration."""
    layer: str = ""
    """Layer of the driver, with which the names of all layers in the trace begin."""
    parameters: dict[ParameterSpec, str] = field(default_factory=dict)
    """Parameters of the cells, and their paths."""
    sites: list[str] = field(default_factory=list)
    """Names of the draws of random numbers."""
    running: set[tuple[int, tuple[TensorType, ...]]] = field(default_factory=set)
    """Cells whose step is running, as (id, types of the inputs)."""
    places: set[tuple[str, int]] = field(default_factory=set)
    """(file, line) of the driver and of the cells' creation, the source lines of values without a line of their own."""
    variables: dict[Node, str] = field(default_factory=dict)
    """Names of values: the local variables of the cells' steps."""
    cells: list[tuple[Any, str]] = field(default_factory=list)
    """Cells at their positions, each with its layer."""
    unused: Namer = field(default_factory=Namer)
    """Namer that makes the names in ``sites`` unique."""

    def site(self, path: str) -> str:
        """Return a new name for a draw of random numbers: ``path``, or ``path_1`` and so on if it is in use."""
        self.sites.append(self.unused(path))
        return self.sites[-1]


def driven(first: Generator[Any, Any, Any], begun: Callable[[Any], Generator[Any, Any, Any]]) -> Any:
    """Run a generator and, for each request that it yields, another generator; return the result of the first.

    ``begun`` starts the generator for a request, whose result is sent back as the answer. It may yield requests in
    turn. This trampoline avoids recursion, so that nesting may be deeper than Python's stack.
    """
    running, result = [first], None
    while running:
        try:
            request = running[-1].send(result)
        except StopIteration as stop:
            running.pop()
            result = stop.value
        else:
            running.append(begun(request))
            result = None
    return result


@contextmanager
def tracing(cell: object) -> Iterator[None]:
    """Convert a ``RecursionError`` in the block to a ``StructureError`` at the line where the stack overflowed."""
    try:
        yield
    except RecursionError as error:
        raise StructureError(
            f"{cell!r} nests steps deeper than Python's stack, {sys.getrecursionlimit()} calls; a step must not call "
            "itself, and cells that nest this deep define nested_step in place of step, and nested_initial_state in "
            "place of initial_state (see rg.Cell)",
            raised_line(error),
        ) from None
