"""Sizes as polynomials with integer coefficients over symbols and floor divisions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ...support.records import dataclass

CLAMPED = 1 << 30
"""Bound on the sizes for which ``least`` is exact, and the largest divisor in a size of a graph."""
Monomial = tuple[str, ...]
"""Sorted factors: symbols and floors."""
Term = tuple[Monomial, int]
"""Monomial and its nonzero coefficient."""


class Floor(str):
    """Floor division ``dim // by`` as a factor of a monomial. Floors compare by their text.

    ``floor_divide`` normalizes floors: every coefficient of ``dim`` is from 0 to ``by - 1``. As ``dim`` is then never
    negative, the truncating division of the machine equals the floor.
    """

    __slots__ = ("by", "dim")
    dim: Size
    by: int

    def __new__(cls, dim: Size, by: int) -> Floor:
        text = dim_text(dim)
        floor = super().__new__(cls, f"{text if dim.symbol else f'({text})'}//{by}")
        floor.dim, floor.by = dim, by
        return floor

    def __getnewargs__(self) -> tuple[Size, int]:  # type: ignore[override]
        return self.dim, self.by


@dataclass(frozen=True, slots=True)
class Size:
    """A polynomial over symbols. ``terms`` has pairs of a monomial and its nonzero coefficient, sorted."""

    terms: tuple[Term, ...]

    def __hash__(self) -> int:
        return hash(self.terms)

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, int):  # the common case; the constant is the first term
            if not other:
                return self
            names, factor = self.terms[0]
            if names:
                return Size((((), other), *self.terms))
            return Size((((), factor + other), *self.terms[1:]) if factor + other else self.terms[1:])
        return _collect(self.terms + other.terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (other * -1)

    def __rsub__(self, other: Dim) -> Dim:
        return (self * -1) + other

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):  # the common case
            if other == 1:
                return self
            return Size(tuple([(names, factor * other) for names, factor in self.terms])) if other else 0
        return _multiply(self, other)

    __rmul__ = __mul__

    def __str__(self) -> str:
        return dim_text(self)

    @property
    def symbols(self) -> frozenset[str]:
        """Set of the names of all symbols in the polynomial, also of those in floor divisions."""
        symbols: set[str] = set()
        for names, _ in self.terms:
            for name in names:
                if isinstance(name, Floor):
                    symbols |= name.dim.symbols
                else:
                    symbols.add(name)
        return frozenset(symbols)

    @property
    def plain_symbols(self) -> frozenset[str]:
        """Symbols outside of floor divisions. Equations can be solved only for these symbols."""
        return frozenset(name for names, _ in self.terms for name in names if not isinstance(name, Floor))

    @property
    def symbol(self) -> str | None:
        """The symbol if the polynomial is a single symbol, else None."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            name = self.terms[0][0][0]
            return None if isinstance(name, Floor) else name
        return None


Dim = int | Size
Shape = tuple[Dim, ...]


def size(name: str) -> Size:
    """Return the size that is a single symbol."""
    return Size((((name,), 1),))


def terms_of(dim: Dim) -> tuple[Term, ...]:
    """Return the terms of a size; none for 0."""
    if isinstance(dim, Size):
        return dim.terms
    return (((), dim),) if dim else ()


def _collect(terms: Iterable[Term]) -> Dim:
    """Return the sum of terms (monomial, coefficient) as a size: an int, or a polynomial in normal form."""
    totals: dict[Monomial, int] = {}
    for names, factor in terms:
        totals[names] = totals.get(names, 0) + factor
    nonzero = tuple(sorted((names, factor) for names, factor in totals.items() if factor))
    if not nonzero:
        return 0
    if len(nonzero) == 1 and not nonzero[0][0]:
        return nonzero[0][1]
    return Size(nonzero)


@lru_cache(maxsize=65536)
def _multiply(a: Dim, b: Dim) -> Dim:
    return _collect((tuple(sorted(left + right)), p * q) for left, p in terms_of(a) for right, q in terms_of(b))


def without(dim: Dim, part: Dim) -> Dim:
    """Return ``dim - part``, where all terms of ``part`` are terms of ``dim``."""
    removed = terms_of(part)
    rest = tuple([term for term in terms_of(dim) if term not in removed])
    if not rest:
        return 0
    return Size(rest) if len(rest) > 1 or rest[0][0] else rest[0][1]


def symbols_of(dim: Dim) -> frozenset[str]:
    """Return the symbols of a size; none for a number."""
    return dim.symbols if isinstance(dim, Size) else frozenset()


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """Return ``dim`` with symbols replaced by sizes of ``values``."""
    if not isinstance(dim, Size) or not any(name in values for name in dim.symbols):
        return dim
    total: Dim = 0
    for names, factor in dim.terms:
        product: Dim = factor
        for name in names:
            if isinstance(name, Floor):
                product = product * floor_divide(substitute(name.dim, values), name.by)
            else:
                product = product * values.get(name, size(name))
        total = total + product
    return total


def rename(dim: Dim, names: Mapping[str, str]) -> Dim:
    """Return ``dim`` with other names for its symbols. Different symbols must get different names."""
    if not isinstance(dim, Size):
        return dim
    terms = [(tuple(sorted([_renamed(name, names) for name in monomial])), factor) for monomial, factor in dim.terms]
    return Size(tuple(sorted(terms)))


def _renamed(name: str, names: Mapping[str, str]) -> str:
    if not isinstance(name, Floor):
        return names.get(name, name)
    inner = rename(name.dim, names)
    assert isinstance(inner, Size)
    return Floor(inner, name.by)


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """Return the value of a size, given the values of its symbols. Raise ``KeyError`` if a symbol has none."""
    result = substitute(dim, values)
    if isinstance(result, Size):
        missing = ", ".join(sorted(name for name in result.symbols if name not in values))
        raise KeyError(f"size {missing} has no value")
    return result


