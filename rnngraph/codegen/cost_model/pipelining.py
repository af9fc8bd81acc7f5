"""Software pipelines over chunks of time: the division of kernels into stages, and the expected speedup."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.types import Dim
from ...support.records import dataclass
from .chunk_length import MAX_CHUNK
from .register_tiles import OPEN_ROWS
from .work_sharing import Partition

BUFFER_DEPTH = 3
"""Number of buffers for a stage's values (multi-buffering)."""
ROUNDS = 8
"""Number of chunks into which a sequence is divided, within the limits of a chunk's steps.

With fewer chunks, workers idle too long at the beginning and the end of a sequence.
"""
MIN_STEPS, MAX_STEPS = 12, 48
"""Minimum and maximum steps of a chunk. The minimum is raised to avoid remainder tiles of products, and to amortise the
overhead of a chunk. The maximum is raised to a third of the length of a single worker's chunks.
"""
CLAIM_CYCLES = 2000.0
"""Cycles to claim a task, including the transfer of its data from the core that ran the previous chunk."""
CLAIMS = 4.0
"""Ratio of the cycles of a task to those of its claim. Chunks are lengthened to about this ratio."""
PAYS = 0.85
"""Maximum ratio of the time of a pipeline to that of one worker."""
FAR_CYCLES = 3000.0
"""Additional cycles of a barrier between distant cores, in estimates for split kernels. Pipelines have no barriers."""


@dataclass(frozen=True)
class PipelinePlan:
    """Pipeline whose stages are consecutive kernels of one loop.

    Attributes:
        stages: Index of each stage's first kernel, and of the kernel after its last one.
        costs: Cycles of each stage for one time step.
        grain: The length of each chunk, except the last one, is a multiple of this number of steps.
        max_steps: Maximum steps of a chunk.
        gain: Speedup over one worker.
    """

    stages: tuple[tuple[int, int], ...]
    costs: tuple[float, ...]
    grain: int
    max_steps: int
    gain: float

    def estimate(self, partition: Partition) -> Partition:
        """Return a kernel's estimated cost within the pipeline, from its cost for one worker (``partition``)."""
        return Partition(None, partition.serial_cycles / self.gain, partition.serial_cycles)


@dataclass(frozen=True)
class StageCost:
    """Estimated cost of one kernel of the loop.

    Attributes:
        partition: Partition with the estimate for one time step.
        tile_steps: Time steps that a register tile covers.
        per_chunk_overhead: Cycles for each chunk, independent of its length.
    """

    partition: Partition
    tile_steps: int = 1
    per_chunk_overhead: float = 0.0

    @property
    def cycles(self) -> float:
        """Cycles per time step on one worker."""
        return self.partition.serial_cycles


