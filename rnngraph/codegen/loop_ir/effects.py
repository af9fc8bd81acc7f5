"""Effects of statements: buffers that they read, write, and read before they write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...support.records import NamedTuple
from .functions import Function, nested
from .nodes import Barrier, Body, Buffer, Call, Fold, For, Pipeline, Statement, Tick


class Effects(NamedTuple):
    """Buffers that statements read and write; ``unready`` are those read before they are written."""

    reads: set[Buffer]
    writes: set[Buffer]
    unready: set[Buffer]


class CallEffects:
    """Effects of statements that may call ``functions``, whose effects are cached."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self.functions: dict[str, Function] = {}
        self.known: dict[str, Effects] = {}
        self._of_calls: dict[int, tuple[Call, Effects]] = {}  # by identity, which is fast to look up
        self.add(functions)

    def add(self, functions: Iterable[Function]) -> None:
        """Add functions that later statements may call."""
        self.functions.update((function.name, function) for function in functions)

    def of(self, statements: Sequence[Statement]) -> Effects:
        """Return the buffers that statements read, write, and read before they write them."""
        effects = Effects(set(), set(), set())
        self._add(statements, effects)
        return effects

    def of_call(self, call: Call) -> Effects:
        """Return the buffers that a call reads, writes, and reads before it writes them, in terms of its arguments."""
        cached = self._of_calls.get(id(call))
        if cached is not None:
            return cached[1]
        function = self.functions[call.function]
        if function.name not in self.known:
            self.known[function.name] = self.of(function.body)
        arguments = dict(zip(function.buffers, (buffer for buffer, _ in call.buffers), strict=True))
        effects = Effects(*({arguments[buffer] for buffer in kind} for kind in self.known[function.name]))
        self._of_calls[id(call)] = call, effects
        return effects

    def _add(self, statements: Sequence[Statement], effects_: Effects) -> None:
        """Add the buffers that statements read and write to ``effects_``."""
        reads, writes, unready = effects_
        for statement in statements:
            if isinstance(statement, Tick):  # no effect: each worker has separate counters
                continue
            if isinstance(statement, Call):
                of_call = self.of_call(statement)
                unready |= of_call.unready - writes
                reads |= of_call.reads
                writes |= of_call.writes
                continue
            uses = statement.uses()
            unready.update([buffer for buffer in uses.reads if buffer not in writes])
            reads.update(uses.reads)
            writes.update(uses.writes)
            for body in running_bodies(statement):
                self._add(body.statements, effects_)


def running_bodies(statement: Statement) -> Sequence[Body]:
    """Return the inner blocks of a statement, such as a loop's body; none for a loop that never iterates."""
    if not statement.encloses:
        return ()
    bodies = statement.uses().bodies
    if isinstance(statement, For | Fold | Pipeline):
        start = 0 if isinstance(statement, Pipeline) else statement.start
        trips = statement.stop - start
        return () if isinstance(trips, int) and trips <= 0 else bodies
    return bodies


def has_barrier(statements: Sequence[Statement]) -> bool:
    """True if any of these statements is or encloses a barrier. Called functions are not searched."""
    return any(isinstance(item, Barrier) for item in nested(statements))
