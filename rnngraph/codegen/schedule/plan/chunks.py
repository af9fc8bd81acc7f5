"""Chunks of time of one loop: the names of their sizes, their memory, and what stages of a pipeline need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ....ir.graph import Node
from ....ir.types import Dim, size
from ...analysis.chunk_needs import Needs
from ...buffers.allocation import GroupMemory
from ...buffers.memory import Memory
from ...cost_model.chunk_length import LONGEST_CHUNK, TimeChunk
from ...loop_ir.memory_check import LoopBuffers
from ...loop_ir.nodes import Buffer, For, Index, LetIndex, Statement


@dataclass(frozen=True)
class Chunks:
    """A loop over chunks of ``longest`` steps of time, the last one first if ``reverse``, and the names of its sizes.

    In the entry's order: the first step of a chunk, how many it has, and the first one in time. active: of each mask
    how many steps of the sequence have active rows, and the name of how many steps of a chunk have. is_first_short:
    whether the chunk that is short, if one is, is the first one. lag: by how many chunks of the same loop this one is
    behind the first.
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
        """The present chunk, as kernels see it."""
        return TimeChunk(self.length, size(self.start), size(self.steps), self.reverse, self.longest)

    @property
    def chunk(self) -> str:
        return self._name("chunk")

    @property
    def steps(self) -> str:
        return self._name("steps")

    @property
    def start(self) -> str:
        return self._name("start")

    @property
    def done(self) -> Index:
        """Steps of earlier chunks."""
        return size(f"done{self.number}") if self.is_first_short else size(self.chunk)

    @property
    def slot(self) -> str:
        """The name of the number of the buffer into which a pipeline's stages put what they hand on."""
        return self._name("buffer")

    @property
    def runs(self) -> tuple[str, ...]:
        """How many steps of the chunk have active rows, by mask."""
        return tuple(self._lagging(name) for _, name in self.active)

    def _name(self, of: str) -> str:
        return self._lagging(f"{of}{self.number}")

    def _lagging(self, name: str) -> str:
        return f"{name}_{self.lag}" if self.lag else name

    def head(self, longest: Index) -> list[Statement]:
        """The sizes of the present chunk."""
        found: list[Statement] = []
        if self.is_first_short:
            whole, missing = f"whole{self.number}", size(f"whole{self.number}") - self.length
            found.append(LetIndex(whole, "floor", self.length + (longest - 1), longest))
            found.append(LetIndex(str(self.done), "max", size(self.chunk) - missing, 0))
            longest = size(self.chunk) + longest - missing - self.done
        left = self.length - self.done
        first = left - size(self.steps) if self.reverse else self.done
        found += [LetIndex(self.steps, "min", left, longest), LetIndex(self.start, "max", first, 0)]
        for (span, _), run in zip(self.active, self.runs, strict=True):
            found.append(LetIndex(f"{run}_", "min", span - size(self.start), size(self.steps)))
            found.append(LetIndex(run, "max", size(f"{run}_"), 0))
        return found

    def loop(self, body: Sequence[Statement]) -> For:
        """The loop of all chunks."""
        return For(self.chunk, 0, self.length, self.longest, tuple(body), f"time, {self.pace(self.longest)}")

    def pace(self, steps: int) -> str:
        """The direction, and how many steps run together, in words."""
        return f"{self.way()}, {f'{steps} steps at a time' if steps < LONGEST_CHUNK else 'all steps at once'}"

    def way(self) -> str:
        return "backward" if self.reverse else "forward"


def loop_buffers(memory: GroupMemory, time: TimeChunk, free: Collection[Node], depth: int) -> LoopBuffers:
    """The buffers of a loop. free: values that no kernel needs to compute. depth: of slots."""
    sequences, slots = memory.buffers(time)
    same = (view.buffer for node, views in memory.stores.items() if node in free for view in views)
    return LoopBuffers(frozenset(sequences), frozenset(slots), frozenset(same), depth)


def stage_needs(
    stages: Sequence[tuple[int, int]], needs: Sequence[Needs], memory: Memory, buffers: LoopBuffers
) -> tuple[Mapping[int, int], ...]:
    """Return for each stage of a pipeline those that it waits for, and how many chunks more they must have done.

    Args:
        stages: from which kernel to which.
        needs: of the kernels within a chunk.
        memory: where values lie.
        buffers: memory of the loop.
    """
    stage_of = [number for number, (first, last) in enumerate(stages) for _ in range(first, last)]
    shared = dict[tuple[int, int], set[Buffer]]()
    for later, needed in enumerate(needs):
        for before, values in needed.items():
            if stage_of[before] != stage_of[later]:
                views = [view for value in values for view in (memory.views[value], *memory.stores.get(value, ()))]
                met = shared.setdefault((stage_of[later], stage_of[before]), set())
                met.update(view.buffer for view in views)
    found: list[dict[int, int]] = [{} for _ in stages]
    for (later, before), met in shared.items():
        found[later][before] = 1
        ahead = buffers.chunks_ahead(met)
        if ahead is not None:
            found[before][later] = 1 - ahead
    return tuple(found)
