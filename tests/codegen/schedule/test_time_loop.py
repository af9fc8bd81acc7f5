"""Pipelines of loops over time have the bits of one worker, in any order in which workers claim stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import teams
from native_calls import call_native
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.buffers.memory import Memory
from rnngraph.codegen.buffers.packing import Panels
from rnngraph.codegen.buffers.views import View
from rnngraph.codegen.cost_model import pipelining as pipeline
from rnngraph.codegen.cost_model.pipelining import StageCost, plan_pipeline
from rnngraph.codegen.cost_model.work_sharing import Partition
from rnngraph.codegen.llvm.module import module_text
from rnngraph.codegen.loop_ir.memory_check import LoopBuffers
from rnngraph.codegen.loop_ir.nodes import Buffer, Call, LetIndex, Pipeline, When
from rnngraph.codegen.loop_ir.printer import function_text
from rnngraph.codegen.machine.engine import object_code
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.emit import entry_emitter
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.codegen.schedule.plan import planner
from rnngraph.codegen.schedule.plan.chunks import stage_needs
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.graph import make
from rnngraph.ir.types import TensorType, size
from rnngraph.support.errors import VerifyError

DIRECTORY = Path(__file__).parents[1] / "golden"
COUNTERS = {"seed": 4, "first_row": 0, "first_step": 0}


def stack(cell: Any, layers: int, inputs: int = 7, **options: Any) -> rg.Program:
    x = rg.placeholder("x", (None, None, inputs))
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell([cell() for _ in range(layers)]), x)
    loss = rg.reduce_mean(rg.square(outputs))
    return rg.compile({"outputs": outputs, "states": states}, loss=loss, seed=3, cache=False, **options)


def feed(steps: int, batch: int = 1, inputs: int = 7) -> np.ndarray:
    return np.random.default_rng(steps).normal(size=(batch, steps, inputs)).astype(np.float32)


def differing(program: rg.Program, steps: int, parts: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return names of results, gradients included, whose bits differ from those of one worker."""
    given = {"x": feed(steps, batch), **{key: np.asarray(number, np.int64) for key, number in COUNTERS.items()}}
    found = []
    for graphs in (program.inference, program.training):
        compiled = graphs.full_graph()
        names = tuple(name for name, _ in compiled.graph.outputs)
        sizes = {"B": batch, "T": steps}
        alone = call_native(compiled.entry(names, sizes), program.parameters, given, sizes)
        for reverse in (False, True):
            graph = compiled.sized(names, sizes)
            other = teams.in_turns(monkeypatch, graph, program.parameters, given, sizes, parts, reverse)
            found += [name for name, array in alone.items() if not np.array_equal(other[name], array)]
    return found


def planned(program: rg.Program, sizes: dict[str, int], parts: int = 2, target: str = "x86-64-v3") -> ScheduledEntry:
    compiled = program.inference.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    return schedule(compiled.sized(names, sizes), target_of(target), "entry", parts)


def pipeline_of(plan: ScheduledEntry) -> Pipeline:
    branches = [item for item in plan.main.function.body if isinstance(item, When)]
    return next(item for branch in branches for item in branch.body if isinstance(item, Pipeline))


