"""The process's pool of worker threads, which run parts of calls.

A call that finds the pool at work for another one runs alone: its results are the same, and no more threads run than
were asked for. After a call workers look for the next one for a short while and then sleep. A process ends without
waiting for them, and a forked one begins with none.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections import deque
from ctypes import c_void_p
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from ...codegen.machine.engine import Code, Native, object_code
from ...codegen.machine.target import host
from ...codegen.threads.pool_functions import JOB_WORD, LINES, MOST_WORKERS, pool_text, semaphore_line
from .aligned_memory import LINE, address, aligned_bytes

FEWEST_CYCLES = 100_000
"""Of a call that is shared: to wake a worker that sleeps takes about as long as half of this."""


TRIALS = 2
"""Shared calls in a row that a trial makes, so that the second finds the workers awake; 0: all calls are shared."""
FEWEST_BETWEEN_TRIALS, MOST_BETWEEN_TRIALS = 8, 512
"""Calls from a trial that failed to the next one. The number doubles, so that trials cost little where sharing never
pays, and one that met a bad moment is soon made again.
"""
BETWEEN_LOOKS = 128
"""Calls that are shared until one is made alone, to know how long that takes now."""
OF_LATE = 5
"""Calls alone, of which the median counts."""
SLOW = 3
"""By so many more shared calls took longer than alone than did not: no more are shared then. One may have had to wake a
worker.
"""


def cores() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


@dataclass
class Workers:
    """How many threads a program's calls may use. parts: into how many their kernels are cut."""

    count: int = 1
    parts: int = 1

    def set(self, count: int) -> None:
        self.count, self.parts = count, max(1, min(count, cores(), MOST_WORKERS if POOL.offered else 1))


class Pool:
    """Worker threads and the memory through which they are given work. One call at a time has them."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None) if os.name == "posix" else None
        self.offered = all(hasattr(self._library, name) for name in ("sched_yield", "sem_wait", "sem_post", "sem_init"))
        self._memory = aligned_bytes(LINES * LINE).view(np.int64)
        self.address = address(self._memory)
        self._code: Code | None = None
        self._forget()

    def _forget(self) -> None:
        """As at the start: no worker, nothing given, and no call that has them."""
        self._free = threading.Lock()
        self._started = 1
        self._memory[:] = 0

    def run(self, entry: int, arguments: int | c_void_p, workers: int) -> bool:
        """Runs an entry with so many workers, the caller among them; False, and nothing done, if others run one."""
        if not self._free.acquire(blocking=False):
            return False
        try:
            if self._started < workers:
                self._start(workers)
            block = arguments.value if isinstance(arguments, c_void_p) else arguments
            self._memory[JOB_WORD : JOB_WORD + 3] = (entry, block or 0, workers)
            self._share(self.address, 0, 0)
        finally:
            self._free.release()
        return True

    def _start(self, workers: int) -> None:
        """Workers up to this number, the caller being number 0."""
        if self._code is None:
            self._code = Code(object_code(pool_text(host()), host()), host())
            self._share = self._code.entry("pool_share")
        serve = self._code.entry("pool_serve")
        library = self._library
        assert library is not None
        for word, name in enumerate(("sched_yield", "sem_wait", "sem_post")):
            self._memory[word] = ctypes.cast(getattr(library, name), c_void_p).value or 0
        for worker in range(self._started, workers):
            if library.sem_init(c_void_p(self.address + LINE * semaphore_line(worker)), 0, 0):
                raise OSError("the system has no semaphore left for a worker thread")
            threading.Thread(
                target=serve, args=(self.address, worker, 0), daemon=True, name=f"rnngraph worker {worker}"
            ).start()
            self._started = worker + 1


POOL = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL._forget)


class Pace:
    """Which way of running an entry was the faster of late: with the pool's workers or alone. How far cores are from
    each other, and what else they do, differs between machines and changes while a program runs.

    Times are per cycle of an estimate, so that calls of all lengths make one experience.
    """

    def __init__(self) -> None:
        self._shares = True
        self._alone: deque[float] = deque(maxlen=OF_LATE)
        self._shared_trials, self._alone_trials, self._best = TRIALS, TRIALS, math.inf
        self._rest, self._between, self._slow = 0, FEWEST_BETWEEN_TRIALS, 0

    def shares(self) -> bool:
        """Whether the next call is to be shared."""
        if self._shared_trials > 0 or not TRIALS:
            return True
        return self._shares and self._alone_trials <= 0

    def took(self, shared: bool, time: float) -> None:
        """Learns from a call."""
        if not shared:
            self._alone.append(time)
            self._alone_trials -= 1
        elif self._shared_trials > 0:
            self._shared_trials -= 1
            self._best = min(self._best, time)
        else:
            self._slow = self._slow + 1 if time > self._typical_alone() else max(0, self._slow - 1)
        self._rest -= 1
        if self._shared_trials <= 0 and self._alone_trials <= 0:
            self._decide()

    def _typical_alone(self) -> float:
        known = sorted(self._alone)
        return known[(len(known) - 1) // 2] if known else math.inf

    def _decide(self) -> None:
        if self._best < math.inf:  # a trial has ended
            self._shares, self._best = self._best < self._typical_alone(), math.inf
            self._slow, self._rest = 0, BETWEEN_LOOKS
            if not self._shares:
                self._fail()
        elif self._shares and self._slow >= SLOW:
            self._shares = False
            self._fail()
        elif self._rest <= 0 and self._shares:
            self._alone.clear()
            self._alone_trials, self._rest, self._between = 1, BETWEEN_LOOKS, FEWEST_BETWEEN_TRIALS
        elif self._rest <= 0:
            self._shared_trials = TRIALS

    def _fail(self) -> None:
        self._rest, self._between = self._between, min(2 * self._between, MOST_BETWEEN_TRIALS)


class Faster:
    """Runs an entry with the pool's workers or alone, whichever is the faster: the results are the same."""

    def __init__(self, alone: Native, entry: int, parts: int, pace: Pace, cycles: int) -> None:
        """cycles: an estimate of a call's, at the sizes that this is for."""
        self._alone, self._entry, self._parts = alone, entry, parts
        self._pace, self._cycles = pace, cycles

    def __call__(self, block: int | c_void_p, worker: object, workers: object) -> None:
        shares = self._pace.shares()
        begin = perf_counter_ns()
        if self._run(block, shares):
            self._pace.took(shares, (perf_counter_ns() - begin) / self._cycles)

    def _run(self, block: int | c_void_p, shares: bool) -> bool:
        """Whether it ran as it was asked to: while another call has the workers, it runs alone."""
        if shares and POOL.run(self._entry, block, self._parts):
            return True
        self._alone(block, 0, 1)
        return not shares
