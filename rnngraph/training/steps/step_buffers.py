"""Memory of native steps: argument blocks that are filled in once, as values take turns in few places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ctypes import c_void_p
from dataclasses import dataclass
from operator import is_
from weakref import ref

import numpy as np

from ...allocation import maker
from ...passes.train_step import NEW, NORM, SLOT, SUM
from ...runtime.native.aligned_memory import address, aligned_bytes, writable_address
from ...runtime.native.entry import PACKED, TEMPORARIES, NativeEntry, Sized
from .train_state import TrainState

NOT_RUN = -1.0
"""In the scalar results before a call: no norm is negative."""
MOST_BLOCKS = 8


@dataclass(frozen=True, eq=False)
class FixedFeeds:
    """Feeds of which most lie in the same memory in all steps of a prepared call.

    moving: the names of what lies elsewhere in each step, with the slots of its addresses.
    """

    moving: Sequence[tuple[str, int]]


class StepMemory:
    """What the calls of one entry share, of which there is never more than one at a time."""

    def __init__(self, entry: NativeEntry) -> None:
        self.entry = entry
        self.panels = aligned_bytes(max(1, entry.panel_bytes), PACKED)
        self.arena = aligned_bytes(1)
        names = list(entry.output_slots)
        self.replacing = [name for name in names if name.startswith((NEW, SUM))]
        self.scalars = {
            item.name: np.full((), NOT_RUN, item.dtype) for item in entry.outputs if item.name in ("loss", NORM)
        }
        self.others = [
            (number, item.name, item.dtype)
            for number, item in enumerate(entry.outputs)
            if not item.name.startswith((NEW, SUM, SLOT)) and item.name not in self.scalars
        ]
        self._makers: list[tuple[str, Callable[[], np.ndarray]]] = []
        self._made_for: Sized | None = None  # the sizes of what they make
        self._own: list[str] | None = None  # inputs that the trainer has itself
        self._blocks: dict[tuple[int, ...], StepBlock] = {}

    def fresh(self, sized: Sized) -> dict[str, np.ndarray]:
        """Memory for results that stay with who asked for them."""
        if self.arena.size < sized.arena_bytes:
            self._blocks.clear()  # first: they hold the address of the arena that goes
            self.arena = aligned_bytes(sized.arena_bytes, TEMPORARIES)
        if self._made_for is not sized:
            self._makers = [
                (name, maker(sized.shapes[number], dtype, f"the result {name}")) for number, name, dtype in self.others
            ]
            self._made_for = sized
        return {name: make() for name, make in self._makers}

    def block(self, state: TrainState, parameters: Mapping[str, np.ndarray]) -> StepBlock:
        """The argument block for these parameters, the inputs of the trainer's own, and what replaces them.

        It holds none of them: who calls holds the parameters until the call ends, as others may replace them.
        """
        given = [parameters[name] for name in self.entry.parameter_slots]
        own = state.inputs()
        if self._own is None:
            self._own = [name for name in own if name in self.entry.input_slots]
        targets = [state.target(name) for name in self.replacing]
        arrays = [*given, *[own[name] for name in self._own], *targets]
        key = tuple(map(id, arrays))
        known = self._blocks.get(key)
        if known is None or not known.holds(arrays):
            if len(self._blocks) >= MOST_BLOCKS:
                self._blocks.clear()
            known = self._blocks[key] = StepBlock(self, given, {name: own[name] for name in self._own}, targets)
        return known


class StepBlock:
    """An argument block with the addresses of these arrays, which are held by others."""

    def __init__(
        self,
        memory: StepMemory,
        given: Sequence[np.ndarray],
        inputs: Mapping[str, np.ndarray],
        targets: Sequence[np.ndarray],
    ) -> None:
        self.entry = entry = memory.entry
        self._references = [ref(array) for array in (*given, *inputs.values(), *targets)]
        named = dict(zip(entry.parameter_slots, given, strict=True))
        self.block = entry.unpacked(0, named, memory.panels).block
        self.address = c_void_p(address(self.block))
        entry.set_arena(self.block, memory.arena)
        for name, array in inputs.items():
            entry.set_feed(self.block, name, array)
        for name, array in (*zip(memory.replacing, targets, strict=True), *memory.scalars.items()):
            self.block[entry.output_slots[name]] = address(array)
        self._fed = [name for name in entry.input_slots if name not in inputs]
        self._sized: Sized | None = None
        self._fixed: Callable[[], FixedFeeds | None] = _none

    def holds(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether these are the very arrays: one that is gone may have left its id to another."""
        return all(map(is_, [known() for known in self._references], arrays))

    def set(
        self, feeds: Mapping[str, np.ndarray], results: Mapping[str, np.ndarray], sized: Sized,
        fixed: FixedFeeds | None,
    ) -> None:  # fmt: skip
        """Sets what differs from call to call. fixed: of a prepared step, whose feeds these are."""
        if self._sized is not sized:
            self.entry.set_sizes(self.block, sized.sizes)
            self._sized = sized
        if fixed is not None and self._fixed() is fixed:
            for name, slot in fixed.moving:
                self.block[slot] = _address(feeds[name])
        else:
            for name in self._fed:
                self.entry.set_feed(self.block, name, feeds[name])
            self._fixed = _none if fixed is None else ref(fixed)
        for name, array in results.items():
            self.block[self.entry.output_slots[name]] = _address(array)


def _address(array: np.ndarray) -> int:
    """Where a C-contiguous array lies."""
    return writable_address(array) if array.size and array.flags.writeable else address(array)


def _none() -> None:
    """In place of a reference to nothing."""
