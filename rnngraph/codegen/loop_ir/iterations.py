"""Statements after a loop that do the work of one more iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from itertools import chain
from typing import Any

from ...ir.types import Size, size, substitute
from .functions import nested
from .nodes import Buffer, Contract, Fold, For, Index, Let, LetIndex, Literal, Load, Statement, Value
from .renaming import NO_WORK


def with_iteration(loop: For, rest: Sequence[Statement]) -> For | None:
    """Return the loop with one more iteration, if the statements ``rest`` after it do the same work; else None."""
    if len(rest) != len(loop.body) or not _Comparison(loop.body, rest, {loop.var: loop.stop}).is_equal():
        return None
    return replace(loop, stop=loop.stop + loop.step)


class _Comparison:
    """Comparison of statements, apart from comments, origins, and names of values and sizes that they define.

    Attributes:
        sizes: Values of names of the one statements, as index expressions of the other ones.
        values: Names of values of the other statements, by names of the one ones.
    """

    def __init__(self, one: Sequence[Statement], other: Sequence[Statement], sizes: dict[str, Index]) -> None:
        self.one, self.other, self.sizes = one, other, sizes
        self.values: dict[str, str] = {}
        self.defined, self.defined_by_other = _defined(one), _defined(other)

    def is_equal(self) -> bool:
        """True if the statements do the same work."""
        return self._are_equal(tuple(self.one), tuple(self.other))

    def _are_equal(self, one: Any, other: Any) -> bool:
        """Compare fields of statements."""
        if isinstance(one, int | Size):
            return bool(substitute(one, self.sizes) == other)
        if type(one) is not type(other):
            return False
        if isinstance(one, str | Buffer):
            return bool(one == other)
        if type(one) is tuple:
            return len(one) == len(other) and all(map(self._are_equal, one, other))
        if isinstance(one, Value):
            return self._are_same_value(one, other)
        if isinstance(one, Literal) or not is_dataclass(one):
            return repr(one) == repr(other)  # as text, in which 0.0 and -0.0 differ
        if isinstance(one, For | Fold):
            self.sizes[one.var] = size(other.var)
        elif isinstance(one, LetIndex):
            self.sizes[one.name] = size(other.name)
        fields = vars(other)
        return all(self._are_equal(part, fields[name]) for name, part in vars(one).items() if name not in _NO_NAMES)

    def _are_same_value(self, one: Value, other: Value) -> bool:
        """True if both are the same value, or defined by corresponding statements."""
        is_outer = one.name not in self.defined and other.name not in self.defined_by_other
        name = one.name if is_outer else self.values.setdefault(one.name, other.name)
        return name == other.name and one[1:] == other[1:]


_NO_NAMES = (*NO_WORK, "var", "name")
"""Fields that do not change the work of a statement, or are names that it defines."""


def _defined(statements: Sequence[Statement]) -> set[str]:
    """Return the names of all values that statements define."""
    values = list[Value]()
    for statement in nested(statements):
        match statement:
            case Load() | Let():
                values.append(statement.value)
            case Contract():
                values += chain.from_iterable(statement.results)
            case Fold():
                values += (*statement.results, *statement.carried)
    return {value.name for value in values}
