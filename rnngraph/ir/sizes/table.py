"""Unification of sizes that must be equal: a table of the values that replace symbols."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from .polynomial import Dim, Floor, Monomial, Size, dim_text, product, quotient, size, substitute, symbols_of, terms_of

if TYPE_CHECKING:
    from fractions import Fraction

_OPEN = re.compile(r"_(\d+)_(\d+)")


def open_size(serial: int, axis: int = 0) -> Size:
    """Return the symbol of an unnamed size: that of axis ``axis`` of the declaration with number ``serial``."""
    return size(f"_{serial}_{axis}")


def declaration_order(name: str) -> tuple[str, int, int]:
    """Return a sort key by name, with unnamed sizes in the order of declaration."""
    match = _OPEN.fullmatch(name)
    return ("_", int(match[1]), int(match[2])) if match else (name, 0, 0)


class SizeTable:
    """Values of symbols that make sizes equal. ``unify`` adds a value, and ``resolve`` replaces symbols by values."""

    def __init__(self) -> None:
        self.known: dict[str, Dim] = {}

    def resolve(self, dim: Dim) -> Dim:
        """Return a size with known symbols replaced by their values."""
        previous = None
        while dim != previous:
            previous, dim = dim, substitute(dim, self.known)
        return dim

    def unify(self, a: Dim, b: Dim, measured: bool = False) -> Dim:
        """Make two sizes equal by recording a value for one of their symbols, if needed. Return the common size.

        Args:
            a: A size.
            b: A size.
            measured: True if ``b`` is the size of an array. If False, T and n*T raise an error instead of becoming
                equal by n = 1, because a mistake of the user is more likely.

        Returns:
            The common size.

        Raises:
            ValueError: The sizes cannot be equal, or no symbol can be solved for.
        """
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return a
        solution = _solve(a - b)
        if solution is None and (measured or not _multiples(a, b)):
            solution = _solve(_without_common_factor(a - b))
        if solution is None:
            raise ValueError(f"size {dim_text(a)} does not match size {dim_text(b)}")
        name, value = solution
        self.known[name] = value
        return self.resolve(a)

    def unify_all(self, pairs: Sequence[tuple[Dim, Dim]], measured: bool = False) -> int | None:
        """Make both sizes of every pair equal, in any order. Return the index of a pair that cannot be, or None.

        ``measured`` is as in ``unify``.

        Returns:
            The index of the first pair that cannot become equal, or None.
        """
        pending = list(range(len(pairs)))
        while pending:
            failed = [index for index in pending if not self._unifies(*pairs[index], measured)]
            if len(failed) == len(pending):
                return failed[0]
            pending = failed
        return None

    def _unifies(self, a: Dim, b: Dim, measured: bool) -> bool:
        try:
            self.unify(a, b, measured)
        except ValueError:
            return False
        return True

    def may_be_equal(self, a: Dim, b: Dim) -> bool:
        """True unless two sizes certainly differ, whatever values of 2 or more the symbols have."""
        a, b = self.resolve(a), self.resolve(b)
        difference = a - b
        if not isinstance(difference, Size) or _multiples(a, b):
            return difference == 0
        if any(isinstance(name, Floor) for names, _ in difference.terms for name in names):
            return not _is_above_zero(difference) and not _is_above_zero(difference * -1)
        constant = sum(factor for names, factor in difference.terms if not names)
        divisor = math.gcd(*(factor for names, factor in difference.terms if names))
        return len({factor > 0 for _, factor in difference.terms}) == 2 and constant % divisor == 0


def _solve(difference: Dim) -> tuple[str, Dim] | None:
    """Solve ``difference == 0`` for one symbol. Return (symbol, its value as a size); None if impossible.

    Candidates are symbols that are a whole term with the coefficient 1 or -1. The latest declared candidate is chosen.
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
    """True if a difference is provably positive whenever every symbol is at least 2; False if that is not proved."""
    from fractions import Fraction  # slow to import, and most graphs have no such sizes

    least: dict[Monomial, Fraction] = {}
    _add_least(difference, Fraction(1), least)
    at_two = sum(factor * 2 ** len(names) for names, factor in least.items())
    return at_two > 0 and all(factor >= 0 for names, factor in least.items() if names)


def _add_least(dim: Dim, scale: Fraction, total: dict[Monomial, Fraction]) -> None:
    """Add a lower bound of ``scale * dim``, a polynomial without floor divisions, to ``total``."""
    for names, factor in terms_of(dim):
        share = scale * factor
        if len(names) == 1 and isinstance(floor := names[0], Floor):
            _add_least(floor.dim - (floor.by - 1) if share > 0 else floor.dim, share / floor.by, total)
        # Positive products with floors are at least 0, and are left out.
        elif share < 0 or not any(isinstance(name, Floor) for name in names):
            total[names] = total.get(names, 0) + share


def _multiples(a: Dim, b: Dim) -> bool:
    """True if one size is a multiple of the other, so that they are equal only if the factor is 1."""
    pairs = ((a, b), (b, a)) if a and b else ()
    return any(len(terms_of(by)) == 1 and quotient(dim, by) is not None for dim, by in pairs)  # T-1 may be 0


def _without_common_factor(difference: Dim) -> Dim:
    """Return a difference of sizes divided by the factors that all its terms share."""
    if not isinstance(difference, Size):
        return difference
    monomials = [Counter(names) for names, _ in difference.terms]
    common = reduce(and_, monomials) if len(monomials) > 1 else Counter[str]()
    divisor = math.gcd(*(factor for _, factor in difference.terms))
    divided = quotient(difference, divisor * product(map(size, common.elements())))
    assert divided is not None
    return divided
