"""An inference graph with its states as inputs and outputs: which axis is time, and which sizes a batch settles.

Where it reads steps before or after its own, or makes one of several, it is the graph of a chunk, which keeps the past
that is needed among its states.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...declare.nest import flatten
from ...ir.axes.by_size import axis_of_names, lengths_of, rows_of_feeds, time_sizes
from ...ir.graph import Graph, make, with_sizes
from ...ir.types import Dim, Size, TensorType, evaluate, substitute, symbols_of
from ...passes.chunks.chunk_graph import STEPS, chunk_graph, tail_graph
from ...passes.chunks.delays import timeline_of
from ...passes.chunks.timeline import Timeline
from ...passes.lowering.kept_states import KeptState, by_rows
from ...passes.pipeline import forbidden, rounding, run
from ...support.bounded_cache import BoundedCache
from ...support.errors import ShapeError, Where
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from ..native.preconditions import Precondition, preconditions_of
from .causality import check_states, check_streamable
from .row_graph import RowGraph

MAX_TAILS = 64
"""Numbers of entries left over for which the end of sequences keeps a graph."""


class Tail:
    """The ends of sequences: what is still owed once the last whole step is done."""

    def __init__(self, timeline: Timeline, rows: Dim, options: CompileOptions, source: GraphSource) -> None:
        self.timeline, self._rows, self._options, self._source = timeline, rows, options, source
        self._graphs: BoundedCache[tuple[tuple[str, int], ...], CompiledGraph] = BoundedCache(MAX_TAILS)
        self._fits: dict[str, tuple[int, dict[int, tuple[str, int]]]] = {}

    def rests(self, left: Mapping[str, np.ndarray], where: Where | None) -> dict[str, int]:
        """How many entries are left for no whole step, by length. left: what is fed, by name."""
        tempo = self.timeline.tempo
        found = dict.fromkeys(tempo.lengths, 0)
        for name, array in left.items():
            if name not in self._fits:
                self._fits[name] = self._fits_of(name)
            axis, fits = self._fits[name]
            count = array.shape[axis]
            if count not in fits:
                most = max(fits)
                raise ShapeError(
                    f"feed {name} has {count} entries over time, and at most {most} are left for no whole step of "
                    f"{tempo.rate}; feed whole steps to process",
                    where,
                )
            symbol, rest = fits[count]
            found[symbol] = max(rest, found[symbol])
        return found

    def _fits_of(self, name: str) -> tuple[int, dict[int, tuple[str, int]]]:
        """An input's time axis; and by entries that may be left of it, the length that has them, and how many."""
        tempo = self.timeline.tempo
        node = next(node for node in self.timeline.graph.inputs if node.op == "input" and node["label"] == name)
        axis = axis_of_names(node.shape, tempo.lengths)
        assert axis is not None
        fits: dict[int, tuple[str, int]] = {}
        for rest in range(tempo.rate):
            pace = tempo.pace(node.shape[axis], dict.fromkeys(tempo.lengths, rest))
            assert pace is not None
            fits.setdefault(pace.over, (pace.symbol, rest))
        return axis, fits

    def check_lengths(
        self, states: Mapping[str, np.ndarray], rows: np.ndarray, rests: Mapping[str, int], where: Where | None
    ) -> None:  # fmt: skip
        """Raises ``ShapeError`` where a sequence that ends is shorter than the whole graph takes it.

        states: as they are, by label. rows: those that end, as a mask; what took no step is no sequence.
        """
        steps = states.get(STEPS, np.zeros((len(rows), 1), np.int64))[rows]
        for count in np.unique(steps[steps > 0]).tolist():
            sizes = {name: self.timeline.tempo.rate * count + rests[name] for name in self.timeline.tempo.lengths}
            for need in self._needs:
                if evaluate(need.value, sizes) < 0:
                    found = ", ".join(map(str, sizes.values()))
                    raise ShapeError(
                        f"a sequence ends after {found} entries, and {need.text} (declared at {need.where}) needs "
                        "more; feed longer sequences",
                        where,
                    )

    @cached_property
    def _needs(self) -> list[Precondition]:
        """Preconditions of lengths alone."""
        checks = preconditions_of(self.timeline.graph)
        return [
            check for check in checks
            if check.kind == "size" and symbols_of(check.value) <= self.timeline.tempo.lengths
        ]  # fmt: skip

    def graph(self, rests: Mapping[str, int], where: Where | None) -> CompiledGraph:
        """rests: entries that are left, by length. Raises ``GraphError`` where steps before would have been others."""

        def made() -> CompiledGraph:
            graph = tail_graph(self.timeline, self._rows, rests, where)
            return CompiledGraph(graph, "inference", self._options, self._source.described, rounded=True)

        return self._graphs.get_or_make(tuple(sorted(rests.items())), made)


