"""Pipelines of passes. The verifier checks the graph after every pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ..ir.graph import Graph, Node
from ..ir.ops import OPS
from ..ir.verifier import INFERENCE_FORBIDS, verify
from .accumulate import Accumulate
from .affine.chunk import Chunk, Chunking
from .fission import Fission
from .fuse_multiply_add import FuseMultiplyAdd
from .gradients.autodiff import Autodiff
from .gradients.replace_gradients import is_inner
from .layout import Layout
from .quantization.reduced_weights import ReducedWeights
from .simplify import Simplify
from .sink import Sink
from .sparse_products import SparseProducts
from .split import Split
from .split_concats import SplitConcats
from .states.narrow_loops import NarrowLoops
from .states.state_shapes import StateShapes
from .states.trailing_ones import TrailingOnes
from .unroll import Unroll


class Pass(Protocol):
    """Interface of a pass: a frozen dataclass with a name, whose docstring states its law."""

    @property
    def name(self) -> str: ...

    def __call__(self, graph: Graph) -> Graph: ...


SPLIT: dict[str, tuple[Pass, ...]] = {
    "training": (Split(training=True), Simplify()),
    "inference": (Split(training=False), Simplify()),
}

ORDER: tuple[Pass, ...] = (Layout(), SplitConcats(), Accumulate())
LOOPS: tuple[Pass, ...] = (
    TrailingOnes(),
    StateShapes(),
    Fission(),
    Layout("layout_again"),
    Sink(),
    Simplify("simplify_again"),
    NarrowLoops(),
    FuseMultiplyAdd(),
)


def meaning(
    kind: str, wrt: tuple[str, ...] = (), outputs: tuple[str, ...] = (), chunked: Chunking | None = None
) -> tuple[Pass, ...]:
    """Return the passes that turn a declaration into the ``training`` or the ``inference`` graph.

    Equal values whose gradients are needed are not merged before differentiation, because each has its own gradient.

    Args:
        kind: ``training`` or ``inference``.
        wrt: Labels of the values whose gradients are added.
        outputs: Names of outputs whose gradients are inputs; empty to differentiate the loss.
        chunked: Options for affine recurrences of a training graph that run in chunks; None to run them by steps.
    """
    chunks = (Chunk(chunked), Simplify("simplify_chunks")) if chunked is not None and kind == "training" else ()
    before = (*SPLIT[kind], *chunks)
    if not wrt:
        return before
    kept = [single for single in before if not (isinstance(single, Simplify) and any(map(is_inner, wrt)))]
    return (*kept, Autodiff(wrt, outputs), Simplify("simplify_gradients"))


def between(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    """Return passes for a graph with gradients: transposes between scans and their derivatives move, too."""
    return tuple(replace(single, between=True) if isinstance(single, Layout) else single for single in passes)


def reducing(reduced: ReducedWeights) -> tuple[Pass, ...]:
    """Return the passes that precede quantization, and the one that narrows weights."""
    return (*ORDER, reduced)


def rounding(reduced: ReducedWeights | None = None) -> tuple[Pass, ...]:
    """Return the passes on which the rounding of results depends, in order."""
    return (*(reducing(reduced) if reduced else ORDER), *LOOPS)


def optimization(
    unroll: int | str | None = None,
    reduced: ReducedWeights | None = None,
    rounded: bool = False,
    differentiated: bool = False,
    sparse: bool = False,
) -> tuple[Pass, ...]:
    """Return the passes that optimise a graph, in order.

    Args:
        reduced: Pass that narrows its weights, if any.
        rounded: The passes of ``rounding`` were applied before, and must not change the bits again.
        differentiated: The graph has gradients.
        sparse: Skip blocks of weights that are zero.
    """
    before = (Layout(),) if rounded else rounding(reduced)
    before = between(before) if differentiated else before
    last = (Unroll(unroll or 1), Simplify("simplify_last"))
    return (*before, *last, SparseProducts()) if sparse else (*before, *last)


def pipeline(
    kind: str, unroll: int | str | None = None, wrt: tuple[str, ...] = (), reduced: ReducedWeights | None = None
) -> tuple[Pass, ...]:
    """Return all passes of the ``training`` or the ``inference`` graph, in order."""
    return (*meaning(kind, wrt), *optimization(unroll, reduced, differentiated=bool(wrt)))


def forbidden(kind: str) -> tuple[str, ...]:
    """Return the ops that must not occur in a graph of this kind once the declaration is split."""
    declared = tuple(name for name, op in OPS.items() if op.until)
    return (*INFERENCE_FORBIDS, *declared) if kind == "inference" else declared


def run(
    graph: Graph,
    passes: Sequence[Pass],
    forbid: tuple[str, ...] = (),
    seen: Callable[[str, Graph], None] | None = None,
) -> Graph:
    """Apply all ``passes`` in order. ``seen`` is called with each pass's name and result."""
    known: set[Node] = set()
    for single in passes:
        graph = verify(single(graph), single.name, forbid, known)
        if seen is not None:
            seen(single.name, graph)
    return graph
