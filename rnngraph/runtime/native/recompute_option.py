"""Choice of rematerialisation for gradients of long sequences, and its block length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from ...ir.attributes import MAX_DIVISOR
from ...support.allocation import LARGE, limits
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, Where, shown

RecomputeOption = int | Literal["auto"] | None
"""Number of steps of a rematerialised block; ``"auto"`` to decide by the available memory; None for no blocks."""
AUTO: Literal["auto"] = "auto"
SHARE = 4
"""For ``"auto"``: temporaries may use 1/SHARE of the available memory."""
MIN_BLOCK, MAX_BLOCK = 16, 4096


def checked_recompute(value: Any, where: Where | None) -> RecomputeOption:
    """Return the validated ``recompute=``."""
    if value is None or (isinstance(value, str) and value == AUTO):
        return value
    if isinstance(value, str | bool | float):
        raise ArgumentError(f'recompute={shown(value)} must be a number of steps, "auto" or None', where)
    steps = whole_number(value, "recompute", 1)
    if steps > MAX_DIVISOR:
        raise ArgumentError(
            f"recompute={steps} exceeds the maximum of {MAX_DIVISOR} steps per block; give fewer", where
        )
    return steps


def exceeds_share(arena_bytes: int) -> bool:
    """True if temporaries of at least ``LARGE`` bytes exceed their share of the memory available to this process."""
    return arena_bytes >= LARGE and arena_bytes > min((left for left, _ in limits()), default=math.inf) / SHARE


def steps_of(lengths: Iterable[int]) -> int:
    """Return the number of steps of a block: the square root of the maximum length, rounded to a power of two.

    The number is at least ``MIN_BLOCK`` and at most ``MAX_BLOCK``. The rounding limits the number of compiled variants.
    """
    longest = max(lengths, default=1)
    return min(max(1 << round(math.log2(max(1, longest)) / 2), MIN_BLOCK), MAX_BLOCK)