@dataclass(frozen=True)
class StepGraph:
    """What is known of a graph that runs step by step.

    batch: rows. structure: the nest of outputs. structures: for each driver the nest of its states, with their labels
    as leaves, and last one of the states that are kept by name; named: the same with every state under its name;
    labels: all of these in order. kept: by label what states that are kept by name are declared as.
    types: of what is fed, what only the initial state reads among it. lengths: names of the sizes that count steps.
    moving: what each step is fed anew, the rest is held: sequences; where a step is a call of it all, all but scalars.
    time_axis, output_axis: of feeds and outputs, None: has none. left_out: the same, where a single step has but one
    entry, so that it is given without the axis. sizes: those that the batch settles. held: defaults of what has no time
    axis. rate: entries of what is fed for each step. delay: steps after which the first one's outputs come. tail: gives
    the graph of the end of sequences, by how many entries are left for no whole step. rows: the step in any number of
    rows.
    """

    batch: int
    compiled: CompiledGraph
    initial: CompiledGraph
    structure: Any
    structures: tuple[Any, ...]
    named: tuple[Any, ...]
    labels: list[str]
    kept: Mapping[str, KeptState]
    outputs: tuple[str, ...]
    types: Mapping[str, TensorType]
    state_types: Mapping[str, TensorType]
    lengths: frozenset[str]
    moving: frozenset[str]
    time_axis: Mapping[str, int | None]
    output_axis: Mapping[str, int | None]
    left_out: Mapping[str, int | None]
    output_left_out: Mapping[str, int | None]
    sizes: Mapping[str, int]
    held: Mapping[str, np.ndarray]
    rate: int
    delay: int
    tail: Tail | None
    rows: RowGraph


class _Recurrence(NamedTuple):
    """What each step runs, what its states begin with, and their labels, alone and in nests."""

    compiled: CompiledGraph
    initial: Graph
    labels: list[str]
    structures: tuple[Any, ...]
    named: tuple[Any, ...]
    timeline: Timeline
    tail: Tail | None = None


