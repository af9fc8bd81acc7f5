"""Arguments that cells, wrappers and functions take alike. what: names one in an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, Where, shown

MOST_UNITS = 2**31 - 1
MOST = 2**63 - 1
MOST_CHARACTERS = 200


def units(value: Any, what: str) -> int:
    """A width: an int of Python's or NumPy's, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"{what} must be an int, not {shown(value)}")
    if value <= 0:
        raise ArgumentError(f"{what} must be positive, not {value}")
    if value > MOST_UNITS:
        raise ArgumentError(f"{what} must be at most {MOST_UNITS}, not {value}")
    return int(value)


def whole_number(value: Any, what: str, least: int | None = None) -> int:
    """An int of Python's or NumPy's; with ``least`` a count of things, from there on. what: names it in an error."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"{what} must be an int, not {shown(value)}")
    if least is not None and value < least:
        raise ArgumentError(f"{what} must be at least {least}, not {value}")
    if least is not None and value > MOST:
        raise ArgumentError(f"{what} must fit 64 bits, and {value} does not")
    return int(value)


def checked_name(value: Any, what: str, where: Where | None = None, any_text: bool = False) -> str:
    """A name that the user gives, which stands in printed graphs, in files and in machine code. any_text: whether it
    may hold what can't be printed, too, such as the end of a line.
    """
    if not isinstance(value, str):
        raise DtypeError(f"{what} needs a name, not {shown(value)}", where)
    if not value:
        raise ArgumentError(f"{what} needs a name of at least one character", where)
    if len(value) > MOST_CHARACTERS:
        raise ArgumentError(f"{what} needs a name of at most {MOST_CHARACTERS} characters, not {shown(value)}", where)
    if not any_text and not value.isprintable():
        raise ArgumentError(f"{what} needs a name that can be printed, not {shown(value)}", where)
    return value


def entries(value: Any, what: str) -> list[Any]:
    """The entries of a sequence, an array or anything else that can be run through."""
    if isinstance(value, str | bytes):
        raise DtypeError(f"{what} must be a sequence, not {shown(value)}")
    try:
        return list(value)
    except TypeError:
        raise DtypeError(f"{what} must be a sequence, not {shown(value)}") from None


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
