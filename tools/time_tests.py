"""Write ``tests/costs.txt`` from the times that a run of the tests recorded.

    python -m pytest -n auto --time-tests=times
    python tools/time_tests.py times

Each test function of the run gets a new line; other lines stay. Functions whose cases are cheap in total have no line.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from selection import BUDGET, COSTS, read_costs

Times = dict[str, list[float]]


def read_times(folder: Path) -> Times:
    """Return the CPU seconds of each timed case, by test function."""
    times: Times = {}
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            seconds, _, name = line.partition(" ")
            times.setdefault(name.partition("[")[0], []).append(float(seconds))
    return times


def updated(costs: dict[str, float], times: Times) -> dict[str, float]:
    """Return the costs, with the mean of each timed function in place of its old value."""
    means = {function: sum(seconds) / len(seconds) for function, seconds in times.items()}
    return costs | {name: mean for name, mean in means.items() if name in costs or sum(times[name]) > BUDGET}


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    costs = updated(read_costs() if COSTS.exists() else {}, read_times(Path(sys.argv[1])))
    COSTS.write_text("".join(f"{max(cost, 0.001):.3f} {function}\n" for function, cost in sorted(costs.items())))


if __name__ == "__main__":
    main()
