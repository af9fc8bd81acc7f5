"""Execution of native calls: fill, check, place, run, give.

Calls for inference, gradients, streams, pools and trainers differ in their argument blocks, and in the weights, states
and temporaries to which these refer. A ``BlockSource`` provides the blocks, and a ``Runner`` does the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

from ...declare.nest import flatten
from ...support.forks import LockLevel, fork_lock
from ...support.records import NamedTuple
from ..error_flags import check_samples
from ..native.argument_block import Weights
from ..native.worker_pool import ThreadCount
from .direct_call import CALLS_UNTIL_DIRECT, CALLS_UNTIL_RENEWED, DirectCall, DirectPlan, NativeTime
from .prepared_call import SEED, CallSpec, PreparedCall

NOT_RUN = -1.0
"""Value of a sentinel before native code has run. Native code never writes it."""

Commit = Callable[[Any], None]
"""Function that stores the results of a call for later calls, such as updated parameters."""


class Block(Protocol):
    """Interface of an argument block for runners.

    Attributes:
        numbers: Slots for the addresses of large arrays.
        version: Version of the weights.
        run: Function that runs native code.
    """

    numbers: np.ndarray
    version: int | None
    run: Callable[[], None]


class BlockSource(Protocol):
    """Interface of objects that own weights, states and temporaries, and provide argument blocks."""

    @property
    def is_shared(self) -> bool:
        """True if several threads may run calls at once; otherwise calls run one after another."""

    def call(self, spec: CallSpec) -> PreparedCall:
        """Return memory for another concurrent call."""

    def block(self, call: PreparedCall, arrays: list[Any] | None) -> tuple[Block, Any]:
        """Return the argument block for a filled call, and an object to keep alive until the call ends.

        ``arrays`` are the caller's arrays for results, by leaf.
        """

    def record_run(self, call: PreparedCall, arrays: list[Any] | None, context: Any) -> None:
        """Record that a call has run, before it returns its results. ``context`` is the object from ``block``."""


class OptionalFeeds(Protocol):
    """Feeds that a call may omit; they keep their latest values."""

    def take(self, feeds: Mapping[Any, Any], call: PreparedCall) -> bool:
        """Take the optional feeds of a filled call, and check the values of all feeds.

        Return False if a feed does not match.
        """


class DirectSource(NamedTuple):
    """Factory of direct calls, which machine code executes without Python code.

    Attributes:
        make: Function from the duration of calls to a direct call; it returns None if the signature cannot be direct.
        weights: Function that returns the current weights.
    """

    make: Callable[[NativeTime], DirectCall | None]
    weights: Callable[[], Weights]


class CommitGuard(NamedTuple):
    """Protection against interrupts while a call's results are committed.

    Attributes:
        interrupt: Context that defers a Ctrl-C while a call runs and its results are committed.
        sentinel: Scalar result that is never negative. It shows that native code ran before an interrupt.
    """

    interrupt: AbstractContextManager[Any]
    sentinel: str


class Runner:
    """Runner of native calls whose feeds have one signature.

    If the number of threads has changed, it declines calls. Values of feeds are checked after they are copied. With
    ``commits``, Ctrl-C is deferred while results are committed.

    Attributes:
        plan: Plan for direct calls; None until enough calls were made.
    """

    def __init__(
        self,
        spec: CallSpec,
        source: BlockSource,
        threads: ThreadCount,
        draw: Callable[[], int] | None = None,
        optional: OptionalFeeds | None = None,
        direct: DirectSource | None = None,
        commits: CommitGuard | None = None,
    ) -> None:
        """Prepare calls of a signature.

        Args:
            draw: Function that returns the seed of a call without one.
            commits: Guard of calls with a ``commit``.
        """
        self.spec, self.outs = spec, spec.outs
        self._source, self._block, self._ran = source, source.block, source.record_run
        self._threads, self._parts = threads, threads.parts
        self._count, self._draw = len(spec.names), draw
        self._take = None if optional is None else optional.take
        self._only = None if source.is_shared else source.call(spec)
        self._idle: deque[PreparedCall] = deque()
        self._interrupt = nullcontext() if commits is None else commits.interrupt
        self._sentinel = None if commits is None else commits.sentinel
        self._samples = spec.entry.samples
        direct = None if self._samples else direct  # direct calls do not check results
        self._direct_source: DirectSource | None = direct
        self._direct: DirectCall | None = None
        self._until_direct = 0 if direct is None else CALLS_UNTIL_DIRECT
        self._version: int | None = None  # version of the weights of the direct call
        self._lock, self._time = None if direct is None else fork_lock(LockLevel.GRAPH), NativeTime()
        self.plan: DirectPlan | None = None

    @property
    def is_current(self) -> bool:
        """False once the number of threads has changed."""
        return self._parts == self._threads.parts

    def run(
        self,
        feeds: Mapping[Any, Any] | None,
        seed: int | None = None,
        out: Any = None,
        arrays: list[Any] | None = None,
        commit: Commit | None = None,
    ) -> Any:
        """Return the results of a call; None, with nothing done, if the call needs the slow path.

        Args:
            feeds: Feeds by key; None if some keys are unknown, which needs the slow path.
            seed: Seed of the call; None to draw one.
            out: The caller's ``out=``.
            arrays: Arrays by leaf from ``outs.checked``, instead of ``out``.
            commit: Function called with the results directly after native code. Results are then new arrays, whatever
                ``out`` or ``arrays`` is, and ``record_run`` is not called.
        """
        if feeds is None or self._parts != self._threads.parts:
            return None
        take = None
        if len(feeds) != self._count:
            take = self._take
            if take is None:
                return None
        if out is not None:
            arrays = self.outs.arrays(out)
            if arrays is None:
                return None
        call = self._only
        if call is None:
            try:
                call = self._idle.pop()
            except IndexError:
                call = self._source.call(self.spec)
        if (
            not call.fill(feeds)
            or (take is not None and not take(feeds, call))
            or (call.has_checks and take is None and not call.check(feeds))
        ):
            if self._only is None:
                self._idle.append(call)
            return None
        if self._draw is not None:
            number = self._draw() if seed is None else seed
            if self.spec.seeded:
                call.inputs[SEED][...] = number
        block, context = self._block(call, arrays)
        if call.has_large:
            call.place(block.numbers, feeds, arrays)
        if commit is not None:
            result = self._commit(call, block, commit)
        else:
            if self._direct_source is None:
                block.run()
            else:
                self._time.run(block.run)
            self._ran(call, arrays, context)
            result = call.give() if arrays is None else call.fill_into(arrays)
        flags = {name: array.copy() for name, array in call.flags.items()} if self._samples else {}
        if self._only is None:
            self._idle.append(call)
        if self._direct_source is not None:
            self._approach_direct(self._direct_source, block.version)
        if self._samples:
            leaves = self.spec.leaves
            check_samples(self._samples, (*leaves, *flags), (*flatten(result)[: len(leaves)], *flags.values()))
        return result

    def _commit(self, call: PreparedCall, block: Block, commit: Commit) -> Any:
        """Run native code, commit its results and return them. With ``commits``, a Ctrl-C is deferred until then."""
        sentinel, result = call.results.get(self._sentinel or ""), None
        if sentinel is not None:
            sentinel[...] = NOT_RUN
        with self._interrupt:
            try:
                block.run()
            finally:
                if sentinel is None or float(sentinel) != NOT_RUN:
                    result = call.give()
                    commit(result)
        return result

    # Direct calls --------------------------------------------------------------------------------

    def forget_direct(self) -> None:
        """Discard the direct call, and restart the count of calls until the next one."""
        self._direct = self.plan = None
        self._until_direct = 0 if self._direct_source is None else CALLS_UNTIL_DIRECT

    def _approach_direct(self, source: DirectSource, version: int | None) -> None:
        """Count a call. After enough calls with the same weights, prepare direct calls, which run no Python code."""
        if self._direct is not None and version != self._version:
            self._version, self._until_direct = version, CALLS_UNTIL_RENEWED
        self._until_direct -= 1
        lock = self._lock
        if self._until_direct or lock is None or not lock.acquire(blocking=False):
            return
        try:
            if self._direct is None:
                self._direct = source.make(self._time)
            if self._direct is None:
                self._direct_source = None  # the signature cannot be direct
            else:
                weights = source.weights()
                self.plan = self._direct.renew(weights)
                # without a plan, another call is running: retry at the next call
                self._version = None if self.plan is None else weights.version
        finally:
            lock.release()
