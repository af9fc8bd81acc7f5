"""How a program looks in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..display.html import escaped, folded, headed, table
from ..ir.graph import Graph
from ..ir.types import TensorType, evaluate, product
from ..passes.gradients.autodiff import PREFIX
from .callable_graph import CallableGraph


class TwoGraphs(NamedTuple):
    """What a program makes of one declaration."""

    inference: CallableGraph[Any]
    training: CallableGraph[Any]


def program_html(
    note: str, declaration: str, graphs: TwoGraphs, parameters: Mapping[str, TensorType], layers: str
) -> str:
    """The declaration, what differs between the two graphs, parameters and layers.

    note: a few words beside the title. declaration: HTML, a picture or a text.
    parameters: types by name.
    layers: HTML of the summary.
    """
    gone = graphs.inference.graph.comments
    parts = [
        folded("Declaration", declaration, is_open=True),
        "<div>What differs between the two graphs</div>",
        table(("", "inference", "training"), _differences(graphs)),
        *([folded(f"Taken out of the inference graph: {len(gone)}", "<br>".join(map(escaped, gone)))] if gone else []),
        folded(f"{len(parameters)} parameters", _parameters(parameters)),
        folded("Layers", layers),
    ]
    return headed("Program", note, *parts)


def _differences(graphs: TwoGraphs) -> list[tuple[str, str, str]]:
    """Rows of a table: a fact, and what it is of either graph."""

    def row(fact: str, of: Callable[[CallableGraph[Any]], Iterable[str]]) -> tuple[str, str, str]:
        inference, training = (", ".join(of(graph)) or "none" for graph in graphs)
        return fact, inference, training

    return [
        row("takes", lambda graph: graph.input_types()),
        row("gives", lambda graph: _outputs(graph.graph)),
        row("dropout and noise", lambda graph: _sites(graph.graph)),
        row("nodes", lambda graph: [f"{sum(1 for _ in graph.graph.walk()):,}"]),
    ]


def _outputs(graph: Graph) -> list[str]:
    """Names of outputs; gradients, of which every parameter has one, are counted."""
    names = [name for name, _ in graph.outputs]
    own = [name for name in names if not name.startswith(PREFIX)]
    return own if len(own) == len(names) else [*own, f"{len(names) - len(own)} gradients"]


def _sites(graph: Graph) -> list[str]:
    """Names of the places where a graph draws random numbers, in order, each once."""
    return [*dict.fromkeys(str(node["site"]) for node in graph.walk() if node.get("site"))]


def _parameters(parameters: Mapping[str, TensorType]) -> str:
    rows = [
        (name, str([*kind.shape]), kind.dtype, f"{evaluate(product(kind.shape), {}):,}")
        for name, kind in parameters.items()
    ]
    return table(("name", "shape", "dtype", "numbers"), rows)
