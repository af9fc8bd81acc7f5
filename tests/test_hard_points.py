"""The tables of cases, of recorded values and of known differences have the same entries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hard_points.cases import FOLDER, entries_of
from hard_points.compare import places_that_differ, ranges
from hard_points.doors import OPEN, PAGE, Recorded, differences_of, page
from hard_points.recorded import records_of, text_of
from systems import not_on_windows

FRAMEWORKS = sorted(path.stem for path in FOLDER.glob("*.txt"))
SINES = not_on_windows("some points are sines, whose last bits are those of the C library")


@SINES
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_entry_is_there_once_and_recorded(framework: str) -> None:
    keys = [entry.key for entry in entries_of(framework)]
    assert len(set(keys)) == len(keys)
    assert list(Recorded(framework).records) == keys


@SINES
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_listed_differences_are_of_recorded_entries(framework: str) -> None:
    assert differences_of(framework).keys() <= {entry.key for entry in Recorded(framework).entries}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_difference_has_a_reason(framework: str) -> None:
    assert not [key for key, (_, reason) in differences_of(framework).items() if OPEN in reason.split(", ")]


def test_every_reason_is_explained() -> None:
    rows = [line.split("|")[1:3] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert not [reason for reason, text in rows if not text.strip()]


def test_values_are_the_same_when_they_are_written_and_read(tmp_path: Path) -> None:
    arrays = {
        "y0": np.array([[0.0, -0.0, np.nan], [np.inf, -np.inf, 1e-45]], np.float32),
        "y1": np.float64(0.1) + np.zeros(()),
        "y2": np.zeros((3, 0)),
        "y3": np.array([True, False]),
        "y4": np.array([-(2**63), 2**63 - 1, 3, 3]),
    }
    text = text_of("some framework", {"f(x) | reals float32": ("0123abcd", arrays), "g(x) | rows int64": ("0", None)})
    path = tmp_path / "some.txt"
    path.write_text(text, encoding="utf-8")
    records = records_of(path)
    assert records["g(x) | rows int64"] == ("0", None)
    digest, second = records["f(x) | reals float32"]
    assert digest == "0123abcd"
    assert second is not None
    assert second.keys() == arrays.keys()
    for name, array in arrays.items():
        assert places_that_differ(second[name], array, 0) == []
    assert text_of("some framework", records) == text


def test_differences_are_places_with_signs_of_zeros_and_nan() -> None:
    wanted = np.array([0.0, 1.0, np.nan, np.inf, 1.0, 0.0, 3.0], np.float32)
    actual = np.array([-0.0, 1.0 + 2**-23, np.nan, np.float32(3e38), np.nan, 1e-45, 3.0], np.float32)
    assert places_that_differ(actual, wanted, 0) == [0, 1, 3, 4, 5]
    assert places_that_differ(actual, wanted, 1) == [0, 3, 4]
    assert places_that_differ(actual.astype(np.float64), wanted, 1) is None
    assert ranges([0, 1, 3, 4, 5, 9]) == "0-1,3-5,9"


def test_the_docs_have_every_reason_with_its_functions() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(FRAMEWORKS), "run python tools/record_hard_points.py --page"
