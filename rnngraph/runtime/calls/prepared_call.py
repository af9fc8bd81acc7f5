"""Calls with feeds of a signature that was met before: nothing is left to be found or made but the results.

The signature of feeds is their names, shapes and dtypes. Where one is anything but an array of NumPy's own type and of
the declared dtype, or a number for a scalar, the call takes the slow path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol
from weakref import ref

import numpy as np

from ...allocation import LARGE, maker
from ...ir.types import FLOATS, TensorType
from ..native.aligned_memory import address, writable_address
from ..native.argument_block import WORKER, WORKERS, ArgumentBlock
from ..native.entry import NativeEntry, Sized
from ..native.preconditions import Precondition, check_preconditions
from ..native.worker_pool import ThreadCount
from ..parameters import Parameters
from .prepared_outputs import OutSpec, ResultWriter
from .results import Leaf

MOST_SIGNATURES = 64
SMALL = 16 << 10
"""Bytes up to which an array is copied: that takes no longer than to find out where one lies."""
SEED = "seed"

PLAIN = 0x101  # NumPy's flags of arrays that are C-contiguous and aligned
_WRITEABLE = 0x400


class PreparedCall:
    """Calls of one entry with feeds of one signature. Safe to run from any thread."""

    def __init__(
        self, parameters: Parameters, entry: NativeEntry, sized: Sized, arrays: Mapping[str, np.ndarray],
        names: Mapping[Any, str], structure: Any, wanted: Sequence[str], ranges: Sequence[Precondition] = (),
        shares: Sequence[Any] = (), draw: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        """arrays: all inputs of such a call. names: of the inputs, by what a call feeds them by.
        structure, wanted: what a call gives, and the outputs in the order of its leaves. ranges: checks of fed numbers.
        shares: keys of feeds that must be within (0, 1]. draw: gives a seed to a call that has none.
        """
        self._parameters, self.entry, self.sized = parameters, entry, sized
        self.names, self._shares, self._draw = names, shares, draw
        fed = {*names.values(), SEED} if draw else set(names.values())
        self.shapes = {name: (array.shape, array.dtype) for name, array in arrays.items() if name in fed}
        self.fixed = {name: array for name, array in arrays.items() if name not in fed}
        self.structure, self.wanted = structure, wanted
        results = {item.name: (shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)}
        self.outs = OutSpec(structure, [results[name] for name in wanted])
        self._ranges = [check for check in ranges if check.label in fed]
        self._is_large = sized.result_bytes + sized.arena_bytes >= LARGE
        self._idle: deque[CallBuffers] = deque()

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any) -> Any:
        """What the call gives; None where a feed has a value, or lies in memory, as only the slow path takes it, or
        so does an array of ``out``.
        """
        for key in self._shares:
            if not 0 < np.float32(given[key]) <= 1:
                return None
        arrays = None if out is None else self.outs.arrays(out)
        if arrays is None and out is not None:
            return None
        try:
            mine = self._idle.pop()
        except IndexError:
            mine = CallBuffers(self)
        block = mine.block
        for key, held in mine.copied:
            held[...] = given[key]
        for key, slot in mine.pointed:
            array = given[key]
            flags = array.flags.num
            if flags & PLAIN != PLAIN:
                self._idle.append(mine)
                return None
            block.numbers[slot] = writable_address(array) if flags & _WRITEABLE else address(array)
        if arrays is not None and mine.large and not mine.can_write(arrays, given):
            self._idle.append(mine)
            return None
        if self._ranges:
            self._check(given, mine)
        if self._draw is not None:
            mine.seed[...] = self._draw() if seed is None else seed
        entry = self.entry
        weights = entry.weights(self._parameters)  # held until the call ends: a change makes new ones
        if block.version != weights.version:
            block.set_weights(weights)
        if self._is_large:
            entry.look(self.sized, 0 if arrays is None else self.sized.result_bytes)
        arena = entry.take(self.sized.arena_bytes)
        if mine.arena() is not arena:
            entry.set_arena(block.numbers, arena)
            mine.arena = ref(arena)
        for leaf, name, make, slot in mine.large:
            array = None if arrays is None else arrays[leaf]
            if array is None:
                mine.fresh[name] = array = make()
            block.numbers[slot] = writable_address(array)
        self.sized.run(block.address, WORKER, WORKERS)
        result = mine.give() if arrays is None else mine.give_into(arrays)
        entry.give_back(arena)
        self._idle.append(mine)
        return result

    def _check(self, given: Mapping[Any, Any], mine: CallBuffers) -> None:
        """Checks numbers; of the copies, which nobody else can change, where there are any."""
        copies = dict(mine.copied)
        fed = {name: copies.get(key, given[key]) for key, name in self.names.items()}
        check_preconditions(self._ranges, fed, self.sized.sizes, None)


class CallBuffers:
    """What one call at a time has to itself: an argument block, memory for small arrays, and an arena in turn."""

    def __init__(self, call: PreparedCall) -> None:
        entry = call.entry
        fed = {name: np.empty(*shape) for name, shape in call.shapes.items()}
        made = {
            item.name: np.empty(shape, item.dtype)
            for item, shape in zip(entry.outputs, call.sized.shapes, strict=True)
        }  # fmt: skip
        self.block = ArgumentBlock(entry, call.sized, call.fixed | fed, made)
        self.seed = fed.get(SEED, np.empty((), np.int64))
        self.copied, self.pointed = [], []
        for key, name in call.names.items():
            if name in entry.input_slots:
                if fed[name].nbytes <= SMALL:
                    self.copied.append((key, fed[name]))
                else:
                    self.pointed.append((key, entry.input_slots[name][0]))
        self.large: list[tuple[int, str, Callable[[], np.ndarray], int]] = []
        self.fresh: dict[str, np.ndarray] = {}
        memory: list[np.ndarray | None] = []
        leaves: list[Leaf] = []
        for number, name in enumerate(call.wanted):
            array = made[name]
            if array.nbytes <= SMALL:
                memory.append(array)
                leaves.append(array.copy)
            else:
                make = maker(array.shape, array.dtype, f"the result {name}")
                self.large.append((number, name, make, entry.output_slots[name]))
                memory.append(None)
                leaves.append(partial(self.fresh.pop, name))  # nobody else holds it then
        writer = ResultWriter(call.structure, memory, leaves)
        self.give, self.give_into = writer.give, writer.give_into
        self.arena: Callable[[], np.ndarray | None] = _gone

    def can_write(self, arrays: Sequence[np.ndarray | None], given: Mapping[Any, Any]) -> bool:
        """Whether native code may write large results straight to these arrays."""
        for number, *_ in self.large:
            array = arrays[number]
            if array is None:
                continue
            if array.flags.num & PLAIN != PLAIN:
                return False
            if any(np.may_share_memory(array, given[key]) for key, _ in self.pointed):
                return False
        return True


def _gone() -> None:
    """In place of a reference to an arena that is no more."""


class Prepared(Protocol):
    """What runs calls with feeds of one signature."""

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any) -> Any:
        """What the call gives; None, and nothing done, where it takes the slow path."""


class CallCache:
    """Prepared calls of one graph, by the signatures of their feeds."""

    def __init__(self, threads: ThreadCount) -> None:
        self._threads = threads
        self._calls: dict[Any, tuple[int, Prepared]] = {}  # with the parts into which kernels are cut

    def run(self, feeds: Any, named: Mapping[str, Any], out: Any = None, seed: int | None = None) -> Any:
        """What the call gives; None, and nothing done, where it takes the slow path."""
        given = named if feeds is None else _given(feeds, named)
        if given is None:
            return None
        try:
            known = self._calls.get(_signature(given))
        except TypeError:  # a name that has no hash
            return None
        return known[1].run(given, seed, out) if known is not None and known[0] == self._threads.parts else None

    def add(
        self, feeds: Any, named: Mapping[str, Any], names: Mapping[Any, str], types: Mapping[str, TensorType],
        make: Callable[[], Prepared],
    ) -> None:  # fmt: skip
        """Keeps what ``make`` prepares after a call on the slow path, if its feeds have a signature.

        names, types: of what is fed.
        """
        given = _given(feeds, named)
        if given is None or not all(_is_plain(value, types.get(names[key])) for key, value in given.items()):
            return
        signature, parts = _signature(given), self._threads.parts
        known = self._calls.get(signature)
        if known is not None and known[0] == parts:  # only this one call was unusual
            return
        if len(self._calls) >= MOST_SIGNATURES:
            self._calls.clear()
        self._calls[signature] = parts, make()


def _given(feeds: Any, named: Mapping[str, Any]) -> Mapping[Any, Any] | None:
    """The one mapping that holds all feeds, if there is one."""
    if feeds is None:
        return named
    return feeds if not named and type(feeds) is dict else None


def _signature(given: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple([
        (key, value.shape, value.dtype) if type(value) is np.ndarray else (key, type(value))
        for key, value in given.items()
    ])  # fmt: skip


def _is_plain(value: Any, declared: TensorType | None) -> bool:
    if declared is None:
        return False
    wanted = np.dtype(declared.dtype)
    if type(value) is np.ndarray:
        return value.dtype == wanted
    return not declared.shape and declared.dtype in FLOATS and type(value) in (float, np.float64, wanted.type)
