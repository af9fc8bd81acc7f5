"""Passes that optimise a graph, in their order. Only graphs that are compiled need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..ir.graph import Graph
from .accumulate import Accumulate
from .axes.separate_axes import SeparateAxes
from .axes.slice_early import SliceEarly
from .fission import Fission
from .fuse_multiply_add import FuseMultiplyAdd
from .layout import Layout
from .pipeline import Pass, meaning
from .simplify import Simplify
from .sink import Sink
from .split_concats import SplitConcats
from .squeeze import Squeeze
from .states.absorb import Absorb
from .states.large_transposes import LargeTransposes
from .states.narrow_loops import NarrowLoops
from .states.split_sums import SplitSums
from .states.state_axes import StateAxes
from .states.state_shapes import StateShapes
from .states.trailing_ones import TrailingOnes
from .states.vector_products import VectorProducts
from .unroll import Unroll, unroll_fully
from .windows.padded_views import PaddedViews
from .windows.short_windows import ShortWindows

if TYPE_CHECKING:
    from .quantization.reduced_weights import ReducedWeights

ORDER: tuple[Pass, ...] = (
    SeparateAxes(),
    Simplify("simplify_axes"),
    PaddedViews(),
    ShortWindows(),
    Layout(),
    SplitConcats(),
    Accumulate(),
)
LOOPS: tuple[Pass, ...] = (
    VectorProducts(),
    LargeTransposes(),
    SplitSums(),
    TrailingOnes(),
    StateShapes(),
    StateAxes(),
    Fission(),
    Layout("layout_again"),
    SliceEarly(),
    Absorb(),
    Sink(),
    Simplify("simplify_again"),
    NarrowLoops(),
    FuseMultiplyAdd(),
)


def for_gradients(passes: Sequence[Pass]) -> tuple[Pass, ...]:
    """Return ``passes`` with the options for graphs with gradients, such as moving transposes between scans.

    Rows and steps stay merged, because gradients are not computed step by step.
    """

    def changed(single: Pass) -> Pass:
        """Return a pass with the options for gradients."""
        if isinstance(single, SeparateAxes):
            return replace(single, steps=False)
        return replace(single, between=True) if isinstance(single, Layout) else single

    return tuple(map(changed, passes))


def reducing(reduced: ReducedWeights) -> tuple[Pass, ...]:
    """Return the passes that precede quantization, and the pass that narrows weights."""
    return (*ORDER, reduced)


def rounding(reduced: ReducedWeights | None = None) -> tuple[Pass, ...]:
    """Return the passes on which the rounding of results depends, in order."""
    return (*(reducing(reduced) if reduced else ORDER), *LOOPS)


def state_forms() -> tuple[Pass, ...]:
    """Return the passes after which loops carry states in the form in which steps compute with them."""
    names = [single.name for single in LOOPS]
    return LOOPS[: names.index(StateAxes.name) + 1]


def optimization(
    unroll: int | str | None = None,
    reduced: ReducedWeights | None = None,
    rounded: bool = False,
    differentiated: bool = False,
    sparse: bool = False,
) -> tuple[Pass, ...]:
    """Return the passes that optimise a graph, in order.

    Args:
        unroll: Number of steps per iteration of a loop, or ``"full"`` for lengths that are ints. None for 1.
        reduced: Pass that narrows weights; None to keep them. It is ignored if ``rounded``.
        rounded: True if the passes of ``rounding`` have been applied. Of these, only ``layout`` and ``slice_early`` are
            then repeated.
        differentiated: True if the graph has gradients.
        sparse: True to skip blocks of weights that are zero.
    """
    before = (Layout(), SliceEarly()) if rounded else rounding(reduced)
    before = for_gradients(before) if differentiated else before
    before = (*before, Unroll(unroll or 1), Simplify("simplify_last"))
    if not sparse:
        return before
    from .sparse_products import SparseProducts  # imported late, because few nets have sparse weights

    return (*before, SparseProducts())


def pipeline(
    kind: str, unroll: int | str | None = None, wrt: tuple[str, ...] = (), reduced: ReducedWeights | None = None
) -> tuple[Pass, ...]:
    """Return all passes of the ``training`` or the ``inference`` graph, in order."""
    return (*meaning(kind, wrt), *optimization(unroll, reduced, differentiated=bool(wrt)))


def single_steps(graph: Graph) -> Graph:
    """Unroll loops of a single step, and remove the leading axis of size 1 of their values."""
    return Squeeze()(unroll_fully(graph, only_single_steps=True))
