"""Step graph: an inference graph with its states as inputs and outputs.

If a step reads neighbouring steps of a sequence, or several entries, this is the graph of a chunk. The states of such a
graph include the past entries that it reads.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...declare.nest import flatten
from ...ir.axes.by_size import axis_of_names, lengths_of, output_row_axes, rows_of_feeds, time_sizes
from ...ir.build import sliced
from ...ir.graph import Graph, make, with_sizes
from ...ir.types import Dim, Size, TensorType, evaluate, substitute, symbols_of
from ...passes.axes.separate_axes import separate_steps
from ...passes.chunks.chunk_graph import chunk_graph, tail_graph
from ...passes.chunks.cut_axes import cut_axes
from ...passes.chunks.delays import soonest_timeline, timeline_of
from ...passes.chunks.first_entries import with_started_loops
from ...passes.chunks.pads_outward import pads_outward
from ...passes.chunks.stored_states import StreamStates, SwappedState, with_stored_axes
from ...passes.chunks.timeline import Timeline
from ...passes.lowering.kept_states import KeptState, by_rows
from ...passes.lowering.lowered import NUMBER, STEPS, Lowered
from ...passes.optimization import rounding, state_forms
from ...passes.pipeline import forbidden, meaning, run
from ...passes.simplify import drop_limits
from ...passes.states.matrix_states import has_matrix_state
from ...passes.states.narrow_states import narrow_states
from ...support.bounded_cache import BoundedCache
from ...support.errors import ShapeError, Where
from ...support.records import dataclass
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from ..native.optimized_graph import Changes
from ..native.preconditions import Precondition, preconditions_of
from .causality import check_states, check_streamable
from .held_inputs import held_defaults
from .row_graph import RowGraph

MAX_TAILS = 64
"""Maximum number of cached graphs of sequence ends. There is one for each combination of remaining entries."""


class Tail:
    """Graphs that compute the outputs that are due at the end of a sequence."""

    def __init__(self, timeline: Timeline, rows: Dim, options: CompileOptions, source: GraphSource) -> None:
        self.timeline, self._rows, self._options, self._source = timeline, rows, options, source
        self._graphs: BoundedCache[tuple[tuple[str, int], ...], CompiledGraph] = BoundedCache(MAX_TAILS)
        self._remainders: dict[str, tuple[int, dict[int, tuple[str, int]]]] = {}

    def remaining_counts(self, left: Mapping[str, np.ndarray], where: Where | None) -> dict[str, int]:
        """Return the number of remaining entries of each sequence length, from the arrays fed for the end; 0 if none.

        Raise ``ShapeError`` if the entries would fill a step.
        """
        rates = self.timeline.stream_rate
        remaining = dict.fromkeys(rates.lengths, 0)
        for name, array in left.items():
            if name not in self._remainders:
                self._remainders[name] = self._remainders_by_entries(name)
            axis, fits = self._remainders[name]
            count = array.shape[axis]
            if count not in fits:
                maximum = max(fits)
                raise ShapeError(
                    f"feed {name} has {count} entries over time, but a flush takes at most {maximum}, less than a step "
                    f"of {rates.rate}; feed whole steps to process",
                    where,
                )
            symbol, rest = fits[count]
            remaining[symbol] = max(rest, remaining[symbol])
        return remaining

    def _remainders_by_entries(self, name: str) -> tuple[int, dict[int, tuple[str, int]]]:
        """Return an input's time axis, and {number of entries that may remain along it: (length symbol, its value)}."""
        stream_rate = self.timeline.stream_rate
        node = next(node for node in self.timeline.graph.inputs if node.op == "input" and node["label"] == name)
        axis = axis_of_names(node.shape, stream_rate.lengths)
        assert axis is not None
        fits: dict[int, tuple[str, int]] = {}
        for rest in range(stream_rate.rate):
            growth = stream_rate.growth(node.shape[axis], dict.fromkeys(stream_rate.lengths, rest))
            assert growth is not None
            fits.setdefault(growth.constant, (growth.symbol, rest))
        return axis, fits

    def check_lengths(
        self, states: Mapping[str, np.ndarray], rows: np.ndarray, rests: Mapping[str, int], where: Where | None
    ) -> None:
        """Raise ``ShapeError`` if a sequence that ends is too short for the graph.

        Args:
            states: The present states, by label.
            rows: Mask of the rows that end. Rows that took no step are not checked.
            rests: Remaining entries by length symbol.
        """
        steps = states.get(STEPS, np.zeros((len(rows), 1), np.int64))[rows]
        for count in np.unique(steps[steps > 0]).tolist():
            sizes = {
                name: self.timeline.stream_rate.rate * count + rests[name] for name in self.timeline.stream_rate.lengths
            }
            for need in self._length_preconditions:
                if evaluate(need.value, sizes) < 0:
                    lengths = ", ".join(map(str, sizes.values()))
                    raise ShapeError(
                        f"a sequence ends after {lengths} entries, and {need.text} (declared at {need.where}) needs "
                        "more; feed longer sequences",
                        where,
                    )

    @cached_property
    def _length_preconditions(self) -> list[Precondition]:
        """Return the preconditions that depend only on lengths of sequences."""
        checks = preconditions_of(self.timeline.graph)
        return [
            check
            for check in checks
            if check.kind == "size" and symbols_of(check.value) <= self.timeline.stream_rate.lengths
        ]

    def graph(self, rests: Mapping[str, int], where: Where | None) -> CompiledGraph:
        """Return the graph of the last outputs. ``rests`` has the number of remaining entries by length symbol.

        Raises:
            GraphError: The end would change the results of earlier steps.
        """

        def build() -> CompiledGraph:
            graph = tail_graph(self.timeline, self._rows, rests, where)
            return CompiledGraph(graph, "inference", self._options, self._source.described, Changes(rounded=True))

        return self._graphs.get_or_make(tuple(sorted(rests.items())), build)


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
        flags: Names of the internal outputs that flag draws from NaN logits.
        types: Types of all feeds, including those that only the initial state reads.
        lengths: Names of the sizes that count steps.
        per_step_feeds: Names of the feeds that every step must get. They are the sequences. If the net has kept states
            and no time axis, a step is one call of its graph, and they are all feeds except scalars. Feeds that only
            the initial state reads are excluded.
        axes: Time axes of feeds and outputs.
        sizes: Sizes that the batch determines.
        held_feeds: Defaults of the feeds without a time axis.
        rate: Sequence entries per step.
        delay: Steps from the first one until its outputs are returned.
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
        """Return the graph of a chunk that computes the next states, and the last entry of a sequence of outputs."""
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
    """Graph of a step, graph of the initial states, and labels of the states."""

    compiled: CompiledGraph
    initial: Graph
    labels: list[str]
    structures: tuple[Any, ...]
    named: tuple[Any, ...]
    timeline: Timeline
    tail: Tail | None = None


