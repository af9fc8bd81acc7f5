"""A compiled entry and how it is called: argument block, arena, packed weights."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..codegen.engine import Code, object_code
from ..codegen.llvm import module_text
from ..codegen.schedule import Plan, schedule
from ..codegen.target import Target
from ..ir.graph import Graph
from ..ir.types import evaluate
from .parameters import Parameters

LINE = 64


def aligned_bytes(count: int) -> np.ndarray:
    """Fresh memory that begins at a cache line."""
    raw = np.empty(count + LINE, np.uint8)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + count]


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


@dataclass(frozen=True)
class Weights:
    """The parameters' values that a call works with, packed for the tiles."""

    version: int
    arrays: Mapping[str, np.ndarray]
    panels: np.ndarray


class NativeEntry:
    """Machine code for one graph at given sizes. Safe to call from any thread."""

    def __init__(self, graph: Graph, target: Target, name: str) -> None:
        self.graph = graph
        self.plan: Plan = schedule(graph, target, name)
        self.target = target
        self.text = module_text(self.plan.functions, [self.plan.main, self.plan.pack], target, name)
        self._code = Code(object_code(self.text, target), target)
        self.run = self._code.entry(self.plan.main.name)
        self._pack = self._code.entry(self.plan.pack.name)
        self.position = {slot: number for number, slot in enumerate(self.plan.main.slots)}
        self.inputs = [item for item in self.plan.arguments if item.kind == "input"]
        self.outputs = [item for item in self.plan.arguments if item.kind == "output"]
        self._parameters = [item for item in self.plan.arguments if item.kind == "parameter"]
        self._template = np.zeros(len(self.plan.main.slots), np.int64)
        self._constants = [item for item in self.plan.arguments if item.kind == "constant"]
        self._held: list[np.ndarray] = []
        for item in self._constants:
            assert item.value is not None
            value = np.ascontiguousarray(item.value)
            self._held.append(value)
            self._template[self.position[item.buffer.name]] = address(value)
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
            panels = aligned_bytes(max(1, self.plan.panel_bytes))
            block = self._template.copy()
            for item in self._parameters:
                block[self.position[item.buffer.name]] = address(arrays[item.name])
            block[self.position["panels"]] = address(panels)
            if self.plan.panel_bytes:
                self._pack(address(block), 0, 1)
            used = {item.name: arrays[item.name] for item in self._parameters}
            self._weights = Weights(version, used, panels)
            return self._weights

    def block(self, weights: Weights, sizes: Mapping[str, int]) -> np.ndarray:
        """An argument block with weights and sizes filled in."""
        block = self._template.copy()
        for item in self._parameters:
            block[self.position[item.buffer.name]] = address(weights.arrays[item.name])
        block[self.position["panels"]] = address(weights.panels)
        for name in self.plan.sizes:
            block[self.position[name]] = sizes[name]
        return block

    def set_feed(self, block: np.ndarray, name: str, array: np.ndarray) -> None:
        argument = next(item for item in self.inputs if item.name == name)
        block[self.position[argument.buffer.name]] = address(array)
        for slot, stride in zip(self.plan.strides[name], array.strides, strict=False):
            block[self.position[slot]] = stride // array.itemsize

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        return max(1, evaluate(self.plan.arena_bytes, sizes))

    def call(
        self,
        parameters: Parameters,
        feeds: Mapping[str, np.ndarray],
        sizes: Mapping[str, int],
        results: Sequence[np.ndarray],
    ) -> None:
        """Runs once; ``results`` are written in the order of ``outputs``."""
        weights = self.weights(parameters)
        block = self.block(weights, sizes)
        for item in self.inputs:
            self.set_feed(block, item.name, feeds[item.name])
        for item, array in zip(self.outputs, results, strict=True):
            block[self.position[item.buffer.name]] = address(array)
        arena = self._take(self.arena_bytes(sizes))
        block[self.position["arena"]] = address(arena)
        self.run(address(block), 0, 1)
        self._arenas.append(arena)

    def _take(self, count: int) -> np.ndarray:
        """An arena of this call's own, from the free list if one is large enough."""
        try:
            arena = self._arenas.pop()
        except IndexError:
            return aligned_bytes(count)
        return arena if arena.size >= count else aligned_bytes(count)

    def result_shapes(self, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
        return [tuple(evaluate(dim, sizes) for dim in item.shape) for item in self.outputs]
