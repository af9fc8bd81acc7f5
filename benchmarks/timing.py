"""Measures contenders in interleaved rounds: each round measures the machine's limits, then every contender in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from workloads import Call

SECONDS = 0.02
"""Minimum seconds of a contender's turn in a round."""

Times = dict[str, list[float]]


def measure(
    calls: Mapping[str, Call],
    floors: Callable[[], Mapping[str, float]] | None,
    rounds: int,
    pause: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Return the seconds of a call in each round, by contender.

    Args:
        calls: Contenders by name.
        floors: Function that measures the machine, and returns the minimum seconds of any contender, by name.
        rounds: Number of rounds.
        pause: Seconds before each turn, in which the threads of the previous contender go to sleep.
        clock: Clock in seconds. ``time.process_time`` excludes the time of other processes.
    """
    times: Times = {name: [] for name in calls}
    repeats = {name: _repeats(call) for name, call in calls.items()}
    for _ in range(rounds):
        for name, seconds in floors().items() if floors is not None else ():
            times.setdefault(name, []).append(seconds)
        for name, call in calls.items():
            time.sleep(pause)
            if pause:
                call()  # wakes the contender's own threads
            start = clock()
            for _ in range(repeats[name]):
                call()
            times[name].append((clock() - start) / repeats[name])
    return times


def settled(call: Call, seconds: float = 1.5) -> Call:
    """Return a call after a warm-up of ``seconds``, in which rnngraph chooses its number of threads."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call()
    return call


def fastest(*calls: Call) -> Call:
    """Return the fastest of several variants of a call, each measured after a warm-up call.

    A single variant is returned without calling it.
    """
    if len(calls) == 1:
        return calls[0]

    def seconds(call: Call) -> float:
        call()
        return min(_timed(call) for _ in range(3))

    return min(calls, key=seconds)


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _repeats(call: Call) -> int:
    call()
    return max(1, min(1000, int(SECONDS / max(1e-7, _timed(call)))))


def median(times: Times, name: str) -> float:
    return statistics.median(times[name])


def spread(times: Times, name: str) -> float:
    """Return (maximum - minimum) / median over all rounds of a contender."""
    return (max(times[name]) - min(times[name])) / median(times, name)


def ratio(times: Times, one: str, other: str) -> float:
    """Return the median over rounds of the time of ``one`` divided by that of ``other``."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
