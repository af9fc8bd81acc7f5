"""What statements do to buffers: read, write, and read before they have written. Whoever asks looks here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .functions import Function, nested
from .nodes import Barrier, Body, Buffer, Call, Fold, For, Pipeline, Statement, Tick


class Effects(NamedTuple):
    """Buffers that are read, those that are written, and those that are read before they have been written."""

    reads: set[Buffer]
    writes: set[Buffer]
    unready: set[Buffer]


class CallEffects:
    """Effects of statements that call ``functions``: a call has those of the function, each of which is read once."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self.functions: dict[str, Function] = {}
        self.known: dict[str, Effects] = {}
        self._of_calls: dict[int, tuple[Call, Effects]] = {}  # by identity: a call is looked at many times
        self.add(functions)

    def add(self, functions: Iterable[Function]) -> None:
        """Add functions that statements call from now on."""
        self.functions.update((function.name, function) for function in functions)

    def of(self, statements: Sequence[Statement]) -> Effects:
        """The effects of statements that run one after the other."""
        found = Effects(set(), set(), set())
        self._add(statements, found)
        return found

    def of_call(self, call: Call) -> Effects:
        """The effects of a call on the buffers that it hands over."""
        found = self._of_calls.get(id(call))
        if found is not None:
            return found[1]
        function = self.functions[call.function]
        if function.name not in self.known:
            self.known[function.name] = self.of(function.body)
        given = dict(zip(function.buffers, (buffer for buffer, _ in call.buffers), strict=True))
        effects = Effects(*({given[buffer] for buffer in kind} for kind in self.known[function.name]))
        self._of_calls[id(call)] = call, effects
        return effects

    def _add(self, statements: Sequence[Statement], found: Effects) -> None:
        for statement in statements:
            if isinstance(statement, Tick):  # each worker has counters of its own: nobody waits for them
                continue
            uses = statement.uses()
            reads, writes, unready = uses.reads, uses.writes, uses.reads
            if isinstance(statement, Call):
                reads, writes, unready = map(tuple, self.of_call(statement))
            found.unready.update(buffer for buffer in unready if buffer not in found.writes)
            found.reads.update(reads)
            found.writes.update(writes)
            for body in running_bodies(statement):
                self._add(body.statements, found)


def running_bodies(statement: Statement) -> Sequence[Body]:
    """The statements inside a statement, or none for a loop that is known to have no turns."""
    bodies = statement.uses().bodies
    if isinstance(statement, For | Fold | Pipeline):
        start = 0 if isinstance(statement, Pipeline) else statement.start
        turns = statement.stop - start
        return () if isinstance(turns, int) and turns <= 0 else bodies
    return bodies


def has_barrier(statements: Sequence[Statement]) -> bool:
    """Whether workers wait for each other somewhere in these statements."""
    return any(isinstance(item, Barrier) for item in nested(statements))
