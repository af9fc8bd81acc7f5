"""A loop over chunks of time as a pipeline of stations: how its steps are put together, and what that may gain.

Estimates decide who computes what, and never change what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..ir.types import Dim
from .sharing import Cut
from .tiles import OPEN_ROWS

SLOTS = 3
"""Places of what a station hands on."""
ROUNDS = 8
"""Chunks that a sequence is cut into, if they are neither shorter nor longer than chunks may be: the first stations
have nothing to do at the end, and the last ones nothing at the start.
"""
FEWEST, MOST = 12, 48
"""Steps of a chunk. The fewest are up to twice as many, so that tiles of products cover them without a rest."""
CLAIM_CYCLES = 1000.0
"""What it takes to claim a station, and until its memory has come from the core where the last one was."""
CLAIMS = 4.0
"""How many times as long stations take, where that can be."""
PAYS = 0.8
"""What a pipeline takes at most of the time of one worker."""
FAR_CYCLES = 3000.0
"""How much longer than estimated a barrier may take, and what was written until it is read, between cores that are far
from each other: what is cut has to be as fast as a pipeline there, too.
"""


@dataclass(frozen=True)
class Line:
    """stations: from which step to which, in order. costs: of each, in cycles for one step of time. grain: steps of
    which a chunk has once, twice or so, most: steps that it has at most. gain: over one worker.
    """

    stations: tuple[tuple[int, int], ...]
    costs: tuple[float, ...]
    grain: int
    most: int
    gain: float

    def share(self, cut: Cut) -> Cut:
        """What a step takes in the pipeline, instead of what was estimated."""
        return Cut(None, cut.whole / self.gain, cut.whole)


def line_of(
    cuts: Sequence[Cut], at_once: Sequence[int], length: Dim, longest: int, workers: int
) -> Line | None:  # fmt: skip
    """The pipeline of steps with these estimates for one step of time, if it beats one worker and kernels that are cut.

    at_once: steps of time that a tile of each covers. longest: steps of a chunk in one worker's loop.
    """
    whole = sum(cut.whole for cut in cuts)
    if workers == 1 or len(cuts) < 2 or (isinstance(length, int) and length <= FEWEST) or not whole:
        return None
    stations = _grouped([cut.whole for cut in cuts], workers)
    costs = tuple(sum(cut.whole for cut in cuts[first:last]) for first, last in stations)
    grain = min(range(FEWEST, 2 * FEWEST), key=lambda steps: (_rest(cuts, at_once, steps), steps))
    grain *= max(1, round(CLAIMS * CLAIM_CYCLES * len(costs) / (grain * whole)))
    turns = max(1, OPEN_ROWS // grain)
    taken = _makespan([grain * cost + CLAIM_CYCLES for cost in costs], turns, workers)
    cycles = taken / (turns * grain)
    if cycles > PAYS * whole or cycles > sum(cut.cycles + cut.barriers * FAR_CYCLES for cut in cuts):
        return None
    return Line(tuple(stations), costs, grain, max(grain, min(MOST, longest) // grain * grain), whole / cycles)


def _rest(cuts: Sequence[Cut], at_once: Sequence[int], steps: int) -> float:
    """What part of the work lies in steps that tiles do not cover, in chunks of so many."""
    return sum(cut.whole * (steps % rows) / steps for cut, rows in zip(cuts, at_once, strict=True))


def _grouped(costs: Sequence[float], workers: int) -> list[tuple[int, int]]:
    """Neighbours become one station as long as none is much of a worker's part."""
    limit = 0.75 * sum(costs) / workers
    stations = [(number, number + 1) for number in range(len(costs))]
    while len(stations) > 1:
        joint, place = min((sum(costs[a[0] : b[1]]), i) for i, (a, b) in enumerate(pairwise(stations)))
        if joint > limit:
            break
        stations[place : place + 2] = [(stations[place][0], stations[place + 1][1])]
    return stations


def _makespan(costs: Sequence[float], turns: int, workers: int) -> float:
    """When all is done if every station waits for the one before it."""
    done, idle, now = [0] * len(costs), workers, 0.0
    running: list[tuple[float, int]] = []
    at: set[int] = set()
    while min(done) < turns:
        ready = [i for i, count in enumerate(done) if count < turns and i not in at and _may(done, i)]
        ready.sort(key=lambda i: done[i] * max(costs) + sum(costs[:i]))
        for station in ready[:idle]:
            running.append((now + costs[station], station))
            at.add(station)
            idle -= 1
        running.sort()
        now, station = running.pop(0)
        done[station] += 1
        at.remove(station)
        idle += 1
    return now


def _may(done: Sequence[int], station: int) -> bool:
    before = station == 0 or done[station - 1] > done[station]
    return before and (station + 1 == len(done) or done[station + 1] > done[station] - SLOTS)
