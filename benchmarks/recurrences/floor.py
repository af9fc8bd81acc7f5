"""Lower bounds of times: the operations that a recurrence cannot avoid, at this machine's rates.

The floor counts elementary functions, and the multiply-adds on each element of a state, where a multiplication alone
counts as one. If reading inputs and writing outputs once takes longer, that is the floor. The floor of training
includes no recomputation or reading of states.
"""

from __future__ import annotations

from functools import lru_cache

import machine

from rnngraph.inspection.profile.limits import limits_of

from .rows import STATES, STEP, TRAINING, Row

FLOOR = "floor"

ON_STATES = {
    "GLA": (3, 9),
    "SSD": (3, 9),
    "mLSTM": (3, 9),
    "GDN": (4, 12),
    "RWKV-7": (5, 15),
    "S6": (4, 13),
    "minGRU": (2, 6),
    "RG-LRU": (2, 6),
    "LRU": (6, 12),
}
"""(Inference, training) multiply-adds on each element of the states in a step, by recurrence."""

FUNCTIONS = {
    "GLA": {"exp": 2, "log1p": 1},
    "RWKV-7": {"sigmoid": 2, "exp": 1},
    "S6": {"exp": STATES + 1, "log1p": 1},
    "minGRU": {"sigmoid": 1},
    "RG-LRU": {"sigmoid": 2, "exp": 2, "sqrt": 1},
}
"""Elementary functions of a channel in a step, by recurrence. Functions of a whole head are negligible."""


def seconds(row: Row) -> dict[str, float]:
    """Return the floor of a call by name, at the machine's rates of this moment."""
    counts = ON_STATES[row.kind][row.call == TRAINING]
    numbers = row.channels * {"S6": STATES, "minGRU": 1, "RG-LRU": 1, "LRU": 1}.get(row.kind, row.size)
    steps = row.batch * (1 if row.call == STEP else row.time)
    work = 2 * counts * numbers / machine.flops() + row.channels * _functions(row.kind)
    moved = 4 * steps * (sum(row.widths()) * (2 if row.call == TRAINING else 1) + row.channels)
    return {FLOOR: max(steps * work, moved / machine.reads(moved))}


@lru_cache
def _functions(kind: str) -> float:
    """Return the seconds of a channel's elementary functions."""
    limits = limits_of(machine.target())
    return sum(count * limits.seconds(name, "float32") for name, count in FUNCTIONS.get(kind, {}).items())
