"""Limits of this machine, and the processor for which code is compiled: this one, or one with fewer features.

The limits are rates of multiply-adds and of reads by cache level, measured by ``rnngraph.inspection.profile.limits``.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.codegen.machine.target import Target, target_of
from rnngraph.inspection.profile.limits import multiply_rate, read_rate


@dataclass(frozen=True)
class Limits:
    """Limits of one core.

    Attributes:
        flops: Operations per second, where a multiply-add counts as two.
        first_cache: Bytes per second read from L1.
        second_cache: Bytes per second read from L2.
        third_cache: Bytes per second read from a block of 8 times the size of L2.
    """

    flops: float
    first_cache: float
    second_cache: float
    third_cache: float


TARGET: str | None = None
"""Processor for which code is compiled; None: this one. ``run.py`` sets it."""


def target() -> Target:
    return target_of(TARGET)


def flops() -> float:
    """Return the maximum float32 operations per second of code for the target."""
    return multiply_rate(target())


def reads(size_bytes: int) -> float:
    """Return the bytes per second that code for the target reads repeatedly from a block of ``size_bytes``."""
    return read_rate(size_bytes, target())


def limits() -> Limits:
    own = target()
    sizes = own.first_cache // 2, own.second_cache // 2, own.second_cache * 8
    return Limits(flops(), *map(reads, sizes))


if __name__ == "__main__":
    rates = limits()
    print(f"multiply-adds: {rates.flops / 1e9:.0f} GFLOP/s")
    for name in ("first_cache", "second_cache", "third_cache"):
        print(f"reads, {name.replace('_', ' ')}: {getattr(rates, name) / 1e9:.0f} GB/s")
