"""Outputs of a stream that are returned only when a sequence ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...ir.axes.by_size import axis_of_names
from ...ir.types import Dim, evaluate, symbols_of
from ...passes.chunks.chunk_graph import tail_graph
from ...passes.chunks.timeline import Timeline
from ...passes.lowering.lowered import STEPS
from ...support.bounded_cache import BoundedCache
from ...support.errors import GraphError, NameLookupError, ShapeError, Where
from ..calls.entry_blocks import run_once
from ..calls.feeds import solve_sizes
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from ..native.optimized_graph import Changes
from ..native.preconditions import Precondition, preconditions_of
from ..parameters import Parameters

if TYPE_CHECKING:
    from .step_graph import StepGraph

MAX_TAILS = 64
"""Maximum number of cached graphs of sequence ends. There is one for each combination of remaining entries."""


class Tail:
    """Graphs that compute the outputs that are due at the end of a sequence."""

    def __init__(
        self, derived: Callable[[], Timeline], rows: Dim, options: CompileOptions, source: GraphSource
    ) -> None:
        """Make the graphs of the ends of sequences.

        Args:
            derived: Function that returns the timeline of the whole graph. It is called when a sequence ends.
            rows: Number of rows.
        """
        self._derived, self._rows, self._options, self._source = derived, rows, options, source
        self._graphs: BoundedCache[tuple[tuple[str, int], ...], CompiledGraph] = BoundedCache(MAX_TAILS)
        self._remainders: dict[str, tuple[int, dict[int, tuple[str, int]]]] = {}

    @cached_property
    def timeline(self) -> Timeline:
        """Timeline of the whole graph."""
        return self._derived()

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


class SequenceEnd:
    """Function that computes the outputs that are due when a sequence ends."""

    def __init__(self, graph: StepGraph, parameters: Parameters) -> None:
        self._graph, self._parameters = graph, parameters
        self._results = tuple(name for name in graph.outputs if name not in graph.states.labels)

    @property
    def is_empty(self) -> bool:
        """True if no output is due at the end, because each step returns all outputs of its inputs."""
        return self._graph.tail is None

    def due(
        self,
        held_feeds: Mapping[str, np.ndarray],
        left: Mapping[str, np.ndarray],
        states: Sequence[np.ndarray],
        chosen: np.ndarray,
        where: Where | None,
    ) -> dict[str, np.ndarray]:
        """Return the outputs, by name, that no step has returned yet.

        Args:
            held_feeds: Feeds without a time axis.
            left: The remaining entries of the sequences, too few for a whole step.
            states: The present states.
            chosen: Mask of the rows that end.
        """
        step_graph = self._graph
        if step_graph.tail is None:
            return self._empty_outputs(where)
        rests, present = (
            step_graph.tail.remaining_counts(left, where),
            dict(zip(step_graph.states.labels, states, strict=True)),
        )
        step_graph.tail.check_lengths(present, chosen, rests, where)
        graph = step_graph.tail.graph(rests, where)
        kinds = graph.input_types()
        needed = [name for name in graph.needed(self._results) if name in step_graph.types]
        arrays = {**held_feeds, **left}
        for name in needed:
            if (
                name not in arrays
                and (axis := step_graph.axes.feeds[name]) is not None
                and kinds[name].shape[axis] == 0
            ):
                arrays[name] = np.empty(
                    [evaluate(dim, step_graph.sizes) for dim in kinds[name].shape], kinds[name].dtype
                )
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(
                f"flush needs {', '.join(missing)}; feed its remaining entries, or run a step that feeds it", where
            )
        used = {name: arrays[name] for name in needed}
        used |= {name: array for name, array in present.items() if name in kinds}
        sizes = {**solve_sizes(used, kinds, where), **step_graph.sizes}
        graph.check(self._results, used, sizes, where)
        entry = graph.entry(self._results, sizes)
        results = run_once(entry, entry.weights(self._parameters), used, sizes)
        return {name: results[name] for name in self._results}

    def _empty_outputs(self, where: Where | None) -> dict[str, np.ndarray]:
        """Return empty outputs, for a stream that never returns outputs late."""
        step_graph = self._graph
        for name in self._results:
            if step_graph.axes.outputs[name] is None:
                raise GraphError(
                    f"output {name or 'of this stream'} has no time axis, and every step returns it at once; "
                    "take the result of the last step, and call reset instead of flush",
                    where,
                )
        kinds = {name: node.tensor for name, node in step_graph.compiled.graph.outputs}
        sizes = {**step_graph.sizes, **dict.fromkeys(step_graph.lengths, 0)}
        return {
            name: np.zeros([evaluate(dim, sizes) for dim in kinds[name].shape], kinds[name].dtype)
            for name in self._results
        }
