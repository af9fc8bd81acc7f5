"""Interleaved scans have the bits of separate scans, and read no value before it is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import own_cells
import pytest
from declaration_checks import flat
from interleaved import interleave_everything, interleave_nothing
from numpy.testing import assert_array_equal
from poisoned_memory import poisoned_entries

import rnngraph as rg
from rnngraph.codegen.cost_model.interleaving import InterleavingPlan, Phase, plan_interleaving
from rnngraph.codegen.loop_ir.functions import nested
from rnngraph.codegen.loop_ir.nodes import Call, For
from rnngraph.codegen.loop_ir.printer import function_text
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.analyse import entry_analysis
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.codegen.schedule.plan_text import plan_text
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.interpreter import interpret
from rnngraph.support.errors import VerifyError

DIRECTORY = Path(__file__).parents[1] / "golden"
Arrays = dict[str, np.ndarray]
INPUTS = 5
UNITS = (1, 2, 3, 7, 17, 25)
STEPS = (0, 1, 2, 3, 7, 17, 25)
CELLS: tuple[Callable[[int], rg.Cell], ...] = (
    rg.BasicRNNCell,
    rg.GRUCell,
    lambda n: rg.GRUCell(n, reset_after=True),
    lambda n: rg.LSTMCell(n, use_peepholes=True),
    lambda n: rg.DropoutWrapper(rg.BasicLSTMCell(n), output_keep_prob=0.7),
    own_cells.DelayCell,
    own_cells.SwapCell,
    lambda n: rg.MultiRNNCell([rg.BasicRNNCell(n), rg.ResidualWrapper(rg.GRUCell(n))]),
)


def net(draw: random.Random, rows: int | None) -> dict[str, rg.Tensor]:
    """Draw a net of stacks, both directions and branches. Either all sequences are outputs, or none are."""
    x = rg.placeholder("x", (rows, None, INPUTS))
    ends = rg.placeholder("ends", (rows,), "int64") if draw.random() < 0.3 else None
    sequences = [x]

    def cell() -> rg.Cell:
        return draw.choice(CELLS)(draw.choice(UNITS))

    for number in range(draw.randint(1, 3)):
        given = draw.choice(sequences[-2:])
        kind = draw.choice(("stack", "both", "branches", "reverse"))
        scope = f"{kind}{number}"
        if kind == "both":
            both, _ = rg.bidirectional_dynamic_rnn(cell(), cell(), given, ends, scope=scope)
            sequences += [both[0], rg.concat(both, 2)]
        elif kind == "branches":
            branches = [rg.dynamic_rnn(cell(), given, ends, scope=f"{scope}_{i}")[0] for i in range(draw.randint(2, 3))]
            sequences.append(rg.concat(branches, 2))
        else:
            layers = rg.MultiRNNCell([cell() for _ in range(draw.randint(1, 3))])
            turned = given[:, ::-1] if kind == "reverse" else given
            sequences.append(rg.dynamic_rnn(layers, turned, ends, scope=scope)[0])
    found = {"last": sequences[-1], "summed": rg.reduce_sum(sequences[-1], 1)}
    if draw.random() < 0.5:
        found.update({f"sequence{number}": value for number, value in enumerate(sequences[1:])})
    return found


def results(seed: int, steps: int) -> list[Arrays]:
    """Return the results of inference, training and gradients of one net."""
    draw = random.Random(seed)
    rows = draw.choice((1, 1, 2, 3))
    outputs = net(draw, draw.choice((rows, None)))
    losses = [rg.reduce_mean(rg.square(value)) for value in outputs.values()]
    program = rg.compile(outputs, loss=sum(losses[1:], losses[0]), seed=seed, cache=False)
    generator = np.random.default_rng(seed)
    feeds = {"x": generator.normal(size=(rows, steps, INPUTS)).astype(np.float32)}
    if "ends" in program.inputs:
        feeds["ends"] = generator.integers(0, steps + 1, rows)
    loss, gradients = program.training.gradients(feeds, seed=3)
    return [flat(program.inference(feeds)), flat(program.training(feeds, seed=3)), {"loss": loss, **gradients}]


def check(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[InterleavingPlan]:
    """Compare the bits of interleaved and separate scans. Return the plans."""
    steps = STEPS[seed % len(STEPS)]
    with monkeypatch.context() as off:
        interleave_nothing(off)
        separate = results(seed, steps)
    with monkeypatch.context() as on, poisoned_entries():
        plans = interleave_everything(on, 1 + seed % 4, bool(seed % 2))
        interleaved = results(seed, steps)
    for one, other in zip(separate, interleaved, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert_array_equal(other[name], array, name)
    return plans


def stack(cell: Callable[[int], rg.Cell], units: int, layers: int = 3, skips: bool = False) -> rg.Program:
    """Return a stack whose layers read the layer below, and with ``skips`` also the layer below that."""
    value = skipped = rg.placeholder("x", (None, None, units))
    for number in range(layers):
        given = value + skipped if skips else value
        skipped, value = value, rg.dynamic_rnn(cell(units), given, scope=f"layer{number}")[0]
    return rg.compile({"y": value}, loss=rg.reduce_mean(rg.square(value)), seed=1, cache=False)


def both(cell: Callable[[int], rg.Cell], units: int, layers: int) -> rg.Program:
    """Return a stack of bidirectional layers."""
    value = rg.placeholder("x", (None, None, units))
    for number in range(layers):
        value = rg.concat(rg.bidirectional_dynamic_rnn(cell(units), cell(units), value, scope=f"layer{number}")[0], 2)
    return rg.compile({"y": value}, seed=1, cache=False)


def planned(program: rg.Program, rows: int = 1, target: str = "x86-64-v4", training: bool = False) -> ScheduledEntry:
    compiled = (program.training if training else program.inference).full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    return schedule(compiled.sized(names, {"B": rows}), target_of(target), "entry")


def feed(steps: int, width: int) -> np.ndarray:
    return np.random.default_rng(steps).normal(size=(1, steps, width)).astype(np.float32)


def phases(plan: ScheduledEntry) -> list[tuple[Phase, ...]]:
    return [group.phases for group in plan.groups if group.phases]


def interleaved_calls(plan: ScheduledEntry) -> list[Call]:
    calls = [item for item in nested(plan.main.function.body) if isinstance(item, Call)]
    return [call for call in calls if call.function.startswith("beside")]


@pytest.mark.parametrize("seed", [96])
def test_nets_have_the_bits_of_scans_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(seed, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore:.*the loss does not depend on")
@pytest.mark.parametrize("seed", range(300))
def test_many_nets_have_the_bits_of_scans_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check(seed, monkeypatch)


def test_a_layer_is_one_chunk_later_than_the_one_that_it_reads(golden: Any) -> None:
    """An iteration runs the scan of a layer, and then the product that is hoisted for the next layer."""
    plan = planned(stack(rg.BasicRNNCell, 8))
    assert phases(plan) == [((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1))]
    text = str(plan_text(plan))
    assert "scans are interleaved" in text
    assert "interleaved with other scans, 2 chunks behind" in text
    turns = [item for item in plan.main.function.body if isinstance(item, For)]
    assert [turn.comment.partition(",")[0] for turn in turns] == ["time"] * 3
    assert f"over T, forward, {turns[-1].step} steps at a time; scans are interleaved" in text
    assert len(interleaved_calls(plan)) == 1
    two = planned(stack(rg.BasicRNNCell, 8, 2))
    golden(DIRECTORY / "interleaved_entry.txt", function_text(two.main.function))


def test_directions_and_branches_are_at_the_same_chunk() -> None:
    plan = planned(both(rg.GRUCell, 8, 3))
    assert phases(plan) == [((0, 0), (0, 1))] * 6  # both directions of each layer
    assert len(interleaved_calls(plan)) == 3
    x = rg.placeholder("x", (1, None, 8))
    branches = [rg.dynamic_rnn(rg.BasicRNNCell(8), x, scope=f"branch{number}")[0] for number in range(3)]
    (found,) = phases(planned(rg.compile({"y": rg.concat(branches, 2)}, seed=1, cache=False)))
    assert [phase for phase in found if phase[1] % 2] == [(0, 1)] * 3


def test_each_loop_has_indices_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both backward loops store the divisor of a mean, each by its own index."""
    x = rg.placeholder("x", (None, None, 3))
    halves, _ = rg.bidirectional_dynamic_rnn(rg.BasicRNNCell(8), rg.BasicRNNCell(8), x)
    first, other = (rg.reduce_mean(rg.square(half)) for half in halves)
    feeds = {"x": feed(33, 3)}
    interleaved = rg.compile({"y": halves}, loss=first + other, seed=1, cache=False)
    assert len(phases(planned(interleaved, training=True))) == 4
    gradients = interleaved.training.gradients(feeds)
    interleave_nothing(monkeypatch)
    separate = rg.compile({"y": halves}, loss=first + other, seed=1, cache=False).training.gradients(feeds)
    for name, array in separate[1].items():
        assert_array_equal(gradients[1][name], array, name)


