"""The plan, which decides about each kernel once, before it is written, and its text. No test needs machine code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import teams

import rnngraph as rg
from rnngraph.codegen.buffers.carried_state import DOUBLE_BUFFERED, FULL_HISTORY, IN_PLACE
from rnngraph.codegen.cost_model import work_sharing
from rnngraph.codegen.kernels import kernel_plan, product_plan
from rnngraph.codegen.kernels.kernel_plan import KernelPlan
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.codegen.schedule.plan.scan_plan import ScanPlan
from rnngraph.codegen.schedule.plan_text import plan_text
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.text.parser import parse

DIRECTORY = Path(__file__).parents[1] / "golden"


def net(cell: rg.Cell, inputs: int = 7, lengths: bool = False, unroll: int | None = None) -> rg.Program:
    x, n = rg.placeholder("x", (None, None, inputs)), rg.placeholder("n", (None,), "int32")
    outputs, state = rg.dynamic_rnn(cell, x, sequence_length=n if lengths else None)
    loss = rg.reduce_mean(rg.square(outputs))
    return rg.compile({"outputs": outputs, "state": state}, loss=loss, cache=False, unroll=unroll)


def planned(graphs: Any, parts: int, rows: int = 6) -> ScheduledEntry:
    compiled = graphs.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    return schedule(compiled.sized(names, {"B": rows}), target_of("x86-64-v3"), "entry", parts)


def kernels(plan: ScheduledEntry) -> Iterator[KernelPlan]:
    for group in plan.groups:
        for item in group.kernels:
            yield from item.kernels if isinstance(item, ScanPlan) else [item]


def scans(plan: ScheduledEntry) -> list[ScanPlan]:
    return [item for group in plan.groups for item in group.kernels if isinstance(item, ScanPlan)]


def test_the_plan_of_one_worker(golden: Any) -> None:
    golden(DIRECTORY / "plan_of_one.txt", plan_text(planned(net(rg.GRUCell(20)).inference, 1)))


def test_the_plan_of_a_train_step_with_lengths(golden: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 2)
    graphs = net(rg.BasicLSTMCell(20), lengths=True).training
    golden(DIRECTORY / "plan_with_lengths.txt", plan_text(planned(graphs, 2)))


def test_the_plan_of_a_pipeline(golden: Any) -> None:
    graphs = net(rg.MultiRNNCell([rg.BasicRNNCell(100) for _ in range(3)]), 40).inference
    golden(DIRECTORY / "plan_of_a_pipeline.txt", plan_text(planned(graphs, 2, rows=1)))


def test_the_stage_is_the_plan_for_the_target() -> None:
    x = rg.placeholder("x", (4, None, 3))
    program = rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(5), x)[0], target="x86-64-v3")
    text = program.inference.show("plan")
    assert text.startswith("# compiled for x86-64-v3")
    assert "tile: " in text
    assert "scan basic_rnn_cell over T steps" in text


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("unroll", [1, 4])
def test_each_kernel_is_decided_once(parts: int, unroll: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tile and partition are chosen once for each kernel, even if a step is unrolled."""
    teams.share_everything(monkeypatch, parts)
    calls = {"tile_shape": 0, "partition": 0}

    def counted(name: str, original: Any) -> Any:
        def count(*arguments: Any) -> Any:
            calls[name] += 1
            return original(*arguments)

        return count

    for module in (product_plan, kernel_plan):
        monkeypatch.setattr(module, "tile_shape", counted("tile_shape", module.tile_shape))
    sharing = work_sharing.WorkSharing
    for method in ("partition", "copy"):
        monkeypatch.setattr(sharing, method, counted("partition", getattr(sharing, method)))
    plan = planned(net(rg.BasicLSTMCell(20), unroll=unroll).training, parts)
    every = list(kernels(plan))
    sums = [item.outer_sum for item in every if item.outer_sum is not None]
    tiles = sum(item.products is not None for item in every) + len(sums)
    pieces = sum(len(item.piece_tiles) for item in sums)  # some have tiles of their own
    assert tiles <= calls["tile_shape"] <= tiles + pieces
    copies = sum(len(group.copies) for group in plan.groups)
    assert calls["partition"] == len(every) + copies - sum(len(g.kernels) for g in plan.groups if g.prepared)


def test_states_are_in_the_planned_buffers() -> None:
    program = net(rg.BasicLSTMCell(16))
    assert [state.kind for scan in scans(planned(program.inference, 1)) for state in scan.states] == [
        IN_PLACE,
        DOUBLE_BUFFERED,
    ]
    forward, backward = scans(planned(program.training, 1))
    assert {state.kind for state in forward.states} == {FULL_HISTORY}
    assert {state.kind for state in backward.states} == {IN_PLACE}


FAST_WEIGHTS = """graph fast_weights
  x = input : f32[T,8,64]
  y = input : f32[T,8,64]
  zero = broadcast f32(0.0) {shape=(64, 64)} : f32[64,64]
  loop = scan {length=T, reverse=False} : (f32[64,64], f32[T,8,64])
    carry m = zero : f32[64,64]
    over x_t = x : f32[8,64]
    over y_t = y : f32[8,64]
    read = matmul x_t, m : f32[8,64]
    seen = tanh read : f32[8,64]
    written = outer_sum seen, y_t : f32[64,64]
    kept = add m, written : f32[64,64]
    next m = kept
    emit output = seen
  output = get loop {index=1} : f32[T,8,64]
  output 'output' = output
"""


def test_an_outer_sum_of_a_step_is_one_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum is cleared before it is accumulated, without a barrier between the two within a step."""
    teams.share_everything(monkeypatch, 2)
    plan = schedule(parse(FAST_WEIGHTS), target_of("x86-64-v3"), "entry", 2)
    (scan,) = scans(plan)
    partitions = {item.kernel.kind: item.partition for item in scan.kernels}
    assert scan.sharing.workers.parts == 2
    assert partitions["outer_sum"].serial
    assert "outer_sum written" in plan_text(plan)
