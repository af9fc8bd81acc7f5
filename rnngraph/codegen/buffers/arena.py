"""Arena: one block of memory for all temporaries. Its size is a formula of run-time sizes.

A temporary occupies memory from the first statement that uses it to the last. Before and after, other temporaries may
occupy that memory. A temporary that is used in a single loop is rewritten at every iteration, so it occupies memory
for part of each iteration. A temporary that is also used outside of the loop occupies memory during all iterations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import field
from heapq import heappop, heappush

from ...ir.types import Dim, Size, dim_text
from ...support.errors import VerifyError
from ...support.records import dataclass
from ..loop_ir.effects import has_barrier
from ..loop_ir.memory_check import Extent
from ..loop_ir.nodes import Barrier, Buffer, Statement
from ..machine.alignment import padded_bytes

Span = tuple[int, int]
"""Indices of the first and the last statement of a lifetime; or start and end of a range of memory, in bytes."""


class _Gaps:
    """Free memory: the gaps between allocations, and all memory after the last allocation."""

    def __init__(self) -> None:
        self._gaps: list[Span] = []  # (start, end), sorted by start, and never adjacent
        self._top = 0  # end of the memory in use

    def allocate(self, size_bytes: int) -> int:
        """Allocate in the first gap that is large enough, or after the last allocation. Return the offset in bytes.

        Without bytes, nothing is allocated, and the offset is 0.
        """
        if not size_bytes:
            return 0
        for number, (begin, end) in enumerate(self._gaps):
            if end - begin >= size_bytes:
                self._gaps[number : number + 1] = [(begin + size_bytes, end)] if end - begin > size_bytes else []
                return begin
        self._top += size_bytes
        return self._top - size_bytes

    def free(self, begin: int, end: int) -> None:
        """Free the bytes from ``begin`` to ``end``, and merge them with adjacent gaps."""
        if begin == end:
            return
        number = bisect_right(self._gaps, (begin, end))
        if number < len(self._gaps) and self._gaps[number][0] == end:
            end = self._gaps.pop(number)[1]
        if number and self._gaps[number - 1][1] == begin:
            number -= 1
            begin = self._gaps.pop(number)[0]
        if end == self._top:
            self._top = begin
        else:
            self._gaps.insert(number, (begin, end))


@dataclass
class Arena:
    """Allocator of temporaries. Their offsets are assigned once all statements are known.

    Attributes:
        sizes: Bytes of each temporary.
        places: Name of the arena, and offset in bytes, of each temporary that some statement uses.
        total: Bytes of the arena.
    """

    sizes: dict[Buffer, Dim] = field(default_factory=dict)
    places: dict[Buffer, tuple[str, Dim]] = field(default_factory=dict)
    total: Dim = 0

    def buffer(self, name: str, dtype: str, elements: Dim) -> Buffer:
        """Return a new temporary of ``elements`` elements; the number may be a formula of run-time sizes."""
        buffer = Buffer(f"{name}_{len(self.sizes) + 1}", dtype)
        self.sizes[buffer] = padded_bytes(elements, dtype)
        return buffer

    def place(self, statements: Sequence[Statement]) -> None:
        """Assign an offset to every temporary that an entry's ``statements`` use."""
        spans = {buffer: span for buffer, span in lifetimes(statements).items() if buffer in self.sizes}
        ordered = sorted(spans, key=lambda buffer: spans[buffer])
        self.total = self._place_numbers([buffer for buffer in ordered if isinstance(self.sizes[buffer], int)], spans)
        self._place_formulas([buffer for buffer in ordered if not isinstance(self.sizes[buffer], int)], spans)

    def _place_numbers(self, ordered: list[Buffer], spans: dict[Buffer, Span]) -> int:
        """Place buffers of fixed size, sorted by first use, for their lifetimes, first fit. Return the total bytes."""
        gaps, total = _Gaps(), 0
        living: list[tuple[int, int, int]] = []  # heap of (last statement, start, end)
        for buffer in ordered:
            first, last = spans[buffer]
            while living and living[0][0] < first:
                gaps.free(*heappop(living)[1:])
            size_bytes = int(str(self.sizes[buffer]))
            begin = gaps.allocate(size_bytes)
            heappush(living, (last, begin, begin + size_bytes))
            self.places[buffer] = ("arena", begin)
            total = max(total, begin + size_bytes)
        return total

    def _place_formulas(self, ordered: list[Buffer], spans: dict[Buffer, Span]) -> None:
        """Allocate buffers of symbolic size. A buffer reuses the memory of an earlier buffer of equal size."""
        places_by_size: dict[Dim, list[tuple[int, Dim]]] = {}  # (last statement, place), by size
        for buffer in ordered:
            first, last = spans[buffer]
            size_bytes = self.sizes[buffer]
            same_size = places_by_size.setdefault(size_bytes, [])
            free = next((item for item in same_size if item[0] < first), None)
            if free is None:
                place, self.total = self.total, self.total + size_bytes
            else:
                same_size.remove(free)
                place = free[1]
            same_size.append((last, place))
            self.places[buffer] = ("arena", place)


