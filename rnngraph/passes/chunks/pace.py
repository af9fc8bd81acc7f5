"""How sizes grow with time: so many entries for each step of a stream, and some more at the end."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from ...ir.axes.by_size import counts
from ...ir.sizes.polynomial import Dim, evaluate, floors_of, size, substitute, symbols_of, terms_of

MOST_ENTRIES = 1 << 16
"""Entries of a step. In a step of one entry the others have no pace."""


@dataclass(frozen=True)
class Pace:
    """A size after K steps of a stream and a rest: ``many * K + over``. symbol: names the length that it grows with."""

    symbol: str
    many: int
    over: int


@dataclass(frozen=True)
class Tempo:
    """A step of a stream is ``rate`` entries of what is fed. lengths: names of sizes that count those."""

    lengths: frozenset[str]
    rate: int

    @staticmethod
    def of(lengths: Collection[str], dims: Iterable[Dim]) -> Tempo:
        """The shortest step in which each of ``dims`` gets a whole number of entries, if it is of ``MOST_ENTRIES``."""
        slopes = [_slope(dim, lengths) for dim in dims if symbols_of(dim) and symbols_of(dim) <= set(lengths)]
        rate = math.lcm(*(slope.denominator for slope in slopes))
        return Tempo(frozenset(lengths), rate if rate <= MOST_ENTRIES else 1)

    def grows(self, dim: Dim) -> bool:
        """Whether a size counts steps of a stream: it is not the same after any number of whole steps."""
        pace = self.pace(dim)
        return counts(dim, self.lengths) and (pace is None or pace.many > 0)

    def pace(self, dim: Dim, rests: Mapping[str, int] | None = None) -> Pace | None:
        """How a size grows; None where that is not one rate. rests: entries behind the last step, by length."""
        names = symbols_of(dim) & self.lengths
        if len(names) != 1:
            return None
        (name,) = names
        found = substitute(dim, {name: self.rate * size(name) + (rests or {}).get(name, 0)})
        terms = dict(terms_of(found))
        over, many = terms.get((), 0), terms.get((name,), 0)
        fits = len(terms) == bool(over) + bool(many) and many >= 0
        return Pace(name, many, over) if fits else None


def _slope(dim: Dim, lengths: Collection[str]) -> Fraction:
    """How much a size grows with each entry, in the long run."""
    period = _period(dim)
    low, high = (evaluate(dim, dict.fromkeys(lengths, count * period)) for count in (2, 3))
    return Fraction(high - low, period)


def _period(dim: Dim) -> int:
    """Entries after which all floors in a size have grown by whole numbers."""
    return math.lcm(*(floor.by * _period(floor.dim) for floor in floors_of(dim)))
