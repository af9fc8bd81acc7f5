"""Graphs that compute the outputs that are due at the end of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from ...ir.axes.by_size import axis_of_names
from ...ir.types import Dim, evaluate, symbols_of
from ...passes.chunks.chunk_graph import tail_graph
from ...passes.chunks.timeline import Timeline
from ...passes.lowering.lowered import STEPS
from ...support.bounded_cache import BoundedCache
from ...support.errors import ShapeError, Where
from ..graph_source import GraphSource
from ..native.compile_options import CompileOptions
from ..native.compiled_graph import CompiledGraph
from ..native.optimized_graph import Changes
from ..native.preconditions import Precondition, preconditions_of

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
                if evaluate(need.low, sizes) < 0:
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
            if check.kind == "size" and symbols_of(check.low) <= self.timeline.stream_rate.lengths
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
