"""This machine's own limits, as ``rnngraph.profile.limits`` measures them: multiply-adds and reads by cache level."""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.codegen.machine.target import host
from rnngraph.profile.limits import multiply_rate, read_rate


@dataclass(frozen=True)
class Limits:
    """flops: multiply-adds count two, a second, one core. Bytes a second that one core reads, by cache level."""

    flops: float
    first_cache: float
    second_cache: float
    third_cache: float


def limits() -> Limits:
    target = host()
    sizes = target.first_cache // 2, target.second_cache // 2, target.second_cache * 8
    return Limits(multiply_rate(), *map(read_rate, sizes))


if __name__ == "__main__":
    found = limits()
    print(f"multiply-adds: {found.flops / 1e9:.0f} GFLOP/s")
    for name in ("first_cache", "second_cache", "third_cache"):
        print(f"reads, {name.replace('_', ' ')}: {getattr(found, name) / 1e9:.0f} GB/s")
