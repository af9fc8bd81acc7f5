"""``Sizes``: known equalities and limits of the symbolic sizes of a module's tensors during one run."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

from ....ir.sizes.arithmetic import Arithmetic, Relation
from ....ir.types import Dim, Size, evaluate, size, substitute, symbols_of
from ....support.errors import Where
from .calls import user_line_of_module

MIN_COUNTED = 3
"""Minimum number of comparisons at a line by which a loop counter that runs up to a size is recognised."""


class SizesChanged(BaseException):
    """Signal that a symbolic size turned out to be a number or another size, so that the module must run again."""


@dataclass(frozen=True)
class Limits:
    """Range of a size in which the code takes the same branches as in the example, with the line of a comparison."""

    low: int = 1
    high: int | None = None
    where: Where | None = None

    def narrowed(self, low: int, high: int | None, where: Where | None) -> Limits:
        """Return the intersection of this range and [low, high], which a comparison at line ``where`` requires.

        A ``high`` of None is no maximum.
        """
        highs = [number for number in (high, self.high) if number is not None]
        return Limits(max(low, self.low), min(highs, default=None), self.where or where)

    def allow(self, count: int) -> bool:
        return self.low <= count and (self.high is None or count <= self.high)


class Sizes:
    """Known equalities and limits of symbolic sizes during one run.

    Attributes:
        examples: Values of the sizes in the example, by name.
        known: Fixed sizes, by name: the number or the other size that each equals.
        lines: Line of the module that fixed a known size, by name; None if there is none.
        unequal: Numbers that a size is assumed not to equal, with the line that compares them.
        limits: Limits that comparisons with numbers set to a size, by name.
    """

    def __init__(
        self,
        examples: Mapping[str, int],
        known: Mapping[str, Dim],
        lines: Mapping[str, Where | None] | None = None,
        place: Callable[[], Where | None] = user_line_of_module,
    ) -> None:
        """Start a run.

        Args:
            examples: Values of the sizes in the example, by name.
            known: Fixed sizes, by name: the number or the other size that each equals.
            lines: Line of the module that fixed a known size, by name; None if there is none.
            place: Function that returns the current line of the module.
        """
        self.examples = dict(examples)
        self.known = dict(known)
        self.lines: dict[str, Where | None] = dict(lines or {})
        self.unequal: dict[str, dict[int, Where | None]] = {}
        self.limits: dict[str, Limits] = {}
        self._limits_at: dict[tuple[Where | None, str], Limits] = {}
        """Limits by the line of the comparisons, and by the size."""
        self._compared: dict[tuple[Where | None, Relation], list[tuple[Dim, bool]]] = {}
        """(difference of two sizes, result) of each comparison at a line, since a counter last reached a size there."""
        self.place = place
        self.arithmetic = Arithmetic(_ByExample(self))
        self.counts: set[int] = set()
        """Step counts of unrolled loops, any of which may be the value of a symbolic size."""
        self.selected: dict[Dim, set[int]] = {}
        """Positions of single entries that the module selected along axes, by the axis's symbolic size."""
        self.selected_at: dict[str, Counter[Where | None]] = {}
        """Number of single entries that each line selected along axes, by the name of the axis's size."""

    def open(self, name: str) -> Dim:
        """Return the symbolic size of this name, or the known number or size that it equals."""
        dim: Dim = size(name)
        while (further := substitute(dim, self.known)) != dim:
            dim = further
        return dim

    def allows(self, values: Mapping[str, int]) -> bool:
        """True if all values of sizes, by name, are within the sizes' limits."""
        return all(limits.allow(values[name]) for name, limits in self.limits.items() if name in values)

    def value(self, dim: Dim) -> int:
        """Return the value of a size in the example."""
        return evaluate(dim, self.examples)

    def take(self, dim: Dim, place: int) -> None:
        """Record that the module selected a single entry of an axis. Axes of a fixed size are not recorded."""
        if isinstance(dim, Size):
            self.selected.setdefault(dim, set()).add(place % max(1, self.value(dim)))
            for name in dim.plain_symbols:
                self.selected_at.setdefault(name, Counter())[self.place()] += 1

    def steps(self, count: int) -> Dim:
        """Return the symbolic size of an axis whose ``count`` entries were selected one by one; ``count`` if none.

        The entries may have been selected from parts of the axis, such as ``x[:, 0]`` and all entries of ``x[:, 1:]``.
        """
        whole = [dim for dim, places in self.selected.items() if len(places) == self.value(dim)]
        fitting = [dim for dim in self.selected if self.value(dim) == count]
        of_all = [dim for dim in fitting if dim in whole]
        of_parts = [dim for dim in fitting if any(isinstance(dim - part, int) for part in whole)]
        return next(iter(of_all + of_parts), count)

    def changes_selected(self, values: Mapping[str, int]) -> bool:
        """True if ``values`` change every axis size whose entries the module selected one by one, as in a loop.

        A run with other values shows only then whether the script depends on the number of entries.
        """
        examples = {**self.examples, **values}
        return all(
            evaluate(dim, examples) != len(places)
            for dim, places in self.selected.items()
            if len(places) == self.value(dim) and not symbols_of(dim).isdisjoint(values)
        )

    def fix(self, dim: Dim, where: Where | None = None) -> int:
        """Return a fixed size as an int. Fix a symbolic one to its value in the example, and raise ``SizesChanged``.

        Args:
            dim: The size.
            where: Line that needs the number; None for the current line.
        """
        if isinstance(dim, Size):
            self.close(dim.symbols, where)
        return dim

    def close(self, names: Collection[str], where: Where | None = None) -> NoReturn:
        """Fix symbolic sizes to their values in the example, and raise ``SizesChanged``.

        Args:
            names: Names of the sizes.
            where: Line that needs the numbers; None for the current line.
        """
        for name in names:
            self._learn(name, self.examples[name], where)
        raise SizesChanged

    def _learn(self, name: str, dim: Dim, where: Where | None = None) -> None:
        """Record that a symbolic size equals a number or another size, and the line that shows it."""
        self.known[name] = dim
        self.lines[name] = where or self.place()

    def line_of_entries(self, name: str) -> Where | None:
        """Return the line that selects the most single entries along axes of a size; None if none selects several.

        Args:
            name: Name of the size.
        """
        lines = self.selected_at.get(name, Counter()).most_common(1)
        return lines[0][0] if lines and lines[0][1] > 1 else None

    def line_of(self, name: str) -> Where | None:
        """Return the line that fixed a size. For a size that equals another one, return that of the other."""
        while isinstance(dim := self.known.get(name), Size) and (further := dim.symbol) and further in self.known:
            name = further
        return self.lines.get(name)

    def unify(self, a: Dim, b: Dim) -> None:
        """Require two sizes to be equal. Raises ``SizesChanged`` if that gives a symbolic size a new value.

        Two numbers are not compared. Two formulas are left to the program, which compares them at run time.
        """
        if a == b or (isinstance(a, int) and isinstance(b, int)):
            return
        if {a, b} & self.counts and {a, b} & self.selected.keys() and self.value(a) == self.value(b):
            return
        first, second = (dim.symbol if isinstance(dim, Size) else None for dim in (a, b))
        if first and second:
            later, earlier = max(first, second), min(first, second)
            self._learn(later, size(earlier))
        elif first and isinstance(b, int):
            self._learn(first, b)
        elif second and isinstance(a, int):
            self._learn(second, a)
        elif isinstance(a, int) or isinstance(b, int):
            self.fix(a if isinstance(a, Size) else b)
        else:
            return  # Neither is a symbol or a number, so that the program compares the two formulas at run time.
        raise SizesChanged

    def broadcast(self, *shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """Return the shape to which these shapes broadcast."""
        rank = max(map(len, shapes))
        rows = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
        result: list[Dim] = []
        for dims in zip(*rows, strict=True):
            widest: Dim = 1
            for dim in dims:
                if dim == 1 or dim == widest:
                    continue
                if isinstance(dim, Size) and self.value(dim) == 1 and max(map(self.value, dims)) > 1:
                    self.fix(dim)
                if widest != 1:
                    self.unify(widest, dim)
                widest = dim
            result.append(widest)
        return tuple(result)

    def decide(self, relation: Relation, a: Dim, b: Dim) -> bool:
        """Return the result of a comparison of sizes, and restrict the sizes so that the result holds.

        - A size ``==`` another size or a number that it equals in the example: both are unified.
        - A size ``==`` a number that it does not equal in the example: it is assumed never to equal the number.
        - A size ``<``, ``<=``, ``>`` or ``>=`` a number: the result limits the size, unless the number is a counter
          that reaches the size, as in ``while t < x.size(1)``.
        - All other comparisons fix their sizes to numbers.

        Raises:
            SizesChanged: Sizes were unified or fixed, so that the module must be traced again.
        """
        holds = relation(self.value(a), self.value(b))
        difference = a - b
        if not isinstance(difference, Size):
            return holds
        names = difference.symbols
        pair = _pair(difference) if relation is operator.eq else None
        if pair is not None and holds and all(self.examples[name] for name in names):
            self.unify(*pair)
        if pair is not None and not holds and isinstance(pair[0], Size) and isinstance(pair[1], int):
            self.unequal.setdefault(str(pair[0]), {}).setdefault(pair[1], self.place())
            return False
        limited = _limit_of_comparison(relation, difference, holds)
        if limited is not None:
            compared = self._compared.setdefault((self.place(), relation), [])
            compared.append((difference, holds))
            if self._limit(*limited) or self._ends_counter(limited[0], compared):
                return holds
        self.close(names)

    def _limit(self, name: str, low: int, high: int | None) -> bool:
        """Restrict a size to [low, high]. Return False if only one value is left."""
        where = self.place()
        before = self._limits_at.get((where, name), Limits())
        self._limits_at[where, name] = before.narrowed(low, high, where)
        self.limits[name] = self.limits.get(name, Limits()).narrowed(low, high, where)
        return self.limits[name].low != self.limits[name].high

    def _ends_counter(self, name: str, compared: list[tuple[Dim, bool]]) -> bool:
        """True if the current line is the test of a loop whose counter has just reached the size ``name``.

        All results but the last are then equal. The limits that the line set to the size are removed.
        """
        differences = {after - before for (before, _), (after, _) in pairwise(compared)}
        *earlier, last = (holds for _, holds in compared)
        if len(compared) < MIN_COUNTED or len(differences) > 1 or {*earlier} != {not last}:
            return False
        compared.clear()
        del self._limits_at[self.place(), name], self.limits[name]
        for (_, other), limits in self._limits_at.items():
            if other == name:
                before = self.limits.get(name, Limits())
                self.limits[name] = before.narrowed(limits.low, limits.high, limits.where)
        return True


class _ByExample:
    """Policy for comparisons whose result depends on the sizes: compare the example's values, and fix the sizes."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes

    def quotient(self, left: Dim, right: Dim) -> NoReturn:
        self._sizes.close(symbols_of(left) | symbols_of(right))

    def compare(self, relation: Relation, left: Dim, right: Dim) -> bool:
        return self._sizes.decide(relation, left, right)


def _limit_of_comparison(relation: Relation, difference: Size, holds: bool) -> tuple[str, int, int | None] | None:
    """Return (size, minimum, maximum) if ``relation(difference, 0)`` compares one size with a number; else None.

    A maximum of None is no limit.
    """
    for sign in (1, -1):
        name = next(iter(difference.plain_symbols), "")
        rest = size(name) - sign * difference if name else None
        if isinstance(rest, int):
            is_upper = relation in (operator.lt, operator.le) if sign == 1 else relation in (operator.gt, operator.ge)
            is_strict = relation in (operator.lt, operator.gt)
            # The bound excludes ``rest`` if the relation is strict and holds, or is not strict and does not hold.
            if is_upper == holds:
                return name, 1, rest - (is_strict == holds)
            return name, rest + (is_strict == holds), None
    return None


def _pair(difference: Size) -> tuple[Dim, Dim] | None:
    """Return (a, b) for a difference a - b of a symbol and a number, or of two symbols; None for other formulas."""
    for name in sorted(difference.plain_symbols):
        rest = size(name) - difference
        if name not in symbols_of(rest) and (isinstance(rest, int) or rest.symbol):
            return size(name), rest
    return None
