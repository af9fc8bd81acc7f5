"""Whether a call is shared with worker threads: measured while a program runs, as sharing does not always pay."""

from __future__ import annotations

import math
from collections import deque
from ctypes import c_void_p
from time import perf_counter_ns

from ...codegen.machine.engine import Native
from .worker_pool import POOL

TRIALS = 2
"""Shared calls in a row that a trial makes, so that the second finds the workers awake; 0: all calls are shared."""
FEWEST_BETWEEN_TRIALS, MOST_BETWEEN_TRIALS = 8, 512
"""Calls from a trial that failed to the next one. The number doubles, so that trials cost little where sharing never
pays, and one that met a bad moment is soon made again.
"""
BETWEEN_LOOKS = 128
"""Shared calls until one is made by a single thread, to know how long that takes now."""
RECENT_CALLS = 5
"""Single calls whose median counts."""
SLOW = 3
"""Stop sharing once slow shared calls outnumber fast ones by this many: a single one may have had to wake a worker."""


class SharingPolicy:
    """Decides from the times of recent calls of an entry whether the next one is shared with the pool's workers.

    How far cores are from each other, and what else they do, differs between machines and changes while a program runs.
    Times are per estimated cycle, so that calls of all lengths count in one statistic.
    """

    def __init__(self) -> None:
        self._shares = True
        self._single: deque[float] = deque(maxlen=RECENT_CALLS)
        self._shared_trials, self._single_trials, self._best = TRIALS, TRIALS, math.inf
        self._rest, self._between, self._slow = 0, FEWEST_BETWEEN_TRIALS, 0

    def shares(self) -> bool:
        """Whether the next call is to be shared."""
        if self._shared_trials > 0 or not TRIALS:
            return True
        return self._shares and self._single_trials <= 0

    def took(self, shared: bool, time: float) -> None:
        """Records a call: whether it was shared, and its time per estimated cycle."""
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
        known = sorted(self._single)
        return known[(len(known) - 1) // 2] if known else math.inf

    def _decide(self) -> None:
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
            self._single_trials, self._rest, self._between = 1, BETWEEN_LOOKS, FEWEST_BETWEEN_TRIALS
        elif self._rest <= 0:
            self._shared_trials = TRIALS

    def _fail(self) -> None:
        self._rest, self._between = self._between, min(2 * self._between, MOST_BETWEEN_TRIALS)


class AdaptiveEntry:
    """Runs an entry with the pool's workers or by the caller alone, whichever is faster: the results are the same."""

    def __init__(self, single: Native, entry: int, parts: int, policy: SharingPolicy, cycles: int) -> None:
        """single: runs the entry by the caller alone. cycles: the estimate of a call at the sizes that this is for."""
        self._single, self._entry, self._parts = single, entry, parts
        self._policy, self._cycles = policy, cycles

    def __call__(self, block: int | c_void_p, worker: object, workers: object) -> None:
        shares = self._policy.shares()
        begin = perf_counter_ns()
        if self._run(block, shares):
            self._policy.took(shares, (perf_counter_ns() - begin) / self._cycles)

    def _run(self, block: int | c_void_p, shares: bool) -> bool:
        """Whether it ran as it was asked to: while another call has the workers, the caller runs it alone."""
        if shares and POOL.run(self._entry, block, self._parts):
            return True
        self._single(block, 0, 1)
        return not shares
