"""Worker threads of the process, which run parts of native calls.

While the pool is busy, other calls run single-threaded, with equal results. After a call, workers poll briefly for the
next call and then sleep. The process exits without waiting for workers, and a forked process starts without workers.
"""

from __future__ import annotations

import os
import threading
from ctypes import c_int64, c_void_p
from dataclasses import field

import numpy as np

from ...codegen.machine.code import Code
from ...codegen.machine.target import host
from ...codegen.threads.pool_memory import JOB_WORD, LINES, MAX_WORKERS, semaphore_line
from ...support.records import dataclass
from ...support.system import cores, semaphores
from .aligned_memory import LINE, address, aligned_bytes

MIN_CYCLES = 100_000
"""Minimum number of cycles of a shared call. Waking a sleeping worker takes about half as many."""


@dataclass
class ThreadCount:
    """Number of threads that a program's calls may use.

    Attributes:
        count: Requested threads.
        parts: Number of parts into which kernels are split: ``count``, but not more than the cores, and 1 where the
            system has no semaphores for workers.
        word: ``parts`` in memory that machine code reads.
    """

    count: int = 1
    parts: int = 1
    word: c_int64 = field(default_factory=lambda: c_int64(1), repr=False, compare=False)

    def set(self, count: int) -> None:
        self.count, self.parts = count, max(1, min(count, cores(), MAX_WORKERS if POOL.offered else 1))
        self.word.value = self.parts


class Pool:
    """Worker threads, and the memory through which they get work. One call at a time can use them."""

    def __init__(self) -> None:
        self.offered = semaphores.are_offered()
        self._memory = aligned_bytes(LINES * LINE).view(np.int64)
        self.address = address(self._memory)
        self._code: Code | None = None
        self._forget()

    def _forget(self) -> None:
        """Reset to the initial state without workers, after a fork."""
        self._free = threading.Lock()
        self._started = 1
        self._memory[:] = 0

    def run(self, entry: int, arguments: int | c_void_p, workers: int) -> bool:
        """Run native code on ``workers`` threads, the caller's included. Return False, with nothing done, if busy."""
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
        """Start workers up to this number. The caller is worker 0."""
        if self._code is None:
            from ...codegen.machine.engine import object_code  # not needed for a single thread
            from ...codegen.threads.pool_functions import pool_text

            self._code = Code(object_code(pool_text(host()), host()), host())
            self._share = self._code.entry("pool_share")
        serve = self._code.entry("pool_serve")
        self._memory[:3] = semaphores.addresses()
        for worker in range(self._started, workers):
            semaphores.create(self.address + LINE * semaphore_line(worker))
            threading.Thread(
                target=serve, args=(self.address, worker, 0), daemon=True, name=f"rnngraph worker {worker}"
            ).start()
            self._started = worker + 1


POOL = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL._forget)
