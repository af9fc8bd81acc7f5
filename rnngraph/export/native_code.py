"""Plans for a target, run on this machine to pack weights and to compute expected results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..codegen.compile import interface_of, planned
from ..codegen.llvm.module import module_text
from ..codegen.machine.engine import object_code
from ..codegen.machine.interface import ObjectCode
from ..codegen.machine.target import Target, host_equivalent
from ..codegen.schedule.emit.scheduled_entry import ScheduledEntry
from ..ir.graph import Graph
from ..runtime.calls.entry_blocks import run_once
from ..runtime.calls.feeds import solve_sizes
from ..runtime.graph_source import GraphSource
from ..runtime.native.compile_options import CompileOptions
from ..runtime.native.entry import NativeEntry
from ..runtime.native.optimized_graph import OptimizedGraph
from ..runtime.parameters import Parameters
from .c_interface.nets import ExportedNet
from .c_interface.ports import ExportedEntry

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ExportSource:
    """Source of an export: declaration, parameters and compile options.

    ``held_weights`` returns lines on how code with given options stores parameters; none if all are float32.
    """

    source: GraphSource
    parameters: Parameters
    options: CompileOptions
    held_weights: Callable[[CompileOptions], Sequence[str]]


def entry_of(plan: ScheduledEntry, target: Target, values: Arrays, embedded: bool) -> ExportedEntry:
    """Return the code plan of one native function as the export writes it, with its packed weights if embedded."""
    if not embedded:
        return ExportedEntry(plan)
    entry = _native(plan, target)
    panels = entry.panels()
    panels[:] = 0
    entry.packed(0, values, panels)
    return ExportedEntry(plan, panels[: entry.panel_bytes].tobytes())


def packed_image(net: ExportedNet, target: Target) -> bytes:
    """Return the packed weights that ``set_weights`` computes from the parameters' present values."""
    image = np.zeros(net.weights_file_bytes, np.uint8)
    for name, place in net.raw_places.items():
        array = np.ascontiguousarray(net.parameters[name])
        image[place : place + array.nbytes] = array.reshape(-1).view(np.uint8)
    for entry in net.entries:
        packed = np.frombuffer(entry_of(entry.plan, target, net.parameters, True).panels, np.uint8)
        offsets = net.panel_offsets[entry.plan.main.name]
        for name, (start, count) in entry.plan.panel_places.items():
            place = net.panels_place + offsets[name]
            if place < len(image):  # beyond the image lie intermediate values of packing
                image[place : place + count] = packed[start : start + count]
    return image.tobytes()


def results_of(plan: ScheduledEntry, target: Target, values: Arrays, sizes: Mapping[str, int]) -> Arrays:
    """Return the results of a call without feeds, bit for bit as the target computes them."""
    entry = _native(plan, target)
    return run_once(entry, entry.packed(0, values, entry.panels()), {}, sizes)


@dataclass(frozen=True)
class Calls:
    """Consecutive calls of a graph whose states are passed on.

    Attributes:
        feeds: Inputs of the first call, by name.
        kept: For an output's path, the input of the next call to which this output is fed.
        count: Number of calls, at least 1.
    """

    feeds: Arrays
    kept: Mapping[str, str] = field(default_factory=dict)
    count: int = 1


def whole_sequence(
    graph: Graph, outputs: tuple[str, ...], options: CompileOptions, target: Target, values: Arrays, calls: Calls
) -> Arrays:
    """Return the outputs of the last call for whole sequences, bit for bit as the target computes them.

    Exported code is compared with these outputs. The graph therefore runs whole, with fixed sizes, not step by step.
    """
    whole = OptimizedGraph(graph, "inference", options)
    sizes = solve_sizes(calls.feeds, whole.input_types(), None)
    plan = planned(whole.sized(outputs, sizes), target, "whole", 1)
    entry = _native(plan, target)
    weights, arrays = entry.packed(0, values, entry.panels()), dict(calls.feeds)
    for _ in range(calls.count):
        values_of = run_once(entry, weights, {name: arrays[name] for name in whole.needed(outputs)}, sizes)
        arrays |= {name: values_of[path] for path, name in calls.kept.items()}
    return values_of


def _native(plan: ScheduledEntry, target: Target) -> NativeEntry:
    name = plan.main.name
    here = host_equivalent(target)
    text = module_text(plan.functions, [plan.main, plan.pack], here, name)
    return NativeEntry(ObjectCode(interface_of(plan), object_code(text, here)), here)
