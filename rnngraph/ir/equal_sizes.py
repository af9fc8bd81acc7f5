"""Sizes that a graph takes to be equal and that only a call can tell: those on both sides of its ``ensure_shape``.

Code is made for sizes by which both sides are one and the same formula, so that nothing which lies in memory depends on
a promise: where the values allow it, a name stands for another one; else the sizes at play are compiled in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..support.errors import Where
from .graph import Graph
from .types import Dim, Size, dim_text, evaluate, product, size, substitute, symbols_of


@dataclass(frozen=True)
class Equality:
    """Two sizes that must be equal at a call, and the line that says so."""

    have: Dim
    want: Dim
    where: Where | None

    @property
    def symbols(self) -> frozenset[str]:
        return symbols_of(self.have) | symbols_of(self.want)

    def holds(self, values: Mapping[str, Dim]) -> bool:
        """Whether both sides are the same once names are replaced."""
        return substitute(self.have, values) == substitute(self.want, values)


def equalities_of(graph: Graph) -> tuple[Equality, ...]:
    """What must be equal, each pair once, with the first line that needs it."""
    found: dict[frozenset[Dim], Equality] = {}
    for node in graph.walk():
        if node.op == "ensure_shape":
            for have, want in zip(node.operands[0].shape, node.shape, strict=True):
                if have != want:
                    found.setdefault(frozenset((have, want)), Equality(have, want, node.where))
    return tuple(found.values())


def settled(
    equalities: Sequence[Equality], likely: Mapping[str, Dim], sizes: Mapping[str, int], lengths: Collection[str]
) -> dict[str, Dim]:
    """What stands for names in code for a call of ``sizes``, so that every equality holds by itself.

    likely: as ``likely_sizes`` gives it. lengths: names that are left open where that can be.
    Raises ``ValueError`` where values are not equal.
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
    at_play = {name for item in equalities if not item.holds(known) for name in item.symbols} & sizes.keys()
    for name in sorted(at_play):  # one may do, as T where an axis of T becomes one of 2 * (T//2)
        if all(item.holds({**known, name: sizes[name]}) for item in equalities):
            return {**known, name: sizes[name]}
    known |= {name: sizes[name] for name in sorted(at_play)}
    for item in equalities:
        if not item.holds(known):
            have, want = substitute(item.have, known), substitute(item.want, known)
            raise ValueError(
                f"{dim_text(item.have)} is {dim_text(have)} and {dim_text(item.want)} is {dim_text(want)}, which must "
                f"be equal (declared at {item.where})"
            )
    return known


def likely_sizes(graph: Graph, equalities: Sequence[Equality], lengths: Collection[str]) -> dict[str, Dim]:
    """What names most likely stand for: where products are equal, their factors are, in the order in which axes were
    joined. Nothing relies on it.

    lengths: names that rather stay than give way to others.
    """
    joined = _joined(graph)
    found: dict[str, Dim] = {}
    for item in equalities:
        sides = [_factors(side, joined) for side in (item.have, item.want)]
        if len(sides[0]) != len(sides[1]):
            continue
        for pair in zip(*sides, strict=True):
            have, want = (substitute(dim, found) for dim in pair)
            names = [dim.symbol for dim in (have, want) if isinstance(dim, Size) and dim.symbol is not None]
            if have == want or not names:
                continue
            gives_way = next((name for name in names if name not in lengths), names[0])
            other = want if have == size(gives_way) else have
            if gives_way not in symbols_of(other):
                found = {name: substitute(dim, {gives_way: other}) for name, dim in found.items()}
                found[gives_way] = other
    return found


def _joined(graph: Graph) -> dict[Dim, tuple[Dim, ...]]:
    """The axes that became one, by what they became."""
    found: dict[Dim, tuple[Dim, ...]] = {}
    for node in graph.walk():
        if node.op == "reshape":
            parts = tuple(dim for dim in node.operands[0].shape if dim not in node.shape)
            found.setdefault(product(parts), parts)
    return found


def _factors(dim: Dim, joined: Mapping[Dim, tuple[Dim, ...]]) -> tuple[Dim, ...]:
    """The axes that make up a size, as far as that is known."""
    parts = joined.get(dim)
    if parts is None and isinstance(dim, Size) and len(dim.terms) == 1:
        ((names, factor),) = dim.terms
        parts = (*map(size, names), factor)
    return tuple(part for part in (dim,) if part != 1) if parts is None else tuple(part for part in parts if part != 1)