def floors_of(dim: Dim) -> Iterator[Floor]:
    """Yield all floors in a size, outer ones before the floors nested in them."""
    for names, _ in terms_of(dim):
        for name in names:
            if isinstance(name, Floor):
                yield name
                yield from floors_of(name.dim)


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of sizes; 1 for no sizes."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def quotient(dim: Dim, divisor: Dim) -> Dim | None:
    """Return ``dim / divisor`` if it is a polynomial with integer coefficients, else None."""
    if not terms_of(divisor):
        return None
    by, by_factor = _leading(divisor)
    result: Dim = 0
    while terms_of(dim):  # polynomial long division
        names, factor = _leading(dim)
        rest = list(names)
        for name in by:
            if name not in rest:
                return None
            rest.remove(name)
        if factor % by_factor:
            return None
        term = _collect([(tuple(rest), factor // by_factor)])
        result, dim = result + term, dim - term * divisor
    return result


def _leading(dim: Dim) -> tuple[Monomial, int]:
    """Return the leading term: among the terms of highest degree, the first in the order of their symbols' names."""
    return min(terms_of(dim), key=lambda term: (-len(term[0]), term[0]))


def whole_quotient(dim: Dim, divisor: Dim) -> Dim | None:
    """Return ``dim / divisor``, rounded down if it is an integer only for some values of symbols.

    The result is None if the symbols of the divisor are not factors of all terms, or if the quotient is never an
    integer.
    """
    exact = quotient(dim, divisor)
    if exact is not None or not isinstance(dim, Size) or len(terms_of(divisor)) != 1:
        return exact
    ((names, factor),) = terms_of(divisor)
    rest = quotient(dim, _collect([(names, 1)]))
    constant = sum(number for others, number in terms_of(rest or 0) if not others)
    common = math.gcd(factor, *(number for others, number in terms_of(rest or 0) if others))
    if rest is None or factor < 1 or constant % common:
        return None
    return floor_divide(rest, factor)


def uncommon(shape: Sequence[Dim], others: Sequence[Dim]) -> tuple[list[Dim], list[Dim]]:
    """Return two lists: the sizes of each shape that remain when sizes that occur in both cancel."""
    left, divisors = list(shape), []
    for dim in others:
        if dim in left:
            left.remove(dim)
        else:
            divisors.append(dim)
    return left, divisors


def floor_divide(dim: Dim, by: int) -> Dim:
    """Return ``dim // by`` in normal form, for positive ``by``.

    The result is normalized: multiples of ``by`` are separate terms, common divisors cancel, and nested floors merge.
    """
    if not isinstance(dim, Size):
        return dim // by
    if by == 1:
        return dim
    whole = _collect((names, factor // by) for names, factor in dim.terms)
    rest = _collect((names, factor % by) for names, factor in dim.terms)
    if not isinstance(rest, Size):
        return whole
    common = math.gcd(by, *(factor for names, factor in rest.terms if names))
    if common > 1:
        rest, by = _collect((names, factor // common) for names, factor in rest.terms), by // common
        assert isinstance(rest, Size)
    (names, factor), constant = rest.terms[-1], rest.terms[0][1] if not rest.terms[0][0] else 0
    if len(rest.terms) == 1 + bool(constant) and factor == 1 and len(names) == 1 and isinstance(names[0], Floor):
        return whole + floor_divide(names[0].dim + constant * names[0].by, names[0].by * by)
    return whole + Size((((Floor(rest, by),), 1),))


def ceil_divide(dim: Dim, by: int) -> Dim:
    """Return ``dim / by`` rounded up, for positive ``by``."""
    return floor_divide(dim + (by - 1), by)


def least(dim: Dim, bound: int) -> Dim:
    """Return the minimum of a size and a number, for sizes below ``CLAMPED``."""
    if not isinstance(dim, Size):
        return min(dim, bound)
    reached = floor_divide(dim + (CLAMPED - bound), CLAMPED)  # 1 if dim >= bound, else 0
    return dim + reached * (bound - dim)


def dim_text(dim: Dim) -> str:
    """Return the printed form of a size, such as ``2*T-1``."""
    if not isinstance(dim, Size):
        return str(dim)
    text = ""
    # Symbols come first, the constant last: T-1, not -1+T.
    for names, factor in sorted(dim.terms, key=lambda term: (not term[0], term[1] < 0, term[0])):
        sign = "-" if factor < 0 else "+"
        if len(names) == 1 and (factor == 1 or (factor == -1 and text)):  # otherwise, a floor needs parentheses
            body: str = names[0]
        else:
            factors = [f"({name})" if isinstance(name, Floor) else name for name in names]
            body = "*".join(([str(abs(factor))] if abs(factor) != 1 or not names else []) + factors)
        text += body if not text and factor > 0 else sign + body
    return text


def plain_dim(dim: Dim) -> Any:
    """Return a size as values that JSON can store."""
    if isinstance(dim, int):
        return dim
    return [[[*map(_plain_factor, names)], coefficient] for names, coefficient in dim.terms]


def restored_dim(value: Any) -> Dim:
    """Return the size that ``plain_dim`` stored."""
    if isinstance(value, int):
        return value
    return Size(tuple((tuple(map(_restored_factor, names)), coefficient) for names, coefficient in value))


def _plain_factor(factor: str) -> Any:
    return [plain_dim(factor.dim), factor.by] if isinstance(factor, Floor) else factor


def _restored_factor(value: Any) -> str:
    """Return the symbol or floor division that ``_plain_factor`` stored."""
    if isinstance(value, str):
        return value
    dim, by = value
    divided = restored_dim(dim)
    assert isinstance(divided, Size)
    return Floor(divided, by)
