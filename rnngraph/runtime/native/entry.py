"""Compiled entry of a graph, with argument blocks, arenas and packed weights for its calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ...codegen.machine.alignment import padded
from ...codegen.machine.code import Code, Native
from ...codegen.machine.interface import ObjectCode, Packing, PackStage
from ...codegen.machine.target import Target
from ...ir.types import evaluate
from ...passes.recomputation.recompute import Recompute
from ...storage.stored_array import StoredArray, as_array, borrowed, identity_of
from ...support.allocation import LARGE, bytes_of, reserve
from ...support.bounded_cache import BoundedCache
from ...support.errors import Where
from ...support.forks import LockLevel, fork_lock
from ...support.records import dataclass
from ..packed_parts import MIN_BYTES, MIN_TABLE_BYTES, FiledParts, PackedParts
from ..parameters import Parameters
from .adaptive_threads import AdaptiveEntry, SharingPolicy
from .aligned_memory import address, aligned_bytes, paged_bytes
from .argument_block import WORKER, WORKERS, ArgumentBlock, Weights
from .object_cache import Cache, key_of
from .worker_pool import MIN_CYCLES, POOL

MAX_SIZES = 1024
"""Maximum number of sets of run-time sizes for which an entry caches shapes and byte counts."""
MAX_SCRATCH = 2
"""Maximum memory for intermediate values of packing, as a multiple of the bytes that the current stage needs."""
PACKED, TEMPORARIES = "the memory for packed weights", "the memory for a call's temporaries"


@dataclass(frozen=True)
class ShapeInstance:
    """Entry at specific run-time sizes, with the shapes of its results.

    ``run`` uses the pool's workers if that is faster.
    """

    sizes: Mapping[str, int]
    shapes: tuple[tuple[int, ...], ...]
    arena_bytes: int
    result_bytes: int
    run: Native


@dataclass(frozen=True)
class EntryKey:
    """Description of a compiled entry: outputs, sizes known at compile time, and options.

    Attributes:
        parts: Parts into which kernels are split.
        name: Name of the main function.
        recompute: Rule of rematerialisation; None if all residuals are saved.
    """

    outputs: tuple[str, ...]
    sizes: Mapping[str, int]
    one_step: bool
    name: str
    parts: int
    recompute: Recompute | None = None


class NativeEntry:
    """Machine code of one graph at specific sizes. Thread-safe.

    Attributes:
        key: Outputs, sizes and options of the compiled code.
        samples: Outputs that are samples or flags (``runtime.samples``), with the lines of their draws or lookups.
    """

    key: EntryKey
    samples: Mapping[str, Where | None] = MappingProxyType({})

    def __init__(self, code: ObjectCode, target: Target, cache: Cache | None = None) -> None:
        self._code, self._target, self._cache = Code(code.binary, target), target, cache
        self._interface = interface = code.interface
        self.single = self._code.entry(interface.main)
        self.address = self._code.address(interface.main)
        self._policy = SharingPolicy()
        self._pack = self._code.entry(interface.pack)
        self.pack_address = self._code.address(interface.pack)
        self.outputs, self.panel_bytes = interface.outputs, interface.panel_bytes
        self.arena_bytes = interface.arena_bytes
        self.output_slots = {item.name: item.slot for item in interface.outputs}
        self.input_slots, self.parameter_slots = interface.inputs, interface.parameters
        self.size_slots = interface.sizes
        self._template = np.zeros(interface.slots + 1, np.int64)  # the last slot is UNREAD
        for slot, value in interface.constants:
            self._template[slot] = address(value)
        self._template[interface.team] = POOL.address if interface.parts > 1 else 0
        packing = interface.packing
        stages = [] if packing is None else [stage.slot for stage in packing.stages[1:]]
        self._weight_slots = np.array([*interface.parameters.values(), interface.panels, *stages], np.intp)
        self._sized: BoundedCache[tuple[tuple[str, int], ...], ShapeInstance] = BoundedCache(MAX_SIZES)
        self.used = 0  # logical time of the last use, by its graph's clock
        self._weights: Weights | None = None
        self._lock = fork_lock(LockLevel.ENTRY)
        self._arenas: deque[np.ndarray] = deque()

    def block(self) -> ArgumentBlock:
        """Return a new argument block in which only the constants are set."""
        return ArgumentBlock(self._interface, self._template)

    def weights(self, parameters: Parameters) -> Weights:
        """Return the current weights, which are packed once after each change.

        Callers must keep them alive until the call ends.
        """
        known = self._weights
        if known is not None and known.version == parameters.version:
            return known
        with self._lock:
            version, stored = parameters.stored()
            known = self._weights
            if known is not None and known.version == version:
                return known
            if self._interface.packing is None:
                arrays = {name: as_array(stored[name]) for name in self.parameter_slots}
                self._weights = self.packed(version, arrays, self.panels())
            else:
                self._weights = self._packed_in_stages(version, stored, self._interface.packing, parameters.packed)
            return self._weights

    def weights_of(self, parameters: Parameters) -> Callable[[], Weights]:
        """Return a function that returns the current weights. If nothing has changed, it only compares versions."""
        word = parameters.counter().word

        def present() -> Weights:
            known = self._weights
            return known if known is not None and known.version == word.value else self.weights(parameters)

        return present

    def panels(self) -> np.ndarray:
        """Allocate memory for packed weights of all stages."""
        packing, count = self._interface.packing, self.panel_bytes
        if packing is not None:
            count = packing.scratch_bytes + sum(padded(stage.bytes) for stage in packing.stages)
        return aligned_bytes(max(1, count), PACKED)

    def packed(self, version: int, arrays: Mapping[str, np.ndarray], panels: np.ndarray) -> Weights:
        """Pack the parameters ``arrays`` into the memory ``panels``. Return the weights."""
        block = self.block()
        block.set_parameters(arrays, panels)
        self.pack(block)
        used = (*(arrays[name] for name in self.parameter_slots), panels)
        return Weights(version, used, self._weight_slots, block.numbers[self._weight_slots])

    def _packed_in_stages(
        self, version: int, stored: Mapping[str, np.ndarray | StoredArray], packing: Packing, packed: PackedParts
    ) -> Weights:
        """Pack with the parameters of one stage at a time in memory. Parts that another entry has packed are shared.

        The largest stages run first, while few other results are in memory. Stages that an earlier process packed from
        the same file are read from the cache.
        """
        filed = self._filed(packing.stages, version, stored, packed)
        for name in self._interface.unpacked:
            if isinstance(value := stored[name], StoredArray):
                filed.add(name, value)
        block = self.block()
        sizes = [sum(stored[name].nbytes for name in stage.parameters) for stage in packing.stages]
        stages, parts = packing.stages, dict[int, np.ndarray]()
        for number, stage in enumerate(stages):
            part = packed.get(stage.key, version)
            if part is None and (part := filed.get(number)) is not None:
                packed.add(stage.key, version, part)
            if part is not None:
                parts[number] = part
        missing = [number for number in range(len(stages)) if number not in parts]
        memory = paged_bytes(sum(padded(max(1, stages[number].bytes)) for number in missing), PACKED)
        for number in missing:  # in the order in which steps read them
            count = max(1, stages[number].bytes)
            parts[number], memory = memory[:count], memory[padded(count) :]
        scratch = aligned_bytes(0)
        for number in sorted(missing, key=sizes.__getitem__, reverse=True):
            stage, part = stages[number], parts[number]
            if not stage.scratch_bytes <= scratch.size <= MAX_SCRATCH * stage.scratch_bytes:
                del scratch  # before more is allocated
                scratch = aligned_bytes(stage.scratch_bytes, PACKED)
                block.numbers[packing.scratch] = address(scratch)
            with borrowed({name: stored[name] for name in stage.parameters}) as arrays:
                block.set_arrays(arrays, arrays)
                block.numbers[stage.slot] = address(part)
                block.set_stages(number, number + 1)
                self._pack(block.address, WORKER, WORKERS)
            packed.add(stage.key, version, part)
            filed.add(number, part)
        for number, stage in enumerate(stages):
            block.numbers[stage.slot] = address(parts[number])
        filed.write()
        del scratch
        unpacked = {}
        for name in self._interface.unpacked:
            value, content = stored[name], filed.get(name)
            if content is None:
                unpacked[name] = packed.read(name, version, value)
            else:
                unpacked[name] = content.view(value.dtype).reshape(value.shape)
                packed.add(name, version, unpacked[name])
        block.set_arrays(unpacked, unpacked)
        return Weights(
            version, (*unpacked.values(), *parts.values()), self._weight_slots, block.numbers[self._weight_slots]
        )

    def _filed(
        self,
        stages: Sequence[PackStage],
        version: int,
        stored: Mapping[str, np.ndarray | StoredArray],
        packed: PackedParts,
    ) -> FiledParts:
        """Return the file, to read or write, of packed weights that processes with equal weights share.

        Large parameters that are not packed are in the file, too. Weights that ``packed`` has at this version are left
        out. Without a cache, or below ``MIN_BYTES``, there is no file.
        """
        sizes: dict[int | str, int] = {}
        meaning: list[object] = []
        for number, stage in enumerate(stages):
            sources = [identity_of(stored[name]) for name in stage.parameters]
            if stage.key and None not in sources and packed.get(stage.key, version) is None:
                sizes[number] = max(1, stage.bytes)
                meaning.append((stage.key, stage.bytes, sources))
        for name in self._interface.unpacked:
            value = stored[name]
            is_large = isinstance(value, StoredArray) and value.nbytes >= MIN_TABLE_BYTES
            if is_large and identity_of(value) is not None and packed.get(name, version) is None:
                sizes[name] = value.nbytes
                meaning.append((name, identity_of(value)))
        if self._cache is None or sum(sizes.values()) < MIN_BYTES:
            return FiledParts(None, "", {})
        from ...storage.packed_files import PackedFiles  # rarely needed, because few programs have large weights

        files = PackedFiles(self._cache.directory / "packed", self._cache)
        return FiledParts(files, key_of(self._target, meaning), sizes)

    def pack(self, block: ArgumentBlock) -> None:
        """Pack the parameters whose addresses are in an argument block."""
        if self.panel_bytes:
            self._pack(block.address, WORKER, WORKERS)

    def sized(self, sizes: Mapping[str, int]) -> ShapeInstance:
        """Return the entry at these sizes, with shapes of results, byte counts and the function that runs it."""
        key = tuple(sizes.items())
        sized = self._sized.get(key)
        if sized is None:
            sized = self._sized[key] = self._at(sizes)
        return sized

    def _at(self, sizes: Mapping[str, int]) -> ShapeInstance:
        interface, run = self._interface, self.single
        shapes = tuple(tuple(evaluate(dim, sizes) for dim in item.shape) for item in self.outputs)
        if interface.parts > 1 and (cycles := self.cycles(sizes)) >= MIN_CYCLES:
            run = AdaptiveEntry(self.single, self.address, interface.parts, self._policy, max(1, cycles))
        results = sum(bytes_of(shape, item.dtype) for item, shape in zip(self.outputs, shapes, strict=True))
        return ShapeInstance(dict(sizes), shapes, max(1, evaluate(interface.arena_bytes, sizes)), results, run)

    def cycles(self, sizes: Mapping[str, int]) -> int:
        """Return the estimated cost of a single-threaded call, in cycles."""
        return evaluate(self._interface.cycles, sizes)

    def raise_if_out_of_memory(self, sized: ShapeInstance, caller_bytes: int = 0) -> None:
        """Raise ``OutOfMemoryError`` unless the results and temporaries of these sizes fit.

        ``caller_bytes`` is the number of bytes of results in the caller's arrays. Fewer than ``LARGE`` bytes are not
        checked.
        """
        if sized.result_bytes + sized.arena_bytes < LARGE:
            return
        has_arena = any(arena.size >= sized.arena_bytes for arena in list(self._arenas))
        temporaries = 0 if has_arena else sized.arena_bytes
        reserve(sized.result_bytes - caller_bytes + temporaries, "the memory for a call's results and temporaries")

    def take(self, count: int) -> np.ndarray:
        """Return an arena of at least ``count`` bytes: the last one of the free list, or a new one.

        If the last one is too small, it is discarded.
        """
        try:
            arena = self._arenas.pop()
        except IndexError:
            return aligned_bytes(count, TEMPORARIES)
        return arena if arena.size >= count else aligned_bytes(count, TEMPORARIES)

    def give_back(self, arena: np.ndarray) -> None:
        """Append an arena to the free list."""
        self._arenas.append(arena)
