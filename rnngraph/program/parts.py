"""The parts that the graphs of one program share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypedDict

from ..ir.graph import Graph
from ..passes.lowering.lowered import Lowered
from ..runtime.calls.feed_names import FeedNames
from ..runtime.graph_source import GraphSource
from ..runtime.native.compile_options import CompileOptions
from ..runtime.native.weight_options import Weights
from ..runtime.parameters import Parameters
from ..support.records import dataclass
from .seeds import SeedGenerator

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]
"""What ``__reduce__`` gives: a function, and what it makes the object of."""


@dataclass(frozen=True)
class ProgramParts:
    """source: where the graphs come from. options: of the compiler. names: of feeds. seeds: of masks.

    reduce: how the program, or one of its graphs, pickles: by its name, and what is made of it. kept: of the program as
    bytes what parameters don't change, once it pickled.
    """

    source: GraphSource
    parameters: Parameters
    options: CompileOptions
    names: FeedNames
    seeds: SeedGenerator
    reduce: Callable[[ProgramParts, str, Mapping[str, Any], Mapping[str, Any]], Reduced]
    kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def lowered(self) -> Lowered:
        """The declaration as calls run it."""
        return self.source.lowered

    def reduced(
        self, part: str, made: Mapping[str, Any] | None = None, arrays: Mapping[str, Any] | None = None
    ) -> Reduced:
        """What ``__reduce__`` of ``part`` gives. made, arrays: what is made of the part, as text and arrays."""
        return self.reduce(self, part, made or {}, arrays or {})


def without_output(graph: Graph, name: str) -> Graph:
    """Return a graph without one output and what only it reads."""
    kept = [(key, node) for key, node in graph.outputs if key != name]
    whole = Graph.of(graph.name, kept, graph.inputs)
    return Graph.of(graph.name, kept, whole.read_inputs(), graph.comments)


def renamed(graph: Graph, name: str) -> Graph:
    """Return a graph of another name."""
    return Graph.of(name, graph.outputs, graph.inputs, graph.comments)


class CompileKeywords(TypedDict, total=False):
    """Keyword arguments of ``compile``."""

    seed: int
    target: str | None
    threads: int
    unroll: int | str | None
    weights: Weights
    activations: str
    sparse: bool
    parameters: Any
    cache: bool | str | os.PathLike[str]
    states: Mapping[str, Any] | None
    classes: Mapping[str, Sequence[Any]] | Sequence[Any] | None
    direct_calls: bool
    chunked: int | None
