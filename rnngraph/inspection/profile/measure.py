"""Runs an entry with counters and a plain one, and returns the time of an average call.

On shared machines, a call is sometimes interrupted for as long as a hundred calls take. Calls run in batches, plain
and counting ones in turn, and only the fastest quarter of each is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...codegen.machine.cycle_counter import counter
from ...codegen.schedule.emit.ticks import Ticks

Call = Callable[[], object]
WARM_UP = 3
BATCH_SECONDS = 0.5e-3
MIN_BATCHES, MAX_BATCHES = 4, 4000
FASTEST_SHARE = 4
"""The fastest batches are used: one in ``FASTEST_SHARE``."""


@dataclass(frozen=True)
class Measured:
    """Measurements of an average call.

    Attributes:
        seconds: Seconds by slot and worker, without the time of counting.
        times: Executions by slot and worker.
        native: Seconds of native code for the caller.
        outside: Seconds of everything else in a call: Python, and starting workers.
        ratio: ``native`` plus ``outside``, divided by the time of a call without counters.
        calls: Number of counted calls.
    """

    seconds: np.ndarray
    times: np.ndarray
    native: float
    outside: float
    ratio: float
    calls: int


def measure(run: Call, plain: Call, ticks: Ticks, counters: np.ndarray, seconds: float) -> Measured:
    """Time a call repeatedly with and without counters. Return seconds and executions by timed slot and worker.

    Args:
        run: Call of the entry that counts in ``counters`` [slot, worker, …].
        plain: The same call of the plain entry.
        seconds: Seconds to spend. At least ``MIN_BATCHES`` batches run, even if they take longer.
    """
    clock = counter()
    for _ in range(WARM_UP):
        plain()
        run()
    began = time.perf_counter()
    run()
    repeats = max(1, min(10_000, int(BATCH_SECONDS / max(1e-7, time.perf_counter() - began))))
    plains: list[float] = []
    batches: list[tuple[float, np.ndarray]] = []
    start, first = time.perf_counter(), clock.now()
    while len(batches) < MIN_BATCHES or (time.perf_counter() < start + seconds and len(batches) < MAX_BATCHES):
        plains.append(_timed(plain, repeats))
        counters[1:] = 0
        took = _timed(run, repeats)
        batches.append((took, counters[:, :, :2] / repeats))
    rate = (clock.now() - first) / (time.perf_counter() - start)
    batches.sort(key=lambda batch: batch[0])
    kept = batches[: -(-len(batches) // FASTEST_SHARE)]
    counted = np.mean([batch[1] for batch in kept], axis=0)
    counted[0] = 0.0  # slot 0 has the clocks
    cycles = np.maximum(0.0, counted[:, :, 0] - _own_cycles(ticks, counted, clock.cost))
    outer = [number for number, timed in enumerate(ticks.timed) if timed.whole is None]
    native, whole = (float(best[outer, 0].sum()) / rate for best in (cycles, counted[:, :, 0]))
    took = float(np.mean([batch[0] for batch in kept]))
    outside = max(0.0, took - whole)
    ratio = (native + outside) / float(np.mean(sorted(plains)[: len(kept)]))
    return Measured(cycles / rate, counted[:, :, 1], native, outside, ratio, len(kept) * repeats)


def _timed(call: Call, repeats: int) -> float:
    """Return the mean seconds of one of ``repeats`` calls."""
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def _own_cycles(ticks: Ticks, counted: np.ndarray, cost: float) -> np.ndarray:
    """Return the cycles spent on reading the counters, [slot, worker].

    Each reading ends one piece and begins the next.
    """
    own = counted[:, :, 1] * cost
    steps: dict[int, np.ndarray] = {}
    for number, timed in enumerate(ticks.timed):
        if timed.whole is not None:  # the slot is part of a scan that has a slot of its own
            own[timed.whole] += counted[number, :, 1] * cost
            known = steps.get(timed.whole, np.zeros(counted.shape[1]))
            steps[timed.whole] = np.maximum(known, counted[number, :, 1])
    for number, begun in steps.items():
        own[number] += begun * cost
    return own
