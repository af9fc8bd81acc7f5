"""Points at which elementwise functions of frameworks are compared, and the comparison of float32 values there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_SMALL = (0, 1e-40, 1e-30, 1e-8, 1e-4, 0.1, 0.3, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 5, 7)
_LARGE = (20, 80, 88.5, 89.2, 100, 300, 1e5, 1e10, 1e20, 1e30, 3.4028235e38, math.inf, math.nan)


def signed_points(*without: float) -> np.ndarray:
    """Return float32 numbers of both signs: zeros, small and large numbers, infinities, and NaN.

    Numbers of the magnitudes ``without`` are left out.
    """
    magnitudes = [item for item in (*_SMALL, *_LARGE) if item not in without]
    return np.array(magnitudes + [-item for item in magnitudes], np.float32)


def are_near(actual: Any, wanted: Any, relative: float, absolute: float) -> np.ndarray:
    """Return a mask of the values that are equal, are both NaN, or differ by an allowed error."""
    with np.errstate(invalid="ignore"):
        near = (actual == wanted) | (np.isnan(actual) & np.isnan(wanted))
        if wanted.dtype.kind == "f":
            near |= np.abs(actual - wanted) <= np.maximum(np.abs(wanted) * np.float32(relative), np.float32(absolute))
    return np.asarray(near)


def assert_all(near: np.ndarray, wanted: Any, actual: Any, *where: Any) -> None:
    """Raise AssertionError with up to 6 points where ``near`` is False, with actual and expected values."""
    assert near.all(), [*zip(*(item[~near] for item in where), actual[~near], wanted[~near], strict=True)][:6]