def lifetimes(statements: Sequence[Statement]) -> dict[Buffer, Span]:
    """Return {buffer: (first, last)}, the numbers of the statements between which the buffer must keep its value.

    Between two barriers, some workers may be ahead of others. All statements between two barriers therefore count as
    one statement. So do all stages of a pipeline, and all statements that the first worker runs before other workers
    start.
    """
    at: dict[Buffer, list[int]] = {}
    loops: list[Span] = []  # inner loops first
    count, shared = 0, has_barrier(statements)

    def walk(inner: Sequence[Statement]) -> None:
        nonlocal count
        for statement in inner:
            first, uses = count, statement.uses()
            for body in uses.bodies:
                walk(body.statements)
            for buffer in (*uses.reads, *uses.writes):
                at.setdefault(buffer, []).append(count)
            if not uses.bodies:
                count += not shared or (isinstance(statement, Barrier) and not statement.one_way)
            elif statement.repeats:
                loops.append((first, max(first, count - 1)))

    walk(statements)
    loops_around: dict[int, list[int]] = {}  # loops that contain a statement
    for number, (begin, end) in enumerate(loops):
        for place in range(begin, end + 1):
            loops_around.setdefault(place, []).append(number)
    spans: dict[Buffer, Span] = {}
    for buffer, moments in at.items():
        first, last = moments[0], moments[-1]
        # If a loop contains only one end of the span, extend the span to the whole loop.
        for number in sorted({*loops_around.get(first, ()), *loops_around.get(last, ())}):
            begin, end = loops[number]
            if not (begin <= first and last <= end):
                first, last = min(first, begin), max(last, end)
        spans[buffer] = (first, last)
    return spans


def extents(arena: Arena) -> dict[Buffer, Extent]:
    """Return {buffer: (start, end)} for placed temporaries that are not empty; two overlap only if they share memory.

    Temporaries of symbolic size must not overlap, or must be at the same offset. Raise ``VerifyError`` otherwise.
    """
    extents_by_buffer: dict[Buffer, Extent] = {}
    first = 0
    places = [(buffer, begin) for buffer, (_, begin) in arena.places.items() if arena.sizes[buffer] != 0]
    for buffer, begin in places:
        size_bytes = arena.sizes[buffer]
        if isinstance(size_bytes, int) and isinstance(begin, int):
            extents_by_buffer[buffer] = begin, begin + size_bytes
            first = max(first, begin + size_bytes)
    numbers: dict[Dim, tuple[int, Dim]] = {}  # for each symbolic offset, its number in ``Extent``, and the end
    end: Dim = first
    for buffer, begin in places:
        if buffer in extents_by_buffer:
            continue
        if begin not in numbers:
            _check_order(buffer, end, begin)
            end = begin + arena.sizes[buffer]
            numbers[begin] = first + len(numbers), end
        number, place_end = numbers[begin]
        _check_order(buffer, begin + arena.sizes[buffer], place_end)
        extents_by_buffer[buffer] = number, number + 1
    if extents_by_buffer:
        _check_order(buffer, end, arena.total)
    return extents_by_buffer


def _check_order(buffer: Buffer, low: Dim, high: Dim) -> None:
    """Raise ``VerifyError`` unless ``low <= high`` for all sizes: no coefficient of the difference is negative."""
    difference = high - low
    negative = any(factor < 0 for _, factor in difference.terms) if isinstance(difference, Size) else difference < 0
    if negative:
        raise VerifyError(f"the memory of {buffer.name} overlaps: {dim_text(low)} must be at most {dim_text(high)}")
