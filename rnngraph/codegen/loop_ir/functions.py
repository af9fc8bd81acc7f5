"""Functions of the loop IR, the entry, and traversals of statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace

from ...ir.types import Dim
from ...support.errors import Where
from ...support.records import dataclass
from .nodes import Buffer, Contract, Statement


def nested(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Yield all statements in depth-first order, each before its inner statements."""
    for statement in statements:
        yield statement
        if statement.encloses:
            for body in statement.uses().bodies:
                yield from nested(body.statements)


def origins_in(statements: Sequence[Statement]) -> tuple[Where | None, ...]:
    """Return the script lines (origins) of all statements and inner statements, in depth-first order.

    The origins of a tile's columns come directly after the tile's own origin.
    """
    origins: list[Where | None] = []
    for statement in nested(statements):
        origins.append(statement.origin)
        if isinstance(statement, Contract):
            origins += statement.columns
    return tuple(origins)


@dataclass(frozen=True)
class Function:
    """Function of the loop IR: its buffer parameters, size parameters and statements.

    Attributes:
        other_origins: For each further layer that calls the function, the origins of all statements, as returned by
            ``origins_in``.
    """

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    body: tuple[Statement, ...]
    comment: str = ""
    other_origins: tuple[tuple[Where | None, ...], ...] = field(default=(), compare=False, repr=False)

    def called_for(self, origin: Where | None) -> Function:
        """Return the function with ``origin``, a caller's script line, added to the origins of all its statements."""
        return self.with_origins((origin,) * len(origins_in(self.body)))

    def with_origins(self, origins: tuple[Where | None, ...]) -> Function:
        """Return the function with one more origin (script line) for each statement, in the order of ``origins_in``."""
        if origins in self.other_origins or origins == origins_in(self.body):
            return self
        return replace(self, other_origins=(*self.other_origins, origins))


@dataclass(frozen=True)
class Entry:
    """Entry called from outside, ``void name(ptr arguments, i64 worker, i64 workers)``.

    Attributes:
        slots: Names of the 8-byte slots of the argument block: pointers first, then sizes.
        places: For each buffer, the slot with the address of its memory, and the buffer's offset in bytes. A buffer
            that is itself a slot has offset 0.
    """

    name: str
    function: Function
    slots: tuple[str, ...]
    places: dict[Buffer, tuple[str, Dim]]
