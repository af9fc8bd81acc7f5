"""Sizes whose equality is known only at run time, as asserted by ``ensure_shape``.

Code is compiled with symbols replaced such that both sides of every equality are the same formula. Memory accesses then
never depend on an unproved assumption. If the values of a call permit, one symbol is replaced by another; otherwise
the values of both are constants in the code.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from ..support.errors import Where
from ..support.records import dataclass
from .graph import Graph
from .sizes.polynomial import floor_divide, floors_of
from .types import Dim, Size, dim_text, evaluate, product, size, substitute, symbols_of


@dataclass(frozen=True)
class Equality:
    """Two sizes that must be equal at run time, and the source line that requires it."""

    have: Dim
    want: Dim
    where: Where | None

    @property
    def symbols(self) -> frozenset[str]:
        """Symbols of both sizes."""
        return symbols_of(self.have) | symbols_of(self.want)

    def holds(self, values: Mapping[str, Dim]) -> bool:
        """True if both sides become the same formula once symbols are replaced by ``values``."""
        return substitute(self.have, values) == substitute(self.want, values)


def equalities_of(graph: Graph) -> tuple[Equality, ...]:
    """Return the pairs of sizes that a graph requires to be equal at run time, each with the first source line."""
    equalities: dict[frozenset[Dim], Equality] = {}
    for node in graph.walk():
        if node.op == "ensure_shape":
            for have, want in zip(node.operands[0].shape, node.shape, strict=True):
                if have != want:
                    equalities.setdefault(frozenset((have, want)), Equality(have, want, node.where))
    return tuple(equalities.values())


def settled(
    equalities: Sequence[Equality], likely: Mapping[str, Dim], sizes: Mapping[str, int], lengths: Collection[str]
) -> dict[str, Dim]:
    """Return {symbol: its value in compiled code}, such that all required equalities of sizes hold by construction.

    Args:
        equalities: Equalities of the graph.
        likely: Result of ``likely_sizes``.
        sizes: Run-time value of each symbol.
        lengths: Symbols that should not be replaced if possible.

    Raises:
        ValueError: The run-time values break an equality.
    """
    known: dict[str, Dim] = {name: value for name, value in sizes.items() if name not in lengths}
    if all(item.holds(known) for item in equalities):
        return known
    alike = {
        name: substitute(dim, known)
        for name, dim in likely.items()
        if {name, *symbols_of(dim)} <= sizes.keys() and sizes[name] == evaluate(dim, sizes)
    }
    if all(item.holds(known | alike) for item in equalities):
        return known | alike
    whole = known | multiples(equalities, sizes)
    if all(item.holds(whole) for item in equalities):
        return whole
    involved = {name for item in equalities if not item.holds(known) for name in item.symbols} & sizes.keys()
    for name in sorted(involved):  # the value of one symbol may suffice: that of T, if T must equal 2 * (T//2)
        if all(item.holds({**known, name: sizes[name]}) for item in equalities):
            return {**known, name: sizes[name]}
    known |= {name: sizes[name] for name in sorted(involved)}
    for item in equalities:
        if not item.holds(known):
            have, want = substitute(item.have, known), substitute(item.want, known)
            raise ValueError(
                f"{dim_text(item.have)} is {dim_text(have)} and {dim_text(item.want)} is {dim_text(want)}; they must "
                f"be equal (declared at {item.where})"
            )
    return known


def multiples(equalities: Sequence[Equality], sizes: Mapping[str, int]) -> dict[str, Dim]:
    """Return {T: n * (T // n)} for each symbol T that required equalities of sizes divide by n, or by factors of n.

    A divisor of which the value in ``sizes`` is no multiple is left out. A symbol without a value is a multiple of all
    divisors.
    """
    divisors: dict[str, int] = {}
    for side in (side for item in equalities for side in (item.have, item.want)):
        for factor in floors_of(side):
            name = factor.dim.symbol
            if name is not None and sizes.get(name, 0) % factor.by == 0:
                divisors[name] = math.lcm(divisors.get(name, 1), factor.by)
    return {name: floor_divide(size(name), by) * by for name, by in divisors.items()}


def likely_sizes(graph: Graph, equalities: Sequence[Equality], lengths: Collection[str]) -> dict[str, Dim]:
    """Return {symbol: likely size} such that sizes that must be equal become equal, by a guess from reshapes.

    If two products are equal, their factors are assumed equal, in the order in which reshapes merged the axes. A wrong
    guess is discarded by ``settled``.

    Args:
        graph: Graph with the reshapes.
        equalities: Equalities of the graph.
        lengths: Symbols that are replaced only if no other symbol can be.
    """
    joined = _merged_sizes(graph)
    replacements: dict[str, Dim] = {}
    for item in equalities:
        sides = [_factors(side, joined) for side in (item.have, item.want)]
        if len(sides[0]) != len(sides[1]):
            continue
        for pair in zip(*sides, strict=True):
            have, want = (substitute(dim, replacements) for dim in pair)
            names = [dim.symbol for dim in (have, want) if isinstance(dim, Size) and dim.symbol is not None]
            if have == want or not names:
                continue
            replaced = next((name for name in names if name not in lengths), names[0])
            other = want if have == size(replaced) else have
            if replaced not in symbols_of(other):
                replacements = {name: substitute(dim, {replaced: other}) for name, dim in replacements.items()}
                replacements[replaced] = other
    return replacements


def _merged_sizes(graph: Graph) -> dict[Dim, tuple[Dim, ...]]:
    """Return {merged size: the sizes of the axes that some reshape of the graph merges into it}."""
    merged: dict[Dim, tuple[Dim, ...]] = {}
    for node in graph.walk():
        if node.op == "reshape":
            parts = tuple(dim for dim in node.operands[0].shape if dim not in node.shape)
            merged.setdefault(product(parts), parts)
    return merged


def _factors(dim: Dim, joined: Mapping[Dim, tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """Return the factors of a size other than 1.

    The factors are the sizes of merged axes, if ``joined`` has the size. Otherwise they are the symbols and the
    coefficient of a size of one term, and any other size is its own factor.
    """
    parts = joined.get(dim)
    if parts is None and isinstance(dim, Size) and len(dim.terms) == 1:
        ((names, factor),) = dim.terms
        parts = (*map(size, names), factor)
    return tuple(part for part in (dim,) if part != 1) if parts is None else tuple(part for part in parts if part != 1)
