"""Latency and throughput of a step, and the choice of scans that are interleaved."""

from __future__ import annotations

from typing import Any

import pytest

import rnngraph as rg
from rnngraph.codegen.cost_model.interleaving import StepCost, may_pay, step_cost
from rnngraph.codegen.machine.target import target_of
from rnngraph.ir.graph import Node

TARGET = target_of("x86-64-v4")


def scans(cell: Any, units: int, layers: int = 1, rows: int | None = 1, **options: Any) -> list[Node]:
    x = rg.placeholder("x", (rows, None, units))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([cell(units) for _ in range(layers)]), x)
    program = rg.compile({"y": outputs}, seed=1, cache=False, **options)
    graph = program.inference.full_graph().optimized(("y",))
    return [node for node in graph.nodes if node.op == "scan"]


def cost(cell: Any, units: int, rows: int | None = 1) -> StepCost:
    (scan,) = scans(cell, units, rows=rows)
    return step_cost(TARGET, scan)


def test_a_longer_chain_waits_longer() -> None:
    """The chain of an RNN has one product and one function, of a GRU two of each, of an LSTM one and two."""
    rnn, gru, lstm = (cost(cell, 8).waits for cell in (rg.BasicRNNCell, rg.GRUCell, rg.BasicLSTMCell))
    assert rnn < lstm < gru
    assert cost(rg.BasicRNNCell, 8).waits < cost(rg.BasicRNNCell, 16).waits


def test_rows_and_units_keep_the_processor_busy_and_do_not_wait() -> None:
    one, three = cost(rg.GRUCell, 16), cost(rg.GRUCell, 16, rows=3)
    assert three.busy == pytest.approx(3 * one.busy)
    assert three.waits == one.waits
    assert three.weight_bytes == one.weight_bytes == 16 * 3 * 16 * 4
    assert cost(rg.GRUCell, 17).weight_bytes == 17 * 3 * 32 * 4  # 17 units take two vectors


@pytest.mark.parametrize(("units", "rows", "pays"), [(8, 1, True), (25, 1, True), (64, 1, False), (8, None, False)])
def test_few_units_of_few_rows_pay(units: int, rows: int | None, pays: bool) -> None:
    layers = scans(rg.BasicRNNCell, units, 3, rows)
    assert may_pay(TARGET, layers) == pays
    assert not may_pay(TARGET, layers[:1])


def test_loops_unrolled_by_hand_stay_as_they_are() -> None:
    assert not may_pay(TARGET, scans(rg.BasicRNNCell, 8, 3, unroll=2))
