"""A prepared call: data that says where feeds and results of one signature go, and the few steps that run it.

Whatever calls native code does it by one of these: ``fill`` takes the feeds, ``place`` makes room for large results, the
``run`` of an argument block computes, ``give`` hands out the results. Small arrays are copied, large ones are read and
written where they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy import ndarray

from ...allocation import bytes_of, empty, maker
from ..native.aligned_memory import address, writable_address
from ..native.argument_block import UNREAD, ArgumentBlock
from ..native.entry import NativeEntry, Sized
from ..native.preconditions import Precondition, check_preconditions
from .outputs import OutSpec
from .results import ResultWriter
from .signatures import PLAIN, SMALL, Feed, feed_of, number_types

SEED = "seed"
_ALIGNED = 0x100
_WRITABLE = PLAIN | 0x400  # NumPy's flags: aligned; plain and writable


@dataclass(frozen=True)
class CallSpec:
    """What calls with feeds of one signature have in common.

    names: of inputs, by what a call feeds them by. feeds: how these look, by name. fixed: inputs that all calls read,
    where they lie. seeded: whether who runs a call sets a seed. structure, leaves: what a call gives, and
    the outputs in its order; an argument block says where other outputs go. ranges: checks of fed numbers. shares: names
    of feeds that must be within (0, 1]. also: as for ``OutSpec``. copied: bytes up to which feeds are copied. feed_axes,
    result_axes: an axis of length 1 that callers leave out, by name.
    """

    entry: NativeEntry
    sized: Sized
    names: Mapping[Any, str]
    feeds: Mapping[str, Feed]
    fixed: Mapping[str, ndarray]
    structure: Any
    leaves: Sequence[str]
    seeded: bool = False
    ranges: Sequence[Precondition] = ()
    shares: Sequence[str] = ()
    also: Sequence[str] = ()
    copied: int = SMALL
    feed_axes: Mapping[str, int | None] = field(default_factory=dict)
    result_axes: Mapping[str, int | None] = field(default_factory=dict)

    @cached_property
    def results(self) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and dtype of every output."""
        entry, shapes = self.entry, self.sized.shapes
        return {item.name: (shape, item.dtype) for item, shape in zip(entry.outputs, shapes, strict=True)}

    @cached_property
    def outs(self) -> OutSpec:
        """What ``out=`` may hold."""
        kinds = [
            (without(self.results[name][0], self.result_axes.get(name)), self.results[name][1]) for name in self.leaves
        ]
        return OutSpec(self.structure, kinds, self.also)


def without(shape: Sequence[Any], axis: int | None) -> tuple[Any, ...]:
    """A shape without an axis, if there is one to leave out."""
    return tuple(shape) if axis is None else (*shape[:axis], *shape[axis + 1 :])


def whole(array: ndarray, axis: int | None) -> ndarray:
    """An array with the axis of length 1 that its caller left out, if there is one."""
    return array if axis is None else np.expand_dims(array, axis)


def spec_of(
    entry: NativeEntry, sized: Sized, names: Mapping[Any, str], arrays: Mapping[str, ndarray], structure: Any,
    leaves: Sequence[str], seeded: bool = False, ranges: Sequence[Precondition] = (), copied: int = SMALL,
    **options: Any,
) -> CallSpec:  # fmt: skip
    """The spec of calls whose inputs look like ``arrays``: all that the entry reads."""
    feeds = {name: feed_of(arrays[name], copied) for name in names.values()}
    apart = {*feeds, SEED} if seeded else {*feeds}
    fixed = {name: arrays[name] for name in arrays if name in entry.input_slots and name not in apart}
    checks = [check for check in ranges if check.label in feeds]
    return CallSpec(entry, sized, names, feeds, fixed, structure, leaves, seeded, checks, copied=copied, **options)