@pytest.mark.parametrize(
    ("cell", "layers", "batch", "steps", "parts"),
    [
        (lambda: rg.BasicRNNCell(17), 3, 1, 13, 2),
        (lambda: rg.LSTMCell(25, use_peepholes=True, num_proj=7), 2, 3, 9, 3),
        (lambda: rg.DropoutWrapper(rg.GRUCell(17), input_keep_prob=0.7, output_keep_prob=0.8), 3, 1, 7, 2),
    ],
)
def test_stages_may_be_as_far_ahead_as_they_can(
    cell: Any, layers: int, batch: int, steps: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams.share_in_pipelines(monkeypatch, parts)
    assert differing(stack(cell, layers), steps, parts, batch, monkeypatch) == []


def without_needs(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the waits for earlier or for later stages."""
    original = stage_needs

    def fewer(*arguments: Any) -> tuple[dict[int, int], ...]:
        return tuple(
            {other: ahead for other, ahead in needed.items() if (other > number) == (missing == "earlier")}
            for number, needed in enumerate(original(*arguments))
        )

    monkeypatch.setattr(planner, "stage_needs", fewer)


@pytest.mark.parametrize("missing", ["later", "earlier"])
def test_a_missing_need_is_no_entry(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of stages' reads and writes detects a missing wait."""
    teams.share_in_pipelines(monkeypatch, 2)
    program = stack(lambda: rg.BasicRNNCell(17), 3)
    assert pipeline_of(planned(program, {"B": 1}))
    without_needs(missing, monkeypatch)
    with pytest.raises(VerifyError, match="don't wait for each other"):
        planned(program, {"B": 1})


@pytest.mark.parametrize("missing", ["later", "earlier"])
def test_a_missing_dependency_changes_results(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of results detects a stage that does not wait."""
    teams.share_in_pipelines(monkeypatch, 2)
    without_needs(missing, monkeypatch)
    monkeypatch.setattr(entry_emitter, "check_memory", lambda *_: None)
    assert differing(stack(lambda: rg.BasicRNNCell(17), 3), 13, 2, 1, monkeypatch) != []


@pytest.mark.parametrize("threads", [2, 3])
def test_any_length_gives_the_bits_of_one_thread(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths are less than a chunk, whole chunks, and with a remainder."""
    cells = rg.GRUCell(25), rg.BasicLSTMCell(17), rg.BasicRNNCell(33)
    layers = iter([*cells, *cells])
    program = stack(lambda: next(layers), 3)
    lengths = (0, 1, 2, 3, 11, 100, 333)
    alone = {steps: program.inference(x=feed(steps)) for steps in lengths}
    gradients = program.training.gradients({"x": feed(63)}, seed=5)
    teams.share_in_pipelines(monkeypatch, threads, 3)
    program.threads = threads
    for steps, expected in alone.items():
        for _ in range(5):
            found = program.inference(x=feed(steps))
            assert_array_equal(found["outputs"], expected["outputs"])
            for one, other in zip(found["states"], expected["states"], strict=True):
                assert_array_equal(one, other)
    for _ in range(5):
        loss, found = program.training.gradients({"x": feed(63)}, seed=5)
        assert loss == gradients[0]
        for key, array in gradients[1].items():
            assert_array_equal(found[key], array, key)


def test_a_stack_of_one_row_is_a_pipeline_of_its_layers(golden: Any) -> None:
    program = stack(lambda: rg.BasicRNNCell(100), 3, 40)
    plan = planned(program, {"B": 1})
    found = pipeline_of(plan)
    assert plan.work.pays()
    assert [dict(stage.needs) for stage in found.stages] == [{1: -2}, {0: 1, 2: -2}, {1: 1}]
    golden(DIRECTORY / "pipeline_entry.txt", function_text(plan.main.function))


def test_rows_enough_need_no_pipeline() -> None:
    program = stack(lambda: rg.BasicRNNCell(100), 3, 40)
    with pytest.raises(StopIteration):
        pipeline_of(planned(program, {"B": 16}))


def test_one_worker_runs_the_loop_as_without_threads() -> None:
    """One worker calls the same functions, for the same chunks, as code for one thread."""
    program = stack(lambda: rg.BasicRNNCell(100), 3, 40)
    several, one = (planned(program, {"B": 1}, parts) for parts in (2, 1))
    alone = next(
        item for item in several.main.function.body if isinstance(item, When) and item.index == size("_workers")
    )
    loop = next(item for item in one.main.function.body if not isinstance(item, Call | LetIndex))
    calls = [
        [(item.comment, len(item.buffers)) for item in where.body if isinstance(item, Call)]
        for where in (alone.body[0], loop)
    ]
    assert calls[0] == calls[1]
    assert alone.body[0].step == loop.step  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["aarch64-linux", "wasm32"])
def test_other_processors_have_pipelines_too(name: str) -> None:
    plan = planned(stack(lambda: rg.BasicRNNCell(100), 3, 40), {"B": 1}, target=name)
    pipeline_of(plan)
    text = module_text(plan.functions, [plan.main, plan.pack], target_of(name), "entry")
    assert object_code(text, target_of(name))


# Estimates -----------------------------------------------------------------------------------------


def parts(*cycles: float, gain: float = 1.0, barriers: float = 0.0) -> list[StageCost]:
    return [StageCost(Partition(0 if gain > 1 else None, item / gain, item, barriers=barriers)) for item in cycles]


def test_small_steps_join_their_neighbours() -> None:
    line = plan_pipeline(parts(300, 2000, 700, 2000, 700, 2000), size("T"), 128, 2)
    assert line is not None
    assert line.stages == ((0, 2), (2, 4), (4, 6))
    assert 1.5 < line.gain < 2
    small = plan_pipeline(parts(1, 5000, 5000, 1), size("T"), 128, 2)
    assert small is not None
    assert small.stages == ((0, 2), (2, 4))


def test_two_equal_stages_gain_less_than_twice() -> None:
    line = plan_pipeline(parts(5000, 5000), size("T"), 128, 2)
    assert line is not None
    cycles = line.grain * 5000.0
    waiting = 5 / 6  # one worker alone computes the first and the last of five chunks
    assert line.gain == pytest.approx(2 * waiting * cycles / (cycles + pipeline.CLAIM_CYCLES))


@pytest.mark.parametrize("cycles", [(5000, 100), (20, 20)])
def test_no_pipeline_where_one_stage_is_most_of_the_work_or_all_of_it_is_small(cycles: tuple[float, ...]) -> None:
    assert plan_pipeline(parts(*cycles), size("T"), 128, 2) is None


def test_kernels_that_are_cut_must_be_faster_on_cores_that_are_far() -> None:
    assert plan_pipeline(parts(5000, 5000, gain=2, barriers=1), size("T"), 128, 2) is not None
    assert plan_pipeline(parts(90000, 90000, gain=2, barriers=1), size("T"), 128, 2) is None


@pytest.mark.parametrize(("rows", "grain"), [(1, 12), (6, 12), (8, 16), (13, 13), (5, 15)])
def test_tiles_cover_a_chunk_without_a_rest(rows: int, grain: int) -> None:
    one, other = parts(5000, 5000)
    line = plan_pipeline([replace(one, tile_steps=rows), other], size("T"), 128, 2)
    assert line is not None
    assert line.grain == grain
    assert line.max_steps % grain == 0


def test_chunks_are_longer_if_each_of_them_repeats_work() -> None:
    one, other = parts(5000, 5000)
    line = plan_pipeline([one, replace(other, per_chunk_overhead=20000.0)], size("T"), 256, 2)
    assert line is not None
    assert line.grain == 2 * pipeline.MIN_STEPS
    assert line.max_steps == 256 // pipeline.BUFFER_DEPTH // line.grain * line.grain


def test_a_length_of_one_chunk_is_no_pipeline() -> None:
    assert plan_pipeline(parts(5000, 5000), pipeline.MIN_STEPS, 128, 2) is None


# Who waits for whom --------------------------------------------------------------------------------

A, B, C = (Buffer(name, "float32") for name in "abc")


def test_needs_follow_from_the_values_between_kernels() -> None:
    """Readers wait for values of the same chunk. A writer waits for readers of a value that is not double-buffered."""
    first, second, third = (make("input", label=name, type=TensorType("float32", ())) for name in "xyz")
    views = {node: View.contiguous(buffer, ()) for node, buffer in ((first, A), (second, B), (third, C))}
    memory = Memory(Panels({}), lambda *_: A, views)
    buffers = LoopBuffers(frozenset({B}), frozenset({A}), depth=pipeline.BUFFER_DEPTH)
    needs = [{}, {0: frozenset({first})}, {0: frozenset({third}), 1: frozenset({second})}]
    stages = [(0, 1), (1, 2), (2, 3)]
    ahead = 1 - pipeline.BUFFER_DEPTH
    assert stage_needs(stages, needs, memory, buffers) == ({1: ahead, 2: 0}, {0: 1}, {1: 1, 0: 1})
    assert stage_needs([(0, 2), (2, 3)], needs, memory, buffers) == ({1: 0}, {0: 1})