def plan_pipeline(kernels: Sequence[StageCost], length: Dim, longest: int, workers: int) -> PipelinePlan | None:
    """Return the division of a time loop's kernels into stages that run at the same time; None if it does not pay.

    A pipeline does not pay if one worker is nearly as fast (``PAYS``), or if kernels split between workers are faster.
    A single kernel, and a loop of a fixed length of at most ``MIN_STEPS`` steps, have no pipeline.

    Args:
        kernels: Costs of the loop's kernels, in order.
        length: Number of steps of the loop.
        longest: Maximum steps of a chunk in the loop of one worker.
        workers: Number of workers.
    """
    serial = sum(kernel.cycles for kernel in kernels)
    if workers == 1 or len(kernels) < 2 or (isinstance(length, int) and length <= MIN_STEPS) or not serial:
        return None
    stages = _merge_into_stages([kernel.cycles for kernel in kernels], workers)
    costs = tuple(sum(kernel.cycles for kernel in kernels[first:last]) for first, last in stages)
    overheads = [
        CLAIM_CYCLES + sum(kernel.per_chunk_overhead for kernel in kernels[first:last]) for first, last in stages
    ]
    max_steps = max(MAX_STEPS, longest // BUFFER_DEPTH if longest < MAX_CHUNK else 0)
    grains = _grains(kernels, serial / len(costs), max_steps)
    cycles, grain = min((_cycles(costs, overheads, steps, workers), steps) for steps in grains)
    split_cycles = sum(kernel.partition.cycles + kernel.partition.barriers * FAR_CYCLES for kernel in kernels)
    if cycles > PAYS * serial or cycles > split_cycles:
        return None
    return PipelinePlan(
        tuple(stages), costs, grain, max(grain, min(max_steps, longest) // grain * grain), serial / cycles
    )


def _grains(kernels: Sequence[StageCost], cost: float, max_steps: int) -> list[int]:
    """Return one or two numbers of steps to try as the grain, of which all chunk lengths are multiples.

    The second number is a doubled grain, which is worth a try if it may save overhead.

    Args:
        kernels: Costs of the loop's kernels.
        cost: Mean cycles of a stage for one step.
        max_steps: Maximum steps of a chunk.
    """

    def rest(steps: int) -> float:
        """Return the cycles per step of remainder tiles."""
        return sum(kernel.cycles * (steps % kernel.tile_steps) / steps for kernel in kernels)

    grain = min(range(MIN_STEPS, 2 * MIN_STEPS), key=lambda steps: (rest(steps), steps))
    grain *= max(1, round(CLAIMS * CLAIM_CYCLES / (grain * cost)))
    doubled = 2 * grain <= max_steps and any(kernel.per_chunk_overhead for kernel in kernels)
    return [grain, 2 * grain] if doubled else [grain]


def _cycles(costs: Sequence[float], overheads: Sequence[float], steps: int, workers: int) -> float:
    """Return a pipeline's cycles per time step in chunks of ``steps`` steps, for sequences of typical length."""
    chunks = max(1, round(OPEN_ROWS / steps))
    tasks = [steps * cost + overhead for cost, overhead in zip(costs, overheads, strict=True)]
    return _makespan(tasks, chunks, workers) / (chunks * steps)


def _merge_into_stages(costs: Sequence[float], workers: int) -> list[tuple[int, int]]:
    """Return stages as (first kernel, end): neighbours merged up to three quarters of a worker's share of the cost.

    ``end`` is the index of the kernel after the stage's last one.
    """
    limit = 0.75 * sum(costs) / workers
    stages = [(number, number + 1) for number in range(len(costs))]

    def excess(place: int) -> tuple[float, float]:
        """Return the cycles by which a merged stage exceeds the limit, and its cycles.

        If one of the two stages is tiny, the excess is 0, so that they always merge.
        """
        one, other = (sum(costs[first:last]) for first, last in stages[place : place + 2])
        return (0.0 if min(one, other) < limit / 50 else max(0.0, one + other - limit)), one + other

    while len(stages) > 1:
        place = min(range(len(stages) - 1), key=excess)
        if excess(place)[0] > 0.0:
            break
        stages[place : place + 2] = [(stages[place][0], stages[place + 1][1])]
    return stages


def _makespan(costs: Sequence[float], chunks: int, workers: int) -> float:
    """Return the makespan of a pipeline: the cycles until all stages have run all chunks.

    Args:
        costs: Cycles of each stage for one chunk.
        chunks: Number of chunks.
        workers: Number of workers.
    """
    done, idle, now = [0] * len(costs), workers, 0.0
    running: list[tuple[float, int]] = []
    at: set[int] = set()
    while min(done) < chunks:
        ready = [i for i, count in enumerate(done) if count < chunks and i not in at and _can_run(done, i)]
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


def _can_run(done: Sequence[int], stage: int) -> bool:
    """True if a stage can run its next chunk. ``done`` has the number of finished chunks of each stage."""
    before = stage == 0 or done[stage - 1] > done[stage]
    return before and (stage + 1 == len(done) or done[stage + 1] > done[stage] - BUFFER_DEPTH)
