"""Choice at run time between worker threads and the caller alone, by measured times.

A shared call is a call whose parts the caller and workers run.
"""

from __future__ import annotations

import math
from collections import deque
from ctypes import c_void_p
from time import perf_counter_ns

from ...codegen.machine.code import Native
from .worker_pool import POOL

TRIALS = 2
"""Number of consecutive shared calls in a trial. The second call finds the workers awake. 0 shares all calls."""
MIN_BETWEEN_TRIALS, MAX_BETWEEN_TRIALS = 8, 512
"""Number of calls between a failed trial and the next trial.

The number doubles after each failure. Trials then cost little if sharing never pays, and a single unlucky trial is
soon repeated.
"""
BETWEEN_LOOKS = 128
"""Number of shared calls after which one call runs single-threaded, to update the reference time."""
RECENT_CALLS = 5
"""Number of recent single-threaded calls whose median is the reference."""
SLOW = 3
"""Sharing ends when the count of slow shared calls reaches this. A fast shared call lowers the count by 1, down to 0.

A single slow call may have woken a worker.
"""


class SharingPolicy:
    """Policy that decides from measured times whether worker threads share an entry's next call.

    The cost of sharing depends on the machine and its load. Times are divided by estimated cycles, so that short and
    long calls are comparable.
    """

    def __init__(self) -> None:
        self._shares = True
        self._single: deque[float] = deque(maxlen=RECENT_CALLS)
        self._shared_trials, self._single_trials, self._best = TRIALS, TRIALS, math.inf
        self._rest, self._between, self._slow = 0, MIN_BETWEEN_TRIALS, 0

    def shares(self) -> bool:
        """True if workers should share the next call."""
        if self._shared_trials > 0 or not TRIALS:
            return True
        return self._shares and self._single_trials <= 0

    def record_call(self, shared: bool, time: float) -> None:
        """Record a call: its time per estimated cycle, and whether workers shared the call."""
        if not shared:
            self._single.append(time)
            self._single_trials -= 1
        elif self._shared_trials > 0:
            self._shared_trials -= 1
            self._best = min(self._best, time)
        else:
            self._slow = self._slow + 1 if time > self._typical_single() else max(0, self._slow - 1)
        self._rest -= 1
        if self._shared_trials <= 0 and self._single_trials <= 0:
            self._decide()

    def _typical_single(self) -> float:
        """Return the lower median time of recent single-threaded calls; infinity if there are none."""
        known = sorted(self._single)
        return known[(len(known) - 1) // 2] if known else math.inf

    def _decide(self) -> None:
        """Set if the next calls share their work among threads, or try it, from the times of the last calls."""
        if self._best < math.inf:  # a trial has ended
            self._shares, self._best = self._best < self._typical_single(), math.inf
            self._slow, self._rest = 0, BETWEEN_LOOKS
            if not self._shares:
                self._fail()
        elif self._shares and self._slow >= SLOW:
            self._shares = False
            self._fail()
        elif self._rest <= 0 and self._shares:
            self._single.clear()
            self._single_trials, self._rest, self._between = 1, BETWEEN_LOOKS, MIN_BETWEEN_TRIALS
        elif self._rest <= 0:
            self._shared_trials = TRIALS

    def _fail(self) -> None:
        """Set the number of calls until the next trial, after sharing was slower."""
        self._rest, self._between = self._between, min(2 * self._between, MAX_BETWEEN_TRIALS)


class AdaptiveEntry:
    """Runner of an entry that shares calls with workers only if that is faster."""

    def __init__(self, single: Native, entry: int, parts: int, policy: SharingPolicy, cycles: int) -> None:
        """Wrap an entry. ``single`` runs it on the caller's thread; ``cycles`` is the estimated cost of a call."""
        self._single, self._entry, self._parts = single, entry, parts
        self._policy, self._cycles = policy, cycles

    def __call__(self, block: int | c_void_p, worker: object, workers: object) -> None:
        shares = self._policy.shares()
        begin = perf_counter_ns()
        if self._run(block, shares):
            self._policy.record_call(shares, (perf_counter_ns() - begin) / self._cycles)

    def _run(self, block: int | c_void_p, shares: bool) -> bool:
        """Run the entry, with workers if ``shares``. Return False if they were busy and only the caller ran it."""
        if shares and POOL.run(self._entry, block, self._parts):
            return True
        self._single(block, 0, 1)
        return not shares