def test_a_backward_pass_is_staggered_too() -> None:
    found = phases(planned(stack(rg.BasicRNNCell, 8), training=True))
    assert [sorted(phase for phase in group if phase[1] % 2) for group in found] == [[(0, 1), (1, 1), (2, 1)]] * 2


@pytest.mark.parametrize(
    ("cell", "units", "rows"), [(rg.BasicLSTMCell, 128, 1), (rg.GRUCell, 64, 1), (rg.BasicRNNCell, 16, 32)]
)
def test_steps_that_keep_the_processor_busy_stay_alone(cell: Any, units: int, rows: int) -> None:
    program = stack(cell, units)
    assert not phases(planned(program, rows))
    assert not phases(planned(program, rows, training=True))
    assert not phases(planned(both(cell, units, 1), rows))


@pytest.mark.parametrize(("units", "pays"), [(8, False), (48, True)])
def test_workers_must_be_faster_than_one_that_interleaves_scans(units: int, pays: bool) -> None:
    """A pipeline of six layers of 8 units would be faster only than one worker that does not interleave layers."""
    compiled = stack(rg.BasicLSTMCell, units, 6).inference.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    plan = schedule(compiled.sized(names, {"B": 1}), target_of("x86-64-v4"), "entry", parts=2)
    assert plan.work.pays() == pays


