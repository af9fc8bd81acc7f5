"""Temporaries with disjoint lifetimes share memory; values saved for a derivative are counted separately."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnngraph as rg
from rnngraph.codegen.buffers.arena import Arena, lifetimes
from rnngraph.codegen.loop_ir.nodes import Buffer, Call, For, Statement
from rnngraph.codegen.machine.target import target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.types import evaluate, size
from rnngraph.runtime.native.compile_options import CompileOptions
from rnngraph.runtime.native.compiled_graph import CompiledGraph
from rnngraph.runtime.native.optimized_graph import Changes

LABELS = tuple(f"rnn/multi_rnn_cell/cell_{layer}/basic_rnn_cell/kernel" for layer in range(2))

A, B, C = (Buffer(name, "float32") for name in "abc")


def call(*buffers: Buffer) -> Call:
    return Call("phase", tuple((buffer, 0) for buffer in buffers), ())


def test_temporaries_of_one_loop_live_for_a_part_of_an_iteration() -> None:
    statements = [call(A), For("t", 0, 9, 1, (call(A, B), call(B), call(C))), call(C)]
    assert lifetimes(statements) == {A: (0, 3), B: (1, 2), C: (1, 4)}


def test_values_of_two_loops_stay_alive_for_both() -> None:
    loop = For("t", 0, 9, 1, (call(A), call(B)))
    assert lifetimes([loop, call(C), loop]) == {A: (0, 4), B: (0, 4), C: (2, 2)}


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([1, 16, 100, size("T") * 16, size("T") + 3])),
        max_size=20,
    )
)
def test_places_do_not_meet_while_both_live(wanted: list[tuple[int, int, int]]) -> None:
    arena = Arena()
    uses: list[list[Buffer]] = [[] for _ in range(10)]
    buffers = []
    for first, last, elements in wanted:
        buffer = arena.buffer("x", "float32", elements)
        buffers.append((buffer, min(first, last), max(first, last)))
        uses[first].append(buffer)
        uses[last].append(buffer)
    statements: list[Statement] = [call(*found) for found in uses]
    arena.place(statements)
    sizes = {"T": 7}
    total = evaluate(arena.total, sizes)
    for buffer, _, _ in buffers:
        begin = evaluate(arena.places[buffer][1], sizes)
        assert begin + evaluate(arena.sizes[buffer], sizes) <= total
    for (one, first, last), (two, begin, end) in combinations(buffers, 2):
        if first <= end and begin <= last:
            low, high = sorted((evaluate(arena.places[item][1], sizes), item) for item in (one, two))
            assert low[0] + evaluate(arena.sizes[low[1]], sizes) <= high[0]


def first_fit(wanted: list[tuple[int, int, int]]) -> list[int]:
    """Return offsets of lifetimes (first, last, bytes) by first fit, from comparisons with all live values."""
    places: list[int] = []
    for number, (first, _, size_bytes) in enumerate(wanted):
        living = sorted(
            (place, place + other)
            for place, (_, last, other) in zip(places, wanted[:number], strict=True)
            if last >= first
        )
        begin = 0
        for low, high in living:
            if low - begin >= size_bytes:
                break
            begin = max(begin, high)
        places.append(begin)
    return places


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5)), max_size=60))
def test_each_has_the_first_place_that_is_free(wanted: list[tuple[int, int, int]]) -> None:
    items = sorted((min(a, b), max(a, b), 64 * lines) for a, b, lines in wanted)
    arena = Arena()
    uses: list[list[Buffer]] = [[] for _ in range(31)]
    buffers = [arena.buffer("x", "float32", size_bytes // 4) for _, _, size_bytes in items]
    for buffer, (first, last, _) in zip(buffers, items, strict=True):
        uses[first].append(buffer)
        uses[last].append(buffer)
    arena.place([call(*found) for found in uses])
    order = sorted(buffers, key=lambda buffer: items[buffers.index(buffer)][:2])
    wanted_places = first_fit([items[buffers.index(buffer)] for buffer in order])
    assert [arena.places[buffer][1] for buffer in order] == wanted_places


@pytest.mark.parametrize(("layers", "kept"), [(1, 1), (2, 2)])
def test_values_that_a_derivative_needs_stay_alive(layers: int, kept: int) -> None:
    """A plain RNN layer saves only its state: the initial one, and that of each step."""
    x = rg.placeholder("x", (8, None, 16))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.BasicRNNCell(16) for _ in range(layers)]), x)
    program = rg.compile({"outputs": outputs}, loss=rg.reduce_mean(rg.square(outputs)))
    target, values = target_of("x86-64-v3"), 8 * 16 * 4
    trained = program.training.compiled.optimized(tuple(name for name, _ in program.training.compiled.graph.outputs))
    gradients = CompiledGraph(
        program.training.compiled.lowered, "training", CompileOptions(target), changes=Changes(LABELS[:layers])
    )
    names = tuple(name for name, _ in gradients.graph.outputs if name.startswith("gradient/"))
    plan = schedule(gradients.optimized(names), target, "training")
    assert plan.residual_bytes == kept * values * (size("T") + 1)
    assert plan.arena_bytes - plan.residual_bytes == evaluate(plan.arena_bytes - plan.residual_bytes, {"T": 0})
    assert schedule(trained, target, "training").residual_bytes == 0
    inference = program.inference.compiled.optimized(("outputs",))
    assert schedule(inference, target, "inference").residual_bytes == 0
