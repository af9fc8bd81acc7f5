"""Native code of one graph: entries by outputs and sizes, from memory, from disk or compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from mmap import mmap
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ...codegen.machine.interface import ObjectCode
from ...declare.description import Described
from ...ir.graph import Graph
from ...ir.text.fingerprint import fingerprint
from ...ir.types import ITEM_BYTES, Dim, evaluate, product
from ...passes.recomputation.recompute import Recompute
from ...support.allocation import reserve
from ...support.bounded_cache import BoundedCache
from ...support.errors import GraphError, Where
from ...support.garbage import collector_paused, importing
from ..error_flags import FLAG, samples_of, with_flags
from .compile_options import CompileOptions
from .entry import EntryKey, NativeEntry
from .object_cache import key_of
from .optimized_graph import MAX_OUTPUTS, NO_CHANGES, Changes, OptimizedGraph, ordered_sizes, tiled_sizes
from .recompute_option import AUTO, RecomputeOption, exceeds_share, steps_of

if TYPE_CHECKING:
    from ...codegen.schedule.emit.scheduled_entry import ScheduledEntry

Fixed = tuple[tuple[str, Dim | None], ...]
"""For each named size, the number or size that compiled code uses instead; None if it is unused or stays symbolic."""
CacheKey = tuple[tuple[str, ...], Fixed, bool, int, Recompute | None]
"""(outputs, sizes, is one step, parts of kernels, rematerialisation or None)."""
MAX_ENTRIES = 32
"""Maximum number of native entries of a graph. An entry has some 70 kB of code, and packed weights."""
MAX_SPECIAL = 4
"""Maximum number of sets of sizes with specialised code. Further sets share generic code."""
ADDRESSED = 1 << 47
"""Size of a process's address space, in bytes."""


