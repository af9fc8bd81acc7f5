"""The two pipelines, and how a pipeline runs: the verifier checks the graph after every pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ..ir.graph import Graph, Node
from ..ir.ops import OPS
from ..ir.verifier import INFERENCE_FORBIDS, verify
from .accumulate import Accumulate
from .affine.chunk import Chunk
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
from .states.state_shapes import StateShapes
from .states.trailing_ones import TrailingOnes
from .unroll import Unroll


class Pass(Protocol):
    """A frozen dataclass with a name; its law stands in its docstring."""

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
    FuseMultiplyAdd(),
)


def meaning(
    kind: str, wrt: tuple[str, ...] = (), outputs: tuple[str, ...] = (), chunked: int | None = None
) -> tuple[Pass, ...]:
    """The passes that make the ``training`` or the ``inference`` graph; with gradients if there is a ``wrt``.

    chunked: steps of a chunk, in which affine recurrences run where the graph is for training.

    outputs: what gradients are given of, in place of a loss. Values within the graph that gradients are of stay apart
    until then: two that are equal have one value, and a gradient each.
    """
    chunks = (Chunk(chunked), Simplify("simplify_chunks")) if chunked is not None and kind == "training" else ()
    before = (*SPLIT[kind], *chunks)
    if not wrt:
        return before
    kept = [single for single in before if not (isinstance(single, Simplify) and any(map(is_inner, wrt)))]
    return (*kept, Autodiff(wrt, outputs), Simplify("simplify_gradients"))


def between(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    """The passes of a graph with gradients: all that lies between a driver and its derivative is time-major."""
    return tuple(replace(single, between=True) if isinstance(single, Layout) else single for single in passes)


def reducing(reduced: ReducedWeights) -> tuple[Pass, ...]:
    """The passes up to the one that makes weights narrow."""
    return (*ORDER, reduced)


def rounding(reduced: ReducedWeights | None = None) -> tuple[Pass, ...]:
    """The passes that settle how results are rounded, in order. reduced: what makes weights narrow, if they are so."""
    return (*(reducing(reduced) if reduced else ORDER), *LOOPS)


def optimization(
    unroll: int | str | None = None, reduced: ReducedWeights | None = None, rounded: bool = False,
    differentiated: bool = False, sparse: bool = False,
) -> tuple[Pass, ...]:  # fmt: skip
    """The passes that make a graph fast, in order. differentiated: whether it has gradients.

    reduced: what makes its weights narrow, if they are to be. rounded: the graph is made of one that had ``rounding``,
    whose bits it keeps. sparse: whether blocks of weights that are zero are left out.
    """
    before = (Layout(),) if rounded else rounding(reduced)
    before = between(before) if differentiated else before
    last = (Unroll(unroll or 1), Simplify("simplify_last"))
    return (*before, *last, SparseProducts()) if sparse else (*before, *last)


def pipeline(
    kind: str, unroll: int | str | None = None, wrt: tuple[str, ...] = (), reduced: ReducedWeights | None = None
) -> tuple[Pass, ...]:  # fmt: skip
    """All passes of the ``training`` or the ``inference`` graph, in order."""
    return (*meaning(kind, wrt), *optimization(unroll, reduced, differentiated=bool(wrt)))


def forbidden(kind: str) -> tuple[str, ...]:
    """Ops that must not occur once the graph is split."""
    declared = tuple(name for name, op in OPS.items() if op.until)
    return (*INFERENCE_FORBIDS, *declared) if kind == "inference" else declared


def run(
    graph: Graph,
    passes: Sequence[Pass],
    forbid: tuple[str, ...] = (),
    seen: Callable[[str, Graph], None] | None = None,
) -> Graph:
    """``graph`` after all ``passes``. ``seen`` is told each pass's name and result."""
    known: set[Node] = set()
    for single in passes:
        graph = verify(single(graph), single.name, forbid, known)
        if seen is not None:
            seen(single.name, graph)
    return graph
