"""Interleaved rounds: in each the machine's limits are probed and every contender runs in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from workloads import Call

SECONDS = 0.02
"""How long a contender's turn in a round is at least."""

Times = dict[str, list[float]]


def measure(
    calls: Mapping[str, Call],
    floors: Callable[[], Mapping[str, float]] | None,
    rounds: int,
    pause: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Seconds a call by contender, one figure a round; ``floors`` probes the machine in that round.

    Args:
        calls: Contenders by name.
        floors: Seconds by name that no contender can beat.
        rounds: Turns of each contender.
        pause: Seconds before each turn, in which the threads of the contender before go to sleep.
        clock: Seconds since some moment. ``time.process_time`` leaves out what other processes take.
    """
    times: Times = {name: [] for name in calls}
    repeats = {name: _repeats(call) for name, call in calls.items()}
    for _ in range(rounds):
        for name, seconds in floors().items() if floors is not None else ():
            times.setdefault(name, []).append(seconds)
        for name, call in calls.items():
            time.sleep(pause)
            if pause:
                call()  # wakes its own
            start = clock()
            for _ in range(repeats[name]):
                call()
            times[name].append((clock() - start) / repeats[name])
    return times


def settled(call: Call, seconds: float = 1.5) -> Call:
    """A call that was made for a while: what tries now and then how many threads pay tries more seldom."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call()
    return call


def fastest(*calls: Call) -> Call:
    """Of several ways to make a call, after one to warm up. A single one is not called."""
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
    """Of all rounds, as a share of the median."""
    return (max(times[name]) - min(times[name])) / median(times, name)


def ratio(times: Times, one: str, other: str) -> float:
    """How many times as long as ``other`` takes, at the median of ratios within a round."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
