"""LLVM text of sizes of a call, from callers' sizes, with or without protection against overflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...ir.sizes.polynomial import Dim, Floor, Monomial, Size
from .llvm_text import WrapperBuilder

Number = int | str
"""A number, or the name of an i64 value."""
SATURATED = 1 << 62
"""Number that replaces all larger ones."""

PRODUCT = f"""\
; a * b, or {SATURATED} where that is less; both are not above it
define internal i64 @product(i64 %a, i64 %b) #0 {{
  %ordered = icmp ult i64 %a, %b
  %less = select i1 %ordered, i64 %a, i64 %b
  %more = select i1 %ordered, i64 %b, i64 %a
  %less.high = lshr i64 %less, 32
  %more.high = lshr i64 %more, 32
  %more.low = and i64 %more, {(1 << 32) - 1}
  %upper = mul i64 %less, %more.high
  %lower = mul i64 %less, %more.low
  %shifted = shl i64 %upper, 32
  %sum = add i64 %shifted, %lower
  %both.wide = icmp ne i64 %less.high, 0
  %upper.wide = icmp uge i64 %upper, {1 << 30}
  %lower.wide = icmp uge i64 %lower, {SATURATED}
  %sum.wide = icmp uge i64 %sum, {SATURATED}
  %one = or i1 %both.wide, %upper.wide
  %other = or i1 %lower.wide, %sum.wide
  %wide = or i1 %one, %other
  %result = select i1 %wide, i64 {SATURATED}, i64 %sum
  ret i64 %result
}}
"""
"""Saturating product in 64 bits. For the upper half of a product, some processors would call a library function."""

QUOTIENT = """\
; a / b, bit by bit; both are positive, and b is less than 2**62
define internal i64 @quotient(i64 %a, i64 %b) #0 {
entry:
  br label %bit
bit:
  %at = phi i64 [ 63, %entry ], [ %following, %bit ]
  %rest = phi i64 [ 0, %entry ], [ %left, %bit ]
  %sum = phi i64 [ 0, %entry ], [ %found, %bit ]
  %shifted = lshr i64 %a, %at
  %digit = and i64 %shifted, 1
  %doubled = shl i64 %rest, 1
  %taken = or i64 %doubled, %digit
  %fits = icmp uge i64 %taken, %b
  %less = sub i64 %taken, %b
  %left = select i1 %fits, i64 %less, i64 %taken
  %one = zext i1 %fits to i64
  %twice = shl i64 %sum, 1
  %found = or i64 %twice, %one
  %following = sub i64 %at, 1
  %more = icmp ne i64 %at, 0
  br i1 %more, label %bit, label %done
done:
  ret i64 %found
}
"""
"""Division for processors that would call a library function for 64 bits. It runs once or twice per call."""


def quotient_text(f: WrapperBuilder, number: Number, by: int) -> Number:
    """Append the floor of ``number / by`` for a nonnegative number, and return its name."""
    if isinstance(number, int):
        return number // by
    if by & (by - 1) == 0:
        return f.value(f"lshr i64 {number}, {by.bit_length() - 1}", "quotient")
    return f.value(f"call i64 @quotient(i64 {number}, i64 {by})", "quotient")


def size_text(f: WrapperBuilder, dim: Dim, values: Mapping[str, Number]) -> Number:
    """Append instructions that compute a size of a call, which cannot overflow. Return the name of the result."""
    if not isinstance(dim, Size):
        return dim
    total: Number = 0
    for names, factor in dim.terms:
        term: Number = factor
        for name in names:
            if isinstance(name, Floor):
                known = quotient_text(f, size_text(f, name.dim, values), name.by)
            else:
                known = values[name]
            term = f.times(known, term)
        total = f.plus(total, term)
    return total


def strides_of(f: WrapperBuilder, shape: Iterable[Dim], values: Mapping[str, Number]) -> list[Number]:
    """Append instructions that compute a C-contiguous array's strides, in elements. Return their names."""
    strides: list[Number] = []
    total: Number = 1
    for dim in reversed([*shape]):
        strides.insert(0, total)
        total = f.times(total, size_text(f, dim, values))
    return strides


class Bounded:
    """Writer of sizes that saturate at ``SATURATED``, so that no caller's sizes overflow.

    ``values`` has the value of each name in sizes, at most ``SATURATED``.
    """

    def __init__(self, f: WrapperBuilder, values: Mapping[str, Number]) -> None:
        self.f, self.values = f, values
        self._known: dict[Dim, Number] = {}

    def number(self, dim: Dim) -> Number:
        """Append instructions that compute a size, which may be negative, with saturation. Return its name."""
        if not isinstance(dim, Size):
            return min(dim, SATURATED)
        if dim not in self._known:
            added = self._sum([(names, factor) for names, factor in dim.terms if factor > 0])
            negative = self._sum([(names, -factor) for names, factor in dim.terms if factor < 0])
            self._known[dim] = self.f.value(f"sub i64 {added}, {negative}", "size") if negative != 0 else added
        return self._known[dim]

    def product(self, numbers: Iterable[Number]) -> Number:
        """Append a saturating product of nonnegative numbers. Return the name of the result."""
        total: Number = 1
        for number in numbers:
            if 1 in (total, number):
                total = number if total == 1 else total
            else:
                total = self.f.value(f"call i64 @product(i64 {total}, i64 {number})", "product")
        return total

    def _factor(self, name: str) -> Number:
        """Append instructions for a factor of a size, a symbol or a floor division. Return the result's name.

        A floor division is ``SATURATED`` if its dividend is.
        """
        if not isinstance(name, Floor):
            return self.values[name]
        whole = self.number(name.dim)
        part = quotient_text(self.f, whole, name.by)
        if isinstance(whole, int):
            return part
        wide = self.f.value(f"icmp uge i64 {whole}, {SATURATED}", "wide")
        return self.f.value(f"select i1 {wide}, i64 {SATURATED}, i64 {part}", "floor")

    def _sum(self, terms: Iterable[tuple[Monomial, int]]) -> Number:
        total: Number = 0
        for names, factor in terms:
            number = self.product([min(factor, SATURATED), *map(self._factor, names)])
            if total == 0:
                total = number
                continue
            added = self.f.value(f"add i64 {total}, {number}", "sum")
            wide = self.f.value(f"icmp ugt i64 {added}, {SATURATED}", "wide")
            total = self.f.value(f"select i1 {wide}, i64 {SATURATED}, i64 {added}", "sum")
        return total