class PreparedCall:
    """Calls of one signature over fixed memory, one at a time. count: feeds of a call. inputs: by name the memory of
    what is copied, as native code sees it; results: likewise of outputs. large: outputs with memory of their own in each
    call.
    """

    def __init__(self, spec: CallSpec) -> None:
        self.spec, self.count = spec, len(spec.names)
        entry, slots = spec.entry, spec.entry.input_slots
        self.inputs: dict[str, ndarray] = {SEED: np.zeros((), np.int64)} if spec.seeded else {}
        self._copied: list[tuple[Any, tuple[int, ...], Any, tuple[type, ...], ndarray]] = []
        self._pointed: list[tuple[Any, tuple[int, ...], Any, tuple[int, ...] | None, int]] = []
        for key, name in spec.names.items():
            shape, dtype, strides = spec.feeds[name]
            if bytes_of(shape, dtype) <= spec.copied:
                held = empty(shape, dtype, f"a copy of feed {name}")
                self.inputs[name] = whole(held, spec.feed_axes.get(name))
                self._copied.append((key, shape, dtype, () if shape else number_types(dtype), held))
            else:
                slot = slots[name][0] if name in slots else UNREAD
                self._pointed.append((key, shape, dtype, strides, slot))
        self.results: dict[str, ndarray] = {}
        self.large: list[tuple[int, Callable[[], ndarray], int]] = []
        self._fresh: dict[int, ndarray] = {}
        memory: list[ndarray | None] = []
        takes: list[Callable[[], Any]] = []
        for leaf, name in enumerate(spec.leaves):
            shape, dtype = spec.results[name]
            axis, purpose = spec.result_axes.get(name), f"the result {name}"
            seen = without(shape, axis)
            if bytes_of(shape, dtype) <= SMALL:
                array = empty(seen, dtype, purpose)
                self.results[name] = whole(array, axis)
                memory.append(array)
                takes.append(array.copy)
            else:
                self.large.append((leaf, maker(seen, dtype, purpose), entry.output_slots[name]))
                memory.append(None)
                takes.append(partial(self._fresh.pop, leaf, None))  # nobody else holds it then
        self._memory = memory
        writer = ResultWriter(spec.structure, memory, takes)
        self.give, self.give_into = writer.give, writer.give_into
        self.has_checks = bool(spec.ranges or spec.shares)

    def block(self) -> ArgumentBlock:
        """An argument block for this call, without weights, arena, and what its spec leaves to others."""
        block = self.spec.entry.block()
        self.write(block)
        return block

    def write(self, block: ArgumentBlock) -> None:
        """Makes an argument block one of this call: all that is the same in each."""
        spec, slots = self.spec, self.spec.entry.input_slots
        block.set_sizes(spec.sized.sizes, spec.sized.run)
        for name, array in (*spec.fixed.items(), *self.inputs.items()):
            if name in slots:
                block.set_input(name, array)
        for key, _, dtype, _, slot in self._pointed:
            if slot != UNREAD:
                name = spec.names[key]
                block.set_strides(name, spec.feeds[name].steps(spec.feed_axes.get(name)), dtype.itemsize)
        for name, array in self.results.items():
            block.set_output(spec.entry.output_slots[name], array)
        block.owner = self

    def fill(self, given: Mapping[Any, Any], numbers: ndarray) -> bool:
        """Copies small feeds, and writes into a block where large ones lie. False where one is missing or is not of this
        signature. What else is given is not looked at.
        """
        for key, shape, dtype, kinds, held in self._copied:
            value = given.get(key)
            if type(value) is ndarray:
                if value.shape != shape or (
                    value.dtype is not dtype and value.dtype != dtype
                ):  # mostly the very object
                    return False
            elif type(value) not in kinds:
                return False
            held[...] = value
        for key, shape, dtype, strides, slot in self._pointed:
            value = given.get(key)
            if type(value) is not ndarray or value.shape != shape or value.dtype != dtype:
                return False
            flags = value.flags.num
            if flags & PLAIN != PLAIN and (strides is None or value.strides != strides or not flags & _ALIGNED):
                return False
            numbers[slot] = writable_address(value) if flags & _WRITABLE == _WRITABLE else address(value)
        return True

    def check(self, given: Mapping[Any, Any]) -> bool:
        """Checks numbers of feeds; of the copies, which nobody else can change, where there are any. False where the slow
        path has more to say. Raises ``ShapeError``.
        """
        spec = self.spec
        if not all(0 < np.float32(self.inputs[name]) <= 1 for name in spec.shares):
            return False
        if spec.ranges:
            check_preconditions(spec.ranges, self.read(given), spec.sized.sizes, None)
        return True

    def read(self, given: Mapping[Any, Any]) -> dict[str, ndarray]:
        """What native code reads in a call, by name."""
        spec = self.spec
        large = {spec.names[key]: given[key] for key, *_ in self._pointed}
        large = {name: whole(array, spec.feed_axes.get(name)) for name, array in large.items()}
        return {**spec.fixed, **self.inputs, **large}

    def place(self, numbers: ndarray, arrays: Sequence[Any] | None, given: Mapping[Any, Any]) -> None:
        """Writes into a block where large results go: to the caller's arrays by leaf, or to fresh ones where there are
        none, or none to which native code can write.
        """
        self._fresh.clear()  # of what a call that was interrupted left
        for leaf, make, slot in self.large:
            array = None if arrays is None else arrays[leaf]
            if array is None or not self._may_write(array, given):
                array = self._fresh[leaf] = make()
            numbers[slot] = writable_address(array)

    def _may_write(self, array: ndarray, given: Mapping[Any, Any]) -> bool:
        read = self.read(given).values()
        return array.flags.num & PLAIN == PLAIN and not any(np.may_share_memory(array, other) for other in read)

    def present(self, arrays: Sequence[Any] | None) -> list[ndarray]:
        """The results by leaf after a call, where they lie, before they are given."""
        found = enumerate(self._memory)
        return [
            memory if memory is not None else self._fresh[leaf] if leaf in self._fresh else arrays[leaf]  # type: ignore[index]
            for leaf, memory in found
        ]
