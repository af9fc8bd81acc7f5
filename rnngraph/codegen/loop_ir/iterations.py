"""Merging of loops: a remainder becomes one more iteration of its loop, and independent loops are fused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import chain
from typing import Any

from ...ir.types import Size, size, substitute
from ...support.records import NamedTuple, dataclass
from .functions import nested
from .nodes import Contract, Fold, For, Index, Let, LetIndex, Load, Renaming, Statement, Store, Value
from .renaming import NO_WORK, PLAIN, renamed, work_parts


class Mask(NamedTuple):
    """Number of valid lanes in each vector of a row, whose last vector may be incomplete.

    Attributes:
        name: Name of this number in the loop IR.
        width: Elements of the row.
        lanes: Lanes of a vector.
    """

    name: str
    width: int
    lanes: int


def with_iteration(loop: For, rest: Sequence[Statement], mask: Mask | None = None) -> For | None:
    """Return ``loop`` with one more iteration if that does the work of ``rest``, the statements after it; else None.

    With a ``mask``, ``rest`` may load and store an incomplete vector where the loop accesses a whole one. The mask then
    applies to these loads and stores in every iteration of the result.
    """
    comparison = _Comparison({loop.var: loop.stop}, mask.width % mask.lanes if mask else None)
    if not comparison.are_equal(loop.body, tuple(rest)):
        return None
    body = loop.body
    if mask is not None and comparison.incomplete:
        limit = LetIndex(mask.name, "min", mask.width - size(loop.var), mask.lanes)
        body = (limit, *_WithValid(incomplete=comparison.incomplete, limit=size(mask.name)).body(body))
    return loop.changed(stop=loop.stop + loop.step, body=body)


@dataclass(frozen=True)
class _WithValid(Renaming):
    """Replacement of the number of valid lanes, in the loads and stores whose ``id`` is in ``incomplete``."""

    incomplete: Set[int] = frozenset()
    limit: Index = 0

    def statement(self, statement: Statement) -> Statement:
        if isinstance(statement, Load | Store) and id(statement) in self.incomplete:
            return statement.changed(valid=self.limit)
        return statement.renamed(self) if statement.encloses else statement


def side_by_side(parts: Sequence[Sequence[Statement]]) -> list[Statement]:
    """Return the statements of all parts as one list. Loops at equal positions over equal ranges are fused.

    No loops are fused if any part reads a buffer that any part, or the part itself, writes.
    """
    uses = [[statement.uses() for statement in nested(part)] for part in parts]
    written = {buffer for part in uses for item in part for buffer in item.writes}
    is_independent = all(written.isdisjoint(item.reads) for part in uses for item in part)
    return _side_by_side(parts) if is_independent else [*chain.from_iterable(parts)]


def _side_by_side(parts: Sequence[Sequence[Statement]]) -> list[Statement]:
    """Return the statements of independent parts as one list. Loops at equal positions over equal ranges are fused."""
    if len({len(part) for part in parts}) != 1:
        return [*chain.from_iterable(parts)]
    statements: list[Statement] = []
    for group in zip(*parts, strict=True):
        loops = [item for item in group if isinstance(item, For)]
        if len(loops) == len(group) and len({(item.start, item.stop, item.step) for item in loops}) == 1:
            var = size(loops[0].var)
            bodies = [renamed(item.body, None, {item.var: var}) for item in loops]
            statements.append(loops[0].changed(body=tuple(_side_by_side(bodies))))
        else:
            statements += group
    return statements


class _Comparison:
    """Comparison of two lists of statements, which are equal if they do the same work.

    Comments, origins, and the names of values and sizes that the statements define may differ.

    Attributes:
        sizes: Names of sizes in the first statements, with their values in the second statements.
        values: Names of values that the first statements define, with their names in the second statements.
        edge: Number of lanes of an incomplete vector in the second statements, which equals a whole vector in the first
            statements; None to compare numbers of lanes exactly.
        incomplete: The ``id`` of each load and store in the first statements that matched an incomplete vector.
    """

    def __init__(self, sizes: dict[str, Index], edge: int | None) -> None:
        self.sizes, self.edge = sizes, edge
        self.values: dict[str, str] = {}
        self.incomplete: set[int] = set()

    def are_equal(self, one: Any, other: Any) -> bool:
        """True if two statements, or parts of them, do the same work, by the names that are recorded as equal."""
        kind = type(one)
        if kind is Size:
            return bool(substitute(one, self.sizes) == other)
        if kind in PLAIN:
            return bool(one == other)
        if kind is not type(other):
            return False
        if kind is Value:
            return self.values.get(one.name, one.name) == other.name and one[1:] == other[1:]
        if kind is not tuple:
            parts = work_parts(one.__class__, _NO_WORK)
            if parts is None:
                return repr(one) == repr(other)  # as text, in which 0.0 and -0.0 differ
            may_be_edge = self.edge is not None and isinstance(one, Load | Store)
            if may_be_edge and (one.valid, other.valid) == (None, self.edge):
                self.incomplete.add(id(one))
                other = other.changed(valid=None)
            self._define(one, other)
            one, other = parts(one), parts(other)
        return len(one) == len(other) and all(map(self.are_equal, one, other))

    def _define(self, one: Any, other: Any) -> None:
        """Record as equal the names of values and of the size that two corresponding statements define."""
        pairs = zip(_defined(one), _defined(other), strict=False)
        self.values.update((value.name, same.name) for value, same in pairs)
        if isinstance(one, For | Fold):
            self.sizes[one.var] = size(other.var)
        elif isinstance(one, LetIndex):
            self.sizes[one.name] = size(other.name)


_NO_WORK = (*NO_WORK, "var", "name")
"""Fields that the comparison of statements skips. Names that a statement defines may differ."""


def _defined(statement: Any) -> Iterator[Value]:
    """Return an iterator over the values that a statement defines."""
    match statement:
        case Load() | Let():
            return iter((statement.value,))
        case Contract():
            return chain.from_iterable(statement.results)
        case Fold():
            return chain(statement.results, statement.carried)
    return iter(())
