"""Loops over chunks of time: sequential loops, and pipelines of stages that workers claim.

A stage is a range of the loop's kernels, such as a layer's scan with its hoisted product. It runs one chunk after
another. Its results have several buffers, so that it can be ahead of its readers. There are no barriers: a worker
waits only if no stage can run its next chunk. If one worker is late or slow, the others do more of the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ....ir.types import size
from ...cost_model.pipelining import BUFFER_DEPTH, ROUNDS, PipelinePlan
from ...loop_ir.effects import has_barrier
from ...loop_ir.nodes import Buffer, LetIndex, Literal, Pipeline, PipelineStage, Statement, Store, When
from ...loop_ir.worker_names import TEAM, WORKER, WORKERS
from ...threads.pool_memory import MAX_WORKERS
from ..plan.chunks import Chunks
from ..plan.group_plan import TimeLoopPlan
from .entry_writer import EntryWriter


def add_loop(writer: EntryWriter, chunks: Chunks, kernels: Sequence[Callable[[], None]]) -> None:
    """Add a loop over chunks of time that runs all kernels for a chunk, in order, before the next chunk."""
    if writer.unsynchronized:  # wait once before the loop, and not in every iteration
        writer.barrier()
    body = writer.block.nested()
    with writer.into(body):
        body.statements += chunks.head(chunks.longest)
        for emit in kernels:
            emit()
        # kernels at the end of one chunk must not run at the same time as those at the start of the next
        if writer.unsynchronized == "other" or has_barrier(body.statements):
            writer.barrier()
    writer.block.add(chunks.loop(body.statements))


def add_pipeline(
    writer: EntryWriter, loop: TimeLoopPlan, begin: Callable[[], None], kernels: Sequence[Callable[[], None]]
) -> None:
    """Add two versions of a loop over chunks of time: a sequential one for one worker, and a pipeline for several.

    Args:
        writer: Builder of the entry.
        loop: Plan of the loop.
        begin: Writes the statements that precede the loop.
        kernels: Functions that each write one kernel. A kernel runs on one worker at a time.
    """
    plan, chunks, memory = loop.pipeline, loop.chunks, loop.states
    assert plan is not None
    assert memory is not None
    if writer.unsynchronized not in ("", "serial"):
        writer.barrier()
    before, *steps = writer.captured_serial([begin, *kernels])
    clear = [Store(Literal(0, "int64", 1), memory, place) for place in range(len(plan.stages))]
    writer.block.add(When(WORKER, 0, 1, (*clear, *before)))
    # Before the first pipeline of a call, only the first worker has run, so that it need not wait for the others to
    # wake up. A later pipeline may reuse memory that others still read.
    writer.barrier(one_way=not has_barrier(writer.block.statements))
    whole = [LetIndex(chunks.slot, "max", 0, 0), *chunks.head(chunks.longest), *joined(steps)]
    writer.block.add(When(WORKERS, 1, 2, (chunks.loop(whole),)))
    bodies = [joined(steps[first:last]) for first, last in plan.stages]
    if writer.ticks is not None:  # the time until a worker has claimed a stage counts as waiting
        waited = writer.ticks.count(writer.ticks.wait)
        bodies = [[waited, *body] for body in bodies]
    writer.block.add(
        When(WORKERS, 2, MAX_WORKERS + 1, _shared_pipeline(plan, chunks, bodies, loop.stage_needs, memory))
    )
    if writer.ticks is not None:
        writer.count(writer.ticks.wait)
    writer.unsynchronized = "serial"  # a worker leaves the pipeline only when all stages are done


def _shared_pipeline(
    plan: PipelinePlan,
    chunks: Chunks,
    bodies: Sequence[Sequence[Statement]],
    needs: Sequence[Mapping[int, int]],
    states: Buffer,
) -> tuple[Statement, ...]:
    """Return statements that run a loop over chunks of time as a pipeline of stages on several workers.

    Chunks are shorter than ``plan.max_steps`` if the sequence is short, so that all workers have work.
    """
    part, even, minimum, chunk_steps, number, before = (
        f"{name}_of_{chunks.chunk}" for name in ("part", "even", "least", "each", "number", "before")
    )
    cut = [
        LetIndex(part, "divide", chunks.length, ROUNDS),
        LetIndex(even, "floor", size(part), plan.grain),
        LetIndex(minimum, "max", size(even), plan.grain),
        LetIndex(chunk_steps, "min", size(minimum), plan.max_steps),
    ]
    head = [
        LetIndex(chunks.chunk, "max", size(number) * size(chunk_steps), 0),
        LetIndex(before, "floor", size(number), BUFFER_DEPTH),
        LetIndex(chunks.slot, "max", size(number) - size(before), 0),
        *chunks.head(size(chunk_steps)),
    ]
    cycles = [cost * plan.grain for cost in plan.costs]
    stages = [
        PipelineStage((*head, *body), tuple(sorted(needed.items())), round(sum(cycles[:number])))
        for number, (body, needed) in enumerate(zip(bodies, needs, strict=True))
    ]
    comment = f"time, {chunks.direction()}, by several workers"
    step = size(chunk_steps)
    return (*cut, Pipeline(number, chunks.length, step, tuple(stages), round(max(cycles)), states, TEAM, comment))


def joined(bodies: Sequence[Sequence[Statement]]) -> list[Statement]:
    """Return the statements of several bodies in order."""
    return [statement for body in bodies for statement in body]
