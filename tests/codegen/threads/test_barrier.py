"""Kernels that workers share have the bits of one worker, for any number of workers and in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import own_cells
import pytest
import teams
from native_calls import call_native
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.analysis.row_independence import rows_of
from rnngraph.codegen.buffers.arena import lifetimes
from rnngraph.codegen.loop_ir.effects import has_barrier
from rnngraph.codegen.loop_ir.nodes import Barrier, Buffer, Call, For
from rnngraph.codegen.loop_ir.worker_names import TEAM
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.types import size
from rnngraph.program.callable_graph import CallableGraph
from rnngraph.runtime.native.compiled_graph import CompiledGraph

CELLS: dict[str, Any] = {
    "rnn": lambda n: rg.BasicRNNCell(n),
    "lstm": lambda n: rg.LSTMCell(n, use_peepholes=True, num_proj=max(1, n // 2)),
    "gru": lambda n: rg.GRUCell(n),
    "gru_after": lambda n: rg.GRUCell(n, reset_after=True),
    "norm": lambda n: own_cells.NormCell(n),
    "dropped": lambda n: rg.DropoutWrapper(rg.BasicLSTMCell(n), input_keep_prob=0.7, state_keep_prob=0.8),
}


def declared(name: str, units: int, dtype: str = "float32") -> rg.Program:
    x = rg.placeholder("x", (None, None, 7), dtype)
    y = rg.placeholder("y", (None,), "int64")
    lengths = rg.placeholder("lengths", (None,), "int64")
    cells = [CELLS[name](units) for _ in range(2)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, sequence_length=lengths, dtype=dtype)
    logits = rg.dense(rg.gather_last(outputs, lengths), 5)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    return rg.compile({"outputs": outputs, "logits": logits, "states": states}, loss=loss, seed=3, cache=False)


def feeds_of(batch: int, steps: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    generator = np.random.default_rng(batch * 100 + steps)
    return {
        "x": generator.normal(size=(batch, steps, 7)).astype(dtype),
        "y": generator.integers(0, 5, batch),
        "lengths": generator.integers(1, steps + 1, batch),
    }


def graph_of(graphs: CallableGraph) -> tuple[CompiledGraph, tuple[str, ...]]:
    compiled = graphs.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    return compiled, names


def check_turns(name: str, batch: int, parts: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare workers in both orders with one worker. ``rows`` is the minimum per worker in a partition by rows."""
    teams.share_everything(monkeypatch, parts, rows)
    units = {1: 100, 3: 63, 7: 25, 5: 17, 9: 63, 17: 33}[batch]
    program, feeds = declared(name, units), feeds_of(batch, 5)
    counters = {"seed": 4, "first_row": 0, "first_step": 0}
    given = {**feeds, **{key: np.asarray(number, np.int64) for key, number in counters.items()}}
    for graphs in (program.inference, program.training):
        compiled, names = graph_of(graphs)
        sizes = {"B": batch, "T": 5}
        graph = compiled.sized(names, sizes)
        alone = call_native(compiled.entry(names, sizes), program.parameters, given, sizes)
        for reverse in (False, True):
            found = teams.in_turns(monkeypatch, graph, program.parameters, given, sizes, parts, reverse)
            assert alone.keys() == found.keys()
            for key, array in alone.items():
                assert_array_equal(found[key], array, key)


@pytest.mark.parametrize(("name", "batch", "parts", "rows"), [("gru", 9, 2, 4)])
def test_one_worker_may_be_a_whole_barrier_ahead(
    name: str, batch: int, parts: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_turns(name, batch, parts, rows, monkeypatch)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("batch", "parts", "rows"), [(3, 2, 4), (5, 4, 1), (17, 3, 1), (7, 2, 9), (7, 3, 1), (1, 4, 1)]
)
@pytest.mark.parametrize("name", CELLS)
def test_one_worker_may_be_a_whole_barrier_ahead_in_many_shapes(
    name: str, batch: int, parts: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_turns(name, batch, parts, rows, monkeypatch)


@pytest.mark.parametrize(("batch", "weights"), [(7, "int8"), pytest.param(1, "bfloat16", marks=pytest.mark.exhaustive)])
def test_narrow_weights_are_shared_too(batch: int, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 2)
    x = rg.placeholder("x", (None, None, 63))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(100) for _ in range(2)]), x)
    program = rg.compile({"y": outputs}, weights=weights, cache=False)
    compiled, names = graph_of(program.inference)
    feeds = {"x": np.random.default_rng(1).normal(size=(batch, 5, 63)).astype(np.float32)}
    sizes = {"B": batch, "T": 5}
    alone = call_native(compiled.entry(names, sizes), program.parameters, feeds, sizes)
    for reverse in (False, True):
        graph = compiled.sized(names, sizes)
        found = teams.in_turns(monkeypatch, graph, program.parameters, feeds, sizes, 2, reverse)
        assert_array_equal(found["y"], alone["y"])


