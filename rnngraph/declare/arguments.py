"""Arguments that cells, wrappers and functions take alike. what: names one in an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, shown

MOST_UNITS = 2**31 - 1


def units(value: Any, what: str) -> int:
    """A width: an int of Python's or NumPy's, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"{what} must be an int, not {shown(value)}")
    if value <= 0:
        raise ArgumentError(f"{what} must be positive, not {value}")
    if value > MOST_UNITS:
        raise ArgumentError(f"{what} must be at most {MOST_UNITS}, not {value}")
    return int(value)


def number(value: Any, what: str) -> float:
    """A finite float from any real number of Python's or NumPy's."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise DtypeError(f"{what} must be a number, not {shown(value)}")
    if not -(2.0**1023) <= value <= 2.0**1023:
        raise ArgumentError(f"{what} must be a finite number, not {shown(value)}")
    return float(value)


def flag(value: Any, what: str) -> bool:
    """True or False, NumPy's among them."""
    if not isinstance(value, bool | np.bool_):
        raise DtypeError(f"{what} must be True or False, not {shown(value)}")
    return bool(value)
