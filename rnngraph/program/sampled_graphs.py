"""Training graphs that draw several times per call (``samples=``)."""

from __future__ import annotations

from typing import Literal

from ..passes.samples import Samples
from ..passes.split_concats import SplitConcats
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.optimized_graph import Changes
from ..support.arguments import whole_number
from ..support.bounded_cache import BoundedCache
from ..support.errors import ArgumentError, GraphError, Where

MAX_SAMPLES = 2**32

MAX_GRAPHS = 16
"""Maximum cached graphs, one for each number of draws."""


class SampledGraphs:
    """Cache of graphs, by the number of draws, the graph of one draw, and its outputs."""

    def __init__(self) -> None:
        self._graphs: BoundedCache[tuple[int, CompiledGraph, tuple[str, ...]], CompiledGraph | None]
        self._graphs = BoundedCache(MAX_GRAPHS)

    def graph(
        self, samples: int, compiled: CompiledGraph, outputs: tuple[str, ...], where: Where | None
    ) -> CompiledGraph | None:
        """Return a graph for several draws, built on first use; None if they cannot be drawn in one call."""
        count = whole_number(samples, "samples")
        if count < 1:
            raise ArgumentError(f"samples={count} must be 1 or more", where)
        if count > MAX_SAMPLES:
            raise ArgumentError(
                f"samples={count} is more than the {MAX_SAMPLES} draws that a seed has; draw fewer", where
            )
        key = (count, compiled, outputs)
        cached: CompiledGraph | Literal[False] | None = self._graphs.get(key, False)
        if cached is False:
            cached = self._graphs[key] = self._compiled(count, compiled, outputs)
        return cached or None

    def _compiled(self, count: int, compiled: CompiledGraph, outputs: tuple[str, ...]) -> CompiledGraph | None:
        """Return the graph for ``count`` draws; None if a pass cannot stack them."""
        sampled = CompiledGraph(
            compiled.lowered,
            "training",
            compiled.options,
            compiled.declared,
            Changes(first=(SplitConcats("split_concats_again"), Samples(count))),
        )
        try:
            sampled.optimized(outputs)
        except GraphError:
            return None
        return sampled
