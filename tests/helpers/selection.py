"""Which tests a default run leaves out, by what each cost when it was last timed.

``tests/costs.txt`` has a line for each expensive test function: CPU seconds of one case, and its name. Of a function
with many cases, as many as fit into ``BUDGET`` seconds run, evenly spaced; the others are ``exhaustive``. A function
whose single case takes longer than ``MAX_SECONDS`` is ``slow``: ``.ci/run`` runs it after the default run.

A function that the file does not name is cheap or new, and runs whole. ``python -m pytest --time-tests=FOLDER`` times
tests, and ``python tools/time_tests.py FOLDER`` writes the file from what was timed.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

COSTS = Path(__file__).parents[1] / "costs.txt"
BUDGET, MAX_SECONDS = 0.75, 1.5


def read_costs(path: Path = COSTS) -> dict[str, float]:
    """CPU seconds of one case by test function, such as ``tests/test_bits.py::test_rows_alone``."""
    pairs = (line.split(" ", 1) for line in path.read_text().splitlines())
    return {function: float(seconds) for seconds, function in pairs}


def select(items: Sequence[pytest.Item], costs: dict[str, float]) -> None:
    """Mark as ``slow`` or ``exhaustive`` what a default run leaves out."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("exhaustive") is None and item.get_closest_marker("sampled") is None:
            cases.setdefault(function_of(item), []).append(item)
    for function, all_cases in cases.items():
        cost = costs.get(function)
        if cost is None:
            continue
        kept = evenly_spaced(len(all_cases), max(1, int(BUDGET / cost)))
        for number, item in enumerate(all_cases):
            if number not in kept:
                item.add_marker(pytest.mark.exhaustive)
            elif cost > MAX_SECONDS:
                item.add_marker(pytest.mark.slow)


def sample(items: Sequence[pytest.Item]) -> None:
    """Mark as ``exhaustive`` all but every n-th case of the functions that ``sampled(n)`` marks."""
    seen: dict[str, int] = {}
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is not None and item.get_closest_marker("exhaustive") is None:
            function = function_of(item)
            number = seen.setdefault(function, 0)
            seen[function] += 1
            if number % mark.args[0]:
                item.add_marker(pytest.mark.exhaustive)


def function_of(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def evenly_spaced(count: int, most: int) -> set[int]:
    """At most ``most`` of the numbers below ``count``, the first among them."""
    kept = min(count, most)
    return {number * count // kept for number in range(kept)}


def used_seconds() -> float:
    """CPU seconds of this process and of the processes that it started and waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def note_time(folder: str, item: pytest.Item, seconds: float) -> None:
    """Append one test's CPU seconds to this process's file in ``folder``."""
    with open(Path(folder) / f"{os.getpid()}.txt", "a", encoding="utf-8") as file:
        file.write(f"{seconds:.3f} {item.nodeid}\n")
