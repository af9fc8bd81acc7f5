"""Arguments that many calls take alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DtypeError, shown

MOST = 2**63 - 1


def whole_number(value: Any, what: str, least: int | None = None) -> int:
    """An int of Python's or NumPy's; with ``least`` a count of things, from there on. what: names it in an error."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"{what} must be an int, not {shown(value)}")
    if least is not None and value < least:
        raise ArgumentError(f"{what} must be at least {least}, not {value}")
    if least is not None and value > MOST:
        raise ArgumentError(f"{what} must fit 64 bits, and {value} does not")
    return int(value)


def one_of(value: Any, what: str, offered: Sequence[str]) -> str:
    """A word among those that are offered. what: names it in an error."""
    if not isinstance(value, str) or value not in offered:
        raise ArgumentError(f"{what}={shown(value)} is not offered; use one of {', '.join(offered)}")
    return value


def seed_number(value: Any, what: str = "seed") -> int:
    """A seed: an int of 64 bits, signed or not."""
    seed = whole_number(value, what)
    if not -(2**63) <= seed < 2**64:
        raise ArgumentError(f"{what}={seed} does not fit 64 bits")
    return seed
