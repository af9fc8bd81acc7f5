"""Machine code of one graph, and what a caller must know of it: where its argument block holds what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir.graph import Graph
from ..ir.types import TensorType
from ..support.errors import ArgumentError, GraphError
from .buffers.packing import PanelLayout
from .llvm.debug_info import with_debug_info
from .llvm.module import module_lines, module_text
from .loop_ir.origins import StatementOrigins, layers_text
from .loop_ir.workers import TEAM
from .machine.cycle_counter import cycle_counter
from .machine.engine import object_code
from .machine.interface import Interface, ObjectCode, Output
from .machine.target import Target
from .schedule.analyse.entry_analysis import analyse
from .schedule.emit.scheduled_entry import ScheduledEntry
from .schedule.emit.ticks import COUNTERS, LINE
from .schedule.scheduler import scheduled


def compile_graph(graph: Graph, target: Target, name: str, parts: int = 1) -> ObjectCode:
    """The code of an optimised graph whose sizes, but for lengths of scans, are known. parts: as for ``planned``."""
    plan = planned(graph, target, name, parts)
    text = module_text(plan.functions, [plan.main, plan.pack], target, name)
    return ObjectCode(interface_of(plan), object_code(text, target))


def compile_timed(
    graph: Graph, target: Target, name: str, parts: int = 1
) -> tuple[ObjectCode, ScheduledEntry, np.ndarray]:
    """The code of the same graph that also counts what time its parts take, its plan, and the memory of the counters:
    [slot, worker, (units of the processor's counter, times, …)], of slots as the plan's ``ticks`` name them.

    Raises ``GraphError`` for a processor without a counter.
    """
    cycle_counter(target)
    plan = planned(graph, target, name, parts, timed=True)
    ticks = plan.ticks
    assert ticks is not None
    counters = np.zeros((len(ticks.timed), ticks.parts, LINE), np.int64)
    interface = interface_of(plan)
    place = plan.main.slots.index(COUNTERS.name)
    # Code finds the counters as it finds a constant: the interface holds their memory.
    interface = replace(interface, constants=(*interface.constants, (place, counters)))
    text = module_text(plan.functions, [plan.main, plan.pack], target, name)
    return ObjectCode(interface, object_code(text, target)), plan, counters


def twin_of(graph: Graph, target: Target, name: str, parts: int) -> tuple[bytes, dict[str, str]]:
    """The object code of a twin that knows lines, of the same instructions; and by function its layers, as text."""
    plan = planned(graph, target, name, parts)
    lines = module_lines(plan.functions, [plan.main, plan.pack], target, name)
    layers = {function.name: layers_text(StatementOrigins(function).all) for function in plan.functions}
    return object_code(with_debug_info(lines), target), layers


def planned(
    graph: Graph,
    target: Target,
    name: str,
    parts: int,
    alike: Sequence[PanelLayout] = (),
    timed: bool = False,
    max_chunk: int | None = None,
) -> ScheduledEntry:
    """The plan of a graph, for as many workers as ``parts`` where that pays, else for one. alike, timed, max_chunk: as
    for ``schedule``.

    Raises ``ArgumentError`` where the graph has a dtype that the target can't compute with, ``GraphError`` where a
    step of a scan runs another scan.
    """
    if "float64" in target.absent:
        _no_float64(graph, target)
    if target.pointer_bits < 64:  # how workers wait for each other is written in 64-bit words
        parts = 1
    _no_loops_within(graph)
    analysis = analyse(graph, target, parts, max_chunk)
    if parts > 1 and not analysis.work.pays():
        analysis = analysis.for_one_worker()
    return scheduled(analysis, name, alike, timed)


def _no_loops_within(graph: Graph) -> None:
    """The loop over a scan's steps is written by one level of code; what fission took out is a loop of its own."""
    for node in graph.nodes:
        for inner in node["body"].nodes if node.op == "scan" else ():
            if inner.op == "scan":
                raise GraphError(
                    f"the recurrence {inner.name or 'scan'} runs inside of each step of another one; run it before the "
                    "other, or unroll its steps",
                    inner.where,
                )


def _no_float64(graph: Graph, target: Target) -> None:
    for node in graph.walk():
        if isinstance(node.type, TensorType) and node.dtype == "float64":
            raise ArgumentError(
                f"{node.name or node.op} is float64, and {target.name} computes in float32 only; declare it as float32",
                node.where,
            )


def interface_of(plan: ScheduledEntry) -> Interface:
    """What of a plan outlives compilation."""
    position = {slot: number for number, slot in enumerate(plan.main.slots)}
    of_kind = {
        kind: [item for item in plan.arguments if item.kind == kind]
        for kind in ("input", "parameter", "constant", "output")
    }
    return Interface(
        main=plan.main.name,
        pack=plan.pack.name,
        slots=len(plan.main.slots),
        inputs={
            item.name: (position[item.buffer.name], tuple(position[slot] for slot in plan.strides[item.name]))
            for item in of_kind["input"]
        },
        parameters={item.name: position[item.buffer.name] for item in of_kind["parameter"]},
        outputs=tuple(
            Output(item.name, item.dtype, item.shape, position[item.buffer.name]) for item in of_kind["output"]
        ),
        constants=tuple((position[item.buffer.name], np.ascontiguousarray(item.value)) for item in of_kind["constant"]),
        sizes={name: position[name] for name in plan.sizes},
        arena=position["arena"],
        panels=position["panels"],
        arena_bytes=plan.arena_bytes,
        panel_bytes=plan.panel_bytes,
        parts=plan.parts,
        team=position[TEAM.name],
        cycles=plan.work.serial,
    )
