"""One of a program's two graphs: its passes, its stages as text, and native entries for the sizes it meets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ..codegen.interface import ObjectCode
from ..codegen.target import Target
from ..errors import NameLookupError, ShapeError, Where
from ..ir.fingerprint import fingerprint
from ..ir.graph import Graph, with_sizes
from ..ir.types import Dim, Size, TensorType, symbols_of
from ..passes.pipeline import Pass, forbidden, meaning, optimization, run
from ..passes.reduced_weights import ReducedWeights
from ..passes.squeeze import Squeeze
from ..passes.unroll import unroll_fully
from .bounds import Bounds, bounds_of
from .cache import Cache, key_of
from .feeds import Check, checks_of, run_checks
from .native import NativeEntry
from .pool import Workers

Fixed = tuple[tuple[str, int | None], ...]
"""Sizes that are compiled in, by name; None where nothing that runs has the size."""
LATER_STAGES = ("loops", "llvm", "asm")


def lengths_of(graph: Graph) -> set[str]:
    """Names of sizes that are lengths of scans: they are run-time sizes, the others are compiled in."""
    return {name for node in graph.walk() if node.op == "scan" for name in symbols_of(node["length"])}


def time_sizes(graph: Graph) -> set[str]:
    """Names of sizes that count time steps: lengths of scans.

    Where nothing recurs, the place of an axis tells: the second one of what is fed, as in [batch, time, …].
    """
    if any(node.op == "scan" for node in graph.walk()):
        return lengths_of(graph)
    fed = [node.shape for node in graph.inputs if node.op == "input"]
    return {name for shape in fed if len(shape) > 1 for name in symbols_of(shape[1])}


def open_sizes(graph: Graph) -> set[str]:
    """Names of sizes that compiled code leaves open: lengths, but for those that are columns of a product somewhere,
    for tiles are made for a number of them.
    """
    products = [node for node in graph.walk() if node.op in ("matmul", "outer_sum")]
    tiled = [dim for node in products for dim in (node.shape if node.op == "outer_sum" else node.shape[-1:])]
    return lengths_of(graph).difference(*map(symbols_of, tiled))


class CompiledGraph:
    """A lowered graph, split and optimised when first needed, with entries by outputs and sizes.

    wrt: labels of what the graph also gives the gradients of its loss for. differentiated: outputs whose gradients
    come from the caller, in place of a loss. then: passes that follow and change what the graph gives, such as
    gradients into new parameters. cache: of code that earlier processes compiled. reduced: what makes weights narrow.
    first: passes before the optimisation, which change what is computed and not what is fed.
    """

    def __init__(
        self,
        lowered: Graph,
        kind: str,
        target: Target,
        unroll: int | str | None,
        declared: Callable[[], str],
        wrt: tuple[str, ...] = (),
        differentiated: tuple[str, ...] = (),
        then: tuple[Pass, ...] = (),
        cache: Cache | None = None,
        reduced: ReducedWeights | None = None,
        workers: Workers | None = None,
        first: tuple[Pass, ...] = (),
    ) -> None:
        self.wrt, self.differentiated = wrt, differentiated
        self._meaning = (*meaning(kind, wrt, differentiated), *then)
        self._first = first
        self._optimization = (*first, *optimization(unroll, reduced))
        self._pipeline = (*self._meaning, *self._optimization)
        self.reduced = reduced
        self.lowered, self.kind, self.target, self.unroll = lowered, kind, target, unroll
        self._declared, self._cache = declared, cache
        self.workers = workers or Workers()
        self._lock = threading.RLock()
        self._split: Graph | None = None
        self._pruned: dict[tuple[str, ...], Graph] = {}
        self._optimized: dict[tuple[str, ...], Graph] = {}
        self._entries: dict[tuple[tuple[str, ...], Fixed, bool, int], NativeEntry] = {}
        self._fixed_names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._checks: dict[tuple[str, ...], tuple[Check, ...]] = {}
        self._bounds: dict[tuple[str, ...], Bounds] = {}
        self._ranges: dict[tuple[str, ...], tuple[Check, ...]] = {}
        self._inputs: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.last_sizes: dict[str, int] = {}

    @property
    def graph(self) -> Graph:
        """The graph after the split, with its gradients: what this program means, before it is optimised."""
        with self._lock:
            if self._split is None:
                self._split = run(self.lowered, self._meaning, forbidden(self.kind))
            return self._split

    def kinds(self) -> dict[str, TensorType]:
        """The types of the graph's inputs, by label."""
        return {str(node["label"]): node.tensor for node in self.graph.inputs if node.op == "input"}

    def pruned(self, outputs: Iterable[str]) -> Graph:
        """What these outputs need of ``graph``."""
        wanted = tuple(outputs)
        if wanted not in self._pruned:
            self._pruned[wanted] = self._prune(wanted)
        return self._pruned[wanted]

    def _prune(self, wanted: tuple[str, ...]) -> Graph:
        graph = self.graph
        kept = [(name, node) for name, node in graph.outputs if name in wanted]
        whole = graph
        if len(kept) < len(graph.outputs):
            whole = Graph.of(graph.name, kept, graph.inputs, graph.comments)
        inputs = whole.read_inputs()
        return whole if len(inputs) == len(whole.inputs) else Graph.of(graph.name, kept, inputs, graph.comments)

    def optimized(self, outputs: tuple[str, ...]) -> Graph:
        """The graph of these outputs after all passes, in open sizes."""
        with self._lock:
            if outputs not in self._optimized:
                self._optimized[outputs] = run(self.pruned(outputs), self._optimization, forbidden(self.kind))
                self._fixed_names.pop(outputs, None)
            return self._optimized[outputs]

    def needed(self, outputs: tuple[str, ...]) -> tuple[str, ...]:
        """Labels of the inputs that these outputs read."""
        if outputs not in self._inputs:
            inputs = self.pruned(outputs).read_inputs()
            self._inputs[outputs] = tuple(str(node["label"]) for node in inputs if node.op == "input")
        return self._inputs[outputs]

    def checks(self, outputs: tuple[str, ...]) -> tuple[Check, ...]:
        if outputs not in self._checks:
            self._checks[outputs] = checks_of(self.pruned(outputs))
        return self._checks[outputs]

    def check(
        self, outputs: tuple[str, ...], arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: Where | None
    ) -> None:
        """Raises ``ShapeError`` where what is fed, or a size that follows from it, is not as these outputs need it."""
        unknown = [name for name in self.pruned(outputs).symbols if name not in sizes]
        if unknown:
            raise ShapeError(
                f"the size {', '.join(unknown)} is not known from what is fed; feed every placeholder that has it",
                where,
            )
        if outputs not in self._bounds:
            self._bounds[outputs] = bounds_of(self.pruned(outputs))
        run_checks([item for item in self.checks(outputs) if item.kind == "size"], arrays, sizes, where)
        self._bounds[outputs].check(sizes, where)
        run_checks(self.range_checks(outputs), arrays, sizes, where)

    def range_checks(self, outputs: tuple[str, ...]) -> tuple[Check, ...]:
        """Checks of fed numbers, which must be made at every call."""
        if outputs not in self._ranges:
            self._ranges[outputs] = tuple(check for check in self.checks(outputs) if check.kind == "range")
        return self._ranges[outputs]

    def sized(self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool = False) -> Graph:
        """The optimised graph with every size but lengths compiled in; ``one_step``: lengths of 1 too."""
        graph = self.optimized(outputs)
        left_open = open_sizes(graph)
        known: dict[str, Dim] = {name: value for name, value in sizes.items() if name not in left_open}
        if one_step:
            known |= dict.fromkeys(lengths_of(graph), 1)
        graph = with_sizes(graph, known)
        if one_step:
            graph = Squeeze()(unroll_fully(graph, only_single_steps=True))
        return graph

    def lengths(self, outputs: tuple[str, ...]) -> set[str]:
        """Names of the sizes that are left open in compiled code."""
        return open_sizes(self._optimized.get(outputs) or self.pruned(outputs))

    def entry(self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool = False) -> NativeEntry:
        """Native code for these outputs and sizes: made before, found on disk, or compiled now."""
        parts = self.workers.parts
        found = self._entries.get((outputs, self._fixed(outputs, sizes), one_step, parts))
        if found is None:
            with self._lock:
                found = self._entries.get((outputs, self._fixed(outputs, sizes), one_step, parts))
                if found is None:
                    found = NativeEntry(self._code(outputs, sizes, one_step, parts), self.target)
                    self._entries[outputs, self._fixed(outputs, sizes), one_step, parts] = found
        self.last_sizes = dict(sizes)
        return found

    def _fixed(self, outputs: tuple[str, ...], sizes: Mapping[str, int]) -> Fixed:
        """The sizes that are compiled in."""
        names = self._fixed_names.get(outputs)
        if names is None:
            open_sizes = self.lengths(outputs)
            names = tuple(name for name in self.pruned(outputs).symbols if name not in open_sizes)
            self._fixed_names[outputs] = names
        return tuple((name, sizes.get(name)) for name in names)

    def _code(self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool, parts: int) -> ObjectCode:
        name = f"{self.kind}_step" if one_step else self.kind
        if self._cache is None:
            return self._compiled(outputs, sizes, one_step, name, parts)
        fixed = self._fixed(outputs, sizes)
        passes = self.unroll, self.reduced, self._first
        key = key_of(fingerprint(self.pruned(outputs)), self.target, name, *passes, fixed, parts)
        code = self._cache.load(key)
        if code is None:
            code = self._compiled(outputs, sizes, one_step, name, parts)
            if self._fixed(outputs, sizes) == fixed:  # else a pass took out a scan, and its length is compiled in
                self._cache.store(key, code)
        return code

    def _compiled(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool, name: str, parts: int
    ) -> ObjectCode:
        from ..codegen.code import compile_graph  # half of this package's time to import; what is on disk needs none

        return compile_graph(self.sized(outputs, sizes, one_step), self.target, name, parts)

    # Stages --------------------------------------------------------------------------------------

    @property
    def stages(self) -> tuple[str, ...]:
        names = [single.name for single in self._pipeline]
        return ("declared", "graph", *names, *LATER_STAGES)

    def show(self, stage: str = "graph") -> str:
        """The text of one stage."""
        if not isinstance(stage, str) or stage not in self.stages:
            raise NameLookupError(f"no stage is named {stage!r}; there are {', '.join(self.stages)}")
        if stage == "declared":
            return self._declared()
        if stage == "graph":
            return str(self.graph)
        if stage in LATER_STAGES:
            return self._native_text(stage)
        shown = ""

        def seen(name: str, graph: Graph) -> None:
            nonlocal shown
            if name == stage:
                shown = f"# after {name}\n{graph}"

        run(self.lowered, self._pipeline, forbidden(self.kind), seen)
        return shown

    def _native_text(self, stage: str) -> str:
        from ..codegen.code import planned
        from ..codegen.engine import assembly
        from ..codegen.llvm import module_text

        outputs = tuple(name for name, _ in self.graph.outputs)
        graph = self.optimized(outputs)
        sizes = {name: self.last_sizes.get(name, 1) for name in graph.symbols}
        sized = self.sized(outputs, sizes)
        plan = planned(sized, self.target, self.kind, self.workers.parts)
        fixed = ", ".join(f"{name} = {value}" for name, value in sizes.items() if name not in open_sizes(graph))
        head = f"compiled for {self.target.name} ({self.target.processor}), {self.target.vector_bits}-bit vectors"
        head += f", with {fixed}" if fixed else ""
        if stage == "loops":
            return f"# {head}\n{plan.loops()}"
        text = module_text(plan.functions, [plan.main, plan.pack], self.target, self.kind)
        if stage == "llvm":
            return f"; {head}\n{text}"
        return f"# {head}\n{assembly(text, self.target)}"


def time_symbols(dim: Dim, lengths: set[str]) -> bool:
    return isinstance(dim, Size) and bool(dim.symbols & lengths)
