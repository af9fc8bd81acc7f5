"""Decoders with a data-dependent number of steps: several workers compute the bits of one worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import teams
from declaration_checks import inputs_of
from native_calls import call_native
from numpy.testing import assert_array_equal
from own_cells import Speller

import rnngraph as rg
from rnngraph.codegen.loop_ir.functions import nested
from rnngraph.codegen.loop_ir.nodes import Barrier
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.codegen.schedule.plan.scan_plan import ScanPlan
from rnngraph.codegen.schedule.scheduler import schedule

WORDS = 11
Array = np.ndarray


def greedy(units: int, steps: int) -> tuple[rg.Tensor, Any, rg.Tensor]:
    """Declare a decoder that feeds each word back, until the stop word 6."""
    table = rg.parameter("table", (WORDS, 4))
    return rg.dynamic_decode(
        Speller(rg.GRUCell(units), WORDS),
        table[2],
        lambda output, _: rg.gather(table, rg.argmax(output)),
        steps,
        initial_state=rg.placeholder("state", (None, units)),
        stop=lambda output: rg.less(rg.argmax(output), 6),
    )


def attending(units: int, steps: int) -> tuple[rg.Tensor, Any, rg.Tensor]:
    """Declare a stack of two cells that attends to a memory of seven entries; one test's batch has seven rows."""
    memory = rg.placeholder("memory", (None, 7, 6))
    layers = rg.MultiRNNCell([rg.LSTMCell(units), rg.GRUCell(units)])
    return rg.dynamic_decode(
        rg.AttentionWrapper(layers, rg.LuongAttention(units, memory), units),
        rg.placeholder("first", (None, 3)),
        lambda output, _: output[:, :3] + memory[:, 0, :3],
        steps,
        stop=lambda output: rg.greater(rg.reduce_sum(output, 1), 0.1),
    )


def fed(units: int, steps: int) -> tuple[rg.Tensor, Any, rg.Tensor]:
    """Declare a decoder that adds each step's input to the output that it feeds back."""
    inputs = rg.placeholder("inputs", (None, steps, 3))
    return rg.dynamic_decode(
        rg.BasicLSTMCell(units),
        rg.placeholder("first", (None, 3)),
        lambda output, x: output[:, :3] + x,
        None,
        inputs,
        stop=lambda output: rg.reduce_max(output, 1) > 0.4,
    )


DECODERS: dict[str, Callable[[int, int], Any]] = {"greedy": greedy, "attending": attending, "fed": fed}


def decoder(name: str, units: int, steps: int, seed: int = 0) -> rg.Program:
    outputs, final, lengths = DECODERS[name](units, steps)
    results = {"outputs": outputs, "final": final, "lengths": lengths}
    program = rg.compile(results, loss=rg.reduce_sum(rg.square(outputs)), cache=False)
    generator = np.random.default_rng([units, seed])
    for key, array in program.parameters.items():
        program.parameters[key] = generator.normal(size=array.shape)
    return program


def feeds_of(program: rg.Program, rows: int) -> dict[str, Array]:
    generator = np.random.default_rng(rows)
    shapes = {key: value.shape for key, value in program.inference.input_types().items()}
    return {key: generator.normal(size=(rows, *shape[1:])).astype(np.float32) for key, shape in shapes.items()}


