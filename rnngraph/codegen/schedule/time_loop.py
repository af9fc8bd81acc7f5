"""Loops over chunks of time, and how one is written as a pipeline, whose stages workers take.

A stage is a run of the loop's kernels, as a layer's scan with the product that is hoisted for it. It does its chunks in
order, and one at a time. What it hands on is multi-buffered, so that it may be ahead of who reads it.
Nobody waits but who finds no stage whose next chunk can be done: there is no barrier, and a worker that comes late,
or is slow, leaves more to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ...ir.types import Dim, size
from ..buffers.allocation import GroupMemory
from ..cost_model.chunk_length import LONGEST_CHUNK, TimeChunk
from ..cost_model.pipelining import BUFFER_DEPTH, ROUNDS, PipelinePlan
from ..loop_ir.effects import CallEffects, Effects, has_barrier
from ..loop_ir.nodes import Buffer, For, Index, LetIndex, Literal, Pipeline, PipelineStage, Statement, Store, When
from ..loop_ir.workers import TEAM, WORKER, WORKERS
from ..threads.pool_functions import MOST_WORKERS
from .entry_writer import EntryWriter


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
        return For(self.chunk, 0, self.length, self.longest, tuple(body), f"time, {self.pace}")

    @property
    def pace(self) -> str:
        """The direction, and how many steps run together, in words."""
        steps = f"{self.longest} steps at a time" if self.longest < LONGEST_CHUNK else "all steps at once"
        return f"{self.way()}, {steps}"

    def way(self) -> str:
        return "backward" if self.reverse else "forward"


def add_pipeline(
    writer: EntryWriter, plan: PipelinePlan, group: GroupMemory, chunks: Chunks, states: Callable[[int], Buffer],
    begin: Callable[[], None], kernels: Sequence[Callable[[], None]],
) -> None:  # fmt: skip
    """Writes the loop twice: plainly, for one worker, and as a pipeline for several.

    begin: writes what comes before; kernels: write a kernel each. All of that is one worker's at a time. states: gives
    memory for so many numbers.
    """
    if writer.unsynchronized not in ("", "serial"):
        writer.barrier()
    before, *steps = writer.captured_serial([begin, *kernels])
    memory = states(len(plan.stages))
    clear = [Store(Literal(0, "int64", 1), memory, place) for place in range(len(plan.stages))]
    writer.block.add(When(WORKER, 0, 1, (*clear, *before)))
    # Before a call's first pipeline nobody but the first worker has done anything, and it need not wait until others
    # are awake. A later one may use memory again that others still look at.
    writer.barrier(one_way=not has_barrier(writer.block.statements))
    whole = [LetIndex(chunks.slot, "max", 0, 0), *chunks.head(chunks.longest), *joined(steps)]
    writer.block.add(When(WORKERS, 1, 2, (chunks.loop(whole),)))
    bodies = [joined(steps[first:last]) for first, last in plan.stages]
    effects = CallEffects((*writer.functions.values(), *writer.panels.functions))
    needs = waited_for([effects.of(body) for body in bodies], *group.buffers(chunks.time))
    if writer.ticks is not None:  # a stage begins when it was claimed
        waited = writer.ticks.count(writer.ticks.wait)
        bodies = [[waited, *body] for body in bodies]
    writer.block.add(When(WORKERS, 2, MOST_WORKERS + 1, _shared(plan, chunks, bodies, needs, memory)))
    if writer.ticks is not None:
        writer.count(writer.ticks.wait)
    writer.unsynchronized = "serial"  # who leaves the pipeline has seen that all is done


def _shared(
    plan: PipelinePlan, chunks: Chunks, bodies: Sequence[Sequence[Statement]], needs: Sequence[Mapping[int, int]],
    states: Buffer,
) -> tuple[Statement, ...]:  # fmt: skip
    """The pipeline. Its chunks' length follows from the sequence's."""
    part, even, least, each, number, before = (
        f"{name}_of_{chunks.chunk}" for name in ("part", "even", "least", "each", "number", "before")
    )
    cut = [
        LetIndex(part, "divide", chunks.length, ROUNDS),
        LetIndex(even, "floor", size(part), plan.grain),
        LetIndex(least, "max", size(even), plan.grain),
        LetIndex(each, "min", size(least), plan.most),
    ]
    head = [
        LetIndex(chunks.chunk, "max", size(number) * size(each), 0),
        LetIndex(before, "floor", size(number), BUFFER_DEPTH),
        LetIndex(chunks.slot, "max", size(number) - size(before), 0),
        *chunks.head(size(each)),
    ]
    cycles = [cost * plan.grain for cost in plan.costs]
    stages = [
        PipelineStage((*head, *body), tuple(sorted(needed.items())), round(sum(cycles[:number])))
        for number, (body, needed) in enumerate(zip(bodies, needs, strict=True))
    ]
    comment = f"time, {chunks.way()}, by several workers"
    step = size(each)
    return (*cut, Pipeline(number, chunks.length, step, tuple(stages), round(max(cycles)), states, TEAM, comment))


def joined(bodies: Sequence[Sequence[Statement]]) -> list[Statement]:
    return [statement for body in bodies for statement in body]


def waited_for(
    stages: Sequence[Effects], sequences: Collection[Buffer], slots: Collection[Buffer]
) -> list[dict[int, int]]:  # fmt: skip
    """For each stage the others that it waits for, and how many chunks more than itself they must have done."""
    needs: list[dict[int, int]] = [{} for _ in stages]
    for later, (read, wrote, _) in enumerate(stages):
        for before, (read_before, wrote_before, _) in enumerate(stages[:later]):
            common = (wrote_before & (read | wrote)) | (read_before & wrote)
            if not common:
                continue
            needs[later][before] = 1
            kept = [buffer for buffer in common if buffer not in sequences]
            if kept:  # a sequence's steps of another chunk are elsewhere
                needs[before][later] = 1 - BUFFER_DEPTH if all(buffer in slots for buffer in kept) else 0
    return needs
