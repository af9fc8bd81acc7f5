"""Memory of the calls of one signature, and the steps over it that a ``Runner`` takes in order.

``fill`` checks the signature and copies small feeds, ``check`` looks at their numbers, ``place`` says where large
arrays lie, and ``give`` hands out the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy import ndarray

from ...support.allocation import bytes_of, empty, maker
from ..native.aligned_memory import address, writable_address
from ..native.argument_block import UNREAD, ArgumentBlock
from ..native.entry import NativeEntry, Sized
from ..native.preconditions import Precondition, check_preconditions
from .outputs import OutSpec
from .results import ResultWriter
from .signatures import NUMBERS, PLAIN, SMALL, Feed, feed_of

SEED = "seed"
_ALIGNED, _WRITEABLE = 0x100, 0x400  # NumPy's flags


@dataclass(frozen=True)
class CallSpec:
    """What calls with feeds of one signature have in common.

    names: of inputs, by what a call feeds them by. feeds: how these look, by name. fixed: inputs that all calls read,
    where they lie. structure, leaves: what a call gives, and the outputs in its order; an argument block says where
    other outputs go. seeded: whether who runs a call sets a seed. ranges: checks of fed numbers. shares: names of feeds
    that must be within (0, 1]. also: as for ``OutSpec``. copied: bytes up to which feeds are copied. feed_axes,
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
        """Shape, as callers see it, and dtype of every output."""
        axes, shapes = self.result_axes, self.sized.shapes
        return {
            item.name: (without(shape, axes.get(item.name)), item.dtype)
            for item, shape in zip(self.entry.outputs, shapes, strict=True)
        }

    @property
    def outs(self) -> OutSpec:
        """What ``out=`` may hold."""
        return OutSpec(self.structure, [self.results[name] for name in self.leaves], self.also)


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


def without(shape: Sequence[Any], axis: int | None) -> tuple[Any, ...]:
    """A shape without an axis, if there is one to leave out."""
    return tuple(shape) if axis is None else (*shape[:axis], *shape[axis + 1 :])


def whole(array: ndarray, axis: int | None) -> ndarray:
    """An array with the axis of length 1 that its caller left out, if there is one."""
    return array if axis is None else np.expand_dims(array, axis)


