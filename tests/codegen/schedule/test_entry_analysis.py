"""First phase of scheduling: which values are in memory, before they have addresses, and whether workers pay."""

from __future__ import annotations

from typing import Any

import pytest
from chained_drivers import declare_chain
from declarations import declare

import rnngraph as rg
from rnngraph.codegen.compile import planned
from rnngraph.codegen.machine.target import Target, target_of
from rnngraph.codegen.schedule import scheduler
from rnngraph.codegen.schedule.analyse.entry_analysis import SectionAnalysis, analyse
from rnngraph.codegen.schedule.analyse.group_kernels import group_kernels
from rnngraph.codegen.schedule.plan import planner
from rnngraph.ir.graph import Graph

TARGET: Target = target_of("x86-64-v3")


def graphs_of(program: rg.Program, sizes: dict[str, int]) -> list[Graph]:
    found = []
    for graphs in (program.inference, program.training):
        compiled = graphs.full_graph()
        names = tuple(name for name, _ in compiled.graph.outputs)
        found.append(compiled.sized(names, {name: sizes.get(name, 3) for name in compiled.optimized(names).symbols}))
    return found


@pytest.mark.parametrize(
    "declared",
    [declare(4), declare(11), pytest.param(declare_chain(4), marks=pytest.mark.exhaustive)],
    ids=["layers", "cells", "drivers"],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_values_in_memory_split_kernels(declared: Any, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels determined from views with addresses equal those of the analysis, which has no addresses."""
    original, compared = planner._Planner._section, []

    def section(self: Any, analysis: SectionAnalysis) -> Any:
        for group in analysis.groups:
            item = group.kernels
            again = group_kernels(self.entry, (item.number, item.group), self.allocation.views)
            assert (again.fused, again.leaving) == (item.fused, item.leaving)
            compared.append(item)
        return original(self, analysis)

    monkeypatch.setattr(planner._Planner, "_section", section)
    for graph in graphs_of(declared.compile(cache=False), {}):
        planner.plan_entry(analyse(graph, TARGET, parts))
    assert len(compared) > 4


def small() -> Graph:
    x = rg.placeholder("x", (None, None, 4))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(5), x)
    return graphs_of(rg.compile({"y": outputs}, loss=rg.reduce_mean(outputs), seed=1, cache=False), {"B": 1})[0]


def test_kernels_without_gain_from_workers_are_planned_and_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()

    def counted(name: str) -> Any:
        original = getattr(scheduler, name)

        def call(*arguments: Any) -> Any:
            calls.append(name)
            return original(*arguments)

        return call

    for name in ("plan_entry", "emit_entry"):
        monkeypatch.setattr(scheduler, name, counted(name))
    graph = small()
    assert not analyse(graph, TARGET, 2).work.pays()
    plan = planned(graph, TARGET, "entry", 2)
    assert plan.parts == 1
    assert calls == ["plan_entry", "emit_entry"]
