"""Plans of direct calls, which machine code executes without running Python code."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from ctypes import addressof, c_int64
from time import perf_counter_ns
from typing import Any

import numpy as np

from ...codegen.direct_calls.plan import FREE, LEAF, MAPPING, MAX_ITEMS, RANGE, SEQUENCE, SHARE, Node, Plan, Record
from ...declare.nest import SHALLOW, fold, height
from ...ir.types import FLOATS, evaluate
from ...support.allocation import LARGE, bytes_of
from ...support.records import NamedTuple
from ..direct.direct_code import DIRECT as DIRECT  # re-exported for callers
from ..native.aligned_memory import address, aligned_bytes
from ..native.argument_block import ArgumentBlock, Weights
from ..native.compile_options import CompileOptions
from ..native.entry import TEMPORARIES
from ..native.worker_pool import ThreadCount
from ..parameters import Changes
from .prepared_call import SEED, CallSpec, PreparedCall
from .results import Result

CALLS_UNTIL_DIRECT = 16
"""Number of calls of one signature, with the same parameters, before direct calls begin."""
CALLS_UNTIL_RENEWED = 2
"""Number of calls after a change of the parameters before direct calls resume."""
MAX_OWN_ARENA = 1 << 20
"""Maximum size of an arena that is reserved for one direct call, in bytes."""
MIN_RELEASED_NS = 10_000
"""Minimum duration of a call that releases the GIL, in nanoseconds."""
DirectPlan = tuple[Any, ...]
"""Words of a plan, and the objects that they refer to."""
SEED_KEY: Any = object()
"""Key in a mapping of feeds for a seed that is used instead of a drawn one: an int64 array without axes."""


class NativeTime:
    """Timer of native code. ``shortest`` is the minimum duration over all calls, in nanoseconds."""

    def __init__(self) -> None:
        self.shortest = math.inf

    def run(self, native: Callable[[], None]) -> None:
        """Run native code and record its duration."""
        begin = perf_counter_ns()
        native()
        self.shortest = min(self.shortest, perf_counter_ns() - begin)

    @property
    def is_long(self) -> bool:
        """True if calls are long enough to release the GIL, or if there was none yet."""
        return self.shortest >= MIN_RELEASED_NS


class Draws(NamedTuple):
    """Source of seeds for calls without one: a machine-code function and its argument."""

    function: int
    generator: int


class DirectMemory(NamedTuple):
    """Memory of a direct call.

    Attributes:
        blocks: One argument block, or two that alternate.
        also: Objects to keep alive, because the blocks hold their addresses.
        side: If there are two blocks, the memory with the index of the next call's block. Each call flips it.
        optional: Arrays to which optional feeds are copied, by name.
    """

    blocks: Sequence[ArgumentBlock]
    also: Sequence[Any]
    side: c_int64 | None = None
    optional: Mapping[str, np.ndarray] | None = None


class DirectCall:
    """Prepared call with a plan, for one caller at a time. Concurrent callers use the Python path.

    The object holds no reference to the weights, so that an unused call does not keep old weights alive.

    Attributes:
        plan: Argument of the machine code.
    """

    def __init__(
        self,
        call: PreparedCall,
        memory: DirectMemory,
        keys: Mapping[str, Any],
        changes: Changes,
        threads: ThreadCount,
        releases: bool,
        draws: Draws | None = None,
    ) -> None:
        """Build the plan of a prepared call.

        Args:
            call: The prepared call.
            memory: Memory that machine code reads and writes.
            keys: Further keys for feeds, by name.
            changes: Counter of parameter changes.
            threads: Number of threads.
            releases: True to release the GIL during calls.
            draws: Source of the seed if ``SEED_KEY`` is not fed.
        """
        blocks, also, side, optional = memory
        self._blocks = blocks
        self._kept: list[Any] = [call, blocks, changes, threads, side, also, optional]
        self._busy, still = c_int64(0), c_int64(0)
        guards = [addressof(threads.word), threads.parts, addressof(self._busy), 0, addressof(changes.word), -1]
        self._guards, spec = np.array(guards, np.int64), call.spec
        highs, seed = _highs(spec), call.inputs.get(SEED, np.zeros((), np.int64))
        feeds = [self._feed(call, name, keys.get(name), highs.get(name)) for name in spec.names.values()]
        feeds += [
            self._record(array.shape, array.dtype, array, 0, name, None) for name, array in (optional or {}).items()
        ]
        if draws is not None:
            feeds.append(self._record(seed.shape, seed.dtype, seed, 0, SEED_KEY))
        results = [
            self._record(*spec.results[name], call.results.get(name), spec.entry.output_slots[name])
            for name in spec.leaves
        ]
        plan = np.zeros(len(Plan), np.int64)
        for word, value in {
            Plan.ENTRY: spec.entry.address,
            Plan.FIRST_BLOCK: address(blocks[0].numbers),
            Plan.SECOND_BLOCK: address(blocks[-1].numbers),
            Plan.BUSY: addressof(self._busy),
            Plan.SIDE: addressof(still if side is None else side),
            Plan.FLIPS: side is not None,
            Plan.RELEASES: releases,
            Plan.GUARDS: self._guards.size // 2,
            Plan.GUARD_LIST: address(self._guards),
            Plan.FEEDS: len(feeds),
            Plan.NEEDED: call.count,
            Plan.FEED_LIST: self._words(np.array(feeds)),
            Plan.RESULTS: len(results),
            Plan.RESULT_LIST: self._words(np.array(results)),
            Plan.STRUCTURE: self._structure(spec.structure),
            Plan.DRAW: 0 if draws is None else draws.function,
            Plan.GENERATOR: 0 if draws is None else draws.generator,
            Plan.SEED: address(seed),
            Plan.SEED_FEED: len(feeds) - 1,
            Plan.WEIGHTS: id(None),
        }.items():
            plan[word] = value
        self._words_of_plan = plan
        self._kept += [self._busy, still, self._guards, seed]
        self.plan: DirectPlan = self._words_of_plan, self._kept

    def renew(self, weights: Weights) -> DirectPlan | None:
        """Set the weights for later direct calls. Return the plan for them, or None while a call runs."""
        if self._busy.value:
            return None
        for block in self._blocks:
            if block.version != weights.version:
                block.set_weights(weights)
        self._words_of_plan[Plan.WEIGHTS] = id(weights)
        self._guards[-1] = weights.version
        return self.plan

    def _words(self, words: np.ndarray) -> int:
        """Store words in memory that lives as long as the plan. Return the address."""
        array = np.ascontiguousarray(words, np.int64)
        self._kept.append(array)
        return address(array)

    def _object(self, item: Any) -> int:
        """Keep an object alive as long as the plan. Return the address."""
        self._kept.append(item)
        return id(item)

    def _feed(self, call: PreparedCall, name: str, key: Any, high: int | None) -> list[int]:
        """Return the words that describe a feed. ``high`` is the largest allowed integer, if it is checked."""
        feed, slots = call.spec.feeds[name], call.spec.entry.input_slots
        slot = slots[name][0] if name in slots else self._blocks[0].numbers.size - 1
        check = SHARE if name in call.spec.shares else FREE if high is None else RANGE
        return self._record(feed.shape, feed.dtype, call.inputs.get(name), slot, name, key, (check, high or 0))

    def _record(
        self,
        shape: Sequence[int],
        dtype: Any,
        memory: np.ndarray | None,
        slot: int,
        name: Any = "",
        key: Any = None,
        check: tuple[int, int] = (FREE, 0),
    ) -> list[int]:
        """Return the fields of ``Record``, by which machine code reads a feed or makes a result, as integers."""
        kind, name = np.dtype(dtype), sys.intern(name) if isinstance(name, str) else name
        record = dict.fromkeys(Record, 0) | {
            Record.DTYPE: self._object(kind),
            Record.AXES: len(shape),
            Record.SHAPE: self._words(np.array(shape)),
            Record.BYTES: bytes_of(shape, kind),
            Record.MEMORY: 0 if memory is None else address(memory),
            Record.SLOT: slot,
            Record.NAME: self._object(name),
            Record.ITEM: kind.itemsize,
            Record.CHECKED: check[0],
            Record.HIGH: check[1],
            Record.KEY: 0 if key is None else self._object(key),
            Record.NUMBER: kind.itemsize if not len(shape) and kind.name in ("float32", "float64") else 0,
        }
        return [int(record[word]) for word in Record]

    def _structure(self, structure: Any) -> int:
        """Write the nest of results, for machine code to build, to memory. Return its address."""
        leaves = iter(range(MAX_ITEMS))

        def join_parts(nest: Any, parts: list[int]) -> int:
            """Return the address of the description of a container, given those of its parts."""
            kind: Any = type(nest)
            if isinstance(nest, dict):
                return self._node(MAPPING, parts, self._object(Result), [self._object(key) for key in nest])
            container, make = self._object(kind), kind._make if hasattr(nest, "_fields") else kind
            maker = 0 if make is tuple else self._object(make)
            return self._node(SEQUENCE, parts, maker, [], container if issubclass(kind, tuple) else 0)

        root: int = fold(structure, lambda leaf: self._leaf(next(leaves)), join_parts)
        return root

    def _leaf(self, number: int) -> int:
        """Return the address of the description of a leaf."""
        return self._words(np.array([{Node.KIND: LEAF, Node.COUNT: number}.get(word, 0) for word in Node]))

    def _node(self, kind: int, parts: list[int], maker: int, keys: list[int], container: int = 0) -> int:
        """Write one container of the nest of results to memory, with ``Node``'s fields. Return its address."""
        words = {
            Node.KIND: kind,
            Node.COUNT: len(parts),
            Node.MAKER: maker,
            Node.KEYS: self._words(np.array(keys)),
            Node.PARTS: self._words(np.array(parts)),
            Node.CONTAINER: container,
        }
        return self._words(np.array([words[word] for word in Node]))


