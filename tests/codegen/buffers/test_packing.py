"""Panels that another program packed, with tiles of other widths or with more gates, lead to the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from native_calls import call_native

import rnngraph as rg
from rnngraph.codegen.buffers.packing import PackedView, PanelLayout
from rnngraph.codegen.compile import interface_of, planned
from rnngraph.codegen.llvm.module import module_text
from rnngraph.codegen.machine.engine import object_code
from rnngraph.codegen.machine.interface import ObjectCode
from rnngraph.codegen.machine.target import Target, host, missing_features, target_of
from rnngraph.codegen.schedule.emit.scheduled_entry import ScheduledEntry
from rnngraph.ir.graph import Graph
from rnngraph.runtime.native.entry import NativeEntry

TARGETS = [target for target in (host(), target_of("x86-64-v2")) if not missing_features(target)]


def graph_of(cell: rg.Cell, width: int, rows: int) -> tuple[rg.Program, Graph]:
    x = rg.placeholder("x", shape=(None, None, width))
    program = rg.compile({"y": rg.dynamic_rnn(cell, x)[0]}, cache=False, seed=0)
    compiled = program.inference.compiled
    return program, compiled.sized(("y",), {"B": rows})


def results(plan: ScheduledEntry, target: Target, program: rg.Program, x: np.ndarray) -> np.ndarray:
    text = module_text(plan.functions, [plan.main, plan.pack], target, plan.main.name)
    entry = NativeEntry(ObjectCode(interface_of(plan), object_code(text, target)), target)
    return call_native(entry, program.parameters, {"x": x}, {"B": x.shape[0], "T": x.shape[1]})["y"]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("units", [17, 100])
@pytest.mark.parametrize("cell", [rg.GRUCell, rg.BasicLSTMCell])
def test_other_groups_give_the_same_bits(cell: type[rg.Cell], units: int, rows: int) -> None:
    program, graph = graph_of(cell(units), 25, rows)
    x = np.random.default_rng(0).normal(size=(rows, 3, 25)).astype(np.float32)
    for target in TARGETS:
        plain = planned(graph, target, "plain", 1)
        expected = results(plain, target, program, x)
        taken = 0
        for blocks in (1, 2, 3):
            alike = tuple(replace(layout, blocks=blocks) for layout in plain.layouts.values())
            plan = planned(graph, target, "alike", 1, alike)
            taken += sum(layout in alike for layout in plan.layouts.values() if layout not in plain.layouts.values())
            np.testing.assert_array_equal(results(plan, target, program, x), expected, f"{blocks}", strict=True)
        assert taken or rows > 1  # tiles of several rows may have width 1 already


def test_gates_of_a_panel_with_more() -> None:
    """One product reads a whole matrix, and two others read its halves. All use the panel of the whole matrix."""
    program, graph = graph_of(rg.GRUCell(64, reset_after=True), 64, 1)
    target = target_of("x86-64-v2")
    plain = planned(graph, target, "plain", 1)
    joined = max(plain.layouts.values(), key=lambda layout: len(layout.views))
    turned = replace(joined, views=joined.views[::-1], blocks=1)
    plan = planned(graph, target, "alike", 1, (turned,))
    assert turned in plan.layouts.values()
    x = np.random.default_rng(0).normal(size=(1, 3, 64)).astype(np.float32)
    if not missing_features(target):
        expected = results(plain, target, program, x)
        np.testing.assert_array_equal(results(plan, target, program, x), expected, strict=True)


def test_operands_that_tiles_can_read() -> None:
    views = tuple(PackedView("w", 10 * gate, (30, 1), (7, 10)) for gate in range(3))
    layout = PanelLayout(views, 2, 2, 1)  # five vectors: groups of 2, 2 and 1
    assert layout.gates(views[1:], 2, 2, 1) == (1, 2)
    assert layout.gates(views[::-1], 2, 4, 1) == (2, 1, 0)  # one tile of four vectors, then one of one
    assert layout.gates(views, 2, 3, 1) is None  # a tile would begin within a group
    assert layout.gates(views, 2, 6, 1) is None  # the second tile would read whole groups and the last one
    assert layout.gates(views, 4, 2, 1) is None
    assert layout.gates(views, 2, 2, 4) is None
    assert layout.gates((*views, PackedView("w", 30, (30, 1), (7, 10))), 2, 2, 1) is None
    assert replace(layout, blocks=1).gates(views, 2, 3, 1) == (0, 1, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("depth", [3, 8, 15, 16, 17, 100])
@pytest.mark.parametrize("units", [1, 5, 16, 33])
def test_weights_with_contiguous_k_are_transposed(dtype: str, depth: int, units: int) -> None:
    """A product with a transposed weight, of whole blocks and of fewer columns or rows."""
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((units, depth)).astype(dtype)
    x = rg.placeholder("x", (None, depth), dtype=dtype)
    batch = generator.standard_normal((3, depth)).astype(dtype)
    for level in ("x86-64-v4", "x86-64-v3", "x86-64-v2"):
        if missing_features(target_of(level)):
            continue
        product = rg.matmul(x, rg.transpose(rg.parameter("w", (units, depth), weights, dtype=dtype)))
        found = rg.compile(product, seed=0, cache=False, target=level).inference(x=batch)
        np.testing.assert_allclose(found, batch @ weights.T, rtol=1e-4, atol=1e-4)
