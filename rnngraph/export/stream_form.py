"""Export of a net that runs step by step: plans for a target, and packed weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..codegen.buffers.packing import PanelLayout
from ..codegen.compile import planned
from ..codegen.machine.target import Target
from ..codegen.schedule.emit.scheduled_entry import ScheduledEntry
from ..ir.types import Dim, TensorType, evaluate, product, substitute
from ..passes.chunks.chunk_states import NUMBER_STATE
from ..passes.lowering.lowered import NUMBER, kept_label
from ..passes.lowering.lowered import STEPS as STEPS_SO_FAR
from ..runtime.streams.step_graph import StepGraph, step_graph
from ..support.errors import GraphError, ShapeError, Where
from .c_array_names import symbols_of_names
from .c_interface.llvm_text import ROWS, STEPS
from .c_interface.nets import ExportedStream, RowBatch
from .c_interface.ports import ExportedEntry, Port
from .native_code import Arrays, Calls, ExportSource, entry_of, results_of, whole_sequence


@dataclass(frozen=True)
class StreamForm:
    """Exported net that runs step by step, and its step graph."""

    exported: ExportedStream
    about: StepGraph

    def limits(self) -> dict[str, int]:
        """Return {input: maximum} for integer inputs with a checked range, such as ids and lengths."""
        ranges = self.about.compiled.range_preconditions(self.about.outputs)
        return {check.label: evaluate(check.high, self.about.sizes) for check in ranges}

    def expected(self, export_source: ExportSource, values: Arrays, feeds: Arrays, steps: int) -> Arrays:
        """Return the inference graph's results for feeds of ``steps`` steps.

        A graph with kept states and no time axis is called ``steps`` times, each time with the states of the call
        before. The results are those of the last call.
        """
        source, about, target = export_source.source, self.about, self.exported.target
        kept = source.kept
        outputs = (*(port.name for port in self.exported.outputs), *kept)
        if kept:
            labels = {name: kept_label(name) for name in kept.values()}
            plan = planned(about.initial.sized(tuple(labels.values()), about.sizes), target, "kept", 1)
            first = results_of(plan, target, values, about.sizes)
            begun = {name: about.states.declared(label, first[label]) for name, label in labels.items()}
            feeds = {**feeds, **begun}
        calls = steps if kept and not about.lengths else 1
        options, graph = about.compiled.options, source.lowered.graph
        # draws of rg.sample depend on the number of earlier steps, which is then a state
        if calls > 1 and STEPS_SO_FAR in about.states.labels:
            graph, kept = about.compiled.graph, {label: label for label in about.states.labels}
            input_types = about.compiled.input_types()
            begun = {label: first[label] for label in labels.values()}
            begun |= {STEPS_SO_FAR: np.zeros((about.batch, 1), np.int64)}
            begun |= {NUMBER_STATE: feeds[NUMBER].reshape(about.batch, 1)}
            feeds = {name: array for name, array in {**feeds, **begun}.items() if name in input_types}
            outputs = (*(port.name for port in self.exported.outputs), *kept)
        return whole_sequence(graph, outputs, options, target, values, Calls(feeds, kept, calls))


class StreamOptions(NamedTuple):
    """Options of an exported stream.

    Attributes:
        batch: Number of rows of an instance.
        rows: Maximum streams that step together.
        embedded: Packed weights are part of the object.
        max_block: Maximum steps that a block computes together; None: chosen by the compiler.
    """

    batch: int
    rows: int
    embedded: bool
    max_block: int | None


class StreamBuild(NamedTuple):
    """Step graph to compile for a target, with the values of all parameters."""

    about: StepGraph
    values: Arrays
    target: Target
    embedded: bool
    where: Where | None

    def entry(self, plan: ScheduledEntry) -> ExportedEntry:
        """Return the entry of a plan, with its packed weights if they are embedded."""
        return entry_of(plan, self.target, self.values, self.embedded)


def stream_form(
    source: ExportSource, values: Arrays, options: StreamOptions, target: Target, where: Where | None
) -> StreamForm:
    """Plan the export of a net that runs step by step: its arrays, initial state and code for a target.

    Args:
        values: Consistent copy of all parameters, which another thread may be training.

    Raises:
        GraphError: An operation can't run step by step; with its line.
    """
    about = step_graph(source.source, replace(source.options, target=target), options.batch, where)
    build = StreamBuild(about, values, target, options.embedded, where)
    fed = [name for name in about.compiled.needed(about.outputs) if name in about.types]
    first = _initial_inputs(about)
    shown = [name for name in about.outputs if name not in about.states.labels]
    kinds = {name: node.tensor for name, node in about.compiled.graph.outputs}
    symbols = iter(symbols_of_names([*fed, *shown, *about.states.labels, *first]))
    inputs = tuple(_port(name, next(symbols), about.types[name], about.axes.feeds[name], about, where) for name in fed)
    outputs = tuple(_port(name, next(symbols), kinds[name], about.axes.outputs[name], about, where) for name in shown)
    states = tuple(
        _port(name, next(symbols), about.states.types[name], None, about, where) for name in about.states.labels
    )
    starts = tuple(_port(name, next(symbols), about.types[name], None, about, where) for name in first)
    step, block = _entries(build, options.max_block)
    initial = _initial(build)
    together = None if options.rows == 1 else _pooled_entry(build, step, options.rows, inputs, outputs)
    tail, owed = _tail(build, step, outputs)
    several = None if together is None else together.entry
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
        together=together,
        tail=tail,
        initial=initial,
        parameters={name: values[name] for name in values if name in _used(step, block, tail, initial, several)},
        embedded=options.embedded,
    )
    return StreamForm(exported, about)


def _initial_inputs(about: StepGraph) -> tuple[str, ...]:
    names = tuple(name for name, _ in about.initial.graph.outputs)
    return about.initial.needed(names) if names else ()


def _used(*entries: ExportedEntry | Mapping[str, np.ndarray] | None) -> set[str]:
    """Return the names of the parameters that entries read."""
    return {
        item.name
        for entry in entries
        if isinstance(entry, ExportedEntry)
        for item in entry.plan.arguments
        if item.kind == "parameter"
    }


def _port(
    name: str, symbol: str, kind: TensorType, time_axis: int | None, about: StepGraph, where: Where | None
) -> Port:
    dims, steps = enumerate(kind.shape), dict.fromkeys(about.lengths, STEPS)
    shape = tuple(
        substitute(dim, steps) if place == time_axis else _fixed(name, dim, about, where) for place, dim in dims
    )
    return Port(name, symbol, kind.dtype, shape, about.held_feeds.get(name))


def _fixed(name: str, dim: Dim, about: StepGraph, where: Where | None) -> int:
    """Return a size as an int. Raise ``ShapeError`` if it is symbolic and neither batch nor time."""
    try:
        return evaluate(dim, about.sizes)
    except KeyError:
        raise ShapeError(
            f"{name} has the symbolic size {dim}, which is neither the batch nor time; an exported net takes arrays of "
            "fixed sizes: declare the placeholder with an int in its place",
            where,
        ) from None


def _entries(build: StreamBuild, max_block: int | None) -> tuple[ExportedEntry, ExportedEntry | None]:
    """Return the native functions of one step, and of a block of steps; None for the latter to repeat steps.

    A net has no function of a block if its memory grows with the number of steps, or if a length must be known at
    compile time. It has none either if ``max_block`` is 1 or the target has no vectors. Both functions read the same
    large panels.
    """
    about, values, target = build.about, build.values, build.target
    one_step = about.compiled.sized(about.outputs, {**about.sizes, **dict.fromkeys(about.lengths, 1)}, one_step=True)

    def step_plan(alike: tuple[PanelLayout, ...] = ()) -> ScheduledEntry:
        return planned(one_step, target, "step", 1, alike)

    by_steps = target.lanes(4) == 1 or max_block == 1
    if by_steps or not about.lengths or not about.lengths <= about.compiled.lengths(about.outputs):
        return build.entry(step_plan()), None
    several = about.compiled.sized(about.outputs, about.sizes)
    block = planned(several, target, "block", 1, max_chunk=max_block)
    if not isinstance(block.arena_bytes, int):
        return build.entry(step_plan()), None
    alike = _large_layouts(block, values, target)
    step = step_plan(alike)
    common = tuple(_common_layout(layout, step) for layout in alike)
    if common != alike:
        block, step = planned(several, target, "block", 1, common, max_chunk=max_block), step_plan(common)
    return build.entry(step), build.entry(block)


def _pooled_entry(
    build: StreamBuild, step: ExportedEntry, max_rows: int, inputs: tuple[Port, ...], outputs: tuple[Port, ...]
) -> RowBatch:
    """Return the native function that steps up to ``max_rows`` independent streams in one call.

    Args:
        inputs: Inputs of one stream.
        outputs: Outputs of one stream.

    Raises:
        GraphError: The streams cannot step together.
    """
    about, target, where = build.about, build.target, build.where
    rows = about.rows
    if not rows.is_open:
        raise GraphError(
            f"rows={max_rows} streams can't step as one batch, because the net mixes rows; use rows=1", where
        )
    kinds = {**about.types, **{name: node.tensor for name, node in about.compiled.graph.outputs}}
    left_out = {**about.axes.omitted, **about.axes.outputs_omitted}
    for port in (*inputs, *outputs):
        left_out_of = rows.port(port.name, kinds[port.name], left_out[port.name], {})
        if left_out_of.axis is None or left_out_of.pieces != 1 or port.default is not None:
            raise GraphError(
                f"rows={max_rows} streams can't step as one batch: {port.shown} {kinds[port.name]} has a default, or "
                "its first axis is not that of the streams; use rows=1",
                where,
            )
    graph = rows.compiled.sized(about.outputs, dict.fromkeys(about.lengths, 1), one_step=True)
    plan = planned(graph, target, "rows", 1, _large_layouts(step.plan, build.values, target))
    counted = dict.fromkeys(rows.names, ROWS) | dict.fromkeys(about.lengths, STEPS)
    names = [*(port.name for port in inputs), *about.states.labels]
    shared = tuple(
        Port(name, name, kind.dtype, tuple(substitute(dim, counted) for dim in kind.shape))
        for name, kind in ((name, {**about.types, **about.states.types}[name]) for name in names)
    )
    return RowBatch(build.entry(plan), max_rows, shared)


def _tail(
    build: StreamBuild, step: ExportedEntry, outputs: tuple[Port, ...]
) -> tuple[ExportedEntry | None, tuple[Port, ...]]:
    """Return the native function for outputs due after the last step, with these outputs; (None, ()) if none are.

    The entry reads a step's large panels if possible.
    """
    about, target, where = build.about, build.target, build.where
    if about.tail is None or not about.tail.timeline.has_late_entries:
        return None, ()
    graph = about.tail.graph(dict.fromkeys(about.lengths, 0), where)
    names = tuple(port.name for port in outputs)
    kinds = {name: node.tensor for name, node in graph.graph.outputs}
    owed = tuple(
        replace(port, shape=tuple(_fixed(port.name, dim, about, where) for dim in kinds[port.name].shape))
        for port in outputs
    )
    alike = _large_layouts(step.plan, build.values, target)
    plan = planned(graph.sized(names, about.sizes, one_step=True), target, "tail", 1, alike)
    return build.entry(plan), owed


def _large_layouts(plan: ScheduledEntry, values: Arrays, target: Target) -> tuple[PanelLayout, ...]:
    """Return the layouts of large panels, which another entry can share."""
    return tuple(layout for layout in plan.layouts.values() if _bytes_of(layout, values) > target.first_cache)


def _bytes_of(layout: PanelLayout, values: Arrays) -> int:
    """Return the bytes of a panel.

    Entries share panels that exceed L1, because two copies would double the object. Each entry packs smaller ones.
    """
    return sum(int(str(product(view.shape))) * values[view.parameter].itemsize for view in layout.views)


def _common_layout(layout: PanelLayout, other: ScheduledEntry) -> PanelLayout:
    """Return the layout of a packed weight that two plans can read, in the largest possible column groups."""
    own = (*other.layouts.values(), layout)
    readers = [(candidate.views, candidate.blocks) for candidate in own if {*candidate.views} <= {*layout.views}]
    for blocks in range(layout.blocks, 1, -1):
        candidate = replace(layout, blocks=blocks)
        if all(candidate.gates(views, layout.lanes, width, layout.dot_width) is not None for views, width in readers):
            return candidate
    return replace(layout, blocks=1)


def _initial(build: StreamBuild) -> ExportedEntry | Mapping[str, np.ndarray]:
    """Return the initial state: as arrays, or as the code that computes it if inputs or weights change it."""
    about, target = build.about, build.target
    names = tuple(name for name, _ in about.initial.graph.outputs)
    if not names:
        return {}
    plan = planned(about.initial.sized(names, about.sizes), target, "initial", 1)
    if not _initial_inputs(about) and (build.embedded or not plan.parameters):
        return results_of(plan, target, build.values, about.sizes)
    return build.entry(plan)
