"""Arithmetic on sizes: exporters split shapes into sizes, compute with sizes, and join the results to shapes.

A symbolic size is a formula over names, each at least 1. A comparison whose result depends on the sizes raises
``UnreadableError``, except that equality of two sizes is returned as ``Undecided``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ....ir.sizes.arithmetic import Arithmetic, Relation, compare
from ....ir.sizes.arithmetic import sign_of as sign_of
from ....ir.sizes.polynomial import Floor, terms_of
from ....ir.types import Dim, Size, dim_text, product, quotient, size, uncommon
from ...operators.errors import UnreadableError as UnreadableError

MAX_TERMS = 12
"""Maximum terms of a formula, and factors of a term. Real nets need up to three, but products could grow endlessly."""


class ForcedSizeError(UnreadableError):
    """Error for a node that needs a symbolic size to be a number, usually that of the example that was traced."""

    def __init__(self, what: str, name: str, value: int) -> None:
        super().__init__(f"{what}, as if {name} were {value}")
        self.name, self.value = name, value


@dataclass(frozen=True)
class Undecided:
    """Equality of two sizes, or its negation, whose result depends on the call of the program."""

    left: Dim
    right: Dim
    negated: bool = False

    def __str__(self) -> str:
        return f"{dim_text(self.left)} {'!=' if self.negated else '=='} {dim_text(self.right)}"


Entry = int | bool | Size | Undecided
"""Entry of an array of sizes, or of an array of comparisons of sizes."""


def checked(dim: Dim) -> Dim:
    """Return ``dim``. Raises ``UnreadableError`` if its formula is too long."""
    if len(terms_of(dim)) > MAX_TERMS or any(len(names) > MAX_TERMS for names, _ in terms_of(dim)):
        raise UnreadableError(f"a size is a formula of more than {MAX_TERMS} terms; fix the sizes of inputs")
    return dim


def equal(left: Entry, right: Entry) -> bool | Undecided:
    """Return whether two entries of known arrays are equal: True, False or, if that depends on sizes, ``Undecided``.

    Raise ``UnreadableError`` if an entry is ``Undecided`` itself.
    """
    if isinstance(left, Undecided) or isinstance(right, Undecided):
        raise UnreadableError(
            "it compares the results of comparisons of symbolic sizes, which is not supported; fix the sizes"
        )
    answer: bool | Undecided = ARITHMETIC.compare(operator.eq, left, right)
    return answer


def inverted(entry: Entry) -> Entry:
    """Return the negation of an entry. A size counts as True."""
    if isinstance(entry, Undecided):
        return Undecided(entry.left, entry.right, not entry.negated)
    if isinstance(entry, Size):
        return False
    return not entry


class _Proving:
    """Policy of ONNX's reader for results that depend on the sizes: equality is deferred, all others are errors."""

    def quotient(self, left: Dim, right: Dim) -> Dim:
        raise UnreadableError(
            f"it divides the size {dim_text(left)} by {dim_text(right)}, which may leave a remainder; fix the size"
        )

    def compare(self, relation: Relation, left: Dim, right: Dim) -> Undecided:
        if relation is operator.eq:
            return Undecided(left, right)
        raise UnreadableError(
            f"it compares the sizes {dim_text(left)} and {dim_text(right)}, whose order depends on the call; fix one"
        )


ARITHMETIC = Arithmetic(_Proving())


def divided(left: Dim, right: Dim) -> Dim:
    """Return left / right, truncated towards 0. A formula that may be negative for some sizes only is rounded down.

    Raise ``UnreadableError`` for a divisor of 0, and for a symbolic divisor if no formula is found.
    """
    if isinstance(left, Size) and isinstance(right, int) and compare(operator.le, left if right > 0 else -1 * left, 0):
        return -1 * divided(-1 * left, right)
    try:
        quotient = ARITHMETIC.divide(left, right)
    except ZeroDivisionError:
        raise UnreadableError("it divides a size by 0; give a divisor other than 0") from None
    return quotient + 1 if isinstance(quotient, int) and quotient < 0 and quotient * right != left else quotient


def remainder(left: Dim, right: Dim) -> Dim:
    """Return left modulo right, with the sign of ``right``. Raise ``UnreadableError`` as ``divided`` does."""
    try:
        return ARITHMETIC.remainder(left, right)
    except ZeroDivisionError:
        raise UnreadableError("it divides a size by 0; give a divisor other than 0") from None


