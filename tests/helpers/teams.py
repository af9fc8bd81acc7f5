"""Teams of workers in tests: all possible work is shared, and workers run one at a time between barriers.

Each worker runs to its next barrier before another worker starts. If a barrier is missing, a worker reads a value that
is not written yet, or overwrites a value that is still needed, in one order of workers or in the other. Pipelines
likewise always run the first stage that may run, or always the last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from declaration_checks import CheckError, inputs_of
from declarations import Declaration
from native_calls import call_native

from rnngraph.codegen.analysis import row_independence as rowwise
from rnngraph.codegen.compile import interface_of
from rnngraph.codegen.cost_model import pipelining as pipeline
from rnngraph.codegen.cost_model import work_sharing as sharing
from rnngraph.codegen.llvm import module as llvm
from rnngraph.codegen.llvm.module import module_text
from rnngraph.codegen.machine.engine import object_code
from rnngraph.codegen.machine.interface import ObjectCode
from rnngraph.codegen.machine.target import Target, host
from rnngraph.codegen.schedule.analyse import scan_sharing
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.codegen.threads import claim
from rnngraph.ir.graph import Graph
from rnngraph.runtime.native import adaptive_threads
from rnngraph.runtime.native import entry as native
from rnngraph.runtime.native import worker_pool as pool
from rnngraph.runtime.native.aligned_memory import address, aligned_bytes
from rnngraph.runtime.native.entry import NativeEntry
from rnngraph.runtime.parameters import Parameters

# A worker runs when the ticket has its number. At a barrier it passes the ticket on, and waits for its next turn. At a
# barrier where all wait for the first worker only, the first worker continues without waiting if it has the first turn.
IN_TURNS = """\
define internal void @barrier(ptr %team, i64 %worker, i64 %workers, i64 %awaited) noinline #0 {{
entry:
  %one.way = icmp ult i64 %awaited, %workers
  %passes = and i1 %one.way, {forward}
  br i1 %passes, label %done, label %wait
wait:
  %line = add i64 %worker, 1
  %mine = getelementptr [64 x i8], ptr %team, i64 %line
  %before = load i64, ptr %mine
  %count = add i64 %before, 1
  store i64 %count, ptr %mine
  %ticket = getelementptr i64, ptr %team, i64 1
  %old = atomicrmw add ptr %ticket, i64 1 seq_cst
  %last = sub i64 %workers, 1
  %behind = sub i64 %last, %worker
  %place = select i1 {reverse}, i64 %behind, i64 %worker
  %round = mul i64 %count, %workers
  %turn = add i64 %round, %place
  br label %look
look:
  %now = load atomic i64, ptr %ticket seq_cst, align 8
  %mine.now = icmp eq i64 %now, %turn
  br i1 %mine.now, label %done, label %look
