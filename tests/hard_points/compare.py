"""Comparison of values in units in the last place. Runs on Python 3.7, for TensorFlow 1's recorder."""

from __future__ import annotations

from typing import List, Optional

import numpy as np


def weights_of(array: np.ndarray) -> np.ndarray:
    """Return the gradient of an output of this shape: varying powers of two, which add no rounding error."""
    return np.array([1.0, 2.0, 0.5])[np.arange(array.size) % 3].astype(array.dtype).reshape(array.shape)


def places_that_differ(found: np.ndarray, expected: np.ndarray, bound: float) -> Optional[List[int]]:
    """Return the flat indices of values that differ by more than the bound, or None if dtype or shape differ.

    NaN must be equal, and zeros must have equal signs.
    """
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return None
    found, expected = found.reshape(-1), expected.reshape(-1)
    if found.dtype.kind != "f":
        return [int(place) for place in np.flatnonzero(found != expected)]
    with np.errstate(all="ignore"):
        is_same = (found == expected) & (np.signbit(found) == np.signbit(expected)) | np.isnan(found) & np.isnan(
            expected
        )
        wide, other = found.astype(np.float64), expected.astype(np.float64)
        error = np.abs(wide - other) / np.spacing(np.abs(expected)).astype(np.float64)
        is_near = np.isfinite(wide) & np.isfinite(other) & (error <= bound) & ~((wide == 0) & (other == 0))
    return [int(place) for place in np.flatnonzero(~(is_same | is_near))]


def ranges(places: List[int]) -> str:
    """Return the indices as text: 3,7-9."""
    runs: List[List[int]] = []
    for place in places:
        if runs and runs[-1][1] == place - 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ",".join(str(a) if a == b else str(a) + "-" + str(b) for a, b in runs)
