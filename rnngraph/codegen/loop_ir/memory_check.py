"""A check of a finished entry: no temporary is read before it is written, or after its memory was given to another.

It walks through the entry's statements as they run, each loop twice, so that what a turn leaves to the next one counts,
and knows at each one which temporaries hold what was written to them. Memory is compared symbolically: the arena's
places are formulas, and that one begins where another has ended is shown for all sizes at once. The proof is about
whole buffers in the order of statements; that each element of one is written, tests show, which fill memory that holds
nothing with NaN.

Where workers share an entry, all that happens between two barriers may happen at the same time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from ...errors import VerifyError
from ...ir.types import Dim, Size, dim_text
from ..buffers.arena import Arena
from ..threads.barrier import waits
from .nodes import Barrier, Buffer, Call, Function, Statement

Extent = tuple[int, int]
"""From where to where a temporary lies. Places that are formulas are numbered, in their order, behind the others."""


def check_memory(name: str, statements: Sequence[Statement], functions: Iterable[Function], arena: Arena) -> None:
    """Raises ``VerifyError`` where an entry misuses its arena: a mistake of the compiler, never of a user."""
    used = _Memory(name, extents(arena), {function.name: function for function in functions})
    used.shared = waits(statements)
    used.walk(statements)


def extents(arena: Arena) -> dict[Buffer, Extent]:
    """Where temporaries lie that have elements. Raises ``VerifyError`` where places overlap that are not the same."""
    found: dict[Buffer, Extent] = {}
    first = 0
    places = [(buffer, begin) for buffer, (_, begin) in arena.places.items() if arena.sizes[buffer] != 0]
    for buffer, begin in places:
        size_bytes = arena.sizes[buffer]
        if isinstance(size_bytes, int) and isinstance(begin, int):
            found[buffer] = begin, begin + size_bytes
            first = max(first, begin + size_bytes)
    numbers: dict[Dim, tuple[int, Dim]] = {}  # by place: its number, and where it ends
    end: Dim = first
    for buffer, begin in places:
        if buffer in found:
            continue
        if begin not in numbers:
            _in_order(buffer, end, begin)
            end = begin + arena.sizes[buffer]
            numbers[begin] = first + len(numbers), end
        number, place_end = numbers[begin]
        _in_order(buffer, begin + arena.sizes[buffer], place_end)
        found[buffer] = number, number + 1
    if found:
        _in_order(buffer, end, arena.total)
    return found


def _in_order(buffer: Buffer, low: Dim, high: Dim) -> None:
    """Shows ``low <= high`` for all sizes: no term of the difference is negative."""
    difference = high - low
    negative = any(factor < 0 for _, factor in difference.terms) if isinstance(difference, Size) else difference < 0
    if negative:
        raise VerifyError(f"the place of {buffer.name} ends at {dim_text(low)}, behind {dim_text(high)}")


class _Memory:
    """What temporaries hold while an entry runs. shared: whether several workers may run it."""

    shared = False

    def __init__(self, name: str, extents: Mapping[Buffer, Extent], functions: Mapping[str, Function]) -> None:
        self.name, self.extents, self.functions = name, extents, functions
        self.holding = _Intervals()  # what was written and not overwritten
        self.present = _Intervals()  # what was used since the last barrier
        self.known: dict[str, tuple[set[Buffer], set[Buffer], set[Buffer]]] = {}

    def walk(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            uses = statement.uses()
            if isinstance(statement, Call):
                function = self.functions[statement.function]
                unready, read, wrote = self._of_function(function)
                given = dict(zip(function.buffers, statement.buffers, strict=True))
                # In the function's order, so that an error says the same each time.
                kinds = ([item for item in given if item in kind] for kind in (unready, read | wrote, wrote))
                self._use(statement, *([given[item][0] for item in kind] for kind in kinds))
            elif isinstance(statement, Barrier):
                self.present = self.present if statement.one_way else _Intervals()
            else:
                self._use(statement, uses.reads, [*uses.reads, *uses.writes], uses.writes)
            for _ in range(2 if statement.repeats else 1):
                for body in uses.bodies:
                    self.walk(body.statements)

    def _use(
        self, statement: Statement, reads: Iterable[Buffer], uses: Iterable[Buffer], writes: Iterable[Buffer]
    ) -> None:  # fmt: skip
        """One statement: reads come before its writes, and no worker has done either before others do."""
        for buffer in reads:
            if buffer in self.extents and buffer not in self.holding:
                self._fail(statement, f"reads {buffer.name}, which holds nothing that was written to it")
        present = self.present if self.shared else _Intervals()
        for buffer in uses:
            if buffer in self.extents and buffer not in present:
                for other in present.add(buffer, self.extents[buffer]):
                    self._fail(statement, f"uses {buffer.name} and {other.name}, which lie in the same memory")
        for buffer in writes:
            if buffer in self.extents and buffer not in self.holding:
                self.holding.add(buffer, self.extents[buffer])

    def _fail(self, statement: Statement, what: str) -> None:
        raise VerifyError(f"the entry {self.name} {what}, at {type(statement).__name__} {_comment(statement)}")

    def _of_function(self, function: Function) -> tuple[set[Buffer], set[Buffer], set[Buffer]]:
        """Of a function's buffers those that it reads before it writes them, those that it reads, and writes."""
        found = self.known.get(function.name)
        if found is None:
            found = self.known[function.name] = set(), set(), set()
            self._collect(function.body, *found)
        return found

    def _collect(
        self, statements: Sequence[Statement], unready: set[Buffer], read: set[Buffer], wrote: set[Buffer]
    ) -> None:  # fmt: skip
        for statement in statements:
            uses = statement.uses()
            reads, first, writes = uses.reads, uses.reads, uses.writes
            if isinstance(statement, Call):
                called = self.functions[statement.function]
                given = dict(zip(called.buffers, statement.buffers, strict=True))
                first, reads, writes = ([given[item][0] for item in kind] for kind in self._of_function(called))
            unready.update(buffer for buffer in first if buffer not in wrote)
            read.update(reads)
            wrote.update(writes)
            for body in uses.bodies:
                self._collect(body.statements, unready, read, wrote)


class _Intervals:
    """Buffers whose extents don't overlap, in the order of these."""

    def __init__(self) -> None:
        self.ordered: list[tuple[int, int, Buffer]] = []
        self.members: set[Buffer] = set()

    def __contains__(self, buffer: Buffer) -> bool:
        return buffer in self.members

    def add(self, buffer: Buffer, extent: Extent) -> list[Buffer]:
        """Adds one in the place of those that it overlaps; gives these."""
        begin, end = extent
        first = bisect_left(self.ordered, begin, key=lambda item: item[0])
        if first and self.ordered[first - 1][1] > begin:
            first -= 1
        last = first
        while last < len(self.ordered) and self.ordered[last][0] < end and begin < self.ordered[last][1]:
            last += 1
        gone = [item[2] for item in self.ordered[first:last]]
        self.ordered[first:last] = [(begin, end, buffer)]
        self.members.difference_update(gone)
        self.members.add(buffer)
        return gone


def _comment(statement: Statement) -> str:
    return statement.comment if isinstance(statement, Call) else ""
