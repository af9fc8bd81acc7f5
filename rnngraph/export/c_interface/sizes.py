"""Sizes of a call as LLVM text: formulas in what callers give, as they are or held against bounds without overflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...ir.types import Dim, Size
from .llvm_text import FunctionText

Number = int | str
"""A number, or the name of what holds an i64."""
MOST = 1 << 62
"""What stands for all numbers that are as large or larger."""

PRODUCT = f"""\
; a * b, or {MOST} where that is less; both are not above it
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
  %lower.wide = icmp uge i64 %lower, {MOST}
  %sum.wide = icmp uge i64 %sum, {MOST}
  %one = or i1 %both.wide, %upper.wide
  %other = or i1 %lower.wide, %sum.wide
  %wide = or i1 %one, %other
  %result = select i1 %wide, i64 {MOST}, i64 %sum
  ret i64 %result
}}
"""
"""A multiplication that needs no more than 64 bits: some processors would call a library for the upper half."""


def size_text(f: FunctionText, dim: Dim, values: Mapping[str, Number]) -> Number:
    """A size of a call that is known to be within bounds."""
    if not isinstance(dim, Size):
        return dim
    total: Number = 0
    for names, factor in dim.terms:
        term: Number = factor
        for name in names:
            term = f.times(values[name], term)
        total = f.plus(total, term)
    return total


def strides_of(f: FunctionText, shape: Iterable[Dim], values: Mapping[str, Number]) -> list[Number]:
    """Elements from one index of an axis to the next, in a C-contiguous array."""
    strides: list[Number] = []
    total: Number = 1
    for dim in reversed([*shape]):
        strides.insert(0, total)
        total = f.times(total, size_text(f, dim, values))
    return strides


class Bounded:
    """Sizes of a call that may be any: numbers that would be above ``MOST`` are ``MOST``.

    values: of names, not above ``MOST``.
    """

    def __init__(self, f: FunctionText, values: Mapping[str, Number]) -> None:
        self.f, self.values = f, values
        self._known: dict[Dim, Number] = {}

    def number(self, dim: Dim) -> Number:
        """A size. It may be negative where some of its terms are."""
        if not isinstance(dim, Size):
            return min(dim, MOST)
        if dim not in self._known:
            added = self._sum([(names, factor) for names, factor in dim.terms if factor > 0])
            taken = self._sum([(names, -factor) for names, factor in dim.terms if factor < 0])
            self._known[dim] = self.f.emit(f"sub i64 {added}, {taken}", "size") if taken != 0 else added
        return self._known[dim]

    def product(self, numbers: Iterable[Number]) -> Number:
        """Of numbers that are not negative."""
        total: Number = 1
        for number in numbers:
            if 1 in (total, number):
                total = number if total == 1 else total
            else:
                total = self.f.emit(f"call i64 @product(i64 {total}, i64 {number})", "product")
        return total

    def _sum(self, terms: Iterable[tuple[tuple[str, ...], int]]) -> Number:
        total: Number = 0
        for names, factor in terms:
            number = self.product([min(factor, MOST), *(self.values[name] for name in names)])
            if total == 0:
                total = number
                continue
            added = self.f.emit(f"add i64 {total}, {number}", "sum")
            wide = self.f.emit(f"icmp ugt i64 {added}, {MOST}", "wide")
            total = self.f.emit(f"select i1 {wide}, i64 {MOST}, i64 {added}", "sum")
        return total
