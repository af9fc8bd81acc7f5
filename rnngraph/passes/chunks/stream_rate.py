"""Growth of sizes with the steps of a stream: a number of entries for each step, plus a constant."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from ...ir.axes.by_size import counts
from ...ir.sizes.polynomial import Dim, evaluate, floors_of, size, substitute, symbols_of, terms_of
from ...support.records import dataclass

if TYPE_CHECKING:
    from fractions import Fraction

MAX_ENTRIES = 1 << 16
"""Maximum rate, in entries per step. If a higher rate would be needed, the rate is 1, and some sizes have no growth."""


@dataclass(frozen=True)
class Growth:
    """Size after K steps of a stream: ``per_step * K + constant`` entries.

    ``symbol`` is the name of the sequence length.
    """

    symbol: str
    per_step: int
    constant: int


@dataclass(frozen=True)
class StreamRate:
    """Rate of a stream.

    Attributes:
        lengths: Names of the sizes that count entries of sequences.
        rate: Entries of the fed sequences per step of the stream.
    """

    lengths: frozenset[str]
    rate: int

    @staticmethod
    def of(lengths: Collection[str], dims: Iterable[Dim]) -> StreamRate:
        """Return the smallest rate at which each of ``dims`` grows by a whole number of entries per step.

        Sizes with symbols other than ``lengths`` are ignored. If the rate exceeds ``MAX_ENTRIES``, it is 1.
        """
        slopes = [_slope(dim, lengths) for dim in dims if symbols_of(dim) and symbols_of(dim) <= set(lengths)]
        rate = math.lcm(*(slope.denominator for slope in slopes))
        return StreamRate(frozenset(lengths), rate if rate <= MAX_ENTRIES else 1)

    def sizes(self, rests: Mapping[str, int] | None) -> dict[str, Dim]:
        """Return the number of entries in a chunk, by length; with ``rests``, those after the last whole step."""
        if rests is not None:
            return {name: rests.get(name, 0) for name in self.lengths}
        return {name: self.rate * size(name) for name in self.lengths}

    def grows(self, dim: Dim) -> bool:
        """True if a size grows with the number of steps, or depends on it in a way that is not linear."""
        growth = self.growth(dim)
        return counts(dim, self.lengths) and (growth is None or growth.per_step > 0)

    def growth(self, dim: Dim, rests: Mapping[str, int] | None = None) -> Growth | None:
        """Return a size as entries a step plus a constant; None unless it has one length, is linear, and never shrinks.

        ``rests`` has the number of entries after the last whole step, by length; None for no such entries.
        """
        names = symbols_of(dim) & self.lengths
        if len(names) != 1:
            return None
        (name,) = names
        total = substitute(dim, {name: self.rate * size(name) + (rests or {}).get(name, 0)})
        terms = dict(terms_of(total))
        constant, per_step = terms.get((), 0), terms.get((name,), 0)
        fits = len(terms) == bool(constant) + bool(per_step) and per_step >= 0
        return Growth(name, per_step, constant) if fits else None


def _slope(dim: Dim, lengths: Collection[str]) -> Fraction:
    """Return how much a size grows on average for each entry of a sequence."""
    from fractions import Fraction  # slow to import, and few graphs stream several entries a step

    period = _period(dim)
    low, high = (evaluate(dim, dict.fromkeys(lengths, count * period)) for count in (2, 3))
    return Fraction(high - low, period)


def _period(dim: Dim) -> int:
    """Return a period after which every floor division in a size has grown by an integer."""
    return math.lcm(*(floor.by * _period(floor.dim) for floor in floors_of(dim)))
