"""Lowered graph after its passes, with its inputs and the preconditions of its calls.

Sizes are symbolic here, except in the graph that ``sized`` returns, which is compiled for the sizes of a call.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

import numpy as np

from ...ir.axes.by_size import attended_sizes, lengths_of
from ...ir.equal_sizes import Equality, equalities_of, likely_sizes, settled
from ...ir.graph import Graph, with_sizes
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.text.fingerprint import fingerprint
from ...ir.types import Dim, TensorType, evaluate, symbols_of
from ...passes.pipeline import Pass, forbidden, meaning, run
from ...passes.recomputation.recompute import Recompute
from ...passes.simplify import Simplify, drop_limits
from ...support.bounded_cache import BoundedCache
from ...support.errors import ShapeError, Where
from ...support.forks import LockLevel, fork_lock
from ...support.garbage import collector_paused
from ...support.records import dataclass
from ..error_flags import FLAG, with_flags
from .compile_options import CompileOptions
from .object_cache import is_worth_keeping, key_of
from .preconditions import Precondition, check_preconditions, preconditions_of
from .size_bounds import Bounds, bounds_of


def tiled_sizes(graph: Graph) -> set[str]:
    """Return the symbols that register tiles need as constants: rows and columns of sums of outer products."""
    dims = [dim for node in graph.walk() if node.op == "outer_sum" for dim in node.shape]
    return set().union(*map(symbols_of, dims))


def open_sizes(graph: Graph) -> set[str]:
    """Return the symbols that may stay in compiled code: lengths of loops and of attention, unless tiles need them."""
    return (lengths_of(graph) | attended_sizes(graph)) - tiled_sizes(graph)


def ordered_sizes(graph: Graph) -> set[str]:
    """Return the symbols that determine the order of summation, and hence rounding.

    Such symbols are in the sizes of last axes that are reduced, and in the depths and columns of matrix products.
    """
    names: set[str] = set()
    for node in graph.walk():
        if node.op in MATRIX_PRODUCTS:
            names |= symbols_of(node.operands[0].shape[-1]) | symbols_of(node.shape[-1])
        elif OPS[node.op].kind == "reduction" and node.operands[0].tensor.rank - 1 in node["axes"]:
            names |= symbols_of(node.operands[0].shape[-1])
    return names


Equalities = tuple[tuple[Equality, ...], dict[str, Dim]]
"""Sizes that must be equal at run time, and likely values of symbols for which they are equal."""
MAX_OUTPUTS = 64
"""Maximum number of sets of outputs for which a graph caches analyses."""


@dataclass(frozen=True)
class Changes:
    """Modifications of a lowered graph in addition to the split and the optimisation.

    Attributes:
        wrt: Labels with respect to which the graph also returns gradients of its loss.
        differentiated: Outputs whose gradients the caller supplies, in place of a loss.
        then: Final passes that change the outputs, such as from gradients to new parameters.
        first: Passes before the optimisation that change the computation but not the inputs.
        rounded: True if the passes that affect rounding have already run on the lowered graph.
        split: The lowered graph after the split, if it is known; None: it is derived on first use.
    """

    wrt: tuple[str, ...] = ()
    differentiated: tuple[str, ...] = ()
    then: tuple[Pass, ...] = ()
    first: tuple[Pass, ...] = ()
    rounded: bool = False
    split: Graph | None = None


NO_CHANGES = Changes()


class OptimizedGraph:
    """Lowered graph that is split and optimised on first use.

    Attributes:
        kind: ``"inference"``, whose weights may be quantized, or ``"training"``.
        wrt, differentiated, first, rounded: As for ``Changes``.
    """

    def __init__(self, lowered: Graph, kind: str, options: CompileOptions, changes: Changes = NO_CHANGES) -> None:
        wrt, differentiated, then, first = changes.wrt, changes.differentiated, changes.then, changes.first
        rounded = changes.rounded
        self.lowered, self.kind, self.options = lowered, kind, options
        self.wrt, self.differentiated, self.first, self.rounded = wrt, differentiated, first, rounded
        self.reduced = options.reduced if kind == "inference" else None
        self.sparse = options.sparse and kind == "inference"
        self._meaning = (*meaning(kind, wrt, differentiated, options.chunked), *then)
        self._runs_chunks = kind == "training" and options.chunked is not None
        self._lock = fork_lock(LockLevel.GRAPH)
        self._split: Graph | None = changes.split
        self._pruned: BoundedCache[tuple[str, ...], Graph] = BoundedCache(MAX_OUTPUTS)
        self._optimized: BoundedCache[tuple[str, ...], Graph] = BoundedCache(MAX_OUTPUTS)
        self._equalities: BoundedCache[tuple[str, ...], Equalities] = BoundedCache(MAX_OUTPUTS)
        self._preconditions: BoundedCache[tuple[str, ...], tuple[Precondition, ...]] = BoundedCache(MAX_OUTPUTS)
        self._bounds: BoundedCache[tuple[str, ...], Bounds] = BoundedCache(MAX_OUTPUTS)
        self._ranges: BoundedCache[tuple[str, ...], tuple[Precondition, ...]] = BoundedCache(MAX_OUTPUTS)
        self._inputs: BoundedCache[tuple[str, ...], tuple[str, ...]] = BoundedCache(MAX_OUTPUTS)
        self._fixed_names: BoundedCache[tuple[str, ...], tuple[str, ...]] = BoundedCache(MAX_OUTPUTS)

    @cached_property
    def digest(self) -> str:
        """Digest of the lowered graph, without names and lines."""
        return fingerprint(self.lowered)

    @property
    def pipeline(self) -> tuple[Pass, ...]:
        """Return all passes, in order."""
        return (*self._meaning, *self._optimization)

    @cached_property
    def _optimization(self) -> tuple[Pass, ...]:
        """Passes that optimise the graph, in order."""
        from ...passes.optimization import optimization  # not needed for code that is on disk

        first, chunked = self.first, self.options.chunked
        if self._runs_chunks and chunked is not None and chunked.dtype != "float32":
            from ...passes.quantization.round_factors import RoundFactors  # rarely needed

            first = (*first, RoundFactors(self.options.target.has_tiles))
        last = optimization(self.options.unroll, self.reduced, self.rounded, bool(self.wrt), self.sparse)
        return (*first, *last)

    @property
    def meaning(self) -> tuple[Pass, ...]:
        """Return the passes that turn ``lowered`` into ``graph``, in order."""
        return self._meaning

    @property
    def graph(self) -> Graph:
        """Return the graph after the split, with its gradients, before optimisation."""
        with self._lock:
            if self._split is None:
                with self.options.notices.compiling(), collector_paused():
                    self._split = run(self.lowered, self._meaning, forbidden(self.kind))
            return self._split

    def input_types(self) -> dict[str, TensorType]:
        """Return the types of the graph's inputs, by label."""
        return {str(node["label"]): node.tensor for node in self.graph.inputs if node.op == "input"}

    def input_labels(self) -> list[str]:
        """Return the labels of the graph's inputs. The cache keeps those of large graphs, whose split takes long."""
        cache = self.options.cache
        if cache is None or not is_worth_keeping(self.lowered):
            return [*self.input_types()]
        key = key_of("inputs", self.digest, self.kind)
        with contextlib.suppress(ValueError):  # a file that another version wrote, or that is damaged
            if text := cache.noted(key):
                return [*map(str, json.loads(text))]
        labels = [*self.input_types()]
        cache.note_key(key, json.dumps(labels))
        return labels

    def pruned(self, outputs: Iterable[str]) -> Graph:
        """Return the part of ``graph`` that these outputs depend on."""
        wanted = tuple(outputs)
        return self._pruned.get_or_make(wanted, lambda: self._prune(wanted))

    def _prune(self, wanted: tuple[str, ...]) -> Graph:
        if any(name.startswith(FLAG) for name in wanted):
            return with_flags(self.pruned(name for name in wanted if not name.startswith(FLAG)))[0]
        graph = self.graph
        kept = [(name, node) for name, node in graph.outputs if name in wanted]
        whole = graph
        if len(kept) < len(graph.outputs):
            whole = Graph.of(graph.name, kept, graph.inputs, graph.comments)
        inputs = whole.read_inputs()
        return whole if len(inputs) == len(whole.inputs) else Graph.of(graph.name, kept, inputs, graph.comments)

    def optimized(self, outputs: tuple[str, ...]) -> Graph:
        """Return the graph of these outputs after all passes, with symbolic sizes."""
        with self._lock:
            graph = self._optimized.get(outputs)
            if graph is None:
                graph = run(drop_limits(self.pruned(outputs)), self._optimization, forbidden(self.kind))
                self._optimized[outputs] = graph
                self._fixed_names.pop(outputs, None)  # a pass may have removed a scan
            return graph

    def needed(self, outputs: tuple[str, ...]) -> tuple[str, ...]:
        """Return the labels of the inputs that these outputs depend on."""

        def read() -> tuple[str, ...]:
            inputs = self.pruned(outputs).read_inputs()
            return tuple(str(node["label"]) for node in inputs if node.op == "input")

        return self._inputs.get_or_make(outputs, read)

    def preconditions(self, outputs: tuple[str, ...]) -> tuple[Precondition, ...]:
        """Return the preconditions of a call for these outputs."""
        return self._preconditions.get_or_make(outputs, lambda: preconditions_of(self.pruned(outputs)))

    def check(
        self, outputs: tuple[str, ...], arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: Where | None
    ) -> None:
        """Raise ``ShapeError`` if the feeds or their sizes violate a precondition of these outputs."""
        unknown = [name for name in self.pruned(outputs).symbols if name not in sizes]
        if unknown:
            raise ShapeError(
                f"the feeds do not determine the size {', '.join(unknown)}; feed every placeholder that has it",
                where,
            )
        bounds = self._bounds.get_or_make(outputs, lambda: bounds_of(self.pruned(outputs)))
        of_sizes = [item for item in self.preconditions(outputs) if item.kind != "range"]
        check_preconditions(of_sizes, arrays, sizes, where)
        bounds.check(sizes, where)
        check_preconditions(self.range_preconditions(outputs), arrays, sizes, where)

    def range_preconditions(self, outputs: tuple[str, ...]) -> tuple[Precondition, ...]:
        """Return the preconditions on fed values, which are checked at every call."""

        def checks() -> tuple[Precondition, ...]:
            return tuple(item for item in self.preconditions(outputs) if item.kind == "range")

        return self._ranges.get_or_make(outputs, checks)

    def sized(
        self,
        outputs: tuple[str, ...],
        sizes: Mapping[str, int],
        one_step: bool = False,
        recompute: Recompute | None = None,
    ) -> Graph:
        """Return the optimised graph with all given sizes fixed, except those of ``left_open``.

        Args:
            outputs: Names of the outputs.
            sizes: Named sizes.
            one_step: True to fix lengths to 1 as well, for a single step.
            recompute: Rule for rematerialising forward values in gradients; None to save all residuals.
        """
        known = self.settled_sizes(outputs, sizes, self.left_open(outputs))
        graph = self._optimized_chunks(outputs, known) if self._runs_chunks else self.optimized(outputs)
        if one_step:
            known |= dict.fromkeys(lengths_of(graph), 1)
        graph = with_sizes(graph, known)
        if self.equalities(outputs)[0]:
            graph = Simplify()(graph)  # remove run-time equalities, which now hold by construction
        if one_step:
            from ...passes.optimization import single_steps  # already imported, because the passes have run

            graph = single_steps(graph)
        return graph if recompute is None else run(graph, (recompute,), forbidden(self.kind))

    def _optimized_chunks(self, outputs: tuple[str, ...], known: Mapping[str, Dim]) -> Graph:
        """Return the graph optimised for known lengths. If the chunk size divides a length, no chunk needs padding."""
        lengths = {name: known[name] for name in self.lengths(outputs) if name in known}
        if not lengths:
            return self.optimized(outputs)
        graph = Simplify()(with_sizes(drop_limits(self.pruned(outputs)), lengths))
        return run(graph, self._optimization, forbidden(self.kind))

    def lengths(self, outputs: tuple[str, ...]) -> set[str]:
        """Return the sizes that can stay symbolic in compiled code."""
        return open_sizes(self._optimized.get(outputs) or self.pruned(outputs))

    def left_open(self, outputs: tuple[str, ...]) -> set[str]:
        """Return the sizes that stay symbolic in compiled code.

        Training in chunks has fixed lengths, because padding the last chunk would copy every sequence.
        """
        return set() if self._runs_chunks else self.lengths(outputs)

    def fixed_names(self, outputs: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the symbolic sizes that compiled code has as constants."""
        names = self._fixed_names.get(outputs)
        if names is None:
            left_open = self.left_open(outputs)
            names = tuple(name for name in self.pruned(outputs).symbols if name not in left_open)
            self._fixed_names[outputs] = names
        return names

    def equalities(self, outputs: tuple[str, ...]) -> Equalities:
        """Return the sizes that must be equal at run time, and likely equalities."""

        def derived() -> Equalities:
            graph = self.pruned(outputs)
            equalities = equalities_of(graph)
            return equalities, likely_sizes(graph, equalities, lengths_of(graph))

        return self._equalities.get_or_make(outputs, derived)

    def likely(self, outputs: tuple[str, ...], sizes: Mapping[str, int], fixed: Collection[str] = ()) -> dict[str, int]:
        """Return ``sizes`` with likely equalities applied. Sizes in ``fixed`` are unchanged."""
        _, likely = self.equalities(outputs)
        for name, dim in likely.items():
            if name not in fixed and symbols_of(dim) <= sizes.keys():
                sizes = {**sizes, name: evaluate(dim, sizes)}
        return dict(sizes)

    def settled_sizes(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], lengths: Collection[str]
    ) -> dict[str, Dim]:
        """Return {symbolic size: the number, or an equal size, that compiled code has in its place}.

        Sizes in ``lengths`` stay symbolic if possible. Raise ``ShapeError`` if sizes that must be equal differ.
        """
        equalities, likely = self.equalities(outputs)
        own = {name: sizes[name] for name in self.pruned(outputs).symbols if name in sizes}
        try:
            return settled(equalities, likely, own, lengths)
        except ValueError as error:
            raise ShapeError(f"{error}") from None
