"""A loop over chunks of time as a pipeline: which kernels become one stage, and what the pipeline may gain.

Estimates decide who computes what, and never change what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.types import Dim
from .chunk_length import LONGEST_CHUNK
from .register_tiles import OPEN_ROWS
from .work_sharing import Partition

BUFFER_DEPTH = 3
"""Multi-buffering depth: how many buffers there are for what a stage hands on."""
ROUNDS = 8
"""Chunks that a sequence is cut into, if they are neither shorter nor longer than chunks may be: the first stages
have nothing to do at the end, and the last ones nothing at the start.
"""
FEWEST, MOST = 12, 48
"""Steps of a chunk. The fewest are more where tiles of products then cover them without a rest, or where each chunk
has an overhead of its own; the most are more where one worker's chunks are long.
"""
CLAIM_CYCLES = 2000.0
"""What it takes to claim a task, and until its memory has come from the core where the last one was."""
CLAIMS = 4.0
"""How many times as long tasks take, where that can be."""
PAYS = 0.85
"""What a pipeline takes at most of the time of one worker."""
FAR_CYCLES = 3000.0
"""How much longer than estimated a barrier may take, and what was written until it is read, between cores that are far
from each other: what is cut has to be as fast as a pipeline there, too.
"""


@dataclass(frozen=True)
class PipelinePlan:
    """A pipeline of stages, each a run of the loop's kernels.

    stages: from which kernel to which, in order. costs: of each stage, in cycles for one step of time. grain: steps of
    which a chunk has once, twice or so, most: steps that it has at most. gain: over one worker.
    """

    stages: tuple[tuple[int, int], ...]
    costs: tuple[float, ...]
    grain: int
    most: int
    gain: float

    def estimate(self, partition: Partition) -> Partition:
        """What a kernel takes in the pipeline, in place of what was estimated of it alone."""
        return Partition(None, partition.serial_cycles / self.gain, partition.serial_cycles)


@dataclass(frozen=True)
class StageCost:
    """What is estimated of one of the loop's kernels.

    partition: for one step of time. tile_steps: how many of these a tile covers. per_chunk_overhead: cycles that it
    takes with every chunk, however many steps that has.
    """

    partition: Partition
    tile_steps: int = 1
    per_chunk_overhead: float = 0.0

    @property
    def cycles(self) -> float:
        """Cycles that one worker takes for a step."""
        return self.partition.serial_cycles


def plan_pipeline(kernels: Sequence[StageCost], length: Dim, longest: int, workers: int) -> PipelinePlan | None:
    """The pipeline of kernels with these estimates, if it beats one worker and kernels that are cut.

    longest: steps of a chunk in one worker's loop.
    """
    serial = sum(kernel.cycles for kernel in kernels)
    if workers == 1 or len(kernels) < 2 or (isinstance(length, int) and length <= FEWEST) or not serial:
        return None
    stages = _grouped([kernel.cycles for kernel in kernels], workers)
    costs = tuple(sum(kernel.cycles for kernel in kernels[first:last]) for first, last in stages)
    overheads = [
        CLAIM_CYCLES + sum(kernel.per_chunk_overhead for kernel in kernels[first:last]) for first, last in stages
    ]
    most = max(MOST, longest // BUFFER_DEPTH if longest < LONGEST_CHUNK else 0)
    grains = _grains(kernels, serial / len(costs), most)
    cycles, grain = min((_cycles(costs, overheads, steps, workers), steps) for steps in grains)
    cut = sum(kernel.partition.cycles + kernel.partition.barriers * FAR_CYCLES for kernel in kernels)
    if cycles > PAYS * serial or cycles > cut:
        return None
    return PipelinePlan(tuple(stages), costs, grain, max(grain, min(most, longest) // grain * grain), serial / cycles)


def _grains(kernels: Sequence[StageCost], cost: float, most: int) -> list[int]:
    """How many steps the shortest chunk may have: tiles of products cover them without much of a rest, and it is worth
    while to claim them. cost: of a step of a stage.
    """

    def rest(steps: int) -> float:
        return sum(kernel.cycles * (steps % kernel.tile_steps) / steps for kernel in kernels)

    grain = min(range(FEWEST, 2 * FEWEST), key=lambda steps: (rest(steps), steps))
    grain *= max(1, round(CLAIMS * CLAIM_CYCLES / (grain * cost)))
    doubled = 2 * grain <= most and any(kernel.per_chunk_overhead for kernel in kernels)
    return [grain, 2 * grain] if doubled else [grain]


def _cycles(costs: Sequence[float], overheads: Sequence[float], steps: int, workers: int) -> float:
    """Cycles that a step of time takes in chunks of ``steps``, at lengths of some tens."""
    chunks = max(1, round(OPEN_ROWS / steps))
    tasks = [steps * cost + overhead for cost, overhead in zip(costs, overheads, strict=True)]
    return _makespan(tasks, chunks, workers) / (chunks * steps)


def _grouped(costs: Sequence[float], workers: int) -> list[tuple[int, int]]:
    """Neighbours become one stage as long as none is much of a worker's part, or one of both is next to nothing."""
    limit = 0.75 * sum(costs) / workers
    stages = [(number, number + 1) for number in range(len(costs))]

    def excess(place: int) -> tuple[float, float]:
        one, other = (sum(costs[first:last]) for first, last in stages[place : place + 2])
        return (0.0 if min(one, other) < limit / 50 else max(0.0, one + other - limit)), one + other

    while len(stages) > 1:
        place = min(range(len(stages) - 1), key=excess)
        if excess(place)[0] > 0.0:
            break
        stages[place : place + 2] = [(stages[place][0], stages[place + 1][1])]
    return stages


def _makespan(costs: Sequence[float], chunks: int, workers: int) -> float:
    """When all is done if every stage waits for the one before it."""
    done, idle, now = [0] * len(costs), workers, 0.0
    running: list[tuple[float, int]] = []
    at: set[int] = set()
    while min(done) < chunks:
        ready = [i for i, count in enumerate(done) if count < chunks and i not in at and _may(done, i)]
        ready.sort(key=lambda i: done[i] * max(costs) + sum(costs[:i]))
        for stage in ready[:idle]:
            running.append((now + costs[stage], stage))
            at.add(stage)
            idle -= 1
        running.sort()
        now, stage = running.pop(0)
        done[stage] += 1
        at.remove(stage)
        idle += 1
    return now


def _may(done: Sequence[int], stage: int) -> bool:
    before = stage == 0 or done[stage - 1] > done[stage]
    return before and (stage + 1 == len(done) or done[stage + 1] > done[stage] - BUFFER_DEPTH)
