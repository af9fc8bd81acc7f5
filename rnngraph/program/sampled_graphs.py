"""Training graphs that make several draws in a call (``samples=``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..errors import ArgumentError, GraphError, Where
from ..passes.samples import Samples
from ..passes.split_concats import Columns
from ..runtime.arguments import whole_number
from ..runtime.native.compiled_graph import CompiledGraph

if TYPE_CHECKING:
    from .program import Program

MOST_SAMPLES = 2**32

MOST_NUMBERS = 16
"""Numbers of draws in a call for which graphs are kept."""


class SampledGraphs:
    """Graphs by the number of draws, the graph that makes one, and its outputs."""

    def __init__(self, program: Program[Any], unroll: int | str | None) -> None:
        self._program, self._unroll = program, unroll
        self._graphs: dict[tuple[int, CompiledGraph, tuple[str, ...]], CompiledGraph | None] = {}

    def graph(
        self, samples: int, compiled: CompiledGraph, outputs: tuple[str, ...], where: Where | None
    ) -> CompiledGraph | None:
        """A graph for several draws, made when it is first asked for; None where they can't be drawn at once."""
        count = whole_number(samples, "samples")
        if count < 1:
            raise ArgumentError(f"samples={count} must be 1 or more", where)
        if count > MOST_SAMPLES:
            raise ArgumentError(f"samples={count} is more than the {MOST_SAMPLES} draws that a seed has", where)
        key = (count, compiled, outputs)
        found: CompiledGraph | Literal[False] | None = self._graphs.get(key, False)
        if found is False:
            if len(self._graphs) >= MOST_NUMBERS:
                self._graphs.clear()
            found = self._graphs[key] = self._made(count, compiled, outputs)
        return found or None

    def _made(self, count: int, compiled: CompiledGraph, outputs: tuple[str, ...]) -> CompiledGraph | None:
        program = self._program
        made = CompiledGraph(
            compiled.lowered, "training", program.target, self._unroll, program.declared_text,
            cache=program.cache, workers=program.workers, first=(Columns("joined_columns"), Samples(count)),
            notices=program.notices,
        )  # fmt: skip
        try:
            made.optimized(outputs)
        except GraphError:
            return None
        return made