class CompiledGraph(OptimizedGraph):
    """Optimised graph with its native entries.

    Attributes:
        declared: Function that returns the declaration of the graph, or None.
        recompute: Rematerialisation in gradients.
    """

    def __init__(
        self,
        lowered: Graph,
        kind: str,
        options: CompileOptions,
        declared: Callable[[], Described] | None = None,
        changes: Changes = NO_CHANGES,
        recompute: RecomputeOption = None,
    ) -> None:
        super().__init__(lowered, kind, options, changes)
        self.declared, self.recompute = declared, recompute
        self._clock = count()
        self._entries: BoundedCache[CacheKey, NativeEntry] = BoundedCache(MAX_ENTRIES, lambda entry: entry.used)
        self._arenas: BoundedCache[CacheKey, Dim] = BoundedCache(MAX_ENTRIES)  # arena bytes with rematerialisation
        self.last_sizes: dict[str, int] = {}
        self._samples = samples_of(self.lowered)
        self._flags: BoundedCache[tuple[str, ...], dict[str, Where | None]] = BoundedCache(MAX_OUTPUTS)
        self.marks: list[mmap] = []  # mappings that announce the code to perf

    def entry(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool = False, ahead: bool = False
    ) -> NativeEntry:
        """Return native code for these outputs and sizes, from memory, from disk or compiled now.

        The first few sets of sizes, sets that are compiled ``ahead``, and code of ``one_step`` of a stream are
        specialised. Further sets share generic code. The least recently used entries are evicted, but remain valid
        while callers refer to them.

        The code of an inference graph also computes ``flags``.
        """
        outputs = (*outputs, *self.flags(outputs))
        entry = self._entry(outputs, sizes, one_step, None if one_step else self._first_choice(), ahead)
        if self.recompute == AUTO and not one_step:
            recompute = self._for_memory(outputs, sizes, entry.arena_bytes)
            entry = entry if recompute is None else self._entry(outputs, sizes, one_step, recompute, ahead)
        self.last_sizes = dict(sizes)
        return entry

    def flags(self, outputs: tuple[str, ...]) -> dict[str, Where | None]:
        """Return the names of the flags for these outputs, with the lines that they check; {} for a training graph.

        A flag is an extra output that is True after an error, such as a draw from NaN logits (``runtime.samples``).
        """
        if self.kind != "inference":
            return {}
        return self._flags.get_or_make(outputs, lambda: with_flags(self.pruned(outputs))[1])

    def rematerialisation(self, outputs: tuple[str, ...], sizes: Mapping[str, int]) -> Recompute | None:
        """Return the rule of rematerialisation at these sizes; None if all residuals are saved."""
        first = self._first_choice()
        if self.recompute != AUTO:
            return first
        return self._for_memory(outputs, sizes, self._arena_bytes(outputs, sizes, first)) or first

    def _first_choice(self) -> Recompute | None:
        """Return the rule of rematerialisation that applies unless memory is short; None: save all residuals."""
        if self.recompute == AUTO:
            return Recompute(None)
        return None if self.recompute is None else Recompute(self.recompute)

    def _for_memory(self, outputs: tuple[str, ...], sizes: Mapping[str, int], arena_bytes: Dim) -> Recompute | None:
        """Return the option to recompute values if memory is scarce and it more than halves the temporaries; else None.

        ``arena_bytes`` is the size of the arena under the rule for sufficient memory.
        """
        known = {**dict.fromkeys(self.pruned(outputs).symbols, 1), **sizes}
        if not exceeds_share(bytes_without_recomputation := evaluate(arena_bytes, known)):
            return None
        scans = [node for node in self.optimized(outputs).nodes if node.op == "scan"]
        recompute = Recompute(steps_of(evaluate(node["length"], known) for node in scans))
        key = self._key(outputs, sizes, False, recompute)

        def recomputed() -> Dim:
            try:
                return self._arena_bytes(outputs, sizes, recompute)
            except GraphError:  # steps that cannot be rematerialised have their residuals saved
                return arena_bytes

        return (
            recompute
            if evaluate(self._arenas.get_or_make(key, recomputed), known) < bytes_without_recomputation // 2
            else None
        )

    def _arena_bytes(self, outputs: tuple[str, ...], sizes: Mapping[str, int], recompute: Recompute | None) -> Dim:
        """Return the size of the arena under a rule of rematerialisation."""
        from ...codegen.compile import planned

        graph = self.sized(outputs, sizes, recompute=recompute)
        return planned(graph, self.options.target, self.kind, self.options.threads.parts).arena_bytes

    def _entry(
        self,
        outputs: tuple[str, ...],
        sizes: Mapping[str, int],
        one_step: bool,
        recompute: Recompute | None,
        ahead: bool,
    ) -> NativeEntry:
        """Return the entry under a rule of rematerialisation: cached, from disk, or compiled. Record its use.

        ``recompute`` is the rule. None saves all residuals. Other arguments are as for ``entry``.
        """
        entry = self._entries.get(self._key(outputs, sizes, one_step, recompute))
        if entry is None:
            with self._lock:
                entry = self._load_or_compile(outputs, sizes, one_step, recompute, ahead)
        entry.used = next(self._clock)
        return entry

    def timed_entry(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int]
    ) -> tuple[NativeEntry, ScheduledEntry, np.ndarray]:
        """Compile code that measures the time of its parts. Return it, its schedule and its counters, all uncached."""
        from ...codegen.compile import compile_timed

        with self._lock:
            recompute = self.rematerialisation(outputs, sizes)
            if self._key(outputs, sizes, False, recompute) not in self._entries:
                sizes = self._shared_sizes(outputs, sizes, recompute)
            graph, options = self.sized(outputs, sizes, recompute=recompute), self.options
            with options.notices.compiling():
                code, plan, counters = compile_timed(graph, options.target, self.kind, options.threads.parts)
        return NativeEntry(code, options.target), plan, counters

    def _key(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], one_step: bool, recompute: Recompute | None
    ) -> CacheKey:
        """Return the key of an entry in the cache. ``one_step`` is as in ``entry``."""
        return outputs, self._fixed(outputs, sizes), one_step, self.options.threads.parts, recompute

    def _load_or_compile(
        self,
        outputs: tuple[str, ...],
        sizes: Mapping[str, int],
        one_step: bool,
        recompute: Recompute | None,
        ahead: bool,
    ) -> NativeEntry:
        """Return an entry that is not in the cache for exactly these sizes. The caller holds the lock."""
        likely_sizes = {**dict.fromkeys(self.pruned(outputs).symbols, 1), **sizes}
        if not (ahead or one_step or self._key(outputs, sizes, one_step, recompute) in self._entries):
            sizes = self._shared_sizes(outputs, sizes, recompute)
        known = self._entries.get(self._key(outputs, sizes, one_step, recompute))
        if known is not None:
            return known
        kinds = (node.tensor for _, node in self.pruned(outputs).outputs)
        results = sum(evaluate(product(kind.shape), likely_sizes) * ITEM_BYTES[kind.dtype] for kind in kinds)
        if results >= ADDRESSED:  # raises: the results exceed the address space
            reserve(results, "the memory for a call's results")
        parts = self.options.threads.parts
        code = self._code(outputs, sizes, one_step, recompute, parts)
        entry = NativeEntry(code, self.options.target, self.options.cache)
        entry.key = EntryKey(outputs, dict(sizes), one_step, self._name(one_step), parts, recompute)
        shown = tuple(name for name in outputs if not name.startswith(FLAG))
        entry.samples = {**self._samples, **self.flags(shown)}
        self._entries[self._key(outputs, sizes, one_step, recompute)] = entry
        return entry

    def _shared_sizes(
        self, outputs: tuple[str, ...], sizes: Mapping[str, int], recompute: Recompute | None
    ) -> Mapping[str, int]:
        """Return the sizes that compiled code has as constants: all at first, fewer after enough specialised entries.

        With several workers, all sizes are constants, because workers split kernels by a known number of rows.
        """
        parts = self.options.threads.parts
        if parts > 1 or self.equalities(outputs)[0]:
            return sizes
        alike = [key[1] for key in self._entries if (key[0], *key[2:]) == (outputs, False, parts, recompute)]
        if len(alike) < MAX_SPECIAL:
            return sizes
        graph = self.optimized(outputs)
        kept = self.left_open(outputs) | ordered_sizes(graph) | tiled_sizes(graph)
        special = sum(all(value is not None for name, value in fixed if name not in kept) for fixed in alike)
        if special < MAX_SPECIAL:
            return sizes
        return {name: value for name, value in sizes.items() if name in kept}

    def _fixed(self, outputs: tuple[str, ...], sizes: Mapping[str, int]) -> Fixed:
        """Return the number or size that compiled code uses for each named size."""
        if self.equalities(outputs)[0]:
            return tuple(self.settled_sizes(outputs, sizes, self.left_open(outputs)).items())
        return tuple((name, sizes.get(name)) for name in self.fixed_names(outputs))

    def native_entries(self) -> list[NativeEntry]:
        """Return all current entries."""
        with self._lock:
            return [*self._entries.values()]

    def _name(self, one_step: bool) -> str:
        """Return the name of the main function of an entry, which runs one step or a whole call."""
        return f"{self.kind}_step" if one_step else self.kind

    def _code(
        self,
        outputs: tuple[str, ...],
        sizes: Mapping[str, int],
        one_step: bool,
        recompute: Recompute | None,
        parts: int,
    ) -> ObjectCode:
        """Return the code of an entry, from disk or compiled."""
        name, cache = self._name(one_step), self.options.cache
        if cache is None:
            return self._compiled(outputs, sizes, one_step, recompute, name, parts)
        fixed = self._fixed(outputs, sizes)
        passes = self.options.unroll, self.reduced, self.sparse, self.first, recompute
        key = key_of(fingerprint(self.pruned(outputs)), self.options.target, name, *passes, fixed, parts)
        code = cache.load(key)
        if code is not None:
            return code
        with cache.compiling(key):
            code = cache.load(key)  # stored meanwhile by another process
            if code is None:
                code = self._compiled(outputs, sizes, one_step, recompute, name, parts)
                if self._fixed(outputs, sizes) == fixed:  # differs if a pass removed a scan, whose length is then fixed
                    cache.store(key, code)
        return code

    def _compiled(
        self,
        outputs: tuple[str, ...],
        sizes: Mapping[str, int],
        one_step: bool,
        recompute: Recompute | None,
        name: str,
        parts: int,
    ) -> ObjectCode:
        with self.options.notices.compiling(), collector_paused():
            return _compiler().compile_graph(
                self.sized(outputs, sizes, one_step, recompute), self.options.target, name, parts
            )


@cache
def _compiler() -> ModuleType:
    """Import the compiler, which is slow to import, and not needed on a cache hit."""
    with importing():
        from ...codegen import compile

    return compile
