"""HTML form of a program in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..ir.graph import Graph
from ..ir.types import TensorType, evaluate, product
from ..passes.gradients.autodiff import PREFIX
from ..support.display.html import code, escaped, folded, headed, picture, table
from ..support.records import NamedTuple
from .callable_graph import CallableGraph
from .parts import ProgramParts

if TYPE_CHECKING:
    from .reports.summary import Summary


class TwoGraphs(NamedTuple):
    """Training graph and inference graph of a program."""

    inference: CallableGraph[Any]
    training: CallableGraph[Any]


def program_html(program: ProgramParts, graphs: TwoGraphs, summary: Summary) -> str:
    """Return a program as HTML: picture and text of the declaration, differences of the graphs, and layers."""
    from ..inspection.picture.pictures import svg  # rarely needed

    options, removed = program.options, graphs.inference.graph.comments
    parameters = {name: spec.type for spec, name in program.lowered.slots.items()}
    drawn = picture(
        svg(program.source, max_detail="cells"), "the declaration: the training and the inference graph side by side"
    )
    declaration = drawn + folded("as text", code(program.source.described().text()))
    parts = [
        folded("Declaration", declaration, is_open=True),
        "<div>What differs between the two graphs</div>",
        table(("", "inference", "training"), _differences(graphs)),
        *(
            [folded(f"Removed from the inference graph: {len(removed)}", "<br>".join(map(escaped, removed)))]
            if removed
            else []
        ),
        folded(f"{len(parameters)} parameters", _parameters(parameters)),
        folded("Layers", summary._repr_html_()),
    ]
    return headed("Program", f"for {options.target.name}, threads {options.threads.count}", *parts)


def _differences(graphs: TwoGraphs) -> list[tuple[str, str, str]]:
    """Return the rows of a table of properties of both graphs."""

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
    """Return the names of outputs, with the number of gradients in place of their names."""
    names = [name for name, _ in graph.outputs]
    own = [name for name in names if not name.startswith(PREFIX)]
    return own if len(own) == len(names) else [*own, f"{len(names) - len(own)} gradients"]


def _sites(graph: Graph) -> list[str]:
    """Return the distinct sites of random numbers in a graph."""
    return [*dict.fromkeys(str(node["site"]) for node in graph.walk() if node.get("site"))]


def _parameters(parameters: Mapping[str, TensorType]) -> str:
    rows = [
        (name, str([*kind.shape]), kind.dtype, f"{evaluate(product(kind.shape), {}):,}")
        for name, kind in parameters.items()
    ]
    return table(("name", "shape", "dtype", "numbers"), rows)
