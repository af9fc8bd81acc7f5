"""One of a program's two graphs: its passes, its stages as text, and native entries for the sizes it meets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count

import numpy as np

from ...allocation import bytes_of, reserve
from ...codegen.machine.interface import ObjectCode
from ...codegen.machine.target import Target
from ...errors import NameLookupError, ShapeError, Where, shown
from ...ir.axes import lengths_of
from ...ir.equal_sizes import Equality, equalities_of, likely_sizes, settled
from ...ir.fingerprint import fingerprint
from ...ir.graph import Graph, with_sizes
from ...ir.ops import OPS
from ...ir.types import Dim, Size, TensorType, dim_text, evaluate, symbols_of
from ...passes.pipeline import Pass, forbidden, meaning, optimization, run
from ...passes.quantization.quantize_weights import ReducedWeights
from ...passes.simplify import Simplify
from ...passes.squeeze import Squeeze
from ...passes.unroll import unroll_fully
from ..calls.feeds import Check, checks_of, run_checks
from .entry import NativeEntry
from .notices import Notices
from .object_cache import Cache, key_of
from .preconditions import Bounds, bounds_of
from .worker_pool import Workers

Fixed = tuple[tuple[str, Dim | None], ...]
"""Sizes that are compiled in, by name, as numbers or as other names; None where nothing that runs
has the size, or where it is left open."""
EntryKey = tuple[tuple[str, ...], Fixed, bool, int]
"""Outputs, sizes, whether it is one step, and into how many parts kernels are cut."""
MOST_ENTRIES = 32
"""Native entries that a graph keeps; each is some 70 kB of code, with the weights as they are packed for it."""
MOST_SPECIAL = 4
"""Sizes for which a call's code is compiled for them alone; the next one gets code for any."""
ADDRESSED = 1 << 47
"""Bytes that a process can have."""
LATER_STAGES = ("plan", "loops", "llvm", "asm")


def _tiled(graph: Graph) -> set[str]:
    """Names of sizes that are columns of a product somewhere: tiles are made for a number of them."""
    products = [node for node in graph.walk() if node.op in ("matmul", "outer_sum")]
    dims = [dim for node in products for dim in (node.shape if node.op == "outer_sum" else node.shape[-1:])]
    return set().union(*map(symbols_of, dims))


def open_sizes(graph: Graph) -> set[str]:
    """Names of sizes that compiled code leaves open: lengths, where tiles don't count them."""
    return lengths_of(graph) - _tiled(graph)


def _orders(graph: Graph) -> set[str]:
    """Names of sizes on which the order of a sum depends: of last axes that are folded, which is done in vectors where
    the size is known, and of the depths of products.
    """
    found: set[str] = set()
    for node in graph.walk():
        if (
            OPS[node.op].kind == "reduction" and node.operands[0].tensor.rank - 1 in node["axes"]
        ) or node.op == "matmul":
            found |= symbols_of(node.operands[0].shape[-1])
    return found