def is_ready(options: CompileOptions) -> bool:
    """True if direct calls are allowed and available. The first call compiles or loads their code."""
    return options.direct_calls and DIRECT.ready(options.cache, Result)


def direct_call(
    spec: CallSpec,
    keys: Mapping[str, Any],
    changes: Changes,
    options: CompileOptions,
    draws: Draws | None,
    time: NativeTime,
) -> DirectCall | None:
    """Return a direct call with its own memory; None if calls of this form are not direct.

    Calls are not direct if their arena exceeds ``MAX_OWN_ARENA``, if ``can_be_direct`` is False, or if direct calls are
    disabled or not available. ``time`` has timed earlier calls. It decides if direct calls release the GIL.
    """
    call = PreparedCall(spec)
    if spec.sized.arena_bytes > MAX_OWN_ARENA or not can_be_direct(call, draws is not None) or not is_ready(options):
        return None
    block, arena = call.block, aligned_bytes(spec.sized.arena_bytes, TEMPORARIES)
    block.set_arena(arena)
    return DirectCall(call, DirectMemory([block], [arena]), keys, changes, options.threads, time.is_long, draws)


def can_be_direct(call: PreparedCall, optional: int = 0) -> bool:
    """True if calls can be direct: single-threaded, with value checks that machine code supports.

    Feeds must have no gaps, results must be fewer than ``LARGE`` bytes, and the structure must be shallow.
    ``optional`` is the number of further feeds, such as a seed.
    """
    spec, kinds = call.spec, {name: feed.dtype.name for name, feed in call.spec.feeds.items()}
    if spec.sized.run is not spec.entry.single or any(kinds[name] not in FLOATS for name in spec.shares):
        return False
    if any(kinds[name] not in ("int32", "int64") or high < 0 for name, high in _highs(spec).items()):
        return False
    if any(check.reached is not None for check in spec.ranges):
        return False
    if max(len(spec.names) + optional, len(spec.leaves)) > MAX_ITEMS or any(
        feed.strides is not None for feed in spec.feeds.values()
    ):
        return False
    if spec.sized.result_bytes >= LARGE:
        return False
    return height(spec.structure) <= SHALLOW


def _highs(spec: CallSpec) -> dict[str, int]:
    """Return the largest allowed integer of each checked feed, by name.

    If the bound also depends on row lengths, larger values may be valid; those calls use the Python path.
    """
    highs: dict[str, int] = {}
    for check in spec.ranges:
        high = evaluate(check.high, spec.sized.sizes)
        highs[check.label] = min(high, highs.get(check.label, high))
    return highs