def step_graph(source: GraphSource, options: CompileOptions, batch: int, where: Where | None) -> StepGraph:
    """Of ``batch`` rows. Raises ``GraphError`` with the line of what can't run step by step, or ``ShapeError``."""
    lowered, options = source.stateful(), replace(options, unroll=None)
    kept: dict[str, KeptState] = {}
    if source.kept:
        lowered, kept = by_rows(lowered, [*source.kept.values()], lengths_of(lowered.graph), batch, where)
    compiled = CompiledGraph(lowered.graph, "inference", options, source.described)
    labels = [label for nest in lowered.states for label in flatten(nest)]
    times = lengths_of(compiled.graph) if kept else time_sizes(compiled.graph)
    timeline = timeline_of(compiled.graph, times, kept.keys())
    lengths = timeline.tempo.lengths
    is_call = bool(kept) and not lengths
    if not is_call:
        check_streamable(compiled.graph, lowered.initial, timeline, where)
        check_states(compiled.graph, labels, kept, where)
    found = compiled.input_types()
    fed = [kind.shape for name, kind in found.items() if name not in labels]
    rows = [found[name].shape[0] for name in labels] or rows_of_feeds(fed, lengths)
    sizes = _fixed_sizes(rows, batch, where)
    step = _Recurrence(compiled, lowered.initial, labels, lowered.states, lowered.named, timeline)
    if not timeline.is_causal:
        step = _of_chunks(step, rows, options, source, kept.keys(), where)
    for _, node in step.initial.outputs:  # what states begin with has as many rows
        sizes |= dict.fromkeys(symbols_of(node.shape[0]), batch)
    initial = CompiledGraph(with_sizes(step.initial, sizes), "inference", options, source.described)
    found = step.compiled.input_types()
    types = {name: kind for name, kind in found.items() if name not in step.labels}
    begins = {str(node["label"]): node.tensor for node in step.initial.inputs if node.op == "input"}
    only_begins = [name for name in initial.input_types() if name not in (*step.labels, *types)]
    time_axis = {name: axis_of_names(kind.shape, lengths) for name, kind in types.items()}
    time_axis |= dict.fromkeys(only_begins)
    types |= {name: begins[name] for name in only_begins}
    given = {name: node.tensor for name, node in step.compiled.graph.outputs}
    outputs = tuple(given)
    moving = frozenset(name for name, kind in types.items() if (kind.rank if is_call else time_axis[name] is not None))
    output_axis = {name: axis_of_names(kind.shape, lengths) for name, kind in given.items()}
    return StepGraph(
        batch=batch,
        compiled=step.compiled,
        initial=initial,
        structure=_without(source.structure, source.kept),
        structures=step.structures,
        named=step.named,
        labels=step.labels,
        kept=kept,
        outputs=outputs,
        types=types,
        state_types={name: found[name] for name in step.labels},
        lengths=lengths,
        moving=moving,
        time_axis=time_axis,
        output_axis=output_axis,
        left_out={name: _single(kind, time_axis[name], lengths) for name, kind in types.items()},
        output_left_out={name: _single(kind, output_axis[name], lengths) for name, kind in given.items()},
        sizes=sizes,
        held={name: array for name, array in source.lowered.defaults.items() if time_axis.get(name, 0) is None},
        rate=step.timeline.tempo.rate,
        delay=step.timeline.delay,
        tail=step.tail,
        rows=RowGraph(step.compiled, outputs, frozenset(sizes), lengths, moving),
    )


def _of_chunks(
    whole: _Recurrence, rows: Sequence[Dim], options: CompileOptions, source: GraphSource, kept: Set[str],
    where: Where | None,
) -> _Recurrence:  # fmt: skip
    """The graph of a chunk, whose states are also the past that it reads. rows: all that counts rows. kept: labels of
    states that are kept by name.
    """
    row = rows[0] if rows else 1
    alike = {str(dim): row for dim in rows if isinstance(dim, Size) and dim.symbol}
    rounded = run(with_sizes(whole.compiled.graph, alike), rounding(options.reduced), forbidden("inference"))
    timeline = timeline_of(rounded, whole.timeline.tempo.lengths, kept)
    check_streamable(rounded, whole.initial, timeline, where)
    chunked = chunk_graph(timeline, row, where)
    compiled = CompiledGraph(chunked.graph, "inference", options, source.described, rounded=True)
    found = compiled.input_types()
    starts = [(label, make("broadcast", first, shape=(row, found[label].shape[1]))) for label, first in chunked.initial]
    before, labels = whole.initial, [label for label, _ in chunked.initial]
    nests = ({label.removeprefix("state/"): label for label in labels},) if labels else ()
    return _Recurrence(
        compiled,
        Graph.of(before.name, (*before.outputs, *starts), before.inputs, before.comments),
        [*whole.labels, *labels],
        (*whole.structures, *nests),
        (*whole.named, *nests),
        timeline,
        Tail(timeline, row, options, source),
    )


def _without(structure: Any, names: Container[str]) -> Any:
    """The nest of outputs without these."""
    if not isinstance(structure, dict):
        return structure
    return {name: nest for name, nest in structure.items() if name not in names}


def _single(kind: TensorType, axis: int | None, lengths: frozenset[str]) -> int | None:
    """An axis of time that has one entry for each step."""
    return axis if axis is not None and substitute(kind.shape[axis], dict.fromkeys(lengths, 1)) == 1 else None


def _fixed_sizes(rows: Sequence[Dim], batch: int, where: Where | None) -> dict[str, int]:
    """The batch is the caller's; it stands for every size that counts rows."""
    for dim in rows:
        if isinstance(dim, int) and dim != batch:
            raise ShapeError(f"the graph is declared for a batch of {dim}, not {batch}", where)
    return dict.fromkeys([name for dim in rows for name in symbols_of(dim)], batch)
