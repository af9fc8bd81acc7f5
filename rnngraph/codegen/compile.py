"""Compilation of one graph to machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..ir.graph import Graph
from ..ir.types import TensorType, array_dtype
from ..support.errors import ArgumentError, GraphError
from .buffers.packing import PanelLayout
from .llvm.module import module_lines, module_text
from .loop_ir.origins import StatementOrigins, layers_text
from .loop_ir.worker_names import TEAM
from .machine.cycle_counter import cycle_counter
from .machine.engine import object_code
from .machine.interface import Interface, ObjectCode, Output, Packing
from .machine.target import Target
from .schedule.analyse.entry_analysis import analyse
from .schedule.emit.pack_stages import in_stages
from .schedule.emit.scheduled_entry import ScheduledEntry
from .schedule.emit.ticks import COUNTERS, LINE
from .schedule.scheduler import scheduled


def compile_graph(graph: Graph, target: Target, name: str, parts: int = 1) -> ObjectCode:
    """Compile an optimised graph with fixed sizes, except lengths of scans, to an object file with its interface.

    ``parts`` is the maximum number of workers, as for ``planned``.
    """
    plan, packing = in_stages(planned(graph, target, name, parts))
    text = module_text(plan.functions, [plan.main, plan.pack], target, name)
    return ObjectCode(interface_of(plan, packing), object_code(text, target))


def compile_timed(
    graph: Graph, target: Target, name: str, parts: int = 1
) -> tuple[ObjectCode, ScheduledEntry, np.ndarray]:
    """Compile a graph with timers of its parts. Return the code, its plan, and the array of counted times.

    The counters are an int64 array of shape [slot, worker, LINE]. The plan's ``ticks`` tells what each slot measures.
    The first of ``LINE`` values is the elapsed time, in units of the processor's counter. The second is the number of
    measurements, and the others are unused.

    Raises:
        GraphError: The processor has no counter.
    """
    cycle_counter(target)
    plan = planned(graph, target, name, parts, timed=True)
    ticks = plan.ticks
    assert ticks is not None
    counters = np.zeros((len(ticks.timed), ticks.parts, LINE), np.int64)
    interface = interface_of(plan)
    place = plan.main.slots.index(COUNTERS.name)
    # The code reads the address of the counters, like that of a constant, from a slot of the argument block.
    interface = replace(interface, constants=(*interface.constants, (place, counters)))
    text = module_text(plan.functions, [plan.main, plan.pack], target, name)
    return ObjectCode(interface, object_code(text, target)), plan, counters


def debug_build(graph: Graph, target: Target, name: str, parts: int) -> tuple[bytes, dict[str, str]]:
    """Compile a graph with line tables. Return the object file, and the layers of the net that each function computes.

    The layers of a function are a text such as ``encoder/cell_0, encoder/cell_1 forward``, by the function's name. The
    instructions are those of the build without line tables.
    """
    from .llvm.debug_info import with_debug_info  # imported late, because few programs make debug builds

    plan, _ = in_stages(planned(graph, target, name, parts))
    lines = module_lines(plan.functions, [plan.main, plan.pack], target, name)
    layers = {function.name: layers_text(StatementOrigins(function).all) for function in plan.functions}
    return object_code(with_debug_info(lines), target), layers


def planned(
    graph: Graph,
    target: Target,
    name: str,
    parts: int,
    reused_layouts: Sequence[PanelLayout] = (),
    timed: bool = False,
    max_chunk: int | None = None,
) -> ScheduledEntry:
    """Return the loop IR of a graph and the plan behind it, for up to ``parts`` workers.

    The plan is for one worker if several are hardly faster, or if the target's pointers have less than 64 bits.

    Args:
        graph: The graph.
        target: The processor.
        name: Name of the entry.
        parts: Maximum number of workers.
        reused_layouts: Layouts in which another plan packs weights. Products use them instead of their own if their
            register tiles can read them, so that weights are packed once.
        timed: True to compile timers.
        max_chunk: Maximum steps of a chunk of time whose temporaries fit in memory; None without a limit.

    Raises:
        ArgumentError: The target cannot compute with a dtype of the graph.
        GraphError: A step of a scan runs another scan.
    """
    if "float64" in target.absent:
        _no_float64(graph, target)
    if target.pointer_bits < 64:  # workers synchronise by atomic operations on 64-bit words
        parts = 1
    _no_loops_within(graph)
    analysis = analyse(graph, target, parts, max_chunk)
    if parts > 1 and not analysis.work.pays():
        analysis = analysis.for_one_worker()
    return scheduled(analysis, name, reused_layouts, timed)


def _no_loops_within(graph: Graph) -> None:
    """Raise ``GraphError`` for a scan within a scan's body, which cannot be compiled."""
    for node in graph.nodes:
        for inner in node["body"].nodes if node.op == "scan" else ():
            if inner.op == "scan":
                raise GraphError(
                    f"the recurrence {inner.name or 'scan'} runs inside of each step of another recurrence; run the "
                    "inner recurrence before the outer one, or unroll its steps",
                    inner.where,
                )


def _no_float64(graph: Graph, target: Target) -> None:
    """Raise ``ArgumentError`` if a graph has a float64 value."""
    for node in graph.walk():
        if isinstance(node.type, TensorType) and node.dtype == "float64":
            raise ArgumentError(
                f"{node.name or node.op} is float64, and {target.name} computes in float32 only; declare it as float32",
                node.where,
            )


def interface_of(plan: ScheduledEntry, packing: Packing | None = None) -> Interface:
    """Return how to call a plan's compiled code: names of its functions, and the slot of each argument.

    ``packing`` describes the stages of packing; None if weights are packed in one call.
    """
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
        unpacked=tuple(plan.unpacked_parameters),
        outputs=tuple(
            Output(item.name, array_dtype(item.dtype), item.shape, position[item.buffer.name])
            for item in of_kind["output"]
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
        packing=packing,
    )
