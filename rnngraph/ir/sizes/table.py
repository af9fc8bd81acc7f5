"""Sizes that must be equal: which names they settle, and whether they can be equal at all."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from operator import and_

from .polynomial import Dim, Floor, Monomial, Size, dim_text, product, quotient, size, substitute, symbols_of, terms_of

_OPEN = re.compile(r"_(\d+)_(\d+)")


def open_size(serial: int, axis: int = 0) -> Size:
    """A size that the user gave no name. serial: of the declaration that has it."""
    return size(f"_{serial}_{axis}")


def declaration_order(name: str) -> tuple[str, int, int]:
    """A key by which sizes without a name of their own are in the order of declaration, among the others' names."""
    found = _OPEN.fullmatch(name)
    return ("_", int(found[1]), int(found[2])) if found else (name, 0, 0)


class SizeTable:
    """Sizes that met and so are one: ``meet`` records, ``resolve`` replaces."""

    def __init__(self) -> None:
        self.known: dict[str, Dim] = {}

    def resolve(self, dim: Dim) -> Dim:
        previous = None
        while dim != previous:
            previous, dim = dim, substitute(dim, self.known)
        return dim

    def meet(self, a: Dim, b: Dim, measured: bool = False) -> Dim:
        """What both become. Raises ``ValueError`` where they can't be one, or that can't be solved for a name.

        measured: whether ``b`` is what an array has. What is declared is rather a mistake than n*T with n = 1.
        """
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return a
        solution = _solved(a - b)
        if solution is None and (measured or not _multiples(a, b)):
            solution = _solved(_without_common_factor(a - b))
        if solution is None:
            raise ValueError(f"size {dim_text(a)} meets size {dim_text(b)}")
        name, value = solution
        self.known[name] = value
        return self.resolve(a)

    def meet_all(self, pairs: Sequence[tuple[Dim, Dim]], measured: bool = False) -> int | None:
        """Meets pairs in any order, as a product can be solved once its factors are known; the place of the first that
        can't be met, or None.
        """
        waiting = list(range(len(pairs)))
        while waiting:
            later = [place for place in waiting if not self._meets(*pairs[place], measured)]
            if len(later) == len(waiting):
                return later[0]
            waiting = later
        return None

    def _meets(self, a: Dim, b: Dim, measured: bool) -> bool:
        try:
            self.meet(a, b, measured)
        except ValueError:
            return False
        return True

    def may_meet(self, a: Dim, b: Dim) -> bool:
        """Whether ``a`` and ``b`` can be equal, as far as signs and divisors tell, where sizes are neither 0 nor 1."""
        a, b = self.resolve(a), self.resolve(b)
        difference = a - b
        if not isinstance(difference, Size) or _multiples(a, b):
            return difference == 0
        if any(isinstance(name, Floor) for names, _ in difference.terms for name in names):
            return not _is_above_zero(difference) and not _is_above_zero(difference * -1)
        constant = sum(factor for names, factor in difference.terms if not names)
        divisor = math.gcd(*(factor for names, factor in difference.terms if names))
        return len({factor > 0 for _, factor in difference.terms}) == 2 and constant % divisor == 0


def _solved(difference: Dim) -> tuple[str, Dim] | None:
    """A name to solve for, and its value where the whole is 0. The name stands alone with factor 1 or -1; of several it
    is the latest declared.
    """
    if not isinstance(difference, Size):
        return None
    factors = {
        names[0]: factor
        for names, factor in difference.terms
        if len(names) == 1 and abs(factor) == 1 and not isinstance(names[0], Floor)
    }
    for name in sorted(factors, key=declaration_order, reverse=True):
        value = size(name) - difference * factors[name]
        if name not in symbols_of(value):
            return name, value
    return None


def _is_above_zero(difference: Dim) -> bool:
    """Whether a difference is above 0 for all names from 2 on, as far as signs tell."""
    least: dict[Monomial, Fraction] = {}
    _add_least(difference, Fraction(1), least)
    at_two = sum(factor * 2 ** len(names) for names, factor in least.items())
    return at_two > 0 and all(factor >= 0 for names, factor in least.items() if names)


def _add_least(dim: Dim, scale: Fraction, total: dict[Monomial, Fraction]) -> None:
    """Adds ``scale * dim`` to ``total``, with floors as large, or as small, as makes the whole least."""
    for names, factor in terms_of(dim):
        share = scale * factor
        if len(names) == 1 and isinstance(floor := names[0], Floor):
            _add_least(floor.dim - (floor.by - 1) if share > 0 else floor.dim, share / floor.by, total)
        elif share < 0 or not any(isinstance(name, Floor) for name in names):  # else it is 0 at least
            total[names] = total.get(names, Fraction(0)) + share


def _multiples(a: Dim, b: Dim) -> bool:
    """Whether one size is a multiple of the other by names, so that they are equal only where the factor is 1."""
    pairs = ((a, b), (b, a)) if a and b else ()
    return any(len(terms_of(by)) == 1 and quotient(dim, by) is not None for dim, by in pairs)  # T-1 may be 0


def _without_common_factor(difference: Dim) -> Dim:
    """A difference of sizes without the factors that all its terms share. It is 0 for the same sizes, if none is 0."""
    if not isinstance(difference, Size):
        return difference
    monomials = [Counter(names) for names, _ in difference.terms]
    common = reduce(and_, monomials) if len(monomials) > 1 else Counter[str]()
    divisor = math.gcd(*(factor for _, factor in difference.terms))
    divided = quotient(difference, divisor * product(map(size, common.elements())))
    assert divided is not None
    return divided
