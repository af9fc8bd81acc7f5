"""Whether gradients of long sequences compute steps again in place of keeping what they need, and how many together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from ...ir.attributes import MOST_DIVISOR
from ...support.allocation import LARGE, limits
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, Where, shown

Recompute = int | Literal["auto"] | None
"""Steps that are computed again together, ``"auto"`` where memory says so, or None for never."""
AUTO: Literal["auto"] = "auto"
SHARE = 4
"""``"auto"``: what temporaries may take of the memory that is left is one in so many."""
FEWEST, MOST = 16, 4096


def checked_recompute(value: Any, where: Where | None) -> Recompute:
    """An option ``recompute=``."""
    if value is None or (isinstance(value, str) and value == AUTO):
        return value
    if isinstance(value, str | bool | float):
        raise ArgumentError(f'recompute={shown(value)} must be a number of steps, "auto" or None', where)
    steps = whole_number(value, "recompute", 1)
    if steps > MOST_DIVISOR:
        raise ArgumentError(f"recompute={steps} is more steps than a block has; {MOST_DIVISOR} at most", where)
    return steps


def exceeds_share(arena_bytes: int) -> bool:
    """Whether temporaries take more than their share of what is left to this process."""
    return arena_bytes >= LARGE and arena_bytes > min((left for left, _ in limits()), default=math.inf) / SHARE


def steps_of(lengths: Iterable[int]) -> int:
    """Steps of a block for sequences of these lengths: about the square root, a power of two so that few lengths ask
    for code of their own.
    """
    longest = max(lengths, default=1)
    return min(max(1 << round(math.log2(max(1, longest)) / 2), FEWEST), MOST)