def test_a_processor_without_vectors_runs_scans_alone() -> None:
    assert not phases(planned(stack(rg.BasicRNNCell, 8), target="thumbv7em-none-eabihf"))


def test_weights_that_do_not_share_the_first_cache_are_in_batches() -> None:
    """Layers of 28 units run in pairs: a third layer's weights would evict the first's."""
    (found,) = phases(planned(stack(rg.GRUCell, 28, layers=4), target="x86-64-v4"))
    assert [phase[1] for phase in found if phase[1] % 2] == [1, 1, 3, 3]


@pytest.mark.parametrize("name", ["rnn", "skips", "both"])
def test_results_of_any_length_equal_the_interpreters(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths are less than a chunk, whole chunks, and with a remainder, in one call and in parts of a stream."""
    plans = interleave_everything(monkeypatch, 16)
    program = {
        "rnn": lambda: stack(rg.BasicRNNCell, 7),
        "skips": lambda: stack(rg.GRUCell, 3, 4, skips=True),
        "both": lambda: both(rg.BasicLSTMCell, 3, 2),
    }[name]()
    for steps in (0, 1, 16, 17, 63, 100):
        x = feed(steps, program.inputs["x"].shape[-1])
        found = program.inference(x=x)["y"]
        wide = interpret(program.inference.graph, {"x": x, **program.parameters}, wide=True)["y"]
        np.testing.assert_allclose(found, wide, rtol=2e-5, atol=2e-5)
        if name != "both":
            stream = program.inference.stream(batch=1)
            pieces = [stream.process(x=x[:, :40])["y"], stream.process(x=x[:, 40:])["y"]]
            assert_array_equal(np.concatenate(pieces, 1), found)
    assert plans


@pytest.mark.parametrize("wrong", ["sooner", "beside", "depth"])
def test_a_wrong_order_is_detected(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check detects a layer that runs too early, kernels in another order, and too few buffers."""

    def plan(*arguments: Any) -> InterleavingPlan | None:
        found = plan_interleaving(*arguments)
        assert found is not None
        (places,) = found.phases
        if wrong == "depth":
            assert found.depths != (1,)
            return replace(found, depths=(1,))
        if wrong == "sooner":
            return replace(found, phases=(tuple((0, place) for _, place in places),))
        return replace(found, phases=(tuple((lag, 2 if place == 0 else place) for lag, place in places),))

    monkeypatch.setattr(entry_analysis, "plan_interleaving", plan)
    with pytest.raises(VerifyError, match="interleaved scans changes the order in which"):
        planned(stack(rg.BasicRNNCell, 8, skips=wrong == "depth"))