def test_a_missing_barrier_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without barriers, one of the two orders of workers changes bits: the comparison detects missing barriers."""
    teams.share_everything(monkeypatch, 2)
    program, feeds = declared("gru", 63), feeds_of(1, 5)
    compiled, names = graph_of(program.inference)
    sizes = {"B": 1, "T": 5}
    alone = call_native(compiled.entry(names, sizes), program.parameters, feeds, sizes)
    nothing = "define internal void @barrier(ptr %team, i64 %worker, i64 %workers, i64 %awaited) {{\n  ret void\n}}\n"
    monkeypatch.setattr(teams, "IN_TURNS", nothing)
    same = []
    for reverse in (False, True):
        graph = compiled.sized(names, sizes)
        found = teams.in_turns(monkeypatch, graph, program.parameters, feeds, sizes, 2, reverse)
        same.append(all(np.array_equal(found[key], array) for key, array in alone.items()))
    assert not all(same)


def test_kernels_that_are_cut_by_rows_need_no_barrier_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 2)
    program = declared("lstm", 17)
    compiled, names = graph_of(program.inference)
    plan = schedule(compiled.sized(names, {"B": 32, "T": 9}), target_of("x86-64-v3"), "entry", 2)
    loop = next(item for item in plan.main.function.body if isinstance(item, For))
    assert sum(isinstance(item, Call) for item in loop.body) > 3
    assert not any(isinstance(item, Barrier) for item in loop.body)
    assert not any(has_barrier(function.body) for function in plan.functions)


def test_scans_of_one_row_wait_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    teams.share_everything(monkeypatch, 2)
    program = declared("lstm", 100)
    compiled, names = graph_of(program.inference)
    plan = schedule(compiled.sized(names, {"B": 1, "T": 9}), target_of("x86-64-v3"), "entry", 2)
    assert any(has_barrier(function.body) for function in plan.functions)


class Neighbours(rg.Cell):
    """Cell that scales each row by a state of the row at the other end of the batch."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        other = 1.0 + state["h"][::-1, :1]
        h = rg.tanh(x @ p.kernel("w", (x.width, self.num_units)) + state["h"] * other)
        return h, {"h": h}


def test_a_number_of_each_row_that_is_computed_where_it_is_read_may_be_another_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teams.share_everything(monkeypatch, 2)
    x = rg.placeholder("x", (None, None, 7))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.BasicRNNCell(16), Neighbours(16)]), x)
    program = rg.compile({"y": outputs}, seed=3, cache=False)
    compiled, names = graph_of(program.inference)
    feeds, sizes = {"x": feeds_of(9, 5)["x"]}, {"B": 9, "T": 5}
    alone = call_native(compiled.entry(names, sizes), program.parameters, feeds, sizes)
    for reverse in (False, True):
        graph = compiled.sized(names, sizes)
        found = teams.in_turns(monkeypatch, graph, program.parameters, feeds, sizes, 2, reverse)
        assert_array_equal(found["y"], alone["y"])


def test_small_work_is_not_shared() -> None:
    program = declared("lstm", 17)
    compiled, names = graph_of(program.inference)
    plan = schedule(compiled.sized(names, {"B": 1, "T": 9}), target_of("x86-64-v3"), "entry", 2)
    assert not plan.work.pays()


def test_values_between_two_barriers_are_alive_together() -> None:
    """One worker may be at the last statement before a barrier while another is at the first."""
    a, b, c = (Buffer(name, "float32") for name in "abc")
    barrier = Barrier(TEAM, size("_worker"), size("_workers"))

    def call(*buffers: Buffer) -> Call:
        return Call("phase", tuple((buffer, 0) for buffer in buffers), ())

    spans = lifetimes([call(a), call(a, b), call(b), barrier, call(c)])
    assert spans[a] == spans[b]
    assert spans[b][1] < spans[c][0]


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_program_gives_the_same_bits_with_any_number_of_threads(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, feeds = declared("gru", 63, dtype), feeds_of(17, 6, dtype)
    loss, gradients = program.training.gradients(feeds, seed=5)
    teams.share_everything(monkeypatch, 3)
    for threads in (3, 2):
        program.threads = threads
        again, found = program.training.gradients(feeds, seed=5)
        assert again == loss
        for key, array in gradients.items():
            assert_array_equal(found[key], array, key)


def test_rows_are_those_of_carried_states() -> None:
    compiled, names = graph_of(declared("lstm", 17).inference)
    assert rows_of(compiled.sized(names, {"B": 6, "T": 9})) == 6
