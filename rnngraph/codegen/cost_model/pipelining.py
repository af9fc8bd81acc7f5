"""A loop over chunks of time as a pipeline of stations: how its steps are put together, and what that may gain.

Estimates decide who computes what, and never change what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.types import Dim
from .chunk_length import LONGEST_CHUNK
from .register_tiles import OPEN_ROWS
from .work_sharing import Cut

SLOTS = 3
"""Places of what a station hands on."""
ROUNDS = 8
"""Chunks that a sequence is cut into, if they are neither shorter nor longer than chunks may be: the first stations
have nothing to do at the end, and the last ones nothing at the start.
"""
FEWEST, MOST = 12, 48
"""Steps of a chunk. The fewest are more where tiles of products then cover them without a rest, or where each chunk
takes something anew; the most are more where one worker's chunks are long.
"""
CLAIM_CYCLES = 2000.0
"""What it takes to claim a station, and until its memory has come from the core where the last one was."""
CLAIMS = 4.0
"""How many times as long stations take, where that can be."""
PAYS = 0.85
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


@dataclass(frozen=True)
class Part:
    """What is estimated of one of the loop's steps: for one step of time; how many of these a tile covers; and cycles
    that it takes with every chunk anew, however many steps it has.
    """

    cut: Cut
    at_once: int = 1
    anew: float = 0.0


def line_of(parts: Sequence[Part], length: Dim, longest: int, workers: int) -> Line | None:
    """The pipeline of steps with these estimates, if it beats one worker and kernels that are cut.

    longest: steps of a chunk in one worker's loop.
    """
    cuts = [part.cut for part in parts]
    whole = sum(cut.whole for cut in cuts)
    if workers == 1 or len(parts) < 2 or (isinstance(length, int) and length <= FEWEST) or not whole:
        return None
    stations = _grouped([cut.whole for cut in cuts], workers)
    costs = tuple(sum(cut.whole for cut in cuts[first:last]) for first, last in stations)
    anew = [CLAIM_CYCLES + sum(part.anew for part in parts[first:last]) for first, last in stations]
    most = max(MOST, longest // SLOTS if longest < LONGEST_CHUNK else 0)
    cycles, grain = min(
        (_cycles(costs, anew, steps, workers), steps) for steps in _grains(parts, whole / len(costs), most)
    )
    if cycles > PAYS * whole or cycles > sum(cut.cycles + cut.barriers * FAR_CYCLES for cut in cuts):
        return None
    return Line(tuple(stations), costs, grain, max(grain, min(most, longest) // grain * grain), whole / cycles)


def _grains(parts: Sequence[Part], cost: float, most: int) -> list[int]:
    """How many steps the shortest chunk may have: tiles of products cover them without much of a rest, and it is worth
    while to claim them. cost: of a step of a station.
    """

    def rest(steps: int) -> float:
        return sum(part.cut.whole * (steps % part.at_once) / steps for part in parts)

    grain = min(range(FEWEST, 2 * FEWEST), key=lambda steps: (rest(steps), steps))
    grain *= max(1, round(CLAIMS * CLAIM_CYCLES / (grain * cost)))
    return [grain, 2 * grain] if 2 * grain <= most and any(part.anew for part in parts) else [grain]


def _cycles(costs: Sequence[float], anew: Sequence[float], steps: int, workers: int) -> float:
    """Of a step of time, in chunks of so many, at lengths of some tens."""
    turns = max(1, round(OPEN_ROWS / steps))
    return _makespan([steps * cost + each for cost, each in zip(costs, anew, strict=True)], turns, workers) / (
        turns * steps
    )


def _grouped(costs: Sequence[float], workers: int) -> list[tuple[int, int]]:
    """Neighbours become one station as long as none is much of a worker's part, or one of both is next to nothing."""
    limit = 0.75 * sum(costs) / workers
    stations = [(number, number + 1) for number in range(len(costs))]

    def excess(place: int) -> tuple[float, float]:
        one, other = (sum(costs[first:last]) for first, last in stations[place : place + 2])
        return (0.0 if min(one, other) < limit / 50 else max(0.0, one + other - limit)), one + other

    while len(stations) > 1:
        place = min(range(len(stations) - 1), key=excess)
        if excess(place)[0] > 0.0:
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
