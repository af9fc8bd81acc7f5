"""Arithmetic of sizes, as exporters write it down: shapes taken apart, computed with, and put together again.

A size that is open is a formula of names, each of which stands for 1 or more. What can't be told of all sizes is
``UnreadableError``, but for the question whether two sizes are equal, which may wait as ``Undecided``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....ir.sizes.polynomial import Floor, floor_divide, terms_of
from ....ir.types import Dim, Size, dim_text, product, quotient, size, substitute, uncommon
from ...operators.errors import UnreadableError as UnreadableError

MOST_TERMS = 12
"""Terms of a formula. Real nets have three; products of long ones would not end."""


FAR = 1 << 53
"""No size is as large: from here on a number is a bound that nothing reaches."""
MOST_TIMES = 4
"""How many times a size may hold another one to be divided by it where nothing is left over."""


class ForcedSizeError(UnreadableError):
    """A node that can be read for one value of a size alone that the file calls open, as exporters leave it that write
    the example's sizes down.
    """

    def __init__(self, what: str, name: str, value: int) -> None:
        super().__init__(f"{what}, which it can be where {name} is {value}; give read_onnx fixed={{{name!r}: {value}}}")
        self.name, self.value = name, value


@dataclass(frozen=True)
class Undecided:
    """Whether two sizes are equal, or are not, which only a call can tell."""

    left: Dim
    right: Dim
    negated: bool = False

    def __str__(self) -> str:
        return f"{dim_text(self.left)} {'!=' if self.negated else '=='} {dim_text(self.right)}"


Entry = int | bool | Size | Undecided


def checked(dim: Dim) -> Dim:
    """The size, where its formula is of a length that real nets have."""
    if len(terms_of(dim)) > MOST_TERMS or any(len(names) > MOST_TERMS for names, _ in terms_of(dim)):
        raise UnreadableError("sizes are made of sizes by long formulas")
    return dim


def sign_of(dim: Dim) -> int | None:
    """-1, 0 or 1 where that holds for all sizes from 1 on, else None."""
    if isinstance(dim, int):
        return (dim > 0) - (dim < 0)
    number = next((factor for names, factor in dim.terms if not names), 0)
    if abs(number) >= FAR:
        return 1 if number > 0 else -1
    # every name is 1 and something more; of floors, from 0 on, nothing is taken out
    names = {name for factors, _ in dim.terms for name in factors if not isinstance(name, Floor)}
    moved = terms_of(substitute(dim, {name: size(name) + 1 for name in names}))
    signs = {factor > 0 for _, factor in moved}
    has_constant = any(not names for names, _ in moved)
    if len(signs) != 1 or not has_constant:
        return None
    return 1 if signs == {True} else -1


def equal(left: Entry, right: Entry) -> bool | Undecided:
    """Whether two entries are equal."""
    if isinstance(left, Undecided) or isinstance(right, Undecided):
        raise UnreadableError("whether sizes are equal is compared again")
    difference = left - right
    if isinstance(difference, int):
        return difference == 0
    return Undecided(left, right) if sign_of(difference) is None else False


def inverted(entry: Entry) -> Entry:
    """Not the entry."""
    if isinstance(entry, Undecided):
        return Undecided(entry.left, entry.right, not entry.negated)
    if isinstance(entry, Size):
        return False
    return not entry


def _less(left: Dim, right: Dim) -> bool:
    return not _no_less(left, right)


def _no_less(left: Dim, right: Dim) -> bool:
    """Whether left >= right, for all sizes from 1 on."""
    difference = left - right
    if isinstance(difference, int):
        return difference >= 0
    if sign_of(difference + 1) == 1:  # whole numbers
        return True
    if sign_of(difference) != -1:
        raise UnreadableError(f"which of {dim_text(left)} and {dim_text(right)} is larger depends on the call")
    return False


def divided(left: Dim, right: Dim) -> Dim:
    """left / right, cut off."""
    if isinstance(left, int) and isinstance(right, int):
        if right == 0:
            raise UnreadableError("a size is divided by 0")
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    exact = quotient(left, right) if terms_of(right) else None
    if exact is not None:
        return exact
    if isinstance(right, int) and right > 0:
        return floor_divide(left, right)
    times = _whole_times(left, right)
    return times if times >= 0 or left == times * right else times + 1


def _whole_times(left: Dim, right: Dim) -> int:
    """How many times left holds right, where that is the same for all sizes."""
    for times in range(-MOST_TIMES, MOST_TIMES):
        rest = left - times * right
        if sign_of(rest + 1) == 1 and sign_of(right - rest) == 1:  # 0 <= rest < right
            return times
    raise UnreadableError(f"{dim_text(left)} is divided by {dim_text(right)}")


def remainder(left: Dim, right: Dim) -> Dim:
    """left modulo right."""
    if isinstance(left, int) and isinstance(right, int):
        if right == 0:
            raise UnreadableError("a size is divided by 0")
        return left % right
    if isinstance(right, Size) and quotient(left, right) is None:
        return left - _whole_times(left, right) * right
    return left - divided(left, right) * right


def _both(left: Entry, right: Entry) -> Entry:
    """left and right, of truth values."""
    for entry, other in ((left, right), (right, left)):
        if isinstance(entry, bool):
            return other if entry else False
    raise UnreadableError("whether sizes are equal is computed with")


def plain(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function of sizes that refuses what is undecided."""

    def of_sizes(left: Any, right: Any) -> Any:
        if isinstance(left, Undecided) or isinstance(right, Undecided):
            raise UnreadableError("whether sizes are equal is computed with")
        found = function(left, right)
        return found if isinstance(found, bool) else checked(found)

    return of_sizes


BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": plain(lambda a, b: a + b),
    "Sub": plain(lambda a, b: a - b),
    "Mul": plain(lambda a, b: a * b),
    "Div": plain(divided),
    "Mod": plain(remainder),
    "Max": plain(lambda a, b: a if _no_less(a, b) else b),
    "Min": plain(lambda a, b: b if _no_less(a, b) else a),
    "Equal": equal,
    "Less": plain(_less),
    "Greater": plain(lambda a, b: _less(b, a)),
    "LessOrEqual": plain(lambda a, b: _no_less(b, a)),
    "GreaterOrEqual": plain(_no_less),
    "And": _both,
    "Or": lambda a, b: inverted(_both(inverted(a), inverted(b))),
}
"""What is computed of two entries of which one is a formula."""


def total(shape: tuple[Dim, ...]) -> Dim:
    return checked(product(shape))


def part_of(dim: Dim) -> tuple[str, slice] | None:
    """A size with a name, and the slice of as many entries that takes ``dim`` of them: all but 3, or every second."""
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
    """The one size, and its value, for which an array of one shape has as many entries as another shape."""
    left, right = (product(dims) for dims in uncommon(own, target))
    for name in sorted(names_of(left) & names_of(right)):  # such as of B, T and of 2 B, 6
        less, fewer = quotient(left, size(name)), quotient(right, size(name))
        left, right = (left, right) if less is None or fewer is None else (less, fewer)
    many, few = (left, right) if isinstance(left, Size) else (right, left)
    terms = list(terms_of(many))
    if not isinstance(few, int) or not isinstance(many, Size) or len(terms) != 1 or len(terms[0][0]) != 1:
        return None
    (name,), factor = terms[0]
    is_whole = isinstance(name, str) and many.symbols == {name} and few > 0 and few % factor == 0
    return (name, few // factor) if is_whole else None


def names_of(dim: Dim) -> frozenset[str]:
    return dim.plain_symbols if isinstance(dim, Size) else frozenset()


def axis_of(axis: int, rank: int) -> int:
    """A position from the front."""
    if not -rank <= axis < rank:
        raise UnreadableError(f"axis {axis} of an array of rank {rank}")
    return axis % rank


def texts(shape: Sequence[Dim]) -> str:
    return f"[{','.join(map(dim_text, shape))}]"