def _conjunction(left: Entry, right: Entry) -> Entry:
    """Return the conjunction of two truth values. Raises ``UnreadableError`` if both are ``Undecided``."""
    for entry, other in ((left, right), (right, left)):
        if isinstance(entry, bool):
            return other if entry else False
    raise UnreadableError("it combines comparisons of symbolic sizes, which is not supported; fix one of the sizes")


def plain(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap a function of sizes so that it rejects ``Undecided`` operands, and formulas that are too long."""

    def of_sizes(left: Any, right: Any) -> Any:
        if isinstance(left, Undecided) or isinstance(right, Undecided):
            raise UnreadableError("it computes with the result of a comparison of symbolic sizes; fix one of the sizes")
        result = function(left, right)
        return result if isinstance(result, bool) else checked(result)

    return of_sizes


BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": plain(lambda a, b: a + b),
    "Sub": plain(lambda a, b: a - b),
    "Mul": plain(lambda a, b: a * b),
    "Div": plain(divided),
    "Mod": plain(remainder),
    "Max": plain(ARITHMETIC.maximum),
    "Min": plain(ARITHMETIC.minimum),
    "Equal": equal,
    "Less": plain(partial(ARITHMETIC.compare, operator.lt)),
    "Greater": plain(partial(ARITHMETIC.compare, operator.gt)),
    "LessOrEqual": plain(partial(ARITHMETIC.compare, operator.le)),
    "GreaterOrEqual": plain(partial(ARITHMETIC.compare, operator.ge)),
    "And": _conjunction,
    "Or": lambda a, b: inverted(_conjunction(inverted(a), inverted(b))),
}
"""Functions of two entries, at least one of which is a formula, by ONNX op."""


def total(shape: tuple[Dim, ...]) -> Dim:
    """Return the product of a shape's sizes. Raises ``UnreadableError`` if the formula is too long."""
    return checked(product(shape))


def part_of(dim: Dim) -> tuple[str, slice] | None:
    """Return (name, slice) such that the slice of an axis with that named size has ``dim`` entries; None if none does.

    The slice has all but the last n entries, T-1 → ``("T", slice(None, -1))``, or every n-th entry.
    """
    if not isinstance(dim, Size) or dim.symbol is not None:
        return None
    for name in names_of(dim):
        less = size(name) - dim
        if isinstance(less, int) and less > 0 and not name.startswith("_"):
            return name, slice(None, -less)
    (names, factor), *others = dim.terms
    floor = names[0] if factor == 1 and len(names) == 1 and not others else None
    if isinstance(floor, Floor):
        for name in names_of(floor.dim):
            more = floor.dim - size(name)
            if isinstance(more, int) and 0 <= more < floor.by and not name.startswith("_"):
                return name, slice(floor.by - 1 - more or None, None, floor.by)
    return None


def forced(own: Sequence[Dim], target: Sequence[Dim]) -> tuple[str, int] | None:
    """Return (name, value) if two shapes have equally many entries for one value of one named size only; else None."""
    left, right = (product(dims) for dims in uncommon(own, target))
    for name in sorted(names_of(left) & names_of(right)):  # Shapes [B, T] and [2 B, 6] share the factor B.
        less, fewer = quotient(left, size(name)), quotient(right, size(name))
        left, right = (left, right) if less is None or fewer is None else (less, fewer)
    longer, shorter = (left, right) if isinstance(left, Size) else (right, left)
    terms = list(terms_of(longer))
    if not isinstance(shorter, int) or not isinstance(longer, Size) or len(terms) != 1 or len(terms[0][0]) != 1:
        return None
    (name,), factor = terms[0]
    is_whole = isinstance(name, str) and longer.symbols == {name} and shorter > 0 and shorter % factor == 0
    return (name, shorter // factor) if is_whole else None


def names_of(dim: Dim) -> frozenset[str]:
    return dim.plain_symbols if isinstance(dim, Size) else frozenset()


def axis_of(axis: int, rank: int) -> int:
    """Return ``axis`` as a nonnegative axis. Raises ``UnreadableError`` if it is out of range."""
    if not -rank <= axis < rank:
        remedy = f"give {-rank} to {rank - 1}" if rank else "a scalar has no axes"
        raise UnreadableError(f"axis {axis} is out of range for rank {rank}; {remedy}")
    return axis % rank


def texts(shape: Sequence[Dim]) -> str:
    """Return a shape as text for errors, such as ``[B,3]``."""
    return f"[{','.join(map(dim_text, shape))}]"
