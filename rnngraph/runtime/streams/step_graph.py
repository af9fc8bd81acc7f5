"""Step graph: an inference graph with its states as inputs and outputs.

If a step reads neighbouring steps of a sequence, or several entries, this is the graph of a chunk. The states of such a
graph include the past entries that it reads.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ...declare.nest import flatten
from ...ir.axes.by_size import axis_of_names, lengths_of, output_row_axes, rows_of_feeds, time_sizes
from ...ir.build import sliced
from ...ir.graph import Graph, make, with_sizes
from ...ir.sizes.polynomial import plain_dim, restored_dim
from ...ir.text.fingerprint import identity
from ...ir.types import Dim, Size, TensorType, substitute, symbols_of
from ...passes.axes.separate_axes import separate_steps
from ...passes.chunks.chunk_graph import chunk_graph
from ...passes.chunks.cut_axes import cut_axes
from ...passes.chunks.cut_padding import cut_padding
from ...passes.chunks.delays import soonest_timeline, timeline_of
from ...passes.chunks.first_entries import with_started_loops
from ...passes.chunks.pads_outward import pads_outward
from ...passes.chunks.stored_states import (
    StreamStates,
    SwappedState,
    plain_swapped,
    restored_swapped,
    with_stored_axes,
)
from ...passes.chunks.stream_rate import StreamRate
from ...passes.chunks.timeline import Timeline
from ...passes.lowering.kept_states import KeptState, by_rows
from ...passes.lowering.lowered import NUMBER, Lowered
from ...passes.optimization import rounding, state_forms
from ...passes.pipeline import forbidden, meaning, run
from ...passes.simplify import drop_limits, to_fixed_point
from ...passes.states.matrix_states import has_matrix_state
from ...passes.states.narrow_states import narrow_states
from ...support.errors import ShapeError, Where
from ...support.records import NamedTuple, dataclass
from ..calls.sequence_tail import Tail
from ..graph_file import StoredGraphs
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from ..native.object_cache import is_worth_keeping, key_of
from ..native.optimized_graph import Changes
from .causality import check_states, check_streamable
from .row_graph import RowGraph
from .stream_feeds import held_defaults


@dataclass(frozen=True)
class TimeAxes:
    """Time axes of a stream's feeds and outputs, by name; None for a feed or an output without a time axis.

    Attributes:
        feeds: Time axis of each feed.
        outputs: Time axis of each output.
        omitted: Time axis of each feed that has one entry a step, so that a single step omits the axis.
        outputs_omitted: Time axis of each output that has one entry a step, so that a single step omits the axis.
    """

    feeds: Mapping[str, int | None]
    outputs: Mapping[str, int | None]
    omitted: Mapping[str, int | None]
    outputs_omitted: Mapping[str, int | None]


@dataclass(frozen=True)
class StepGraph:
    """Graph of one step, with the states, feeds and sizes that streams need.

    Attributes:
        batch: Number of rows.
        compiled: Graph of a step.
        initial: Graph of the initial states.
        structure: The nest of the outputs.
        states: The states.
        outputs: Names of the outputs.
        flags: Names of the outputs that are flags (``runtime.samples``).
        types: Types of all feeds, including those that only the initial state reads.
        lengths: Names of the sizes that count steps.
        per_step_feeds: Names of the feeds that every step must get: the sequences. A step of a net with ``states=`` and
            without time axis is one call of its graph, which must get all feeds except scalars. Feeds that only the
            initial state reads are excluded.
        axes: Time axes of feeds and outputs.
        sizes: Sizes that the batch determines.
        held_feeds: Defaults of the feeds without a time axis.
        rate: Sequence entries per step.
        delay: Number of steps after which the outputs of a step are returned.
        tail: Graphs of the ends of sequences; None if each step returns all outputs of its inputs.
        rows: The step for any number of rows.
    """

    batch: int
    compiled: CompiledGraph
    initial: CompiledGraph
    structure: Any
    states: StreamStates
    outputs: tuple[str, ...]
    flags: tuple[str, ...]
    types: Mapping[str, TensorType]
    lengths: frozenset[str]
    per_step_feeds: frozenset[str]
    axes: TimeAxes
    sizes: Mapping[str, int]
    held_feeds: Mapping[str, np.ndarray]
    rate: int
    delay: int
    tail: Tail | None
    rows: RowGraph

    @cached_property
    def row_axes(self) -> dict[str, int | None]:
        """Row axis of each output and flag; None for an output without a row axis."""
        return output_row_axes(self.compiled.pruned((*self.outputs, *self.flags)), self.sizes, self.batch)

    @cached_property
    def of_states(self) -> StepGraph:
        """Graph of a step that computes the next states, without results."""
        labels = tuple(self.states.labels)
        rows = RowGraph(self.compiled, labels, frozenset(self.sizes), self.lengths, self.per_step_feeds)
        return replace(self, outputs=labels, flags=(), structure={}, rows=rows)

    def of_last(self, name: str) -> StepGraph:
        """Return the graph of a chunk that computes the next states, and the last entry in time of output ``name``."""
        if name not in self._of_last:
            whole, axis = self.compiled, self.axes.outputs[name]
            assert axis is not None
            outputs = [
                (other, sliced(node, axis, node.shape[axis] - 1, node.shape[axis])) if other == name else (other, node)
                for other, node in whole.lowered.outputs
            ]
            graph = Graph.of(whole.lowered.name, tuple(outputs), whole.lowered.inputs, whole.lowered.comments)
            changes = Changes(rounded=whole.rounded)
            compiled = CompiledGraph(graph, "inference", whole.options, whole.declared, changes)
            shown = (name, *self.states.labels)
            rows = RowGraph(compiled, shown, frozenset(self.sizes), self.lengths, self.per_step_feeds)
            self._of_last[name] = replace(
                self,
                compiled=compiled,
                outputs=shown,
                flags=(),
                structure={name: name} if name else name,
                rows=rows,
                tail=None,
            )
        return self._of_last[name]

    @cached_property
    def _of_last(self) -> dict[str, StepGraph]:
        return {}


class _Recurrence(NamedTuple):
    """Graph of a step and graph of the initial states.

    Attributes:
        rows: All dims that count rows.
        pasts: Labels of the states that are past entries of sequences.
        rate: Entries per step, with the names of the sizes that count steps.
        delay: Delay of the outputs in steps.
        tail: Graphs of the ends of sequences; None if each step returns all outputs of its inputs.
        swapped: States that are stored with swapped axes, by label.
    """

    compiled: CompiledGraph
    initial: Graph
    rows: Sequence[Dim]
    pasts: Sequence[str]
    rate: StreamRate
    delay: int
    tail: Tail | None
    swapped: Mapping[str, SwappedState]


class _Whole(NamedTuple):
    """Graph of sequences with states as inputs and outputs, before a step is derived from it.

    Attributes:
        lowered: Declaration with states in the dtypes in which streams store them.
        labels: Labels of its states.
        kept: States that are kept by name, by label.
        swapped: States that are stored with swapped axes, by label; None: their axes are not swapped yet.
    """

    lowered: Lowered
    labels: Sequence[str]
    kept: Mapping[str, KeptState]
    swapped: Mapping[str, SwappedState] | None
    options: CompileOptions
    source: GraphSource


def step_graph(source: GraphSource, options: CompileOptions, batch: int, where: Where | None) -> StepGraph:
    """Return the graph that computes one step from the last states, for ``batch`` rows, with its types.

    Raises:
        GraphError: The graph cannot run step by step; the error names the line of the cause.
        ShapeError: The graph was declared for another batch.
    """
    lowered, options = _for_streams(source.stateful()), replace(options, unroll=None)
    kept: dict[str, KeptState] = {}
    swapped: Mapping[str, SwappedState] | None = None
    if source.kept:
        lowered, swapped = _with_stored_axes(lowered)
        lowered, kept = by_rows(lowered, [*source.kept.values()], lengths_of(lowered.graph), batch, where)
    own = [label for nest in lowered.states for label in flatten(nest)]
    step = _recurrence(_Whole(lowered, own, kept, swapped, options, source), where)
    labels, nests = [*own, *step.pasts], ({label.removeprefix("state/"): label for label in step.pasts},)
    added = nests if step.pasts else ()
    lengths, sizes = step.rate.lengths, _fixed_sizes(step.rows, batch, where)
    is_call = bool(kept) and not lengths
    for _, node in step.initial.outputs:  # the initial states have one row for each row of the batch
        sizes |= dict.fromkeys(symbols_of(node.shape[0]), batch)
    initial = CompiledGraph(with_sizes(step.initial, sizes), "inference", options, source.described)
    input_types = step.compiled.input_types()
    types = {name: kind for name, kind in input_types.items() if name not in labels}
    initial_types = {str(node["label"]): node.tensor for node in step.initial.inputs if node.op == "input"}
    only_initial = [name for name in initial.input_types() if name not in (*labels, *types)]
    time_axis = {name: axis_of_names(types[name].shape, lengths) for name in types} | dict.fromkeys(only_initial)
    types |= {name: initial_types[name] for name in only_initial}
    outputs = tuple(name for name, _ in step.compiled.graph.outputs)
    flags = tuple(step.compiled.flags(outputs))
    kinds = {name: node.tensor for name, node in step.compiled.pruned((*outputs, *flags)).outputs}
    state_types = {name: input_types[name] for name in labels}
    per_step = _per_step_feeds(types, None if is_call else time_axis, only_initial)
    output_axis = {name: axis_of_names(kind.shape, lengths) for name, kind in kinds.items()}
    return StepGraph(
        batch=batch,
        compiled=step.compiled,
        initial=initial,
        structure=_without(source.structure, source.kept),
        states=StreamStates(
            labels, state_types, (*lowered.states, *added), (*lowered.named, *added), kept, step.swapped
        ),
        outputs=outputs,
        flags=flags,
        types=types,
        lengths=lengths,
        per_step_feeds=per_step,
        axes=TimeAxes(
            time_axis,
            output_axis,
            {name: _single(kind, time_axis[name], lengths) for name, kind in types.items()},
            {name: _single(kind, output_axis[name], lengths) for name, kind in kinds.items()},
        ),
        sizes=sizes,
        held_feeds=held_defaults(source.lowered.defaults, types, time_axis, sizes),
        rate=step.rate.rate,
        delay=step.delay,
        tail=step.tail,
        rows=RowGraph(step.compiled, outputs, frozenset(sizes), lengths, per_step),
    )


def _for_streams(lowered: Lowered) -> Lowered:
    """Return a declaration as streams run it.

    States have the dtypes in which streams store them. Loops that begin with the first entry of a sequence compute
    their initial states in the first step. Limits of sizes are removed, because the length of a stream is not known
    before it ends.
    """
    lowered = narrow_states(lowered)
    lowered = replace(lowered, graph=drop_limits(lowered.graph), initial=to_fixed_point(lowered.initial))
    return with_started_loops(lowered, lengths_of(lowered.graph))


def _with_stored_axes(lowered: Lowered) -> tuple[Lowered, Mapping[str, SwappedState]]:
    """Return a declaration with states as streams store them, and the states with swapped axes by label."""
    if not any(node.op == "scan" and has_matrix_state(node) for node in lowered.graph.nodes):
        return lowered, {}
    return with_stored_axes(lowered, run(lowered.graph, (*meaning("inference"), *state_forms())))


def _recurrence(whole: _Whole, where: Where | None) -> _Recurrence:
    """Return the graphs of one step and of the initial states. Those of large graphs are derived once and cached.

    The cache's key contains no source lines, so that a step is found even after its lines have moved.
    """
    cache, graph = whole.options.cache, whole.lowered.graph
    if cache is None or not is_worth_keeping(graph):
        return _derived(whole, where)[0]
    graphs, places = identity((graph, whole.lowered.initial))
    key = key_of("step", graphs, sorted(whole.kept), whole.options.reduced)
    stored = cache.load_graphs(key, places)
    if stored is None:
        step, _ = _derived(whole, where)
        cache.store_graphs(key, _stored(step), places)
        return step
    return _restored(stored, whole, where)


def _derived(whole: _Whole, where: Where | None) -> tuple[_Recurrence, Timeline]:
    """Derive the graph of one step, and by how many entries a stream delays each value of the whole graph.

    Raises:
        GraphError: The graph cannot run step by step.
    """
    lowered, labels, kept, swapped, options, source = whole
    if swapped is None:
        lowered, swapped = _with_stored_axes(lowered)
    begin = run(lowered.initial, meaning("inference"), forbidden("inference"))  # also drops inputs that only sizes need
    compiled, time_symbols = _with_separate_axes(lowered.graph, bool(kept), options, source)
    timeline = timeline_of(compiled.graph, time_symbols, kept.keys())
    lengths = timeline.stream_rate.lengths
    if lengths or not kept:
        check_streamable(compiled.graph, begin, timeline, where)
        check_states(timeline, labels, kept, where)
    input_types = compiled.input_types()
    fed = [kind.shape for name, kind in input_types.items() if name not in labels]
    rows = [input_types[name].shape[0] for name in labels] or rows_of_feeds(fed, lengths)
    if timeline.is_causal:
        return _Recurrence(compiled, begin, rows, (), timeline.stream_rate, timeline.delay, None, swapped), timeline
    return _of_chunks(whole._replace(swapped=swapped), compiled, begin, rows, lengths, where)


def _of_chunks(
    whole: _Whole, compiled: CompiledGraph, begin: Graph, rows: Sequence[Dim], lengths: Set[str], where: Where | None
) -> tuple[_Recurrence, Timeline]:
    """Derive the graph of a chunk of steps, whose states include past entries, and the delay of each value.

    Args:
        begin: Graph of the initial states.
        rows: All dims that count rows.
        lengths: Names of the sizes that count steps.
    """
    row, options, source = _row(rows), whole.options, whole.source
    alike = {str(dim): row for dim in rows if isinstance(dim, Size) and dim.symbol}
    rounded = run(with_sizes(compiled.graph, alike), rounding(options.reduced), forbidden("inference"))
    timeline = soonest_timeline(pads_outward(rounded, lengths), lengths, whole.kept.keys())
    if lengths:
        check_streamable(timeline.graph, begin, timeline, where)
    chunked = chunk_graph(timeline, row, where)
    chunks = CompiledGraph(chunked.graph, "inference", options, source.described, Changes(rounded=True))
    input_types = chunks.input_types()
    past_states = [
        (label, make("broadcast", first, shape=(row, *input_types[label].shape[1:])))
        for label, first in chunked.initial
    ]
    numbers = [node for node in compiled.graph.inputs if node.op == "input" and node["label"] == NUMBER]
    initial = Graph.of(begin.name, (*begin.outputs, *past_states), (*begin.inputs, *numbers), begin.comments)
    tail = Tail(lambda: timeline, row, options, source) if timeline.has_tail else None
    labels = [label for label, _ in chunked.initial]
    stored = _Recurrence(chunks, initial, rows, labels, timeline.stream_rate, timeline.delay, tail, whole.swapped or {})
    return stored, timeline


def _row(rows: Sequence[Dim]) -> Dim:
    """Return the number of rows: the first of the equal dims ``rows``; 1 if there are none."""
    return rows[0] if rows else 1


def _stored(step: _Recurrence) -> StoredGraphs:
    """Return the graph of a step as the cache keeps it."""
    facts = {
        "rounded": step.compiled.rounded,
        "rows": [*map(plain_dim, step.rows)],
        "pasts": [*step.pasts],
        "lengths": sorted(step.rate.lengths),
        "rate": step.rate.rate,
        "delay": step.delay,
        "has_tail": step.tail is not None,
        "swapped": {label: plain_swapped(state) for label, state in step.swapped.items()},
    }
    return StoredGraphs([step.compiled.lowered, step.compiled.graph, step.initial], facts)


def _restored(stored: StoredGraphs, whole: _Whole, where: Where | None) -> _Recurrence:
    """Return the graph of a step from the cache. The timeline is derived again only when a sequence ends."""
    (graph, split, initial), facts = stored
    changes = Changes(rounded=facts["rounded"], split=split)
    compiled = CompiledGraph(graph, "inference", whole.options, whole.source.described, changes)
    rows, rate = [*map(restored_dim, facts["rows"])], StreamRate(frozenset(facts["lengths"]), facts["rate"])
    tail = None
    if facts["has_tail"]:
        tail = Tail(lambda: _derived(whole, where)[1], _row(rows), whole.options, whole.source)
    swapped = {label: restored_swapped(state) for label, state in facts["swapped"].items()}
    return _Recurrence(compiled, initial, rows, facts["pasts"], rate, facts["delay"], tail, swapped)


def _with_separate_axes(
    graph: Graph, has_kept: bool, options: CompileOptions, source: GraphSource
) -> tuple[CompiledGraph, Set[str]]:
    """Return the graph with the axes of rows and steps separated, and the sizes that count steps.

    Rows and steps that are merged and split again are kept separate, and pieces of steps become windows.
    """
    compiled = CompiledGraph(graph, "inference", options, source.described)
    names = lengths_of(compiled.graph) if has_kept else time_sizes(compiled.graph)
    separated = separate_steps(cut_axes(cut_padding(compiled.graph), names), names)
    if separated is not compiled.graph:
        compiled = CompiledGraph(separated, "inference", options, source.described)
    return compiled, names


def _per_step_feeds(
    types: Mapping[str, TensorType], time_axis: Mapping[str, int | None] | None, only_initial: Sequence[str]
) -> frozenset[str]:
    """Return ``StepGraph.per_step_feeds``. ``time_axis`` is None if a step is one call of the net's graph."""
    names = (name for name, kind in types.items() if (kind.rank if time_axis is None else time_axis[name] is not None))
    return frozenset(names).difference(only_initial)


def _without(structure: Any, names: Container[str]) -> Any:
    """Return the structure of the outputs without these names."""
    if not isinstance(structure, dict):
        return structure
    return {name: nest for name, nest in structure.items() if name not in names}


def _single(kind: TensorType, axis: int | None, lengths: frozenset[str]) -> int | None:
    """Return the time axis if a step has exactly one entry along it; else None."""
    return axis if axis is not None and substitute(kind.shape[axis], dict.fromkeys(lengths, 1)) == 1 else None


def _fixed_sizes(rows: Sequence[Dim], batch: int, where: Where | None) -> dict[str, int]:
    """Return the batch for each symbol that counts rows. Raise ``ShapeError`` if a dim in ``rows`` is another int."""
    for dim in rows:
        if isinstance(dim, int) and dim != batch:
            raise ShapeError(f"the graph is declared for a batch of {dim}, not {batch}; give batch={dim}", where)
    return dict.fromkeys([name for dim in rows for name in symbols_of(dim)], batch)
