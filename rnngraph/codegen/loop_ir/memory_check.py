"""Verifier of an entry's memory: no temporary is read before it is written, or after its memory was reused.

The check visits the entry's statements in order of execution, and keeps a record of the temporaries that are valid. It
visits the body of a loop twice, to check values that one iteration leaves for the next. The check considers whole
buffers, not elements. Tests that fill invalid memory with NaN show that each element is written. Some statement must
write each result.

If workers share an entry, all statements between two barriers may run concurrently, and must not use overlapping
memory. Stages of a pipeline that share memory must wait for each other, as their planned dependencies say.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

from ...support.errors import VerifyError
from ...support.records import dataclass
from .effects import CallEffects, has_barrier, running_bodies
from .functions import Function
from .nodes import Barrier, Buffer, Call, Pipeline, Statement

Extent = tuple[int, int]
"""Start and end of a temporary, in bytes. Symbolic offsets are represented by consecutive numbers after all bytes."""


@dataclass(frozen=True)
class LoopBuffers:
    """Memory of a loop over chunks of time.

    Attributes:
        sequences: Buffers with the values of all steps. Each chunk uses a different part.
        slots: Buffers with the values of ``depth`` chunks, in rotation.
        indices: Buffers with values that are the same for all chunks.
        depth: Number of chunks whose values ``slots`` hold at the same time.
    """

    sequences: frozenset[Buffer]
    slots: frozenset[Buffer]
    indices: frozenset[Buffer] = frozenset()
    depth: int = 1

    def chunks_ahead(self, shared: Set[Buffer]) -> int | None:
        """Return the maximum lead, in chunks, of a stage over stages that also use ``shared``; None for no limit."""
        per_chunk = shared - self.sequences
        if not per_chunk:
            return None
        return self.depth if per_chunk <= self.slots else 1


def check_memory(
    name: str,
    statements: Sequence[Statement],
    functions: Iterable[Function],
    extents: Mapping[Buffer, Extent],
    results: Collection[Buffer] = (),
    pipelines: Mapping[Buffer, LoopBuffers] | None = None,
) -> None:
    """Raise ``VerifyError`` if an entry misuses its memory. Such a failure is an internal error.

    Args:
        name: Name of the entry.
        statements: Statements of the entry.
        functions: Functions that the statements call.
        extents: Memory of the entry's temporaries.
        results: Buffers that the entry must write.
        pipelines: Memory of each loop that is a pipeline, by the buffer with the states of its stages.
    """
    used = _Memory(name, extents, CallEffects(functions), has_barrier(statements), pipelines or {})
    used.walk(statements)
    for buffer in results:
        if buffer not in used.written:
            raise VerifyError(f"the entry {name} never writes {buffer.name}, which is a result")


class _Memory:
    """State of the temporaries at one point of execution. ``shared`` is True if several workers may run the entry."""

    def __init__(
        self,
        name: str,
        extents: Mapping[Buffer, Extent],
        effects: CallEffects,
        shared: bool,
        pipelines: Mapping[Buffer, LoopBuffers],
    ) -> None:
        self.name, self.extents, self.effects, self.shared, self.pipelines = name, extents, effects, shared, pipelines
        self.valid = _Intervals()  # buffers that were written, and not overwritten since
        self.used_since_barrier = _Intervals()  # buffers used since all workers last waited for each other
        self.written = set[Buffer]()  # all buffers ever written

    def walk(self, statements: Sequence[Statement]) -> None:
        """Raise ``VerifyError`` if statements, in order, misuse memory. Update the record of valid buffers."""
        for statement in statements:
            if isinstance(statement, Call):
                effects = self.effects.of_call(statement)
                # in order, so that errors are reproducible
                arguments = dict.fromkeys(buffer for buffer, _ in statement.buffers)
                kinds = effects.unready, effects.reads | effects.writes, effects.writes
                self._use(statement, *([buffer for buffer in arguments if buffer in kind] for kind in kinds))
            elif isinstance(statement, Barrier):
                self.used_since_barrier = self.used_since_barrier if statement.one_way else _Intervals()
            else:
                uses = statement.uses()
                self._use(statement, uses.reads, [*uses.reads, *uses.writes], uses.writes)
            if isinstance(statement, Pipeline) and statement.states in self.pipelines:
                self._check_stages(statement, self.pipelines[statement.states])
            for _ in range(2 if statement.repeats else 1):
                for body in running_bodies(statement):
                    self.walk(body.statements)

    def _use(
        self, statement: Statement, reads: Iterable[Buffer], uses: Iterable[Buffer], writes: Iterable[Buffer]
    ) -> None:
        """Raise ``VerifyError`` if a statement reads buffers that are not valid. Record those that it uses and writes.

        If workers share the entry, also check that it uses no buffer that overlaps another one used since the barrier.
        """
        for buffer in reads:
            if buffer in self.extents and buffer not in self.valid:
                self._fail(statement, f"reads {buffer.name} before it is written, or after its memory was reused")
        used_since_barrier = self.used_since_barrier if self.shared else _Intervals()
        for buffer in uses:
            if buffer in self.extents and buffer not in used_since_barrier:
                for other in used_since_barrier.add(buffer, self.extents[buffer]):
                    self._fail(statement, f"uses {buffer.name} and {other.name}, which overlap in memory")
        for buffer in writes:
            self.written.add(buffer)
            if buffer in self.extents and buffer not in self.valid:
                self.valid.add(buffer, self.extents[buffer])

    def _check_stages(self, pipeline: Pipeline, buffers: LoopBuffers) -> None:
        """Raise ``VerifyError`` if two stages of a pipeline share memory and do not wait for each other."""
        effects = [self.effects.of(stage.body) for stage in pipeline.stages]
        for later, (read, wrote, _) in enumerate(effects):
            for before, (read_before, wrote_before, _) in enumerate(effects[:later]):
                shared = (wrote_before & (read | wrote)) | (read_before & wrote)
                if not shared:
                    continue
                later_needs, ahead = (dict(pipeline.stages[number].needs) for number in (later, before))
                max_lead = buffers.chunks_ahead(shared)
                waits = max_lead is None or ahead.get(later, -max_lead) >= 1 - max_lead
                if later_needs.get(before, 0) < 1 or not waits:
                    names = ", ".join(sorted(buffer.name for buffer in shared))
                    waits_text = "don't wait for each other, although both use"
                    self._fail(pipeline, f"has stages {before} and {later} that {waits_text} {names}")

    def _fail(self, statement: Statement, what: str) -> None:
        """Raise ``VerifyError`` that says ``what`` the entry does wrong at a statement."""
        comment = statement.comment if isinstance(statement, Call) else ""
        raise VerifyError(f"the entry {self.name} {what}, at {type(statement).__name__} {comment}".rstrip())


class _Intervals:
    """Set of buffers with disjoint extents, in order."""

    def __init__(self) -> None:
        self.ordered: list[tuple[int, int, Buffer]] = []
        self.members: set[Buffer] = set()

    def __contains__(self, buffer: Buffer) -> bool:
        return buffer in self.members

    def add(self, buffer: Buffer, extent: Extent) -> list[Buffer]:
        """Add a buffer with its extent (start, end). Remove and return the buffers that it overlaps."""
        begin, end = extent
        first = bisect_left(self.ordered, begin, key=lambda item: item[0])
        if first and self.ordered[first - 1][1] > begin:
            first -= 1
        last = first
        while last < len(self.ordered) and self.ordered[last][0] < end and begin < self.ordered[last][1]:
            last += 1
        removed = [item[2] for item in self.ordered[first:last]]
        self.ordered[first:last] = [(begin, end, buffer)]
        self.members.difference_update(removed)
        self.members.add(buffer)
        return removed
