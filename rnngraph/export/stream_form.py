"""A program's inference graph as a net that runs step by step: plans for a target, packed weights, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..codegen.buffers.packing import PanelLayout
from ..codegen.compile import planned
from ..codegen.machine.target import Target
from ..codegen.schedule.plan import Plan
from ..errors import ShapeError, Where
from ..ir.types import Dim, TensorType, evaluate, product, substitute
from ..runtime.streams.step_graph import StepGraph, step_graph
from .c_interface.llvm_text import STEPS
from .c_interface.nets import ExportedStream
from .c_interface.ports import ExportedEntry, Port
from .c_names import symbols_of_names
from .native_code import Arrays, ExportSource, entry_of, results_of, whole_sequence


@dataclass(frozen=True)
class StreamForm:
    """An exported net, and the step graph that it was made of."""

    exported: ExportedStream
    about: StepGraph

    def limits(self) -> dict[str, int]:
        """By name, the highest number that fed integers may have."""
        ranges = self.about.compiled.range_preconditions(self.about.outputs)
        return {check.label: evaluate(check.low, self.about.sizes) for check in ranges}

    def expected(self, given: ExportSource, values: Arrays, feeds: Arrays) -> Arrays:
        """What the inference graph gives for feeds of a few steps."""
        outputs = tuple(port.name for port in self.exported.outputs)
        options = self.about.compiled.options
        return whole_sequence(given.source.lowered.graph, outputs, options, self.exported.target, values, feeds)


def stream_form(
    given: ExportSource, values: Arrays, batch: int, target: Target, embedded: bool, where: Where | None
) -> StreamForm:
    """A net of ``batch`` rows for a target. Raises ``GraphError`` with the line of what can't run step by step.

    values: all parameters as they are at one moment, as another thread may be training them.
    """
    about = step_graph(given.source, replace(given.options, target=target), batch, where)
    fed = [name for name in about.compiled.needed(about.outputs) if name in about.types]
    first = _initial_inputs(about)
    shown = [name for name in about.outputs if name not in about.labels]
    kinds = {name: node.tensor for name, node in about.compiled.graph.outputs}
    symbols = iter(symbols_of_names([*fed, *shown, *about.labels, *first]))
    inputs = tuple(_port(name, next(symbols), about.types[name], about.time_axis[name], about, where) for name in fed)
    outputs = tuple(_port(name, next(symbols), kinds[name], about.output_axis[name], about, where) for name in shown)
    states = tuple(_port(name, next(symbols), about.state_types[name], None, about, where) for name in about.labels)
    starts = tuple(_port(name, next(symbols), about.types[name], None, about, where) for name in first)
    step, block = _entries(about, values, target, embedded)
    initial = _initial(about, values, target, embedded)
    tail, owed = _tail(about, values, target, embedded, step, outputs, where)
    exported = ExportedStream(
        target=target,
        inputs=inputs,
        outputs=outputs,
        rate=about.rate,
        delay=about.delay,
        owed=owed,
        states=states,
        initial_inputs=starts,
        step=step,
        block=block,
        tail=tail,
        initial=initial,
        parameters={name: values[name] for name in values if name in _used(step, block, tail, initial)},
        embedded=embedded,
    )
    return StreamForm(exported, about)


def _initial_inputs(about: StepGraph) -> tuple[str, ...]:
    names = tuple(name for name, _ in about.initial.graph.outputs)
    return about.initial.needed(names) if names else ()


def _used(*entries: ExportedEntry | Mapping[str, np.ndarray] | None) -> set[str]:
    return {
        item.name
        for entry in entries
        if isinstance(entry, ExportedEntry)
        for item in entry.plan.arguments
        if item.kind == "parameter"
    }


def _port(
    name: str, symbol: str, kind: TensorType, time_axis: int | None, about: StepGraph, where: Where | None
) -> Port:  # fmt: skip
    dims, steps = enumerate(kind.shape), dict.fromkeys(about.lengths, STEPS)
    shape = tuple(
        substitute(dim, steps) if place == time_axis else _fixed(name, dim, about, where) for place, dim in dims
    )
    return Port(name, symbol, kind.dtype, shape, about.held.get(name))


def _fixed(name: str, dim: Dim, about: StepGraph, where: Where | None) -> int:
    try:
        return evaluate(dim, about.sizes)
    except KeyError:
        raise ShapeError(
            f"{name} has the open size {dim}, which is neither the batch nor time; an exported net takes arrays of "
            "fixed sizes: declare the placeholder with an int in its place",
            where,
        ) from None


def _entries(
    about: StepGraph, values: Arrays, target: Target, embedded: bool
) -> tuple[ExportedEntry, ExportedEntry | None]:  # fmt: skip
    """The entries of a step and, if its memory doesn't grow with its length, of a block of steps.

    Both read the same large panels, where tiles can be found for it that take about as long.
    """
    one_step = about.compiled.sized(about.outputs, {**about.sizes, **dict.fromkeys(about.lengths, 1)}, one_step=True)

    def step_plan(alike: tuple[PanelLayout, ...] = ()) -> Plan:
        return planned(one_step, target, "step", 1, alike)

    if target.lanes(4) == 1 or not about.lengths or not about.lengths <= about.compiled.lengths(about.outputs):
        return entry_of(step_plan(), target, values, embedded), None
    several = about.compiled.sized(about.outputs, about.sizes)
    block = planned(several, target, "block", 1)
    if not isinstance(block.arena_bytes, int):
        return entry_of(step_plan(), target, values, embedded), None
    alike = tuple(layout for layout in block.layouts.values() if _bytes_of(layout, values) > target.first_cache)
    step = step_plan(alike)
    common = tuple(_common_layout(layout, step) for layout in alike)
    if common != alike:
        block, step = planned(several, target, "block", 1, common), step_plan(common)
    return entry_of(step, target, values, embedded), entry_of(block, target, values, embedded)


def _tail(
    about: StepGraph, values: Arrays, target: Target, embedded: bool, step: ExportedEntry, outputs: tuple[Port, ...],
    where: Where | None,
) -> tuple[ExportedEntry | None, tuple[Port, ...]]:  # fmt: skip
    """The entry of what is owed at the end, and the outputs in its shapes; none where nothing is. It reads the large
    panels of a step where it can.
    """
    if about.tail is None or not about.tail.timeline.owes:
        return None, ()
    graph = about.tail.graph(dict.fromkeys(about.lengths, 0), where)
    names = tuple(port.name for port in outputs)
    kinds = {name: node.tensor for name, node in graph.graph.outputs}
    owed = tuple(
        replace(port, shape=tuple(_fixed(port.name, dim, about, where) for dim in kinds[port.name].shape))
        for port in outputs
    )
    alike = tuple(layout for layout in step.plan.layouts.values() if _bytes_of(layout, values) > target.first_cache)
    plan = planned(graph.sized(names, about.sizes, one_step=True), target, "tail", 1, alike)
    return entry_of(plan, target, values, embedded), owed


def _bytes_of(layout: PanelLayout, values: Arrays) -> int:
    """How large a panel is. Weights that don't stay in the first cache come from further away in any order, and twice
    they would be most of the object; smaller ones are packed as each entry reads them fastest.
    """
    return sum(int(str(product(view.shape))) * values[view.parameter].itemsize for view in layout.views)


def _common_layout(layout: PanelLayout, other: Plan) -> PanelLayout:
    """A layout in the largest groups that both its own plan's tiles and another plan's can read."""
    own = (*other.layouts.values(), layout)
    readers = [(found.views, found.blocks) for found in own if {*found.views} <= {*layout.views}]
    for blocks in range(layout.blocks, 1, -1):
        found = replace(layout, blocks=blocks)
        if all(found.gates(views, layout.lanes, width, layout.dot_width) is not None for views, width in readers):
            return found
    return replace(layout, blocks=1)


def _initial(
    about: StepGraph, values: Arrays, target: Target, embedded: bool
) -> ExportedEntry | Mapping[str, np.ndarray]:
    """What the state begins with, as an entry or as it is."""
    names = tuple(name for name, _ in about.initial.graph.outputs)
    if not names:
        return {}
    plan = planned(about.initial.sized(names, about.sizes), target, "initial", 1)
    if not _initial_inputs(about) and (embedded or not plan.arguments_of("parameter")):
        return results_of(plan, target, values, {}, about.sizes)
    return entry_of(plan, target, values, embedded)
