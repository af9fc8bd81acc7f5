"""What is known of the open sizes of a module's tensors, in one run of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NoReturn

from ....ir.sizes.arithmetic import Arithmetic, Relation
from ....ir.types import Dim, Size, evaluate, size, substitute, symbols_of


class SizesChanged(BaseException):
    """A size is known to be less open than it was taken for: the module must be run anew."""


class Sizes:
    """What is known of the open sizes.

    examples: their values in the example. known: those that turned out to be numbers or other sizes.
    """

    def __init__(self, examples: Mapping[str, int], known: Mapping[str, Dim]) -> None:
        self.examples = dict(examples)
        self.known = dict(known)
        self.arithmetic = Arithmetic(_ByExample(self))
        self.counts: set[int] = set()
        """Numbers of steps that were written out, each of which may be an open size yet."""
        self.taken: dict[Dim, set[int]] = {}
        """Which entries of axes of open size were taken one by one."""

    def open(self, name: str) -> Dim:
        """The size of this name, or what it turned out to be."""
        found: Dim = size(name)
        while (further := substitute(found, self.known)) != found:
            found = further
        return found

    def value(self, dim: Dim) -> int:
        """In the example."""
        return evaluate(dim, self.examples)

    def take(self, dim: Dim, place: int) -> None:
        """Notes that an entry of an axis was taken by itself."""
        if isinstance(dim, Size):
            self.taken.setdefault(dim, set()).add(place % max(1, self.value(dim)))

    def steps(self, count: int) -> Dim:
        """The open size that a loop ran over which made so many steps, if there is one."""
        for dim, places in self.taken.items():
            if len(places) == count == self.value(dim):
                return dim
        return count

    def fix(self, dim: Dim) -> int:
        """A size that must be a number. Raises ``SizesChanged`` where it was open."""
        if isinstance(dim, Size):
            self.close(dim.symbols)
        return dim

    def close(self, names: Collection[str]) -> NoReturn:
        """Makes numbers of these open sizes. Raises ``SizesChanged``."""
        for name in names:
            self.known[name] = self.examples[name]
        raise SizesChanged

    def meet(self, a: Dim, b: Dim) -> None:
        """Two sizes that must be equal. Raises ``SizesChanged`` where that was not known."""
        if a == b or (isinstance(a, int) and isinstance(b, int)):
            return
        if {a, b} & self.counts and self.value(a) == self.value(b):
            return
        first, second = (dim.symbol if isinstance(dim, Size) else None for dim in (a, b))
        if first and second:
            later, earlier = max(first, second), min(first, second)
            self.known[later] = size(earlier)
        elif first and isinstance(b, int):
            self.known[first] = b
        elif second and isinstance(a, int):
            self.known[second] = a
        elif isinstance(a, int) or isinstance(b, int):
            self.fix(a if isinstance(a, Size) else b)
        else:
            return  # two formulas: a call compares them
        raise SizesChanged

    def broadcast(self, *shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """The shape of tensors that meet axis by axis from the last one on; sizes of 1 are repeated."""
        rank = max(map(len, shapes))
        rows = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
        found: list[Dim] = []
        for dims in zip(*rows, strict=True):
            widest: Dim = 1
            for dim in dims:
                if dim == 1 or dim == widest:
                    continue
                if isinstance(dim, Size) and self.value(dim) == 1 and max(map(self.value, dims)) > 1:
                    self.fix(dim)
                if widest != 1:
                    self.meet(widest, dim)
                widest = dim
            found.append(widest)
        return tuple(found)

    def decide(self, a: Dim, b: Dim, holds: bool) -> bool:
        """What a comparison of sizes gives, on which the module's code hangs."""
        difference = a - b
        if isinstance(difference, Size):
            names = difference.symbols
            if holds and self.value(difference) == 0 and all(self.examples[name] for name in names):
                pair = _pair(difference)
                if pair is not None:
                    self.meet(*pair)
            self.close(names)
        return holds


class _ByExample:
    """The policy of torch's reader: what formulas do not tell is as in the example, whose sizes are then numbers."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes

    def quotient(self, left: Dim, right: Dim) -> NoReturn:
        self._sizes.close(symbols_of(left) | symbols_of(right))

    def compare(self, relation: Relation, left: Dim, right: Dim) -> bool:
        return self._sizes.decide(left, right, relation(self._sizes.value(left), self._sizes.value(right)))


def _pair(difference: Size) -> tuple[Dim, Dim] | None:
    """The two sizes whose difference this is, one of them a bare name."""
    for name in sorted(difference.plain_symbols):
        rest = size(name) - difference
        if name not in symbols_of(rest) and (isinstance(rest, int) or rest.symbol):
            return size(name), rest
    return None
