"""Print a table of whole TensorFlow 1.x programs, run by rnngraph and by TensorFlow.

    python benchmarks/tensorflow1.py [PROGRAM …] [--tensorflow PYTHON] [--repeats 3]

PROGRAM names programs of the tests: by default those of ``tests/fixtures/tensorflow_published.py`` and
``tensorflow_repositories.py``; ``all`` selects every program. Columns: number of names of ``tf`` that a program uses;
largest difference of its fetches from TensorFlow's, relative to the largest number of the same fetch; CPU seconds of
the first run, which compiles, and of the shortest later run, whose code is cached. With ``--tensorflow``, the
interpreter PYTHON runs the programs too. It must have TensorFlow 1.15.5, or TensorFlow 2 and tf_keras, which can't run
programs that need contrib.
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

from tensorflow_cells import PROGRAMS as CELLS  # noqa: E402  # after the path
from tensorflow_flow import PROGRAMS as FLOW  # noqa: E402  # after the path
from tensorflow_habits import PROGRAMS as HABITS  # noqa: E402  # after the path
from tensorflow_names import PROGRAMS as NAMES  # noqa: E402  # after the path
from tensorflow_pipelines import PROGRAMS as PIPELINES  # noqa: E402  # after the path
from tensorflow_programs import CASES, DTYPES, PROGRAMS, Run  # noqa: E402  # after the path
from tensorflow_published import PROGRAMS as PUBLISHED  # noqa: E402  # after the path
from tensorflow_repositories import PROGRAMS as REPOSITORIES  # noqa: E402  # after the path

RECORDED = {path.stem for path in (FIXTURES / "tensorflow_programs").glob("*.npz")}
FLOAT32 = {**PUBLISHED, **REPOSITORIES}
ALL = {**PROGRAMS, **FLOW, **CELLS, **NAMES, **HABITS, **PIPELINES, **FLOAT32}
LATER = [(name, dtype) for name in {**FLOW, **CELLS, **NAMES, **HABITS, **PIPELINES} for dtype in DTYPES]
EVERY = [
    *((name, "float32") for name in FLOAT32),
    *CASES,
    *((name, dtype) for name, dtype in LATER if f"{name}_{dtype}" in RECORDED),
]

EVERY_NAME = {name for name, _ in EVERY}


class Named:
    """Module ``tf`` that records which of its names a program reads."""

    def __init__(self, inner: Any, path: str, names: set[str]) -> None:
        self.__dict__.update(_inner=inner, _path=path, _names=names)

    def __getattr__(self, name: str) -> Any:
        value, path = getattr(self._inner, name), f"{self._path}{name}"
        if isinstance(value, ModuleType):
            return Named(value, f"{path}.", self._names)
        self._names.add(path)
        return value


def recorded(name: str, dtype: str) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Return (initial values of the variables for each session, TensorFlow's fetches), as the tests recorded them."""
    sessions: dict[int, dict[str, np.ndarray]] = {}
    with np.load(FIXTURES / "tensorflow_programs" / f"{name}_{dtype}.npz") as file:
        for key in file.files:
            number, _, variable = key.partition("/")
            if number.isdigit():
                sessions.setdefault(int(number), {})[variable] = file[key]
        return [sessions[number] for number in sorted(sessions)] or [{}], file["fetched"]


def once(tf: Any, name: str, dtype: str) -> tuple[float, float]:
    """Run a program once, and return (largest relative difference from the recorded fetches, CPU seconds)."""
    values, expected = recorded(name, dtype)
    tf.reset_default_graph()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder, values)
        began = time.process_time()
        ALL[name](tf, run, dtype)
        seconds = time.process_time() - began
    limits = np.concatenate([np.full(item.size, np.abs(item).max(initial=0.0)) for item in run.noted])
    return float(np.max(np.abs(run.result() - expected) / np.maximum(limits, 1e-2))), seconds


def measured(tf: Any, cases: list[list[str]], repeats: int) -> list[tuple[float, float, float]]:
    """Return (largest difference, CPU seconds of the first run, minimum of the later runs) of each case."""
    measurements = [[once(tf, name, dtype) for _ in range(1 + repeats)] for name, dtype in cases]
    return [(max(item for item, _ in runs), runs[0][1], min(item for _, item in runs[1:])) for runs in measurements]


def of_tensorflow(python: str, cases: list[list[str]], repeats: int) -> dict[str, list[float]]:
    """Run cases under TensorFlow in another process, and return its results by case, without cases that fail."""
    command = [python, __file__, "--inside", json.dumps([cases, repeats])]
    # Keras 3 has none of TensorFlow 1's cells.
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    results: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return results


def inside(task: str) -> None:
    """Run the cases in ``task`` in TensorFlow's process, and print the results as JSON, by program and dtype."""
    import tensorflow as tf

    cases, repeats = json.loads(task)
    if not tf.__version__.startswith("1."):
        import tensorflow.compat.v1 as tf
        from tensorflow_contrib import contrib

        tf.disable_v2_behavior()
        tf.contrib = contrib(tf)
        cases = [case for case in cases if case[0] not in PIPELINES and case[0] not in FLOAT32]
    results = measured(tf, cases, repeats)
    print(json.dumps({" ".join(case): results[place] for place, case in enumerate(cases)}))


def main() -> None:
    """Run the programs that the command line names, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--tensorflow", metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside)
        return
    names = EVERY_NAME if options.programs == ["all"] else options.programs or FLOAT32
    cases = [[name, dtype] for name, dtype in EVERY if name in names]
    theirs = of_tensorflow(options.tensorflow, cases, options.repeats) if options.tensorflow else None
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # nothing is compiled yet
        table(cases, options.repeats, theirs)


def table(cases: list[list[str]], repeats: int, theirs: dict[str, list[float]] | None) -> None:
    """Run the programs, and print a line for each."""
    from rnngraph import tf1

    columns = "| program | dtype | names used | largest difference | CPU s, first | CPU s, again |"
    print(f"{columns} TensorFlow: CPU s, first | CPU s, again |" if theirs else columns)
    print("|---" * (8 if theirs else 6) + "|")
    for name, dtype in cases:
        ((difference, *seconds),) = measured(tf1, [[name, dtype]], repeats)
        names: set[str] = set()
        once(Named(tf1, "", names), name, dtype)
        seconds += theirs.get(f"{name} {dtype}", [])[1:] if theirs else []
        times = " | ".join(f"{item:.2f}" for item in seconds)
        print(f"| {name} | {dtype} | {len(names)} | {difference:.1e} | {times} |", flush=True)


if __name__ == "__main__":
    main()
