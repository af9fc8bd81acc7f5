"""Plans by which machine code runs a prepared call without any step in Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from ctypes import addressof, c_int64
from typing import Any

import numpy as np

from ...allocation import LARGE, bytes_of
from ...codegen.direct_calls.plan import LEAF, MAPPING, MOST, SEQUENCE, Node, Plan, Record
from ...declare.nest import fold
from ..native.aligned_memory import address, aligned_bytes
from ..native.argument_block import ArgumentBlock, Weights
from ..native.compile_options import CompileOptions
from ..native.direct_code import DIRECT
from ..native.entry import TEMPORARIES
from ..native.object_cache import Cache
from ..native.worker_pool import ThreadCount
from ..parameters import Changes
from .prepared_call import CallSpec, PreparedCall
from .results import SHALLOW, Result

OFTEN = 16
"""Calls of one signature, with the same parameters, after which machine code is made for further ones."""
AGAIN = 2
"""The same after a change of the parameters."""
MOST_KEPT = 1 << 20
"""Bytes of temporaries up to which such calls keep some of their own."""
LONG_CYCLES = 30_000
"""Of a call that lets other threads run meanwhile: ten microseconds or so."""
Held = tuple[Any, ...]
"""A plan and what it names."""


class DirectCall:
    """A prepared call with a plan. It serves one caller at a time: another one meanwhile takes the way in Python.

    It does not hold the weights, as calls that nobody makes any more would hold old ones.
    """

    def __init__(
        self, call: PreparedCall, blocks: Sequence[ArgumentBlock], keys: Mapping[str, Any], changes: Changes,
        threads: ThreadCount, also: Sequence[Any], turn: c_int64 | None = None,
        optional: Mapping[str, np.ndarray] | None = None,
    ) -> None:  # fmt: skip
        """blocks: one, or two that take turns. turn: which of these is next, 0 or 1; each call changes it. keys: what
        else a mapping may name feeds by. also: what the blocks name.
        optional: what may be fed beside the call's feeds, by name, which is copied there.
        """
        self._blocks, self._changes = blocks, changes
        self._kept: list[Any] = [call, blocks, changes, threads, turn, also, optional]
        self._busy, still = c_int64(0), c_int64(0)
        self._guards = np.array(
            [addressof(changes.word), -1, addressof(threads.word), threads.parts, addressof(self._busy), 0], np.int64
        )
        spec = call.spec
        feeds = [self._feed(call, name, keys.get(name)) for name in spec.names.values()]
        feeds += [self._record(held.shape, held.dtype, held, 0, name, None) for name, held in (optional or {}).items()]
        results = [
            self._record(*spec.results[name], call.results.get(name), spec.entry.output_slots[name])
            for name in spec.leaves
        ]
        plan = np.zeros(len(Plan), np.int64)
        for word, value in {
            Plan.ENTRY: spec.entry.address, Plan.FIRST_BLOCK: address(blocks[0].numbers),
            Plan.SECOND_BLOCK: address(blocks[-1].numbers), Plan.BUSY: addressof(self._busy),
            Plan.TURN: addressof(still if turn is None else turn), Plan.FLIPS: turn is not None,
            Plan.RELEASES: spec.entry.cycles(spec.sized.sizes) >= LONG_CYCLES,
            Plan.GUARDS: self._guards.size // 2, Plan.GUARD_LIST: address(self._guards),
            Plan.FEEDS: len(feeds), Plan.NEEDED: call.count, Plan.FEED_LIST: self._words(np.array(feeds)),
            Plan.RESULTS: len(results), Plan.RESULT_LIST: self._words(np.array(results)),
            Plan.STRUCTURE: self._structure(spec.structure),
        }.items():  # fmt: skip
            plan[word] = value
        self._plan = plan
        self._kept += [self._busy, still, self._guards]
        self._held = self._plan, self._kept

    def renew(self, weights: Weights) -> Held | None:
        """What machine code is given to run calls with these weights, which the entry holds until others are present.
        None while a call runs.
        """
        if self._busy.value:
            return None
        for block in self._blocks:
            if block.version != weights.version:
                block.set_weights(weights)
        self._plan[Plan.WEIGHTS] = id(weights)
        self._guards[1] = weights.version
        return self._held

    def _words(self, words: np.ndarray) -> int:
        """Where words lie, which stay there."""
        made = np.ascontiguousarray(words, np.int64)
        self._kept.append(made)
        return address(made)

    def _object(self, held: Any) -> int:
        """Where an object lies, which stays there."""
        self._kept.append(held)
        return id(held)

    def _feed(self, call: PreparedCall, name: str, key: Any) -> list[int]:
        feed, slots = call.spec.feeds[name], call.spec.entry.input_slots
        slot = slots[name][0] if name in slots else self._blocks[0].numbers.size - 1
        return self._record(feed.shape, feed.dtype, call.inputs.get(name), slot, name, key)

    def _record(
        self, shape: Sequence[int], dtype: Any, memory: np.ndarray | None, slot: int, name: str = "", key: Any = None
    ) -> list[int]:  # fmt: skip
        kind = np.dtype(dtype)
        record = dict.fromkeys(Record, 0) | {
            Record.DTYPE: self._object(kind), Record.AXES: len(shape), Record.SHAPE: self._words(np.array(shape)),
            Record.BYTES: bytes_of(shape, kind), Record.MEMORY: 0 if memory is None else address(memory),
            Record.SLOT: slot, Record.NAME: self._object(sys.intern(name)), Record.ITEM: kind.itemsize,
            Record.KEY: 0 if key is None else self._object(key),
            Record.NUMBER: kind.itemsize if not len(shape) and kind.name in ("float32", "float64") else 0,
        }  # fmt: skip
        return [int(record[word]) for word in Record]

    def _structure(self, structure: Any) -> int:
        """Where the node of a structure of results lies."""
        leaves = iter(range(MOST))

        def whole(nest: Any, parts: list[int]) -> int:
            kind: Any = type(nest)
            if isinstance(nest, dict):
                makes_result = nest is structure or isinstance(nest, Result)
                maker = self._object(Result) if makes_result else 0
                return self._node(MAPPING, parts, maker, [self._object(key) for key in nest])
            made = kind._make if hasattr(nest, "_fields") else kind
            container = self._object(kind) if issubclass(kind, tuple) else 0
            return self._node(SEQUENCE, parts, 0 if made is tuple else self._object(made), [], container)

        found: int = fold(structure, lambda leaf: self._leaf(next(leaves)), whole)
        return found

    def _leaf(self, number: int) -> int:
        return self._words(np.array([{Node.KIND: LEAF, Node.COUNT: number}.get(word, 0) for word in Node]))

    def _node(self, kind: int, parts: list[int], maker: int, keys: list[int], container: int = 0) -> int:
        words = {
            Node.KIND: kind, Node.COUNT: len(parts), Node.MAKER: maker, Node.KEYS: self._words(np.array(keys)),
            Node.PARTS: self._words(np.array(parts)), Node.CONTAINER: container,
        }  # fmt: skip
        return self._words(np.array([words[word] for word in Node]))


def is_ready(cache: Cache | None) -> bool:
    """Whether there is machine code to run calls, which is made or loaded now if it was not before."""
    return DIRECT.ready(cache, Result)


def direct_call(
    spec: CallSpec, keys: Mapping[str, Any], changes: Changes, options: CompileOptions
) -> DirectCall | None:  # fmt: skip
    """A call of its own, with temporaries of its own; None where machine code can't run such calls."""
    call = PreparedCall(spec)
    if not can_be_direct(call, False) or not is_ready(options.cache):
        return None
    block, arena = call.block(), aligned_bytes(spec.sized.arena_bytes, TEMPORARIES)
    block.set_arena(arena)
    return DirectCall(call, [block], keys, changes, options.threads, [arena])


def can_be_direct(call: PreparedCall, has_checks: bool) -> bool:
    """Whether machine code can run such calls: alone on its thread, with feeds that need no checks of their numbers.

    has_checks: whether any feeds do.
    """
    spec = call.spec
    if has_checks or call.has_checks or spec.seeded or spec.sized.run is not spec.entry.single:
        return False
    if max(len(spec.names), len(spec.leaves)) > MOST or any(feed.strides is not None for feed in spec.feeds.values()):
        return False
    if spec.sized.arena_bytes > MOST_KEPT or spec.sized.result_bytes >= LARGE:
        return False
    height: int = fold(spec.structure, lambda leaf: 0, lambda item, heights: 1 + max(heights, default=0))
    return height <= SHALLOW