class CompiledGraph:
    """A lowered graph, split and optimised when first needed, with entries by outputs and sizes.

    wrt: labels of what the graph also gives the gradients of its loss for. differentiated: outputs whose gradients
    come from the caller, in place of a loss. then: passes that follow and change what the graph gives, such as
    gradients into new parameters. cache: of code that earlier processes compiled. reduced: what makes weights narrow.
    first: passes before the optimisation, which change what is computed and not what is fed. notices: told where code
    is compiled.
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
        notices: Notices | None = None,
    ) -> None:
        self.wrt, self.differentiated = wrt, differentiated
        self._meaning = (*meaning(kind, wrt, differentiated), *then)
        self._first = first
        self._optimization = (*first, *optimization(unroll, reduced))
        self._pipeline = (*self._meaning, *self._optimization)
        self.reduced = reduced
        self.lowered, self.kind, self.target, self.unroll = lowered, kind, target, unroll
        self._declared, self._cache = declared, cache
        self.workers, self._notices = workers or Workers(), notices or Notices()
        self._lock = threading.RLock()
        self._split: Graph | None = None
        self._pruned: dict[tuple[str, ...], Graph] = {}
        self._optimized: dict[tuple[str, ...], Graph] = {}
        self._clock = count()
        self._entries: dict[EntryKey, NativeEntry] = {}
        self._fixed_names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._equalities: dict[tuple[str, ...], tuple[tuple[Equality, ...], dict[str, Dim]]] = {}
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
                with self._notices.compiling():
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
        run_checks([item for item in self.checks(outputs) if item.kind != "range"], arrays, sizes, where)
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
        known = self._settled(outputs, sizes, open_sizes(graph))
        if one_step:
            known |= dict.fromkeys(lengths_of(graph), 1)
        graph = with_sizes(graph, known)
        if self.equalities(outputs)[0]:
            graph = Simplify()(graph)  # each of them holds by itself now
        if one_step:
            graph = Squeeze()(unroll_fully(graph, only_single_steps=True))
        return graph

    def lengths(self, outputs: tuple[str, ...]) -> set[str]:
        """Names of the sizes that are left open in compiled code."""
        return open_sizes(self._optimized.get(outputs) or self.pruned(outputs))

    def entry(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool = False, ahead: bool = False
    ) -> NativeEntry:
        """Native code for these outputs and sizes: made before, found on disk, or compiled now.

        The first few sizes get code of their own, and so does what is compiled ahead; further ones share code in which
        all sizes are open. What was not asked for longest goes when there are too many; who runs it keeps it alive.
        """
        found = self._entries.get(self._key(outputs, sizes, one_step))
        if found is None:
            with self._lock:
                found = self._found_or_made(outputs, sizes, one_step, ahead)
        found.used = next(self._clock)
        self.last_sizes = dict(sizes)
        return found

    def equalities(self, outputs: tuple[str, ...]) -> tuple[tuple[Equality, ...], dict[str, Dim]]:
        """Sizes that a call must find equal, and what that makes likely of their names."""
        if outputs not in self._equalities:
            graph = self.pruned(outputs)
            found = equalities_of(graph)
            self._equalities[outputs] = found, likely_sizes(graph, found, lengths_of(graph))
        return self._equalities[outputs]

    def likely(self, outputs: tuple[str, ...], sizes: Mapping[str, int], given: Collection[str] = ()) -> dict[str, int]:
        """``sizes`` that nobody fed, but for those ``given``, as they most likely are beside each other."""
        _, likely = self.equalities(outputs)
        for name, dim in likely.items():
            if name not in given and symbols_of(dim) <= sizes.keys():
                sizes = {**sizes, name: evaluate(dim, sizes)}
        return dict(sizes)

    def _settled(self, outputs: tuple[str, ...], sizes: Mapping[str, int], lengths: Collection[str]) -> dict[str, Dim]:
        """What stands for names of sizes in code for ``sizes``."""
        equalities, likely = self.equalities(outputs)
        own = {name: sizes[name] for name in self.pruned(outputs).symbols if name in sizes}
        try:
            return settled(equalities, likely, own, lengths)
        except ValueError as error:
            raise ShapeError(f"{error}") from None

    def _key(self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool) -> EntryKey:
        return outputs, self._fixed(outputs, sizes), one_step, self.workers.parts

    def _found_or_made(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool, ahead: bool
    ) -> NativeEntry:
        given = {**dict.fromkeys(self.pruned(outputs).symbols, 1), **sizes}
        if not (ahead or one_step or self._key(outputs, sizes, one_step) in self._entries):
            sizes = self._shared_sizes(outputs, sizes)
        known = self._entries.get(self._key(outputs, sizes, one_step))
        if known is not None:
            return known
        shapes = (node.tensor for _, node in self.pruned(outputs).outputs)
        results = sum(bytes_of([evaluate(dim, given) for dim in kind.shape], kind.dtype) for kind in shapes)
        if results >= ADDRESSED:  # no memory of the caller's either can take them, and code can't count them
            reserve(results, "the memory for a call's results")
        made = NativeEntry(self._code(outputs, sizes, one_step, self.workers.parts), self.target)
        if len(self._entries) >= MOST_ENTRIES:
            del self._entries[min(self._entries, key=lambda key: self._entries[key].used)]
        self._entries[self._key(outputs, sizes, one_step)] = made
        return made

    def _shared_sizes(self, outputs: tuple[str, ...], sizes: Mapping[str, int]) -> Mapping[str, int]:
        """The sizes to compile in: fewer of them once enough others of these outputs have code of their own.

        Workers share kernels by the rows of a batch, which must be known for that.
        """
        parts = self.workers.parts
        if parts > 1 or self.equalities(outputs)[0]:
            return sizes
        alike = [key[1] for key in self._entries if (key[0], *key[2:]) == (outputs, False, parts)]
        if len(alike) < MOST_SPECIAL:
            return sizes
        graph = self.optimized(outputs)
        kept = self.lengths(outputs) | _orders(graph) | _tiled(graph)
        special = sum(all(value is not None for name, value in fixed if name not in kept) for fixed in alike)
        if special < MOST_SPECIAL:
            return sizes
        return {name: value for name, value in sizes.items() if name in kept}

    def _fixed(self, outputs: tuple[str, ...], sizes: Mapping[str, int]) -> Fixed:
        """The sizes that are compiled in."""
        if self.equalities(outputs)[0]:
            return tuple(self._settled(outputs, sizes, self.lengths(outputs)).items())
        names = self._fixed_names.get(outputs)
        if names is None:
            left_open = self.lengths(outputs)
            names = tuple(name for name in self.pruned(outputs).symbols if name not in left_open)
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
        with self._notices.compiling():
            from ...codegen.compile import (
                compile_graph,  # half the package's time to import; what is on disk needs none
            )

            return compile_graph(self.sized(outputs, sizes, one_step), self.target, name, parts)

    # Stages --------------------------------------------------------------------------------------

    @property
    def stages(self) -> tuple[str, ...]:
        names = [single.name for single in self._pipeline]
        return ("declared", "graph", *names, *LATER_STAGES)

    def show(self, stage: str = "graph") -> str:
        """The text of one stage."""
        if not isinstance(stage, str) or stage not in self.stages:
            raise NameLookupError(f"no stage is named {shown(stage)}; there are {', '.join(self.stages)}")
        if stage == "declared":
            return self._declared()
        if stage == "graph":
            return str(self.graph)
        if stage in LATER_STAGES:
            return self._native_text(stage)
        text = ""

        def seen(name: str, graph: Graph) -> None:
            nonlocal text
            if name == stage:
                text = f"# after {name}\n{graph}"

        run(self.lowered, self._pipeline, forbidden(self.kind), seen)
        return text

    def _native_text(self, stage: str) -> str:
        from ...codegen.compile import planned
        from ...codegen.llvm.module import module_text
        from ...codegen.machine.engine import assembly
        from ...codegen.schedule.plan_text import plan_text

        outputs = tuple(name for name, _ in self.graph.outputs)
        graph = self.optimized(outputs)
        last = {name: self.last_sizes.get(name, 1) for name in graph.symbols}
        sizes = self.likely(outputs, last, self.last_sizes)
        sized = self.sized(outputs, sizes)
        plan = planned(sized, self.target, self.kind, self.workers.parts)
        settled = self._settled(outputs, sizes, open_sizes(graph))
        fixed = ", ".join(f"{name} = {dim_text(dim)}" for name, dim in settled.items())
        head = f"compiled for {self.target.name} ({self.target.processor}), {self.target.vector_bits}-bit vectors"
        head += f", with {fixed}" if fixed else ""
        if stage == "plan":
            return f"# {head}\n{plan_text(plan)}"
        if stage == "loops":
            return f"# {head}\n{plan.loops()}"
        text = module_text(plan.functions, [plan.main, plan.pack], self.target, self.kind)
        if stage == "llvm":
            return f"; {head}\n{text}"
        return f"# {head}\n{assembly(text, self.target)}"


def time_symbols(dim: Dim, lengths: set[str]) -> bool:
    return isinstance(dim, Size) and bool(dim.symbols & lengths)
