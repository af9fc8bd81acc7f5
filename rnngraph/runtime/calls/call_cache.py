"""Prepared calls by the signatures of their feeds, for callers in any thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ...ir.types import TensorType
from ...support.allocation import LARGE
from ...support.bounded_cache import BoundedCache
from ...support.forks import Order, fork_lock
from ..direct.direct_code import DIRECT
from ..native.argument_block import ArgumentBlock, Weights
from ..native.entry import NativeEntry
from ..native.worker_pool import ThreadCount
from .direct_call import AGAIN, GIVEN_SEED, OFTEN, DirectCall, Held, NativeTime
from .prepared_call import SEED, CallSpec, PreparedCall, spec_of
from .signatures import converted_key, given_key, one_mapping, plain_names

MOST_SIGNATURES = 64


class CallPool:
    """Prepared calls of one signature, as many as ran at once. Safe to run from any thread.

    held: what machine code is given that runs such calls without a step in Python; None until there were some.
    """

    def __init__(
        self, spec: CallSpec, weights: Callable[[], Weights], draw: Callable[[], int] | None = None,
        direct: Callable[[NativeTime], DirectCall | None] | None = None,
    ) -> None:  # fmt: skip
        """weights: gives the present ones of the spec's entry. draw: gives a seed to a call that has none. direct:
        makes a call that machine code runs, of one that is made often; None: there is none.
        """
        self.spec, self.outs, self._weights, self._draw = spec, spec.outs, weights, draw
        self._count = len(spec.names)
        self._is_large = spec.sized.result_bytes + spec.sized.arena_bytes >= LARGE
        self._idle: deque[tuple[PreparedCall, ArgumentBlock]] = deque()
        self._make_direct = direct
        self._direct: DirectCall | None = None
        self._until_direct = OFTEN if direct is not None else 0
        self._lock, self._time = fork_lock(Order.GRAPH), NativeTime()
        self.held: Held | None = None

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any, arrays: list[Any] | None = None) -> Any:
        """What the call gives; None, and nothing done, where feeds or ``out`` are as only the slow path takes them.

        arrays: in place of ``out``, by leaf, as its ``checked`` gives them.
        """
        if len(given) != self._count:
            return None
        if out is not None:
            arrays = self.outs.arrays(out)
            if arrays is None:
                return None
        try:
            mine = self._idle.pop()
        except IndexError:
            call = PreparedCall(self.spec)
            mine = call, call.block()
        call, block = mine
        if not call.fill(given) or (call.has_checks and not call.check(given)):
            self._idle.append(mine)
            return None
        if self._draw is not None:
            call.inputs[SEED][...] = self._draw() if seed is None else seed
        weights = self._weights()  # held until the call ends: a change makes new ones
        if block.version != weights.version:
            block.set_weights(weights)
            if self._direct is not None:
                self._until_direct = AGAIN
        entry, sized = self.spec.entry, self.spec.sized
        if self._is_large:
            entry.look(sized, sum(array.nbytes for array in arrays or () if array is not None))
        if call.has_large:
            call.place(block.numbers, given, arrays)
        arena = entry.take(sized.arena_bytes)
        if block.arena() is not arena:
            block.set_arena(arena)
        if self._until_direct:
            self._time.run(block.run)
        else:
            block.run()
        result = call.give() if arrays is None else call.give_into(arrays)
        entry.give_back(arena)
        self._idle.append(mine)
        if self._until_direct:
            self._until_direct -= 1
            if not self._until_direct:
                self._be_direct(weights)
        return result

    def _be_direct(self, weights: Weights) -> None:
        """Lets machine code run the next calls."""
        if self._make_direct is None or not self._lock.acquire(blocking=False):
            return
        try:
            if self._direct is None:
                self._direct = self._make_direct(self._time)
            if self._direct is not None:
                self.held = self._direct.renew(weights)
        finally:
            self._lock.release()


def run_once(
    entry: NativeEntry, weights: Weights, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:  # fmt: skip
    """The outputs by name of a call that is not prepared for others. arrays: inputs, which were checked."""
    outputs = [*entry.output_slots]
    spec = spec_of(entry, entry.sized(sizes), {name: name for name in arrays}, arrays, dict.fromkeys(outputs), outputs)
    found: dict[str, np.ndarray] = CallPool(spec, lambda: weights).run(arrays, None, None)
    return found


class Prepared(Protocol):
    """Runner of calls whose feeds have one signature."""

    def run(self, given: Mapping[Any, Any], seed: int | None, out: Any) -> Any:
        """What the call gives; None, and nothing done, where it takes the slow path."""


Kept = TypeVar("Kept", bound=Prepared)


class CallCache(Generic[Kept]):
    """What runs the calls of one graph, by the signatures of their feeds."""

    def __init__(self, threads: ThreadCount, most: int = MOST_SIGNATURES) -> None:
        """most: signatures that are kept."""
        self._threads = threads
        # With the parts into which kernels are cut.
        self._calls: BoundedCache[Any, tuple[int, Kept]] = BoundedCache(most)
        # The call before, which another one is mostly like: to try takes less time than to look for a signature.
        self.recent: tuple[int, Kept] | None = None
        self._repeats = True

    def run(self, feeds: Any, named: Mapping[str, Any], seed: int | None = None, out: Any = None) -> Any:
        """What the call gives; None, and nothing done, where it takes the slow path."""
        given = named if feeds is None else one_mapping(feeds, named)
        if given is None:
            return None
        tried, recent = None, self.recent
        if self._repeats and recent is not None and recent[0] == self._threads.parts:
            result = recent[1].run(given, seed, out)
            if result is not None:
                return result
            tried = recent
        known = self._like(given)
        if known is None or known is tried or known[0] != self._threads.parts:
            return None
        self._repeats, self.recent = known is recent, known
        return known[1].run(given, seed, out)

    def _like(self, given: Mapping[Any, Any]) -> tuple[int, Kept] | None:
        """What runs calls with feeds of this signature."""
        try:
            return self._calls.get(given_key(given))
        except TypeError:  # a name that has no hash
            return None

    def prepared(
        self, feeds: Any, named: Mapping[str, Any], arrays: Mapping[str, np.ndarray], name_of: Callable[[Any], str],
        types: Mapping[str, TensorType], make: Callable[[Mapping[Any, str]], Kept],
    ) -> tuple[Kept, Mapping[Any, Any]]:  # fmt: skip
        """What runs calls with these feeds, and the feeds as it takes them: as they were given, or as ``arrays`` where
        some had to be converted.

        arrays: all inputs. name_of, types: of feeds. make: makes it where there is none, of the names of what it takes.
        """
        given, key, parts = one_mapping(feeds, named), None, self._threads.parts
        names = plain_names(given, name_of, types)
        if given is None or names is None:
            given = {name: array for name, array in arrays.items() if name != SEED}
            names, key = {name: name for name in given}, converted_key(given)
        else:
            key = given_key(given)
        known = self._calls.get(key)
        if known is None or known[0] != parts:
            known = self._calls[key] = parts, make(names)
        return known[1], given


class PoolCache(CallCache[CallPool]):
    """Pools of prepared calls by the signatures of their feeds, which machine code runs where it can."""

    def attempt(self, feeds: Any, named: Mapping[str, Any], seed: int | None, out: Any = None) -> Any:
        """Return the result of a call that machine code runs, or else that of ``run``."""
        given, recent = named if feeds is None else one_mapping(feeds, named), self.recent
        if given is None or recent is None:
            return self.run(feeds, named, seed, out)
        fed = given if seed is None else {**given, GIVEN_SEED: np.array(seed, np.int64)}
        if (held := recent[1].held) is not None and (found := DIRECT.attempt(held, fed, out)) is not None:
            return found
        if len(self._calls) > 1 and (other := self._like(given)) is not None and other is not recent:
            self.recent = other
            if (held := other[1].held) is not None and (found := DIRECT.attempt(held, fed, out)) is not None:
                return found
        return self.run(feeds, named, seed, out)
