"""Graphs with gradients of trainable parameters, and of the placeholders and taps in ``wrt=``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..declare.tensor import Tensor
from ..ir.graph import Graph
from ..ir.types import FLOATS, TensorType, evaluate
from ..passes.gradients.autodiff import unreached, with_parameters
from ..passes.lowering.lowered import TAP
from ..runtime.calls.feeds import solve_sizes
from ..runtime.calls.nested_feeds import names_under
from ..runtime.graph_source import TAPS_MOVED
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.optimized_graph import Changes
from ..runtime.native.recompute_option import AUTO, RecomputeOption
from ..support.allocation import zeros
from ..support.bounded_cache import BoundedCache
from ..support.errors import ArgumentError, DtypeError, GraphError, NameLookupError, Where, shown, warn
from .parts import ProgramParts

MAX_GRAPHS = 64
"""Maximum cached graphs, one for each choice of outputs and ``wrt``."""


def require_loss(has_loss: bool, where: Where | None) -> None:
    """Raise ``GraphError`` unless there is a loss whose gradients ``wrt=`` selects."""
    if not has_loss:
        raise GraphError("gradients with respect to wrt= need the loss; give one to rg.compile, and feed it", where)


class GradientGraphs:
    """Cache of graphs with gradients, which are built on first use.

    There is a graph for each choice of differentiated outputs and of variables to differentiate with respect to.

    Attributes:
        trainable: Names of the parameters, for which all graphs return gradients.
    """

    def __init__(self, parts: ProgramParts, lowered: Graph, types: Mapping[str, TensorType]) -> None:
        parameters = parts.parameters
        self.trainable = tuple(name for name in parameters if parameters.slot(name).trainable)
        self._parts, self._lowered, self._types = parts, lowered, types
        self._graphs: BoundedCache[tuple[tuple[str, ...], tuple[str, ...], RecomputeOption], CompiledGraph]
        self._graphs = BoundedCache(MAX_GRAPHS)
        self._moved: dict[str, TensorType] | None = None
        self._warned = False

    def selected_placeholders(
        self, wrt: Sequence[str | Tensor], where: Where | None
    ) -> tuple[list[str], tuple[str, ...]]:
        """Return (names of nested states in ``wrt``, names of all placeholders that ``wrt`` selects)."""
        if isinstance(wrt, str | Tensor) or not isinstance(wrt, Sequence):
            raise DtypeError(f"wrt= must be a list of placeholders or of their names, not {shown(wrt)}", where)
        names = [self._parts.names.name_of(item, where) for item in wrt]
        states = [name for name in names if name not in self._types and names_under(name, self._types)]
        placeholders: list[str] = []
        for name in names:
            placeholders += names_under(name, self._types) if name in states else [name]
        return states, tuple(dict.fromkeys(placeholders))

    def checked_graph(
        self, extra: tuple[str, ...], differentiated: tuple[str, ...], recompute: RecomputeOption, where: Where | None
    ) -> CompiledGraph:
        """Return the graph with gradients of the loss, or of ``differentiated`` outputs, after checks.

        Warn once of trainable parameters that the loss does not depend on.

        The gradients are with respect to parameters and the placeholders ``extra``.

        Raises:
            ArgumentError: A name is not that of a float placeholder or float tap.
            GraphError: There is nothing to differentiate with respect to.
        """
        for name in extra:
            kind = self.tap_types().get(name) if name.startswith(TAP) else self._types.get(name)
            if kind is None or kind.dtype not in FLOATS:
                taps = ", ".join(self.tap_types())
                hint = f"; its float taps are {taps}" if name.startswith(TAP) and taps else ""
                what = "tap" if name.startswith(TAP) else "placeholder"
                raise ArgumentError(f"wrt={shown(name)} is not a float {what} of the training graph{hint}", where)
        if not (self.trainable or extra):
            raise GraphError("no parameter is trainable, so there are no gradients; give wrt=", where)
        compiled = self.graph(extra, differentiated, recompute)
        if not self._warned and not differentiated:
            self._warned = True
            idle = [name for name in unreached(compiled.graph) if name in self.trainable]
            if idle:
                warn(f"the loss does not depend on {', '.join(idle)}; their gradients are zero", where)
        return compiled

    def graph(
        self, extra: tuple[str, ...] = (), differentiated: tuple[str, ...] = (), recompute: RecomputeOption = AUTO
    ) -> CompiledGraph:
        """Return the graph with gradients with respect to the trainable parameters and ``extra``, without checks.

        Args:
            extra: Names of placeholders and taps.
            differentiated: Names of outputs that take their cotangents as inputs; empty for the loss.
            recompute: Policy for rematerialising forward values.
        """

        def build() -> CompiledGraph:
            parts, lowered = self._parts, self._lowered
            if any(name.startswith(TAP) for name in extra):
                moved = parts.source.tapped(TAPS_MOVED)
                assert moved is not None, "``extra`` names taps, so there are taps"
                lowered = moved.graph
            types = {name: parts.parameters.slot(name).type for name in self.trainable}
            return CompiledGraph(
                with_parameters(lowered, types),
                "training",
                parts.options,
                parts.source.described,
                Changes((*self.trainable, *extra), differentiated),
                recompute,
            )

        return self._graphs.get_or_make((extra, differentiated, recompute), build)

    def zeros_for_taps(
        self, compiled: CompiledGraph, arrays: Mapping[str, np.ndarray], where: Where | None
    ) -> dict[str, np.ndarray]:
        """Return {input of a tap: zeros}. Raise ``NameLookupError`` if the feeds leave a tap's size unknown."""
        types = compiled.input_types()
        sizes = solve_sizes(arrays, self._types, where)
        labels = [name for name in types if name.startswith(TAP)]
        unknown = sorted({size for name in labels for size in types[name].symbols} - sizes.keys())
        if unknown:
            raise NameLookupError(
                f"the feeds do not determine the size {', '.join(unknown)}; feed every placeholder that has it", where
            )
        return {
            name: zeros([evaluate(dim, sizes) for dim in types[name].shape], types[name].dtype, f"the zeros of {name}")
            for name in labels
        }

    def tap_types(self) -> dict[str, TensorType]:
        """Return the types of the inputs that are added to taps, by label."""
        if self._moved is None:
            moved = self._parts.source.tapped(TAPS_MOVED)
            inputs = () if moved is None else moved.graph.inputs
            self._moved = {str(node["label"]): node.tensor for node in inputs if str(node["label"]).startswith(TAP)}
        return self._moved