def step_graph(source: GraphSource, options: CompileOptions, batch: int, where: Where | None) -> StepGraph:
    """Return the step graph for ``batch`` rows.

    Raises:
        GraphError: The graph cannot run step by step; the error names the line of the cause.
        ShapeError: The graph was declared for another batch.
    """
    (lowered, swapped), options = _as_stored(source.stateful()), replace(options, unroll=None)
    kept: dict[str, KeptState] = {}
    if source.kept:
        lowered, kept = by_rows(lowered, [*source.kept.values()], lengths_of(lowered.graph), batch, where)
    begin = run(lowered.initial, meaning("inference"), forbidden("inference"))  # also drops inputs that only sizes need
    compiled, time_symbols = _with_separate_axes(lowered.graph, bool(kept), options, source)
    labels = [label for nest in lowered.states for label in flatten(nest)]
    timeline = timeline_of(compiled.graph, time_symbols, kept.keys())
    lengths = timeline.stream_rate.lengths
    is_call = bool(kept) and not lengths
    if not is_call:
        check_streamable(compiled.graph, begin, timeline, where)
        check_states(timeline, labels, kept, where)
    input_types = compiled.input_types()
    fed = [kind.shape for name, kind in input_types.items() if name not in labels]
    rows = [input_types[name].shape[0] for name in labels] or rows_of_feeds(fed, lengths)
    sizes = _fixed_sizes(rows, batch, where)
    step = _Recurrence(compiled, begin, labels, lowered.states, lowered.named, timeline)
    if not timeline.is_causal:
        step = _of_chunks(step, rows, options, source, kept.keys(), where)
    for _, node in step.initial.outputs:  # the initial states have one row for each row of the batch
        sizes |= dict.fromkeys(symbols_of(node.shape[0]), batch)
    initial = CompiledGraph(with_sizes(step.initial, sizes), "inference", options, source.described)
    input_types = step.compiled.input_types()
    types = {name: kind for name, kind in input_types.items() if name not in step.labels}
    initial_types = {str(node["label"]): node.tensor for node in step.initial.inputs if node.op == "input"}
    only_initial = [name for name in initial.input_types() if name not in (*step.labels, *types)]
    time_axis = {name: axis_of_names(types[name].shape, lengths) for name in types} | dict.fromkeys(only_initial)
    types |= {name: initial_types[name] for name in only_initial}
    outputs = tuple(name for name, _ in step.compiled.graph.outputs)
    flags = tuple(step.compiled.flags(outputs))
    kinds = {name: node.tensor for name, node in step.compiled.pruned((*outputs, *flags)).outputs}
    state_types = {name: input_types[name] for name in step.labels}
    per_step = _per_step_feeds(types, None if is_call else time_axis, only_initial)
    output_axis = {name: axis_of_names(kind.shape, lengths) for name, kind in kinds.items()}
    return StepGraph(
        batch=batch,
        compiled=step.compiled,
        initial=initial,
        structure=_without(source.structure, source.kept),
        states=StreamStates(step.labels, state_types, step.structures, step.named, kept, swapped),
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
        rate=step.timeline.stream_rate.rate,
        delay=step.timeline.delay,
        tail=step.tail,
        rows=RowGraph(step.compiled, outputs, frozenset(sizes), lengths, per_step),
    )


