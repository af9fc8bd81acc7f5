"""Functions of the loop IR and the entry that is called from outside; walks over all statements of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ...ir.types import Dim
from ...support.errors import Where
from .nodes import Buffer, Contract, Statement


def nested(statements: Sequence[Statement]) -> Iterator[Statement]:
    """All statements, those inside others behind these."""
    for statement in statements:
        yield statement
        for body in statement.uses().bodies:
            yield from nested(body.statements)


def origins_in(statements: Sequence[Statement]) -> tuple[Where | None, ...]:
    """Origins of all statements as ``nested`` gives them, of a tile's columns behind its own."""
    found: list[Where | None] = []
    for statement in nested(statements):
        found.append(statement.origin)
        if isinstance(statement, Contract):
            found += statement.columns
    return tuple(found)


@dataclass(frozen=True)
class Function:
    """A function: the buffers and the names of sizes that it is handed, and its statements.

    alike: of other layers for which the same work is done, so that they call this function too, the origins of its
    statements, as ``origins_in`` gives them.
    """

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    body: tuple[Statement, ...]
    comment: str = ""
    alike: tuple[tuple[Where | None, ...], ...] = field(default=(), compare=False, repr=False)

    def called_for(self, origin: Where | None) -> Function:
        """The function, all of which is called for this origin too."""
        return self.beside((origin,) * len(origins_in(self.body)))

    def beside(self, origins: tuple[Where | None, ...]) -> Function:
        """The function, whose statements come from these origins too."""
        if origins in self.alike or origins == origins_in(self.body):
            return self
        return replace(self, alike=(*self.alike, origins))


@dataclass(frozen=True)
class Entry:
    """The function that is called from outside, ``void name(ptr arguments, i64 worker, i64 workers)``.

    slots: names of what the argument block holds, 8 bytes each: pointers first, then sizes. places: where
    in a slot's memory a buffer begins, in bytes; a buffer that is itself a slot begins at 0.
    """

    name: str
    function: Function
    slots: tuple[str, ...]
    places: dict[Buffer, tuple[str, Dim]]
