"""Selection of the tests that a default run omits, by the recorded cost of each.

``tests/costs.txt`` has a line for each expensive test function: CPU seconds of one case, and the function's name. If a
function has many cases, as many as fit into ``BUDGET`` seconds run, evenly spaced; all others are ``exhaustive``. A
function whose single case takes longer than ``MAX_SECONDS`` is ``slow``: ``.ci/run`` runs it after the default run. If
the case takes longer than ``MAX_SLOW``, the function is ``exhaustive``.

Functions that are not in the file are cheap or new, and all their cases run. ``python -m pytest --time-tests=FOLDER``
times tests, and ``python tools/time_tests.py FOLDER`` writes the file from the times.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

COSTS = Path(__file__).parents[1] / "costs.txt"
BUDGET, MAX_SECONDS, MAX_SLOW = 0.35, 1.5, 2.0


def read_costs(path: Path = COSTS) -> dict[str, float]:
    """Return CPU seconds of one case by test function, such as ``tests/test_bits.py::test_rows_alone``."""
    pairs = (line.split(" ", 1) for line in path.read_text().splitlines())
    return {function: float(seconds) for seconds, function in pairs}


def select(items: Sequence[pytest.Item], costs: dict[str, float]) -> None:
    """Mark tests that a default run omits as ``exhaustive`` or ``slow``.

    A function marked ``sampled(n)`` runs every n-th case, whatever its cost.
    """
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("exhaustive") is None:
            cases.setdefault(function_of(item), []).append(item)
    for function, all_cases in cases.items():
        sampled, cost = all_cases[0].get_closest_marker("sampled"), costs.get(function, 0.0)
        if sampled is not None:
            kept, cost = {*range(0, len(all_cases), sampled.args[0])}, 0.0
        else:
            kept = evenly_spaced(len(all_cases), max(1, int(BUDGET / cost)) if cost else len(all_cases))
        for number, item in enumerate(all_cases):
            if number not in kept or cost > MAX_SLOW:
                item.add_marker(pytest.mark.exhaustive)
            elif cost > MAX_SECONDS:
                item.add_marker(pytest.mark.slow)


def function_of(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def evenly_spaced(count: int, maximum: int) -> set[int]:
    """Return at most ``maximum`` evenly spaced numbers below ``count``, beginning with 0."""
    kept = min(count, maximum)
    return {number * count // kept for number in range(kept)}


def used_seconds() -> float:
    """Return CPU seconds of this process and of its finished child processes."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def note_time(folder: Path, item: pytest.Item, seconds: float) -> None:
    """Append one test's CPU seconds to this process's file in ``folder``."""
    with open(folder / f"{os.getpid()}.txt", "a", encoding="utf-8") as file:
        file.write(f"{seconds:.3f} {item.nodeid}\n")
