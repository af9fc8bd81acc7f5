"""Passes that all calls need, and the runner of passes. The verifier checks the graph after each pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..ir.graph import Graph, Node
from ..ir.ops import OPS
from ..ir.verifier import INFERENCE_FORBIDS, verify
from .affine.chunking import Chunking
from .gradients.autodiff import Autodiff
from .gradients.replace_gradients import is_inner
from .simplify import Simplify
from .split import Split


class Pass(Protocol):
    """Interface of a pass: a frozen dataclass with a name, whose docstring states its law."""

    @property
    def name(self) -> str: ...

    def __call__(self, graph: Graph) -> Graph: ...


SPLIT: dict[str, tuple[Pass, ...]] = {
    "training": (Split(training=True), Simplify()),
    "inference": (Split(training=False), Simplify()),
}


def meaning(
    kind: str, wrt: tuple[str, ...] = (), outputs: tuple[str, ...] = (), chunked: Chunking | None = None
) -> tuple[Pass, ...]:
    """Return the passes that turn a declaration into the ``training`` or the ``inference`` graph.

    If ``wrt`` has intermediate values, nothing is simplified before differentiation. Equal values would be merged, but
    their gradients differ.

    Args:
        kind: ``training`` or ``inference``.
        wrt: Labels of the values whose gradients are added; empty for no gradients.
        outputs: Names of outputs from whose gradients, which become inputs, to differentiate; empty for the loss.
        chunked: Options for running affine recurrences of a training graph in chunks; None to run them step by step. An
            inference graph never runs them in chunks.
    """
    before = SPLIT[kind]
    if chunked is not None and kind == "training":
        from .affine.chunk import Chunk  # imported late, because few nets train in chunks

        before = (*before, Chunk(chunked), Simplify("simplify_chunks"))
    if not wrt:
        return before
    kept = [single for single in before if not (isinstance(single, Simplify) and any(map(is_inner, wrt)))]
    if any(map(is_inner, wrt)):
        return (*kept, Autodiff(wrt, outputs), Simplify("simplify_gradients"))
    from .states.large_transposes import LargeTransposes  # imported late, because only gradients need them
    from .states.state_axes import StateAxes
    from .states.vector_products import VectorProducts

    # equal steps with matrix states have equal derivatives, however they are declared
    steps = (VectorProducts("products_of_steps", only_matrix_states=True), LargeTransposes("transposes_of_steps"))
    return (*kept, *steps, StateAxes("axes_of_steps"), Autodiff(wrt, outputs), Simplify("simplify_gradients"))


def forbidden(kind: str) -> tuple[str, ...]:
    """Return the ops that must not occur in the ``training`` or ``inference`` graph after the split."""
    declared = tuple(name for name, op in OPS.items() if op.until)
    return (*INFERENCE_FORBIDS, *declared) if kind == "inference" else declared


def run(
    graph: Graph,
    passes: Sequence[Pass],
    forbid: tuple[str, ...] = (),
    seen: Callable[[str, Graph], None] | None = None,
) -> Graph:
    """Apply all ``passes`` in order, and verify each new result.

    Args:
        graph: Graph to rewrite.
        passes: Passes in their order.
        forbid: Ops that no result may have.
        seen: Function that is called with each pass's name and result.
    """
    known: set[Node] = set()
    verified: Graph | None = None
    for single in passes:
        graph = single(graph)
        if graph is not verified:
            verified = verify(graph, single.name, forbid, known)
        if seen is not None:
            seen(single.name, graph)
    return graph
