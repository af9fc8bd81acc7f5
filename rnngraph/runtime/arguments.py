"""Arguments that many calls take alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..declare.arguments import whole_number as whole_number
from ..errors import ArgumentError, shown


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
