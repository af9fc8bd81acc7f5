"""A compiled entry and how it is called: argument block, arena, packed weights."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from ctypes import c_void_p
from dataclasses import dataclass

import numpy as np

from ...allocation import LARGE, bytes_of, empty, reserve
from ...codegen.machine.engine import Code, Native
from ...codegen.machine.interface import ObjectCode
from ...codegen.machine.target import Target
from ...ir.types import evaluate
from ..parameters import Parameters
from .adaptive_threads import AdaptiveEntry, SharingPolicy
from .aligned_memory import address, aligned_bytes
from .worker_pool import FEWEST_CYCLES, POOL

MOST_SIZES = 1024
"""Run-time sizes for which an entry keeps shapes and bytes."""
PACKED, TEMPORARIES = "the memory for packed weights", "the memory for a call's temporaries"


@dataclass(frozen=True)
class Weights:
    """The parameters' values that a call works with, packed for the tiles, and the argument block with them."""

    version: int
    arrays: tuple[np.ndarray, ...]
    panels: np.ndarray
    block: np.ndarray


@dataclass(frozen=True)
class Sized:
    """An entry at given run-time sizes. shapes: of its results. run: runs it by the caller alone, or with the pool's
    workers where that pays.
    """

    sizes: Mapping[str, int]
    shapes: tuple[tuple[int, ...], ...]
    arena_bytes: int
    result_bytes: int
    run: Native


