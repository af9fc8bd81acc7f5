"""Facts about the symbolic sizes of a module's tensors, in one run of it."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

from ....ir.sizes.arithmetic import Arithmetic, Relation
from ....ir.types import Dim, Size, evaluate, size, substitute, symbols_of
from ....support.errors import Where
from .calls import user_line_of_module


class SizesChanged(BaseException):
    """A size turned out to be a number or another size: the module must be run again."""


class Sizes:
    """Facts about the symbolic sizes in one run.

    Attributes:
        examples: Values of the sizes in the example.
        known: Sizes that turned out to be numbers or other sizes.
        lines: The module's line that settled each of these, as far as it is known.
        unequal: Numbers that a size is taken not to be, with the line that asked.
    """

    def __init__(
        self,
        examples: Mapping[str, int],
        known: Mapping[str, Dim],
        lines: Mapping[str, Where | None] | None = None,
        place: Callable[[], Where | None] = user_line_of_module,
    ) -> None:
        """place: returns the module's line that is being run."""
        self.examples = dict(examples)
        self.known = dict(known)
        self.lines: dict[str, Where | None] = dict(lines or {})
        self.unequal: dict[str, dict[int, Where | None]] = {}
        self.place = place
        self.arithmetic = Arithmetic(_ByExample(self))
        self.counts: set[int] = set()
        """Numbers of steps that loops wrote out. Each may turn out to be a symbolic size."""
        self.taken: dict[Dim, set[int]] = {}
        """Entries of axes of symbolic size that were taken one by one."""
        self.taken_at: dict[str, Counter[Where | None]] = {}
        """Lines that take entries of an axis of this size one by one, with the number of entries."""

    def open(self, name: str) -> Dim:
        """Return the size of this name, or what it turned out to be."""
        dim: Dim = size(name)
        while (further := substitute(dim, self.known)) != dim:
            dim = further
        return dim

    def value(self, dim: Dim) -> int:
        """Return the value of a size in the example."""
        return evaluate(dim, self.examples)

    def take(self, dim: Dim, place: int) -> None:
        """Note that a single entry of an axis was taken."""
        if isinstance(dim, Size):
            self.taken.setdefault(dim, set()).add(place % max(1, self.value(dim)))
            for name in dim.plain_symbols:
                self.taken_at.setdefault(name, Counter())[self.place()] += 1

    def steps(self, count: int) -> Dim:
        """Return the symbolic size over which a loop of ``count`` steps ran, or ``count`` if there is none."""
        for dim, places in self.taken.items():
            if len(places) == count == self.value(dim):
                return dim
        return count

    def fix(self, dim: Dim, where: Where | None = None) -> int:
        """Return a size that must be a number. Raises ``SizesChanged`` if it was symbolic. where: line that asks."""
        if isinstance(dim, Size):
            self.close(dim.symbols, where)
        return dim

    def close(self, names: Collection[str], where: Where | None = None) -> NoReturn:
        """Fix these symbolic sizes. Raises ``SizesChanged``. where: the line that asks; None for the current line."""
        for name in names:
            self._learn(name, self.examples[name], where)
        raise SizesChanged

    def _learn(self, name: str, dim: Dim, where: Where | None = None) -> None:
        self.known[name] = dim
        self.lines[name] = where or self.place()

    def line_of_entries(self, name: str) -> Where | None:
        """Return the line that takes most entries of an axis of this size, if it takes several."""
        lines = self.taken_at.get(name, Counter()).most_common(1)
        return lines[0][0] if lines and lines[0][1] > 1 else None

    def line_of(self, name: str) -> Where | None:
        """Return the line that settled a size, or the size that it equals."""
        while isinstance(dim := self.known.get(name), Size) and (further := dim.symbol) and further in self.known:
            name = further
        return self.lines.get(name)

    def unify(self, a: Dim, b: Dim) -> None:
        """Require two sizes to be equal. Raises ``SizesChanged`` if that was not known."""
        if a == b or (isinstance(a, int) and isinstance(b, int)):
            return
        if {a, b} & self.counts and self.value(a) == self.value(b):
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
            return  # two formulas: a call compares them
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
        """Return the result of a comparison of sizes on which the module's code depends.

        A size that the code compares with a number it does not have in the example is taken to be another number in
        all calls. All else settles the sizes, and raises ``SizesChanged``.
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
        self.close(names)


class _ByExample:
    """The policy of torch's reader: where formulas do not decide, the example does, which fixes its sizes."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes

    def quotient(self, left: Dim, right: Dim) -> NoReturn:
        self._sizes.close(symbols_of(left) | symbols_of(right))

    def compare(self, relation: Relation, left: Dim, right: Dim) -> bool:
        return self._sizes.decide(relation, left, right)


def _pair(difference: Size) -> tuple[Dim, Dim] | None:
    """Return two sizes with this difference, one of which is a single symbol; None if there are none."""
    for name in sorted(difference.plain_symbols):
        rest = size(name) - difference
        if name not in symbols_of(rest) and (isinstance(rest, int) or rest.symbol):
            return size(name), rest
    return None
