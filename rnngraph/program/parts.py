"""Parts that the graphs of one program share."""

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
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.weight_options import Weights
from ..runtime.parameters import Parameters
from ..support.records import NamedTuple, dataclass
from .seeds import SeedGenerator

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]
"""Result of ``__reduce__``: a function and its arguments."""


@dataclass(frozen=True)
class ProgramParts:
    """Parts that the graphs of one program share.

    Attributes:
        source: Source of the graphs.
        options: Compiler options.
        names: Names of feeds.
        seeds: Generator of seeds of masks.
        reduce: Function that pickles the program, or an object made from one of its graphs.
        kept: Cached bytes of the pickled program that do not depend on parameters.
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
        """Lowered declaration, from which calls are compiled."""
        return self.source.lowered

    def reduced(
        self, part: str, arguments: Mapping[str, Any] | None = None, arrays: Mapping[str, Any] | None = None
    ) -> Reduced:
        """Return the result of ``__reduce__`` for a part of the program.

        With ``arguments`` and ``arrays``, the pickled object is one made from the part, such as a stream.
        """
        return self.reduce(self, part, arguments or {}, arrays or {})


def without_output(graph: Graph, name: str) -> Graph:
    """Return a graph without one output and the nodes that only it reads."""
    kept = [(key, node) for key, node in graph.outputs if key != name]
    whole = Graph.of(graph.name, kept, graph.inputs)
    return Graph.of(graph.name, kept, whole.read_inputs(), graph.comments)


def renamed(graph: Graph, name: str) -> Graph:
    """Return a graph with another name."""
    return Graph.of(name, graph.outputs, graph.inputs, graph.comments)


class CallForm(NamedTuple):
    """Graph, outputs and result structure of a call.

    ``leaves`` are the outputs in the structure's order.
    """

    compiled: CompiledGraph
    outputs: tuple[str, ...]
    structure: Any
    leaves: Sequence[str]


def by_name(compiled: CompiledGraph, outputs: tuple[str, ...]) -> CallForm:
    """Return the form of a call whose results are a dict of these outputs."""
    return CallForm(compiled, outputs, dict.fromkeys(outputs), outputs)


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
    chunked_dtype: str
