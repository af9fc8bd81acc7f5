"""Evaluation of counters: averages of the fastest calls, without the cost of counting."""

from __future__ import annotations

import numpy as np
import pytest

from rnngraph.codegen.machine.cycle_counter import counter
from rnngraph.codegen.schedule.emit.ticks import WORK, Ticks, Timed
from rnngraph.inspection.profile import measure as measuring
from rnngraph.inspection.profile.measure import measure


def ticks_of_a_scan() -> tuple[Ticks, int, int, int]:
    """Return slots of a kernel, of a scan, and of the two kernels of its step."""
    ticks = Ticks(1)
    kernel = ticks.of(Timed(WORK, text="kernel"))
    scan = ticks.of(Timed(WORK, text="scan"))
    first = ticks.add(Timed(WORK, text="first", whole=scan))
    ticks.add(Timed(WORK, text="second", whole=scan))
    return ticks, kernel, scan, first


def test_the_cost_of_ticks_is_taken_off() -> None:
    """Each tick of a slot has a cost. A scan's cost includes all ticks in its sampled steps."""
    ticks, kernel, scan, first = ticks_of_a_scan()
    counted = np.zeros((len(ticks.timed), 1, 2))
    counted[[kernel, scan, first, first + 1], 0, 1] = 2, 1, 5, 5
    own = measuring._own_cycles(ticks, counted, 10.0)[:, 0]
    assert own[[kernel, first, first + 1]].tolist() == [20, 50, 50]
    assert own[scan] == 10 + 5 * 3 * 10


def test_every_call_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The average of calls that count a million units each is a million, for any measured time."""
    ticks, kernel, scan, first = ticks_of_a_scan()
    counters = np.zeros((len(ticks.timed), 1, 8), np.int64)

    def run() -> None:
        counters[[kernel, scan, first], 0, 0] += 1_000_000, 2_000_000, 500_000
        counters[[kernel, scan, first], 0, 1] += 1

    actual = measure(run, lambda: None, ticks, counters, 0.01)
    cost = counter().cost
    seconds = actual.seconds[:, 0]
    assert actual.times[[kernel, scan, first], 0].tolist() == [1, 1, 1]
    assert np.isclose(seconds[scan] / seconds[kernel], (2_000_000 - 3 * cost) / (1_000_000 - cost))
    # samples divide a scan's time, and are not added to it
    assert np.isclose(actual.native, seconds[kernel] + seconds[scan])
    assert actual.calls >= 1
    assert actual.outside == 0  # only the counters took time
