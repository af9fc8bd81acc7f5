"""Whole programs of TensorFlow 1.x, as they run here and under TensorFlow: a table.

    python benchmarks/tensorflow1.py [PROGRAM …] [--tensorflow PYTHON] [--repeats 3]

The programs are those of the tests. Columns: names of ``tf`` that a program uses, the largest difference of what it
fetches from what TensorFlow fetched, relative to the largest number beside it, and seconds of a run: of the first one,
which compiles, and of the shortest after it, whose code is there as in a later process. PYTHON is one that has
tensorflow and tf_keras, and runs them too. What it prints is worth something on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
sys.path.insert(0, str(FIXTURES))

from tensorflow_cells import PROGRAMS as CELLS  # noqa: E402
from tensorflow_flow import PROGRAMS as FLOW  # noqa: E402
from tensorflow_habits import PROGRAMS as HABITS  # noqa: E402
from tensorflow_names import PROGRAMS as NAMES  # noqa: E402
from tensorflow_pipelines import PROGRAMS as PIPELINES  # noqa: E402
from tensorflow_programs import CASES, DTYPES, PROGRAMS, Run  # noqa: E402

RECORDED = {path.stem for path in (FIXTURES / "tensorflow_programs").glob("*.npz")}
LATER = [(name, dtype) for name in FLOW | CELLS | NAMES | HABITS | PIPELINES for dtype in DTYPES]
EVERY = [*CASES, *((name, dtype) for name, dtype in LATER if f"{name}_{dtype}" in RECORDED)]


class Named:
    """``tf``, which notes what is read of it."""

    def __init__(self, inner: Any, path: str, names: set[str]) -> None:
        self.__dict__.update(_inner=inner, _path=path, _names=names)

    def __getattr__(self, name: str) -> Any:
        found, path = getattr(self._inner, name), f"{self._path}{name}"
        if isinstance(found, ModuleType):
            return Named(found, f"{path}.", self._names)
        self._names.add(path)
        return found


def recorded(name: str, dtype: str) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Initial values of each session, and what TensorFlow fetched."""
    sessions: dict[int, dict[str, np.ndarray]] = {}
    with np.load(FIXTURES / "tensorflow_programs" / f"{name}_{dtype}.npz") as file:
        for key in file.files:
            number, _, variable = key.partition("/")
            if number.isdigit():
                sessions.setdefault(int(number), {})[variable] = file[key]
        return [sessions[number] for number in sorted(sessions)] or [{}], file["fetched"]


def once(tf: Any, name: str, dtype: str) -> tuple[float, float]:
    """(largest difference, seconds) of one run."""
    values, wanted = recorded(name, dtype)
    tf.reset_default_graph()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, values)
        began = time.perf_counter()
        (PROGRAMS | FLOW | CELLS | NAMES | HABITS | PIPELINES)[name](tf, run, dtype)
        seconds = time.perf_counter() - began
    limits = np.concatenate([np.full(item.size, np.abs(item).max(initial=0.0)) for item in run.noted])
    return float(np.max(np.abs(run.result() - wanted) / np.maximum(limits, 1e-2))), seconds


def measured(tf: Any, cases: list[list[str]], repeats: int) -> list[tuple[float, float, float]]:
    """(largest difference, seconds of the first run, least seconds of those after it) of each case."""
    found = [[once(tf, name, dtype) for _ in range(1 + repeats)] for name, dtype in cases]
    return [(max(item for item, _ in runs), runs[0][1], min(item for _, item in runs[1:])) for runs in found]


def of_tensorflow(python: str, cases: list[list[str]], repeats: int) -> list[list[float]]:
    """What ``measured`` gives under TensorFlow, in a process of its own."""
    command = [python, __file__, "--inside", json.dumps([cases, repeats])]
    # Keras 3 has none of TensorFlow 1's cells.
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def inside(task: str) -> None:
    """What the process of TensorFlow does."""
    import tensorflow.compat.v1 as tf
    from tensorflow_contrib import contrib

    tf.disable_v2_behavior()
    tf.contrib = contrib(tf)
    cases, repeats = json.loads(task)
    print(json.dumps(measured(tf, cases, repeats)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--tensorflow", metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside)
        return
    cases = [[name, dtype] for name, dtype in EVERY if not options.programs or name in options.programs]
    modern = [case for case in cases if case[0] not in PIPELINES]  # those need TensorFlow 1.15's own contrib
    measured_there = of_tensorflow(options.tensorflow, modern, options.repeats) if options.tensorflow else None
    theirs = None if measured_there is None else dict(zip(map(tuple, modern), measured_there, strict=True))
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # nothing is compiled yet
        table(cases, options.repeats, theirs)


def table(cases: list[list[str]], repeats: int, theirs: dict[Any, list[float]] | None) -> None:
    """Runs and prints, line by line."""
    from rnngraph import tf1

    columns = "| program | dtype | names used | largest difference | s, first | s, again |"
    print(f"{columns} TensorFlow: s, first | s, again |" if theirs else columns)
    print("|---" * (8 if theirs else 6) + "|")
    for name, dtype in cases:
        ((difference, *seconds),) = measured(tf1, [[name, dtype]], repeats)
        names: set[str] = set()
        once(Named(tf1, "", names), name, dtype)
        seconds += theirs.get((name, dtype), [])[1:] if theirs else []
        times = " | ".join(f"{item:.2f}" for item in seconds)
        print(f"| {name} | {dtype} | {len(names)} | {difference:.1e} | {times} |", flush=True)


if __name__ == "__main__":
    main()