def check(program: rg.Program, rows: int, parts: int, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Check both graphs against one worker, in both orders. Return the lengths of rows."""
    numbers = {key: np.asarray(7, np.int64) for key in ("seed", "first_row", "first_step")}
    feeds, lengths = feeds_of(program, rows), set[int]()
    for graphs in (program.inference, program.training):
        compiled = graphs.full_graph()
        names = tuple(name for name, _ in compiled.graph.outputs)
        given = inputs_of(compiled.graph, {**numbers, **feeds})
        sizes = graphs.sizes(given, names, None, compiled)
        alone = call_native(compiled.entry(names, sizes), program.parameters, given, sizes)
        for reverse in (False, True):
            graph = compiled.sized(names, sizes)
            found = teams.in_turns(monkeypatch, graph, program.parameters, given, sizes, parts, reverse)
            assert found.keys() == alone.keys()
            for key, array in alone.items():
                assert_array_equal(found[key], array, f"{key} {reverse=}")
        lengths |= {int(number) for number in alone["lengths"]}
    return lengths


@pytest.mark.parametrize(
    ("name", "rows", "parts", "fewest"),
    [
        ("greedy", 7, 2, 1),
        pytest.param("greedy", 3, 3, 9, marks=pytest.mark.exhaustive),
        pytest.param("attending", 7, 3, 1, marks=pytest.mark.exhaustive),
    ],
)
def test_workers_give_the_bits_of_one(
    name: str, rows: int, parts: int, fewest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``fewest`` is the minimum number of rows per worker in a partition by rows."""
    teams.share_everything(monkeypatch, parts, fewest)
    program = decoder(name, 17, 7, seed=13)
    lengths = check(program, rows, parts, monkeypatch)
    assert len(lengths) > 1
    assert max(lengths) < 7 or name == "attending"


@pytest.mark.exhaustive
@pytest.mark.parametrize("fewest", [1, 9])
@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("units", [3, 16, 33, 100])
@pytest.mark.parametrize("name", DECODERS)
def test_workers_give_the_bits_of_one_in_many_shapes(
    name: str, units: int, parts: int, fewest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    teams.share_everything(monkeypatch, parts, fewest)
    for steps, *rows in ((1, 2, 7), (2, 3), (3, 2), (7, 1, 3, 7)):
        program = decoder(name, units, steps)
        for number in rows:
            check(program, number, parts, monkeypatch)


def planned(program: rg.Program, rows: int, kind: str = "inference") -> ScheduledEntry:
    compiled = getattr(program, kind).full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    return schedule(compiled.sized(names, {"B": rows}), target_of("x86-64-v3"), "entry", 2)


def scans_of(plan: ScheduledEntry) -> list[ScanPlan]:
    return [kernel for group in plan.groups for kernel in group.kernels if isinstance(kernel, ScanPlan)]


def test_rows_of_a_decoder_are_cut_between_workers() -> None:
    """Only the stop condition is not computed row by row, so that there are barriers before and after it."""
    plan = planned(decoder("greedy", 64, 40), 32)
    (scan,) = scans_of(plan)
    others = [kernel.kernel for kernel in scan.kernels if not kernel.partition.by_rows]
    assert scan.sharing.workers.parts == 2
    assert {node.dtype for kernel in others for node in kernel.members} <= {"int64", "bool"}
    assert all(node.shape == () for kernel in others for node in kernel.members)
    barriers = [sum(isinstance(item, Barrier) for item in nested(function.body)) for function in plan.functions]
    assert max(barriers) == 2
    assert plan.work.pays()


def test_one_row_of_a_decoder_is_cut_by_units() -> None:
    plan = planned(decoder("fed", 256, 40), 1)
    (scan,) = scans_of(plan)
    products = [kernel for kernel in scan.kernels if kernel.products is not None]
    assert products
    assert all(kernel.partition.axis == 1 and not kernel.partition.by_rows for kernel in products)
    assert plan.work.pays()


def test_the_derivative_of_a_decoder_needs_no_barrier() -> None:
    """The backward pass needs no stop condition, because the forward pass saves which steps have run."""
    plan = planned(decoder("fed", 64, 40), 32, "training")
    forward, backward = scans_of(plan)
    assert not forward.sharing.estimate.by_rows
    assert backward.sharing.estimate.by_rows


def test_few_units_of_one_row_are_one_workers() -> None:
    (scan,) = scans_of(planned(decoder("greedy", 5, 40), 1))
    assert scan.sharing.workers.parts == 1
