"""Chunks of time of a loop: their sizes, their memory, and the dependencies between pipeline stages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ....ir.graph import Node
from ....ir.types import Dim, size
from ....support.records import dataclass
from ...analysis.chunk_needs import Needs
from ...buffers.allocation import GroupMemory
from ...buffers.memory import Memory
from ...cost_model.chunk_length import MAX_CHUNK, TimeChunk
from ...loop_ir.memory_check import LoopBuffers
from ...loop_ir.nodes import Buffer, For, Index, LetIndex, Statement


@dataclass(frozen=True)
class Chunks:
    """Loop over chunks of at most ``longest`` time steps, backward if ``reverse``.

    Attributes:
        number: Index of the loop's fusion group, which makes names of sizes unique.
        length: Number of steps of the sequence.
        active: For each mask, the number of steps of the sequence that have active rows, and the name of the size with
            the number of such steps in the current chunk.
        is_first_short: True if the first chunk may have fewer steps than the others, instead of the last.
        lag: Number of chunks by which the kernels that use these names lag behind the loop.
    """

    number: int
    length: Dim
    reverse: bool
    longest: int
    active: tuple[tuple[Index, str], ...] = ()
    is_first_short: bool = False
    lag: int = 0

    @property
    def time(self) -> TimeChunk:
        """Start and steps of the current chunk, for kernels."""
        return TimeChunk(self.length, size(self.start), size(self.steps), self.reverse, self.longest)

    @property
    def chunk(self) -> str:
        """Name of the loop variable: the chunk's index times the maximum number of steps of a chunk."""
        return self._name("chunk")

    @property
    def steps(self) -> str:
        """Name of the size with the chunk's number of steps."""
        return self._name("steps")

    @property
    def start(self) -> str:
        """Name of the size with the chunk's first step in time."""
        return self._name("start")

    @property
    def done(self) -> Index:
        """Number of steps in earlier chunks."""
        return size(f"done{self.number}") if self.is_first_short else size(self.chunk)

    @property
    def slot(self) -> str:
        """Name of the size with the index of the buffer for the chunk's values, if there are several."""
        return self._name("buffer")

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of sizes, one for each mask of ended rows: the number of the chunk's steps that have active rows."""
        return tuple(self._lagging(name) for _, name in self.active)

    def _name(self, prefix: str) -> str:
        """Return the name of a size of the current chunk."""
        return self._lagging(f"{prefix}{self.number}")

    def _lagging(self, name: str) -> str:
        """Return the name of a size for kernels that lag behind the loop."""
        return f"{name}_{self.lag}" if self.lag else name

    def head(self, longest: Index) -> list[Statement]:
        """Return the statements that compute the current chunk's first step in time, and its numbers of steps.

        ``longest`` is the maximum number of steps of a chunk.
        """
        statements: list[Statement] = []
        if self.is_first_short:
            whole, missing = f"whole{self.number}", size(f"whole{self.number}") - self.length
            statements.append(LetIndex(whole, "floor", self.length + (longest - 1), longest))
            statements.append(LetIndex(str(self.done), "max", size(self.chunk) - missing, 0))
            longest = size(self.chunk) + longest - missing - self.done
        remaining = self.length - self.done
        first = remaining - size(self.steps) if self.reverse else self.done
        statements += [LetIndex(self.steps, "min", remaining, longest), LetIndex(self.start, "max", first, 0)]
        for (span, _), run in zip(self.active, self.runs, strict=True):
            statements.append(LetIndex(f"{run}_", "min", span - size(self.start), size(self.steps)))
            statements.append(LetIndex(run, "max", size(f"{run}_"), 0))
        return statements

    def loop(self, body: Sequence[Statement]) -> For:
        """Return the loop that runs ``body`` for every chunk."""
        return For(self.chunk, 0, self.length, self.longest, tuple(body), f"time, {self.steps_text(self.longest)}")

    def steps_text(self, steps: int) -> str:
        """Return a text with the direction of the loop, and the number of steps per chunk."""
        return f"{self.direction()}, {f'{steps} steps at a time' if steps < MAX_CHUNK else 'all steps at once'}"

    def direction(self) -> str:
        """Return the direction of the loop as a text."""
        return "backward" if self.reverse else "forward"


def loop_buffers(memory: GroupMemory, time: TimeChunk, free: Collection[Node], depth: int) -> LoopBuffers:
    """Return the buffers of a time loop in three sets: for all steps, for single chunks, and equal for all chunks.

    Args:
        memory: Memory of the group.
        time: The current chunk.
        free: Values that need no kernel of their own, such as index arithmetic.
        depth: Number of buffers that consecutive chunks use in rotation.
    """
    sequences, slots = memory.buffers(time)
    indices = (view.buffer for node, views in memory.stores.items() if node in free for view in views)
    return LoopBuffers(frozenset(sequences), frozenset(slots), frozenset(indices), depth)


def stage_needs(
    stages: Sequence[tuple[int, int]], needs: Sequence[Needs], memory: Memory, buffers: LoopBuffers
) -> tuple[Mapping[int, int], ...]:
    """Return, for each pipeline stage: {stage for which it waits: chunks by which that one must be ahead}.

    If that number is negative, such as -1, the other stage may be one chunk behind.

    Args:
        stages: For each stage, the indices of its first kernel and of the kernel after its last.
        needs: Dependencies of the kernels within a chunk.
        memory: Memory of values.
        buffers: Buffers of the loop.
    """
    stage_of = [number for number, (first, last) in enumerate(stages) for _ in range(first, last)]
    shared = dict[tuple[int, int], set[Buffer]]()
    for later, needed in enumerate(needs):
        for before, values in needed.items():
            if stage_of[before] != stage_of[later]:
                views = [view for value in values for view in (memory.views[value], *memory.stores.get(value, ()))]
                common = shared.setdefault((stage_of[later], stage_of[before]), set())
                common.update(view.buffer for view in views)
    leads: list[dict[int, int]] = [{} for _ in stages]
    for (later, before), common in shared.items():
        leads[later][before] = 1
        ahead = buffers.chunks_ahead(common)
        if ahead is not None:
            leads[before][later] = 1 - ahead
    return tuple(leads)