def _as_stored(lowered: Lowered) -> tuple[Lowered, dict[str, SwappedState]]:
    """Return a declaration with states as streams store them, and the states with swapped axes by label.

    Limits of sizes are removed, because the length of a stream is not known before it ends.
    """
    lowered = narrow_states(lowered)
    lowered = replace(lowered, graph=drop_limits(lowered.graph))
    lowered = with_started_loops(lowered, lengths_of(lowered.graph))
    if not any(node.op == "scan" and has_matrix_state(node) for node in lowered.graph.nodes):
        return lowered, {}
    return with_stored_axes(lowered, run(lowered.graph, (*meaning("inference"), *state_forms())))


def _of_chunks(
    whole: _Recurrence,
    rows: Sequence[Dim],
    options: CompileOptions,
    source: GraphSource,
    kept: Set[str],
    where: Where | None,
) -> _Recurrence:
    """Return the graph of a chunk of steps, whose states include the past entries that it reads.

    Args:
        rows: All dims that count rows.
        kept: Labels of the states that are kept by name.
    """
    row = rows[0] if rows else 1
    alike = {str(dim): row for dim in rows if isinstance(dim, Size) and dim.symbol}
    rounded = run(with_sizes(whole.compiled.graph, alike), rounding(options.reduced), forbidden("inference"))
    lengths = whole.timeline.stream_rate.lengths
    timeline = soonest_timeline(pads_outward(rounded, lengths), lengths, kept)
    if lengths:
        check_streamable(timeline.graph, whole.initial, timeline, where)
    chunked = chunk_graph(timeline, row, where)
    compiled = CompiledGraph(chunked.graph, "inference", options, source.described, Changes(rounded=True))
    input_types = compiled.input_types()
    past_states = [
        (label, make("broadcast", first, shape=(row, *input_types[label].shape[1:])))
        for label, first in chunked.initial
    ]
    numbers = [node for node in whole.compiled.graph.inputs if node.op == "input" and node["label"] == NUMBER]
    before, labels = whole.initial, [label for label, _ in chunked.initial]
    nests = ({label.removeprefix("state/"): label for label in labels},) if labels else ()
    return _Recurrence(
        compiled,
        Graph.of(before.name, (*before.outputs, *past_states), (*before.inputs, *numbers), before.comments),
        [*whole.labels, *labels],
        (*whole.structures, *nests),
        (*whole.named, *nests),
        timeline,
        Tail(timeline, row, options, source) if timeline.has_tail else None,
    )


def _with_separate_axes(
    graph: Graph, has_kept: bool, options: CompileOptions, source: GraphSource
) -> tuple[CompiledGraph, Set[str]]:
    """Return the graph with the axes of rows and steps separated, and the sizes that count steps.

    Rows and steps that are merged and split again are kept separate, and pieces of steps become windows.
    """
    compiled = CompiledGraph(graph, "inference", options, source.described)
    names = lengths_of(compiled.graph) if has_kept else time_sizes(compiled.graph)
    separated = separate_steps(cut_axes(compiled.graph, names), names)
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
    """Return the batch for each symbol that counts rows."""
    for dim in rows:
        if isinstance(dim, int) and dim != batch:
            raise ShapeError(f"the graph is declared for a batch of {dim}, not {batch}; give batch={dim}", where)
    return dict.fromkeys([name for dim in rows for name in symbols_of(dim)], batch)
