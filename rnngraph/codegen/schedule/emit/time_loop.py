"""Loops over chunks of time: one kernel after the other, or a pipeline whose stages workers take.

A stage is a run of the loop's kernels, as a layer's scan with the product that is hoisted for it. It does its chunks in
order, and one at a time. What it hands on is multi-buffered, so that it may be ahead of who reads it.
Nobody waits but who finds no stage whose next chunk can be done: there is no barrier, and a worker that comes late,
or is slow, leaves more to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ....ir.types import size
from ...cost_model.pipelining import BUFFER_DEPTH, ROUNDS, PipelinePlan
from ...loop_ir.effects import has_barrier
from ...loop_ir.nodes import Buffer, LetIndex, Literal, Pipeline, PipelineStage, Statement, Store, When
from ...loop_ir.workers import TEAM, WORKER, WORKERS
from ...threads.pool_functions import MOST_WORKERS
from ..plan.chunks import Chunks
from ..plan.group_plan import TimeLoopPlan
from .entry_writer import EntryWriter


def add_loop(writer: EntryWriter, chunks: Chunks, kernels: Sequence[Callable[[], None]]) -> None:
    """Writes the loop: all kernels of one chunk one after the other, and then the next chunk."""
    if writer.unsynchronized:  # what runs at the end of a chunk, the next one must not meet
        writer.barrier()
    body = writer.block.nested()
    with writer.into(body):
        body.statements += chunks.head(chunks.longest)
        for emit in kernels:
            emit()
        if writer.unsynchronized == "other" or has_barrier(body.statements):
            writer.barrier()
    writer.block.add(chunks.loop(body.statements))


def add_pipeline(
    writer: EntryWriter, loop: TimeLoopPlan, begin: Callable[[], None], kernels: Sequence[Callable[[], None]]
) -> None:
    """Writes the loop twice: plainly, for one worker, and as a pipeline for several.

    begin: writes what comes before; kernels: write a kernel each. All of that is one worker's at a time.
    """
    plan, chunks, memory = loop.pipeline, loop.chunks, loop.states
    assert plan is not None
    assert memory is not None
    if writer.unsynchronized not in ("", "serial"):
        writer.barrier()
    before, *steps = writer.captured_serial([begin, *kernels])
    clear = [Store(Literal(0, "int64", 1), memory, place) for place in range(len(plan.stages))]
    writer.block.add(When(WORKER, 0, 1, (*clear, *before)))
    # Before a call's first pipeline nobody but the first worker has done anything, and it need not wait until others
    # are awake. A later one may use memory again that others still look at.
    writer.barrier(one_way=not has_barrier(writer.block.statements))
    whole = [LetIndex(chunks.slot, "max", 0, 0), *chunks.head(chunks.longest), *joined(steps)]
    writer.block.add(When(WORKERS, 1, 2, (chunks.loop(whole),)))
    bodies = [joined(steps[first:last]) for first, last in plan.stages]
    if writer.ticks is not None:  # a stage begins when it was claimed
        waited = writer.ticks.count(writer.ticks.wait)
        bodies = [[waited, *body] for body in bodies]
    writer.block.add(When(WORKERS, 2, MOST_WORKERS + 1, _shared(plan, chunks, bodies, loop.stage_needs, memory)))
    if writer.ticks is not None:
        writer.count(writer.ticks.wait)
    writer.unsynchronized = "serial"  # who leaves the pipeline has seen that all is done


def _shared(
    plan: PipelinePlan,
    chunks: Chunks,
    bodies: Sequence[Sequence[Statement]],
    needs: Sequence[Mapping[int, int]],
    states: Buffer,
) -> tuple[Statement, ...]:
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
