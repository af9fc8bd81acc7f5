"""Training graphs that make several draws in a call (``samples=``)."""

from __future__ import annotations

from typing import Literal

from ..passes.samples import Samples
from ..passes.split_concats import SplitConcats
from ..runtime.native.compiled_graph import CompiledGraph
from ..support.arguments import whole_number
from ..support.bounded_cache import BoundedCache
from ..support.errors import ArgumentError, GraphError, Where

MAX_SAMPLES = 2**32

MAX_NUMBERS = 16
"""Numbers of draws in a call for which graphs are kept."""


class SampledGraphs:
    """Graphs by the number of draws, the graph that makes one, and its outputs."""

    def __init__(self) -> None:
        self._graphs: BoundedCache[tuple[int, CompiledGraph, tuple[str, ...]], CompiledGraph | None]
        self._graphs = BoundedCache(MAX_NUMBERS)

    def graph(
        self, samples: int, compiled: CompiledGraph, outputs: tuple[str, ...], where: Where | None
    ) -> CompiledGraph | None:
        """A graph for several draws, made when it is first asked for; None where they can't be drawn at once."""
        count = whole_number(samples, "samples")
        if count < 1:
            raise ArgumentError(f"samples={count} must be 1 or more", where)
        if count > MAX_SAMPLES:
            raise ArgumentError(f"samples={count} is more than the {MAX_SAMPLES} draws that a seed has", where)
        key = (count, compiled, outputs)
        found: CompiledGraph | Literal[False] | None = self._graphs.get(key, False)
        if found is False:
            found = self._graphs[key] = self._made(count, compiled, outputs)
        return found or None

    def _made(self, count: int, compiled: CompiledGraph, outputs: tuple[str, ...]) -> CompiledGraph | None:
        made = CompiledGraph(
            compiled.lowered, "training", compiled.options, compiled.declared,
            first=(SplitConcats("split_concats_again"), Samples(count)),
        )  # fmt: skip
        try:
            made.optimized(outputs)
        except GraphError:
            return None
        return made