class NativeEntry:
    """Machine code for one graph at given sizes. Safe to call from any thread."""

    def __init__(self, code: ObjectCode, target: Target) -> None:
        self._code = Code(code.binary, target)
        interface = code.interface
        self.single = self._code.entry(interface.main)
        self._address = self._code.address(interface.main)
        self._parts, self._cycles, self._policy = interface.parts, interface.cycles, SharingPolicy()
        self._pack = self._code.entry(interface.pack)
        self.outputs, self.panel_bytes = interface.outputs, interface.panel_bytes
        self.output_slots = {item.name: item.slot for item in interface.outputs}
        self.input_slots, self.parameter_slots = interface.inputs, interface.parameters
        self._size_slots = [(slot, name) for name, slot in interface.sizes.items()]
        self._arena_slot, self._panels_slot = interface.arena, interface.panels
        self._arena_bytes, self._constants = interface.arena_bytes, interface.constants
        self._template = np.zeros(interface.slots, np.int64)
        for slot, value in self._constants:
            self._template[slot] = address(value)
        self._template[interface.team] = POOL.address if self._parts > 1 else 0
        self.weight_slots = np.array([*interface.parameters.values(), interface.panels], np.intp)
        self._sized: dict[tuple[tuple[str, int], ...], Sized] = {}
        self.used = 0  # when it was last asked for, as its graph counts
        self._weights: Weights | None = None
        self._lock = threading.Lock()
        self._arenas: deque[np.ndarray] = deque()

    def weights(self, parameters: Parameters) -> Weights:
        """The present values, packed; packed again only after a change."""
        known = self._weights
        if known is not None and known.version == parameters.version:
            return known
        with self._lock:
            version, arrays = parameters.snapshot()
            known = self._weights
            if known is not None and known.version == version:
                return known
            self._weights = self.packed(version, arrays)
            return self._weights

    def packed(self, version: int, arrays: Mapping[str, np.ndarray]) -> Weights:
        """``arrays``, packed into fresh memory."""
        weights = self.unpacked(version, arrays, aligned_bytes(max(1, self.panel_bytes), PACKED))
        self.pack(address(weights.block))
        return weights

    def unpacked(self, version: int, arrays: Mapping[str, np.ndarray], panels: np.ndarray) -> Weights:
        """An argument block with the addresses of ``arrays`` and of ``panels``, which ``pack`` fills."""
        block = self._template.copy()
        used = tuple(arrays[name] for name in self.parameter_slots)
        for slot, array in zip(self.parameter_slots.values(), used, strict=True):
            block[slot] = address(array)
        block[self._panels_slot] = address(panels)
        return Weights(version, used, panels, block)

    def pack(self, block: int | c_void_p) -> None:
        """Packs the parameters that the argument block at this address names."""
        if self.panel_bytes:
            self._pack(block, 0, 1)

    def sized(self, sizes: Mapping[str, int]) -> Sized:
        """The entry at these sizes, which it keeps."""
        key = tuple(sizes.items())
        found = self._sized.get(key)
        if found is None:
            if len(self._sized) >= MOST_SIZES:
                self._sized.clear()
            found = self._sized[key] = self._at(sizes)
        return found

    def _at(self, sizes: Mapping[str, int]) -> Sized:
        shapes = tuple(tuple(evaluate(dim, sizes) for dim in item.shape) for item in self.outputs)
        run = self.single
        if self._parts > 1 and (cycles := evaluate(self._cycles, sizes)) >= FEWEST_CYCLES:
            run = AdaptiveEntry(self.single, self._address, self._parts, self._policy, max(1, cycles))
        results = sum(bytes_of(shape, item.dtype) for item, shape in zip(self.outputs, shapes, strict=True))
        return Sized(dict(sizes), shapes, max(1, evaluate(self._arena_bytes, sizes)), results, run)

    def look(self, sized: Sized, given: int = 0) -> None:
        """Raises ``OutOfMemoryError`` where there is no memory for results of these sizes and for temporaries. given:
        bytes of results that the caller has.
        """
        if sized.result_bytes + sized.arena_bytes < LARGE:
            return
        is_there = any(arena.size >= sized.arena_bytes for arena in list(self._arenas))
        temporaries = 0 if is_there else sized.arena_bytes
        reserve(sized.result_bytes - given + temporaries, "the memory for a call's results and temporaries")

    def block(self, weights: Weights, sizes: Mapping[str, int]) -> np.ndarray:
        """An argument block with weights and sizes filled in."""
        block = weights.block.copy()
        self.set_sizes(block, sizes)
        return block

    def unweighted(self, sizes: Mapping[str, int]) -> np.ndarray:
        """An argument block with sizes filled in, and no weights."""
        block = self._template.copy()
        self.set_sizes(block, sizes)
        return block

    def set_sizes(self, block: np.ndarray, sizes: Mapping[str, int]) -> None:
        for slot, name in self._size_slots:
            block[slot] = sizes[name]

    def set_feed(self, block: np.ndarray, name: str, array: np.ndarray) -> None:
        slot, stride_slots = self.input_slots[name]
        block[slot] = address(array)
        for slot, stride in zip(stride_slots, array.strides, strict=False):
            block[slot] = stride // array.itemsize

    def set_arena(self, block: np.ndarray, arena: np.ndarray) -> None:
        block[self._arena_slot] = address(arena)

    def call(
        self, parameters: Parameters, feeds: Mapping[str, np.ndarray], sized: Sized, results: Sequence[np.ndarray]
    ) -> None:
        """Runs once; ``results`` are written in the order of ``outputs``."""
        self.call_with(self.weights(parameters), feeds, sized, results)

    def call_with(
        self, weights: Weights, feeds: Mapping[str, np.ndarray], sized: Sized, results: Sequence[np.ndarray]
    ) -> None:
        """Runs once with these weights, which are held until the call ends: a change makes new ones."""
        block = self.block(weights, sized.sizes)
        for name in self.input_slots:
            self.set_feed(block, name, feeds[name])
        for slot, array in zip(self.output_slots.values(), results, strict=True):
            block[slot] = address(array)
        arena = self.take(sized.arena_bytes)
        self.set_arena(block, arena)
        sized.run(address(block), 0, 1)
        self.give_back(arena)

    def call_fresh(
        self, parameters: Parameters, feeds: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        """Runs once into fresh arrays, by output name."""
        return self.call_sized(parameters, feeds, self.sized(sizes))

    def call_sized(
        self, parameters: Parameters, feeds: Mapping[str, np.ndarray], sized: Sized
    ) -> dict[str, np.ndarray]:
        """``call_fresh`` at sizes that were met before."""
        self.look(sized)
        results = self._results(sized)
        self.call(parameters, feeds, sized, results)
        return dict(zip(self.output_slots, results, strict=True))

    def call_fresh_with(self, weights: Weights, feeds: Mapping[str, np.ndarray], sized: Sized) -> dict[str, np.ndarray]:
        """Runs once with these weights into fresh arrays, by output name."""
        self.look(sized)
        results = self._results(sized)
        self.call_with(weights, feeds, sized, results)
        return dict(zip(self.output_slots, results, strict=True))

    def _results(self, sized: Sized) -> list[np.ndarray]:
        pairs = zip(self.outputs, sized.shapes, strict=True)
        return [empty(shape, item.dtype, f"the result {item.name}") for item, shape in pairs]

    def take(self, count: int) -> np.ndarray:
        """An arena of this call's own, from the free list if one is large enough."""
        try:
            arena = self._arenas.pop()
        except IndexError:
            return aligned_bytes(count, TEMPORARIES)
        return arena if arena.size >= count else aligned_bytes(count, TEMPORARIES)

    def give_back(self, arena: np.ndarray) -> None:
        """Gives an arena back, for other calls."""
        self._arenas.append(arena)