done:
  ret void
}}
"""


def in_turns_text(reverse: bool) -> str:
    return IN_TURNS.format(reverse=str(reverse).lower(), forward=str(not reverse).lower())


def share_everything(
    monkeypatch: pytest.MonkeyPatch, parts: int = 3, fewest_rows: int = 1, barrier_cycles: float = 0.0
) -> None:
    """Share all calls among ``parts`` workers, however small the calls are, on machines with any number of cores.

    ``barrier_cycles`` is the assumed cost of a barrier in cycles. With 0, every kernel is split. With more, small
    kernels run on one worker.
    """
    for module in (sharing, scan_sharing):
        monkeypatch.setattr(module, "BARRIER_CYCLES", barrier_cycles)
    monkeypatch.setattr(pipeline, "FAR_CYCLES", 0.0)
    monkeypatch.setattr(sharing.Work, "pays", lambda work: True)
    monkeypatch.setattr(rowwise, "MIN_ROWS", fewest_rows)
    monkeypatch.setattr(native, "MIN_CYCLES", 0)
    monkeypatch.setattr(pool, "cores", lambda: parts)
    monkeypatch.setattr(adaptive_threads, "TRIALS", 0)  # workers share every call


def share_in_pipelines(
    monkeypatch: pytest.MonkeyPatch, parts: int = 3, steps: int = 2, barrier_cycles: float = 0.0
) -> None:
    """Share everything, and run every loop over time as a pipeline with chunks of ``steps`` steps."""
    share_everything(monkeypatch, parts, barrier_cycles=barrier_cycles)
    for name, value in {
        "FAR_CYCLES": 1e12,
        "PAYS": 1e12,
        "CLAIM_CYCLES": 0.0,
        "MIN_STEPS": steps,
        "MAX_STEPS": steps,
    }.items():
        monkeypatch.setattr(pipeline, name, value)


def claim_in_order(target: Target, reverse: bool) -> str:
    """Return code of a pipeline that always claims the first possible stage, or with ``reverse`` always the last."""
    order = "sub" if reverse else "add"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claim, "write_due", lambda f, stage, *_: f.value(f"{order} i64 0, {stage}", "due"))
        return claim.claim_text(target)


def in_turns(
    monkeypatch: pytest.MonkeyPatch,
    graph: Graph,
    parameters: Parameters,
    feeds: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    parts: int,
    reverse: bool,
    target: Target | None = None,
) -> dict[str, np.ndarray]:
    """Return a sized graph's outputs, computed by ``parts`` workers that run one at a time."""
    target = target or host()
    with monkeypatch.context() as patch:
        patch.setattr(llvm, "barrier_text", lambda target: in_turns_text(reverse))
        patch.setattr(llvm, "claim_text", lambda target: claim_in_order(target, reverse))
        plan = schedule(graph, target, "entry", parts)
        text = module_text(plan.functions, [plan.main, plan.pack], target, "entry")
    entry = NativeEntry(ObjectCode(interface_of(plan), object_code(text, target)), target)
    sized = entry.sized(sizes)
    results = [np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)]
    block = entry.block()
    block.set_weights(entry.weights(parameters))
    block.set_sizes(sized.sizes, entry.single)
    team = aligned_bytes(64 * (parts + 1)).view(np.int64)
    team[:] = 0
    block.numbers[interface_of(plan).team] = address(team)
    for name in entry.input_slots:
        block.set_input(name, feeds[name])
    for slot, array in zip(entry.output_slots.values(), results, strict=True):
        block.set_output(slot, array)
    arena = aligned_bytes(sized.arena_bytes)
    arena[:] = 255  # all bits set, so that uninitialised floats are NaN
    block.set_arena(arena)

    def work(worker: int) -> None:
        entry.single(block.address, worker, parts)
        team[1] += 1

    order: Sequence[int] = range(parts - 1, -1, -1) if reverse else range(parts)
    threads = [threading.Thread(target=work, args=(worker,)) for worker in order]
    for number, thread in enumerate(threads):
        while team[1] != number:
            time.sleep(0)
        thread.start()
    for thread in threads:
        thread.join()
    return dict(zip(entry.output_slots, results, strict=True))


def check_turns(declaration: Declaration, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that ``parts`` workers compute the bits of one worker, in both orders, for results and gradients."""
    program = declaration.compile()
    counters = {name: np.asarray(7 * (name == "seed"), np.int64) for name in ("seed", "first_row", "first_step")}
    looked_at = [(graphs, graphs.full_graph()) for graphs in (program.inference, program.training)]
    if program.loss is not None:  # without gradients, buffers have other offsets
        looked_at += [(graphs, graphs.compiled) for graphs in (program.evaluation, program.training)]
    for graphs, compiled in looked_at:
        names = tuple(name for name, _ in compiled.graph.outputs)
        feeds = inputs_of(compiled.graph, {**counters, **declaration.arrays()})
        sizes = graphs.sizes(feeds, names, None, compiled)
        alone = call_native(compiled.entry(names, sizes), program.parameters, feeds, sizes)
        for reverse in (False, True):
            graph = compiled.sized(names, sizes)
            actual = in_turns(monkeypatch, graph, program.parameters, feeds, sizes, parts, reverse)
            for name, array in alone.items():
                if not np.array_equal(actual[name], array, equal_nan=array.dtype.kind == "f"):
                    raise CheckError(declaration, f"turns of {parts}, {reverse=}", f"{name}\n{actual[name]}\n{array}")
