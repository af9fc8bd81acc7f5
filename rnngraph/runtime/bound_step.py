"""One step of a stream with everything bound: feeds are copied into place, two argument blocks take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ctypes import c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..declare.nest import is_leaf, pack
from ..ir.types import evaluate
from .arrays import address, aligned_bytes
from .feeds import Check, run_checks
from .native import NativeEntry, Weights
from .parameters import Parameters
from .result import Result

_WORKER, _WORKERS = c_int64(0), c_int64(1)  # made once: ctypes converts ints at every call


@dataclass(frozen=True)
class Layout:
    """What a stream knows of names: the time axis of each (None: it has none), the states, the lengths."""

    time_axis: Mapping[str, int | None]
    states: Sequence[str]
    lengths: frozenset[str]


class BoundStep:
    """A step over fixed memory. Blocks alternate: what one writes as the new state the other reads."""

    def __init__(
        self,
        parameters: Parameters,
        structure: Any,
        entry: NativeEntry,
        sizes: Mapping[str, int],
        layout: Layout,
        feeds: Mapping[str, np.ndarray],
        states: Sequence[np.ndarray],
        ranges: Sequence[Check],
        parts: int,
    ) -> None:
        self.parameters, self.entry, self.layout = parameters, entry, layout
        self.sizes = dict(sizes) | dict.fromkeys(layout.lengths, 1)
        self.feeds = {name: np.array(feeds[name], order="C") for name in entry.input_slots if name in feeds}
        self.bound: dict[str, tuple[np.ndarray, tuple[int, ...], np.dtype[Any]]] = {}
        for name, array in self.feeds.items():
            if layout.time_axis[name] is not None:
                step = self._without_time(name, array)
                self.bound[name] = (step, step.shape, step.dtype)
        self.sides = [[np.array(array, order="C") for array in states], [np.empty_like(array) for array in states]]
        self.turn = 0
        self.ranges = [check for check in ranges if check.label in self.bound]
        self.results = {
            item.name: np.empty(tuple(evaluate(dim, self.sizes) for dim in item.shape), item.dtype)
            for item in entry.outputs
            if item.name not in layout.states
        }
        self.shown = [self._without_time(name, array) for name, array in self.results.items()]
        self.give = _giver(structure)
        sized = entry.sized(self.sizes)
        self.parts = parts
        self.arena, self.native = aligned_bytes(sized.arena_bytes), sized.run
        self._bind(entry.weights(parameters))

    def _without_time(self, name: str, array: np.ndarray) -> np.ndarray:
        axis = self.layout.time_axis[name]
        return array if axis is None else array.reshape(array.shape[:axis] + array.shape[axis + 1 :])

    def _bind(self, weights: Weights) -> None:
        """Argument blocks for these weights, one for each turn."""
        entry, self.weights = self.entry, weights
        slot = entry.output_slots
        self.blocks = []
        for turn in (0, 1):
            block = entry.block(weights, self.sizes)
            for name, array in self.feeds.items():
                entry.set_feed(block, name, array)
            for label, before, after in zip(self.layout.states, self.sides[turn], self.sides[1 - turn], strict=True):
                entry.set_feed(block, label, before)
                block[slot[label]] = address(after)
            for name, array in self.results.items():
                block[slot[name]] = address(array)
            entry.set_arena(block, self.arena)
            self.blocks.append(block)
        self.addresses = [c_void_p(address(block)) for block in self.blocks]
        self.version = weights.version

    def run(self, named: Mapping[str, Any]) -> Any:
        """The step's results, fresh; None where the feeds are not arrays of just the bound kind."""
        if len(named) != len(self.bound):
            return None
        for name, value in named.items():
            bound = self.bound.get(name)
            if bound is None or type(value) is not np.ndarray or value.shape != bound[1] or value.dtype != bound[2]:
                return None
            bound[0][...] = value
        if self.ranges:
            run_checks(self.ranges, self.feeds, self.sizes, None)
        if self.version != self.parameters.version:
            self._bind(self.entry.weights(self.parameters))
        turn = self.turn
        self.native(self.addresses[turn], _WORKER, _WORKERS)
        self.turn = 1 - turn
        return self.give(self.shown)

    def states(self) -> list[np.ndarray]:
        """Copies of the present states."""
        return [array.copy() for array in self.sides[self.turn]]

    def set_states(self, arrays: Sequence[np.ndarray]) -> None:
        for held, array in zip(self.sides[self.turn], arrays, strict=True):
            held[...] = array


def _giver(structure: Any) -> Callable[[Sequence[np.ndarray]], Any]:
    """What makes fresh results in the structure that a call gives; flat ones without a detour."""
    if is_leaf(structure):
        return lambda arrays: arrays[0].copy()
    if not all(map(is_leaf, structure.values())):
        return lambda arrays: Result(pack(structure, [array.copy() for array in arrays]))
    keys = tuple(structure)
    if len(keys) == 1:
        only = keys[0]
        return lambda arrays: Result({only: arrays[0].copy()})
    return lambda arrays: Result({key: array.copy() for key, array in zip(keys, arrays, strict=True)})
