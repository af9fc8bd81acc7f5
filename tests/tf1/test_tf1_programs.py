"""Whole programs of TensorFlow 1.x under `rnngraph.tf1`, against TensorFlow's recorded fetches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.tensorflow_cells import PROGRAMS as CELLS
from fixtures.tensorflow_flow import PROGRAMS as FLOW
from fixtures.tensorflow_habits import PROGRAMS as HABITS
from fixtures.tensorflow_names import PROGRAMS as NAMES
from fixtures.tensorflow_pipelines import PROGRAMS as PIPELINES
from fixtures.tensorflow_programs import CASES, DTYPES, PROGRAMS, SINGLE, Run
from fixtures.tensorflow_published import PROGRAMS as PUBLISHED
from fixtures.tensorflow_repositories import PROGRAMS as REPOSITORIES

from rnngraph import tf1 as tf

FIXTURES = Path(__file__).parents[1] / "fixtures"
QUICK = {
    ("linear", "float32"),
    ("embeddings", "float64"),
    ("sessions", "float32"),
    ("language_model", "float64"),
    ("loops", "float64"),
    ("folds", "float32"),
    ("averages", "float64"),
    ("conversions", "float32"),
    ("open_rows", "float64"),
    ("memories", "float64"),
    ("kept_states", "float32"),
    ("measures", "float32"),
    ("running_means", "float64"),
    ("queues", "float64"),
}
LATER = [(name, dtype) for name in FLOW | CELLS | NAMES | HABITS | PIPELINES for dtype in DTYPES]
ALL = [*CASES, *(case for case in LATER if case[0] not in SINGLE or case[1] == "float32")]
ALL += [(name, "float32") for name in PUBLISHED | REPOSITORIES]
TOLERANCES = {"float32": 1e-4, "float64": 1e-10}


def recorded(name: str, dtype: str) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Return the initial values of each session, and the fetches."""
    sessions: list[dict[str, np.ndarray]] = []
    with np.load(FIXTURES / "tensorflow_programs" / f"{name}_{dtype}.npz") as file:
        for key in file.files:
            number, _, variable = key.partition("/")
            if not number.isdigit():
                continue
            while len(sessions) <= int(number):
                sessions.append({})
            sessions[int(number)][variable] = file[key]
        return sessions, file["fetched"]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.exhaustive) for case in ALL],
)
def test_numbers_are_tensorflows(name: str, dtype: str, tmp_path: Path) -> None:
    """Compare every fetched number over all steps. Differences are relative to the largest number of the same fetch."""
    values, expected = recorded(name, dtype)
    run = Run(str(tmp_path), values or [{}])
    (PROGRAMS | FLOW | CELLS | NAMES | HABITS | PIPELINES | PUBLISHED | REPOSITORIES)[name](tf, run, dtype)
    results = run.result()
    assert results.shape == expected.shape
    limits = np.concatenate([np.full(item.size, np.abs(item).max(initial=0.0)) for item in run.noted])
    tolerance = TOLERANCES[dtype]
    np.testing.assert_array_less(np.abs(results - expected), tolerance * np.maximum(limits, 1e-2) + 1e-300)