class PreparedCall:
    """Calls of one signature over fixed memory, one at a time.

    count: feeds of a call. fill: copies small ones; False where feeds are not of this signature. give, give_into: hand
    out the results, as fresh arrays or in the caller's by leaf. inputs, results: by name the memory of what is copied,
    as native code sees it. has_checks: whether numbers of feeds are checked; has_large: whether anything is read or
    written where it lies.
    """

    def __init__(self, spec: CallSpec, memory: Mapping[str, ndarray] | None = None) -> None:
        """memory: arrays of feeds and results by name, as callers see them, that exist already."""
        self.spec, self.count = spec, len(spec.names)
        slots, memory = spec.entry.input_slots, memory or {}
        self.inputs: dict[str, ndarray] = {SEED: np.zeros((), np.int64)} if spec.seeded else {}
        feeds: list[tuple[Any, tuple[int, ...], Any, tuple[type, ...], ndarray | None]] = []
        self._pointed: list[tuple[Any, str, int]] = []
        for key, name in spec.names.items():
            (shape, dtype, _), held = spec.feeds[name], None
            if name in memory or bytes_of(shape, dtype) <= spec.copied:
                held = memory[name] if name in memory else empty(shape, dtype, f"a copy of feed {name}")
                self.inputs[name] = whole(held, spec.feed_axes.get(name))
            else:
                self._pointed.append((key, name, slots[name][0] if name in slots else UNREAD))
            feeds.append((key, shape, dtype, () if shape else NUMBERS.get(dtype, ()), held))
        self.results: dict[str, ndarray] = {}
        self._large: list[tuple[int, Callable[[], ndarray], int]] = []
        self._fresh: dict[int, ndarray] = {}  # large results of a call that is running, by leaf
        self._memory: list[ndarray | None] = []
        takes: list[Callable[[], Any]] = []
        for leaf, name in enumerate(spec.leaves):
            shape, dtype = spec.results[name]
            if name in memory or bytes_of(shape, dtype) <= SMALL:
                array = memory[name] if name in memory else empty(shape, dtype, f"the result {name}")
                self.results[name] = whole(array, spec.result_axes.get(name))
                self._memory.append(array)
                takes.append(array.copy)
            else:
                self._large.append((leaf, maker(shape, dtype, f"the result {name}"), spec.entry.output_slots[name]))
                self._memory.append(None)
                takes.append(partial(self._fresh.pop, leaf, None))  # nobody else holds it then
        writer = ResultWriter(spec.structure, self._memory, takes)
        self.give, self.give_into = writer.give, writer.give_into
        self.fill = _filler(feeds, {key: spec.feeds[name].strides for key, name, _ in self._pointed})
        self.has_checks = bool(spec.ranges or spec.shares)
        self.has_large = bool(self._pointed or self._large)

    @cached_property
    def block(self) -> ArgumentBlock:
        """The call's own argument block."""
        return self.new_block()

    def new_block(self) -> ArgumentBlock:
        """Return an argument block without weights, arena, and what the spec leaves to others."""
        block = self.spec.entry.block()
        self.write(block)
        return block

    def write(self, block: ArgumentBlock) -> None:
        """Makes an argument block one of this call: all that is the same in each."""
        spec, entry = self.spec, self.spec.entry
        block.set_sizes(spec.sized.sizes, spec.sized.run)
        for name, array in (*spec.fixed.items(), *self.inputs.items()):
            if name in entry.input_slots:
                block.set_input(name, array)
        for _, name, slot in self._pointed:
            if slot != UNREAD:
                feed = spec.feeds[name]
                block.set_strides(name, feed.steps(spec.feed_axes.get(name)), feed.dtype.itemsize)
        for name, array in self.results.items():
            block.set_output(entry.output_slots[name], array)
        block.owner = self

    def check(self, given: Mapping[Any, Any]) -> bool:
        """Checks numbers of feeds after ``fill``; of the copies, which nobody else can change, where there are any.
        False where the slow path has more to say. Raises ``ShapeError``.
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
        large = {name: whole(given[key], spec.feed_axes.get(name)) for key, name, _ in self._pointed}
        return {**spec.fixed, **self.inputs, **large}

    def place(self, numbers: ndarray, given: Mapping[Any, Any], arrays: Sequence[Any] | None) -> None:
        """Writes into a block where large feeds lie, and where large results go: to the caller's ``arrays`` by leaf, or
        to fresh ones where there are none, or none to which native code can write.
        """
        for key, _, slot in self._pointed:
            array = given[key]
            is_writable = array.flags.num & (PLAIN | _WRITEABLE) == PLAIN | _WRITEABLE
            numbers[slot] = writable_address(array) if is_writable else address(array)
        self._fresh.clear()  # of what a call that was interrupted left
        for leaf, make, slot in self._large:
            array = None if arrays is None else arrays[leaf]
            if array is None or not self._may_write(array, given):
                array = self._fresh[leaf] = make()
            numbers[slot] = writable_address(array)

    def _may_write(self, array: ndarray, given: Mapping[Any, Any]) -> bool:
        read = self.read(given).values()
        return array.flags.num & PLAIN == PLAIN and not any(np.may_share_memory(array, other) for other in read)

    def present(self, arrays: Sequence[Any] | None) -> list[ndarray]:
        """The results by leaf after a call, where they lie, before they are given."""
        found = []
        for leaf, memory in enumerate(self._memory):
            if memory is None:
                memory = self._fresh[leaf] if arrays is None or leaf in self._fresh else arrays[leaf]
            found.append(memory)
        return found


def _filler(
    feeds: Sequence[tuple[Any, tuple[int, ...], Any, tuple[type, ...], ndarray | None]],
    strides: Mapping[Any, tuple[int, ...] | None],
) -> Callable[[Mapping[Any, Any]], bool]:  # fmt: skip
    """What ``PreparedCall`` fills itself with: a function of plain data, in whose place machine code could stand.

    It gives False where a feed is missing or is not of this signature, and does not look at what else is given. feeds:
    key, shape, dtype, other types, and the memory of those that are copied. strides: of those that are not.
    """

    def fill(given: Mapping[Any, Any]) -> bool:
        try:
            for key, shape, dtype, numbers, held in feeds:
                value = given[key]
                if type(value) is ndarray:
                    if value.shape != shape or (value.dtype is not dtype and value.dtype != dtype):
                        return False  # a dtype is mostly the very object
                elif type(value) not in numbers:
                    return False
                if held is not None:
                    held[...] = value
                elif strides[key] is None:
                    if value.flags.num & PLAIN != PLAIN:
                        return False
                elif value.strides != strides[key] or not value.flags.num & _ALIGNED:
                    return False
        except KeyError:
            return False
        return True

    return fill
