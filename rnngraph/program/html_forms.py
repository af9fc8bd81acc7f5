"""How a program looks in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ir.graph import Graph
from ..ir.types import TensorType, evaluate, product
from ..passes.gradients.autodiff import PREFIX
from ..support.display.html import code, escaped, folded, headed, picture, table
from .callable_graph import CallableGraph
from .parts import ProgramParts

if TYPE_CHECKING:
    from .summary import Summary


class TwoGraphs(NamedTuple):
    """What a program makes of one declaration."""

    inference: CallableGraph[Any]
    training: CallableGraph[Any]


def program_html(program: ProgramParts, graphs: TwoGraphs, summary: Summary) -> str:
    """The declaration as a picture and as text, what differs between the two graphs, parameters and layers."""
    from ..inspection.picture.pictures import svg  # few draw

    options, gone = program.options, graphs.inference.graph.comments
    parameters = {name: spec.type for spec, name in program.lowered.slots.items()}
    drawn = picture(svg(program.source), "the declaration: the training and the inference graph side by side")
    declaration = drawn + folded("as text", code(program.source.described().text()))
    parts = [
        folded("Declaration", declaration, is_open=True),
        "<div>What differs between the two graphs</div>",
        table(("", "inference", "training"), _differences(graphs)),
        *([folded(f"Taken out of the inference graph: {len(gone)}", "<br>".join(map(escaped, gone)))] if gone else []),
        folded(f"{len(parameters)} parameters", _parameters(parameters)),
        folded("Layers", summary._repr_html_()),
    ]
    return headed("Program", f"for {options.target.name}, threads {options.threads.count}", *parts)


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
