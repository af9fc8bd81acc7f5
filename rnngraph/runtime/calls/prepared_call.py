"""Memory of the calls of one signature, and the stages of a call.

``fill`` checks the signature and copies small feeds. ``check`` validates their values. ``place`` writes the addresses
of large arrays. ``give`` returns the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy import ndarray

from ...support.allocation import bytes_of, empty, maker
from ...support.records import NamedTuple, dataclass
from ..error_flags import FLAG
from ..native.aligned_memory import address, writable_address
from ..native.argument_block import UNREAD, ArgumentBlock
from ..native.entry import NativeEntry, ShapeInstance
from ..native.preconditions import Precondition, check_preconditions
from .outputs import OutSpec
from .results import ResultWriter
from .signatures import NUMBERS, PLAIN, SMALL, Feed, feed_of

SEED = "seed"
_ALIGNED, _WRITEABLE = 0x100, 0x400  # NumPy's flags


@dataclass(frozen=True)
class CallSpec:
    """Properties of all calls whose feeds have one signature.

    Attributes:
        names: Names of inputs by the keys of feeds.
        feeds: Shapes and layouts of the feeds, by name.
        fixed: Arrays that all calls read in place, by name.
        structure: Structure of the results.
        leaves: Names of the returned outputs, in the order of the structure. The owner of the argument block sets the
            memory of other outputs.
        seeded: True if the runner sets a seed.
        ranges: Range checks of fed values.
        shares: Names of feeds that must be within (0, 1].
        also: Names of further outputs for which ``out=`` may have arrays, as in ``OutSpec``.
        copied: Maximum size of copied feeds, in bytes.
        feed_axes: Axis of length 1 that callers omit, by feed.
        result_axes: Axis of length 1 that callers omit, by result.
    """

    entry: NativeEntry
    sized: ShapeInstance
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
        """Return (shape in the caller's layout, dtype) of every output."""
        axes, shapes = self.result_axes, self.sized.shapes
        return {
            item.name: (without_axis(shape, axes.get(item.name)), item.dtype)
            for item, shape in zip(self.entry.outputs, shapes, strict=True)
        }

    @property
    def flags(self) -> list[str]:
        """Names of the outputs that are flags (``runtime.samples``)."""
        return [item.name for item in self.entry.outputs if item.name.startswith(FLAG)]

    @property
    def outs(self) -> OutSpec:
        """Return the expected content of ``out=``."""
        return OutSpec(self.structure, [self.results[name] for name in self.leaves], self.also)


class CallInputs(NamedTuple):
    """Inputs of the first call of a signature. Later calls have the same shapes and layouts.

    Attributes:
        names: Names of inputs by the keys of feeds.
        arrays: All inputs by name, including inputs that the caller does not feed.
        seeded: True if the runner sets a seed.
    """

    names: Mapping[Any, str]
    arrays: Mapping[str, ndarray]
    seeded: bool = False


class CallResults(NamedTuple):
    """Structure of a call's results, and the names of the outputs in the order of its leaves."""

    structure: Any
    leaves: Sequence[str]

    @staticmethod
    def by_name(names: Sequence[str]) -> CallResults:
        """Return the structure of results that are a dict of these outputs."""
        return CallResults(dict.fromkeys(names), names)


def spec_of(
    entry: NativeEntry,
    sized: ShapeInstance,
    inputs: CallInputs,
    results: CallResults,
    ranges: Sequence[Precondition] = (),
    **options: Any,
) -> CallSpec:
    """Return what calls of one signature share: code, sizes, feeds, results and ``options``."""
    names, arrays, seeded = inputs
    feeds = {name: feed_of(arrays[name], options.get("copied", SMALL)) for name in names.values()}
    fed_names = {*feeds, SEED} if seeded else {*feeds}
    fixed = {name: arrays[name] for name in arrays if name in entry.input_slots and name not in fed_names}
    checks = [check for check in ranges if check.label in feeds]
    return CallSpec(entry, sized, names, feeds, fixed, *results, seeded, checks, **options)


def without_axis(shape: Sequence[Any], axis: int | None) -> tuple[Any, ...]:
    """Return a shape without the omitted axis; unchanged if the axis is None."""
    return tuple(shape) if axis is None else (*shape[:axis], *shape[axis + 1 :])


def with_omitted_axis(array: ndarray, axis: int | None) -> ndarray:
    """Insert the axis of length 1 that a caller omitted; unchanged if the axis is None."""
    return array if axis is None else np.expand_dims(array, axis)


class PreparedCall:
    """Fixed memory for the calls of one signature. It can be used by one call at a time.

    Attributes:
        count: Number of feeds.
        fill: Function that copies small feeds; it returns False for feeds of another signature.
        give: Function that returns the results as fresh arrays.
        fill_into: Function that returns the results in the caller's arrays, by leaf.
        inputs: Memory of copied inputs, by name, in native shapes.
        results: Memory of copied results, by name, in native shapes.
        flags: Memory of the outputs that are flags, by name.
        has_checks: True if values of feeds are checked.
        has_large: True if some arrays are read or written in place.
    """

    def __init__(self, spec: CallSpec, memory: Mapping[str, ndarray] | None = None) -> None:
        """Allocate the memory. ``memory`` holds existing arrays of feeds and results, by name, in callers' shapes."""
        self.spec, self.count = spec, len(spec.names)
        slots, memory = spec.entry.input_slots, memory or {}
        self.inputs: dict[str, ndarray] = {SEED: np.zeros((), np.int64)} if spec.seeded else {}
        feeds: list[tuple[Any, tuple[int, ...], Any, tuple[type, ...], ndarray | None]] = []
        self._pointed: list[tuple[Any, str, int]] = []
        for key, name in spec.names.items():
            (shape, dtype, _), copy = spec.feeds[name], None
            if name in memory or bytes_of(shape, dtype) <= spec.copied:
                copy = memory[name] if name in memory else empty(shape, dtype, f"a copy of feed {name}")
                self.inputs[name] = with_omitted_axis(copy, spec.feed_axes.get(name))
            else:
                self._pointed.append((key, name, slots[name][0] if name in slots else UNREAD))
            feeds.append((key, shape, dtype, () if shape else NUMBERS.get(dtype, ()), copy))
        self.results: dict[str, ndarray] = {}
        self._large: list[tuple[int, Callable[[], ndarray], int]] = []
        self._fresh: dict[int, ndarray] = {}  # large results of the running call, by leaf
        self._memory: list[ndarray | None] = []
        takes: list[Callable[[], Any]] = []
        for leaf, name in enumerate(spec.leaves):
            shape, dtype = spec.results[name]
            if name in memory or bytes_of(shape, dtype) <= SMALL:
                array = memory[name] if name in memory else empty(shape, dtype, f"the result {name}")
                self.results[name] = with_omitted_axis(array, spec.result_axes.get(name))
                self._memory.append(array)
                takes.append(array.copy)
            else:
                self._large.append((leaf, maker(shape, dtype, f"the result {name}"), spec.entry.output_slots[name]))
                self._memory.append(None)
                takes.append(partial(self._fresh.pop, leaf, None))  # so that this object no longer refers to the array
        self.flags = {name: memory.get(name, np.zeros(*spec.results[name])) for name in spec.flags}
        writer = ResultWriter(spec.structure, self._memory, takes)
        self.give, self.fill_into = writer.give, writer.fill_into
        self.fill = _filler(feeds, {key: spec.feeds[name].strides for key, name, _ in self._pointed})
        self.has_checks = bool(spec.ranges or spec.shares)
        self.has_large = bool(self._pointed or self._large)

    @cached_property
    def block(self) -> ArgumentBlock:
        """Argument block of this call."""
        return self.new_block()

    def new_block(self) -> ArgumentBlock:
        """Return a new argument block for these calls, in which weights, arena and unreturned outputs are not set."""
        block = self.spec.entry.block()
        self.write(block)
        return block

    def write(self, block: ArgumentBlock) -> None:
        """Write the sizes and array addresses that all calls share into the block of arguments for native code."""
        spec, entry = self.spec, self.spec.entry
        block.set_sizes(spec.sized.sizes, spec.sized.run)
        for name, array in (*spec.fixed.items(), *self.inputs.items()):
            if name in entry.input_slots:
                block.set_input(name, array)
        for _, name, slot in self._pointed:
            if slot != UNREAD:
                feed = spec.feeds[name]
                block.set_strides(name, feed.steps(spec.feed_axes.get(name)), feed.dtype.itemsize)
        for name, array in (*self.results.items(), *self.flags.items()):
            block.set_output(entry.output_slots[name], array)
        block.owner = self

    def check(self, feeds: Mapping[Any, Any]) -> bool:
        """Return True if feeds, after ``fill``, have valid values; False if the slow path raises a better error.

        Copied feeds are checked in the copies, which no other thread can change. Raise ``ShapeError`` for values out of
        range.
        """
        spec = self.spec
        if not all(0 < np.float32(self.inputs[name]) <= 1 for name in spec.shares):
            return False
        if spec.ranges:
            check_preconditions(spec.ranges, self.read(feeds), spec.sized.sizes, None)
        return True

    def read(self, feeds: Mapping[Any, Any]) -> dict[str, ndarray]:
        """Return the arrays that native code reads, by name."""
        spec = self.spec
        large = {name: with_omitted_axis(feeds[key], spec.feed_axes.get(name)) for key, name, _ in self._pointed}
        return {**spec.fixed, **self.inputs, **large}

    def place(self, numbers: ndarray, feeds: Mapping[Any, Any], arrays: Sequence[Any] | None) -> None:
        """Write the addresses of large feeds, which are not copied, and of large results into an argument block.

        Results are written to the caller's ``arrays``, by leaf, or to new arrays if native code cannot write to those.
        """
        for key, _, slot in self._pointed:
            array = feeds[key]
            is_writable = array.flags.num & (PLAIN | _WRITEABLE) == PLAIN | _WRITEABLE
            numbers[slot] = writable_address(array) if is_writable else address(array)
        self._fresh.clear()  # leftovers of an interrupted call
        for leaf, make, slot in self._large:
            array = None if arrays is None else arrays[leaf]
            if array is None or not self._may_write(array, feeds):
                array = self._fresh[leaf] = make()
            numbers[slot] = writable_address(array)

    def _may_write(self, array: ndarray, feeds: Mapping[Any, Any]) -> bool:
        """True if native code can write a result to a caller's array."""
        read = self.read(feeds).values()
        return array.flags.num & PLAIN == PLAIN and not any(np.may_share_memory(array, other) for other in read)

    def present(self, arrays: Sequence[Any] | None) -> list[ndarray]:
        """Return the arrays to which native code wrote the results, in the order of the structure's leaves."""
        results = []
        for leaf, memory in enumerate(self._memory):
            if memory is None:
                memory = self._fresh[leaf] if arrays is None or leaf in self._fresh else arrays[leaf]
            results.append(memory)
        return results


def _filler(
    feeds: Sequence[tuple[Any, tuple[int, ...], Any, tuple[type, ...], ndarray | None]],
    strides: Mapping[Any, tuple[int, ...] | None],
) -> Callable[[Mapping[Any, Any]], bool]:
    """Return the ``fill`` function of a prepared call, which copies feeds.

    The function returns False for a missing feed or another signature, and ignores other feeds.

    Args:
        feeds: (key, shape, dtype, other accepted types, memory or None for a feed that is read in place).
        strides: Strides of feeds that are read in place, by key.
    """

    def fill(mapping: Mapping[Any, Any]) -> bool:
        try:
            for key, shape, dtype, numbers, copy in feeds:
                value = mapping[key]
                if type(value) is ndarray:
                    # Dtypes are usually the identical object, which is faster to compare.
                    if value.shape != shape or (value.dtype is not dtype and value.dtype != dtype):
                        return False
                elif type(value) not in numbers:
                    return False
                if copy is not None:
                    copy[...] = value
                elif strides[key] is None:
                    if value.flags.num & PLAIN != PLAIN:
                        return False
                elif value.strides != strides[key] or not value.flags.num & _ALIGNED:
                    return False
        except KeyError:
            return False
        return True

    return fill
